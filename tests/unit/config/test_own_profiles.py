"""A site's own profile folder, as a new device model would be added by following docs/devices.md only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import check, load_building

Edit = Callable[..., Path]
OWN = """profile: acme/co-9
title: {zh: 示例一氧化碳探测器, en: Acme CO-9}
kind: gas
link: modbus
source: "the sheet in the box"
status: confirmed
poll_s: 2.0
supervise_s: 60.0
points:
  - {key: co, unit: ppm, read: {fc: 4, register: 1, type: u16, invalid: [65535]}, valid: [0, 1000]}
rules:
  - {id: co, class: gas.co, point: co, above: 50, deadband: 5}
"""


@pytest.mark.parametrize("said", ["./own", "[./own]"])
def test_a_folder_beside_the_building_file_is_read(edit: Edit, site: Path, said: str) -> None:
    folder = site.parent / "own" / "acme"
    folder.mkdir(parents=True)
    (folder / "co-9.yaml").write_text(OWN, encoding="utf-8")
    row = '  - {id: co1, profile: acme/co-9, link: bus1, address: 32, place: {unit: "1", floor: 3}}\n'
    config = edit(("roster:", f"{row}profiles: {said}\nroster:"))
    building = load_building(config)
    device = next(d for d in building.devices if d.id == "co1")
    assert device.life_safety and device.points[0].read["invalid"] == [65535]


def test_a_fault_in_the_own_profile_is_said_at_its_own_line(edit: Edit, site: Path) -> None:
    folder = site.parent / "own" / "acme"
    folder.mkdir(parents=True)
    (folder / "co-9.yaml").write_text(OWN.replace("register: 1", "registr: 1"), encoding="utf-8")
    row = '  - {id: co1, profile: acme/co-9, link: bus1, address: 32, place: {unit: "1", floor: 3}}\n'
    config = edit(("roster:", f"{row}profiles: ./own\nroster:"))
    findings = check(config, "en")
    assert any("registr" in f.message and f.file.endswith("co-9.yaml") and f.line == 10 for f in findings)
