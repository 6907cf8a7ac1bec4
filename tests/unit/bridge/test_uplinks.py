"""From the building file to running uplinks: settings, numbers, and that none of them can stop a gateway."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from cloud_bridge import bridge, uplinks
from cloud_bridge.bridge import Bridge, Guarded
from cloud_bridge.numbers import numbers_of
from edge.app.uplinks import Outside
from edge.app.views import Views
from edge.clock import SystemClock
from edge.config import check, load_building
from edge.flow.engine import Engine
from edge.model import AlarmEvent
from edge.ports import Entry
from tests.unit.bridge.samples import event
from tests.unit.bridge.test_duty_room_link import until

BUILDING = """
gateway: {id: b12, data_dir: ./data}
site: {community: 新盛, building: "12", units: ["1"], floors: [1, 3], households_per_floor: 2}
links: [{id: plc, kind: modbus-tcp, host: 127.0.0.1, port: 1502}]
devices:
  - {id: g301, profile: example/gas-modbus, link: plc, address: 1, place: {unit: "1", floor: 3, household: "301"}}
roster: [{id: li, name: 李四, tell: ["json://127.0.0.1/li"]}]
duty_room: {url: "mqtt://127.0.0.1:1884"}
uplinks:
"""
ALL = """
  city: {url: ["https://city.example/in", "https://other.example/in"], username: b12, password: "${file:pw}"}
  dc09: {address: ["127.0.0.1:9", "[::1]:9"], account: "5101", aes_key: "${file:pw}", test_s: 30}
  gbt26875: {address: "127.0.0.1:9", source: 510109000001, centre: 1, types: {bin: 130}, operators: {li: 3}}
  hj212: {address: "127.0.0.1:9", mn: "010000A8900016F000169DC0", password: "${file:pw}", factors: {pm25: a34004}}
  influx: {url: "http://127.0.0.1:9", org: o, bucket: b, token: "${file:pw}"}
  sparkplug: {url: "mqtt://127.0.0.1:9", group: grid, host: scada}
  home_assistant: {url: "mqtt://127.0.0.1:9", shares: {h301: [g301]}}
"""


def written(folder: Path, text: str) -> Path:
    (folder / "pw").write_text("0123456789abcdef")
    path = folder / "building.yaml"
    path.write_text(BUILDING + text, encoding="utf-8")
    return path


def test_every_uplink_is_read_with_its_secrets_resolved(tmp_path: Path) -> None:
    building = load_building(written(tmp_path, ALL))
    assert {settings.kind for settings in building.uplinks} == set(uplinks.KINDS)
    options = {settings.kind: settings.options for settings in building.uplinks}
    assert options["dc09"]["addresses"] == (("127.0.0.1", 9), ("::1", 9))
    assert options["dc09"]["aes_key"] == "0123456789abcdef" and "0123" not in repr(building)
    assert building.city is not None and building.city.broker.urls[0] == "https://city.example/in"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('  dc09: {address: "x:1", account: "5101", aes_key: plain}', "bad-secret"),
        ('  dc09: {address: "nowhere", account: "5101"}', "bad-value"),
        ('  dc09: {address: "x:1", account: "nine"}', "bad-value"),
        ('  gbt26875: {address: "x:1", source: -1, centre: 1}', "bad-value"),
        ('  influx: {url: "mqtt://x", org: o, bucket: b, token: "${file:pw}"}', "bad-value"),
        ('  home_assistant: {url: "mqtt://x", shares: {h1: [nobody]}}', "bad-value"),
        ('  sparkplug: {url: "mqtt://x", group: "a/b"}', "bad-value"),
        ('  dc09: {address: "x:1", account: "5101", cert: missing.crt}', "bad-value"),
        ('  moon: {address: "x:1"}', "unknown-key"),
    ],
)
def test_a_mistake_is_found_before_anything_starts(tmp_path: Path, text: str, words: str) -> None:
    found = [finding for finding in check(written(tmp_path, text)) if finding.severity == "error"]
    assert [finding.code for finding in found] == [words], found
    assert found[0].line == BUILDING.count("\n") + 1


async def test_all_are_made_and_one_that_cannot_work_stops_nobody(tmp_path: Path) -> None:
    text = ALL.replace('aes_key: "${file:pw}"', 'aes_key: "${file:short}"')
    (tmp_path / "short").write_text("short")
    counts: Counter[tuple[str, str]] = Counter()
    engine = SimpleNamespace(points=list, alarms=list, link_states=dict, command=None)
    building = load_building(written(tmp_path, text))
    building.gateway.data_dir.mkdir()
    outside = Outside(
        building,
        cast(Engine, engine),
        cast(Views, SimpleNamespace(snapshot=None, uplinks={})),
        SystemClock(),
        lambda driver, cause: counts.update([(driver, cause)]),
    )
    # A file of its own that is a folder stands for a disk that refuses.
    (building.gateway.data_dir / "city.db").mkdir()
    made = await outside.make()
    await outside.close()
    assert len(made) == 5 and counts == {("dc09", "unusable"): 1, ("city", "unusable"): 1}


def test_a_number_is_given_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    assert numbers_of(path, ["a", "b"]) == {"a": 1, "b": 2}
    assert numbers_of(path, ["c", "b"]) == {"a": 1, "b": 2, "c": 3}, "a number of a device that went is not reused"
    path.write_text(json.dumps({"a": "1"}))
    with pytest.raises(ValueError, match="backup"):
        numbers_of(path, ["a"])


async def test_only_what_is_configured_is_imported(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, edge.app.run; print([m for m in sys.modules if m in ('influxdb_client', 'cryptography')"
    code += " or m.startswith('cloud_bridge.') and m[13:] in ('dc09', 'influx', 'sparkplug', 'gbt26875', 'hj212')])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "[]"




async def test_a_mistake_of_ours_in_one_uplink_ends_neither_gateway_nor_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "AGAIN_S", 0.0)
    counts: Counter[str] = Counter()
    took: list[AlarmEvent] = []

    class Broken:
        runs = 0

        def offer(self, events: Sequence[AlarmEvent]) -> None:
            took.extend(events)

        async def run(self) -> None:
            self.runs += 1
            raise KeyError("what nobody thought of")

    broken = Broken()
    guarded = Guarded(broken, "moon", SystemClock(), lambda cause: counts.update([cause]))
    all_of_them = Bridge([guarded])
    task = asyncio.create_task(all_of_them.run())
    all_of_them.saved(Entry(events=(event(1),)))
    await until(lambda: broken.runs >= 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert counts["broken"] >= 2 and took == [event(1)] and not guarded.connected
