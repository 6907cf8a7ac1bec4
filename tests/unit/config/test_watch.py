"""The live table: what is wrong on top, what changed last below, never higher or wider than the window."""

from __future__ import annotations

from typing import Any

import pytest

from device_drivers.profiles import load_profiles
from edge.flow.devices import DeviceBook
from edge.model import Device, Place
from edge.watch import age_words, coloured, table


def row(name: str, value: Any = False, quality: str = "good", cause: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": name, "value": value, "unit": None, "quality": quality, "cause": cause, "age_s": 0.5} | more


ROWS = [row("a/smoke"), row("b/lel", 12.5, unit="%LEL"), row("c/co", None, "bad", "timeout", age_s=95.0), row("d/x")]


def test_bad_first_then_what_changed_last() -> None:
    lines = table(ROWS, {"d/x": 3, "b/lel": 7}, 100, 40)
    assert lines[0] == "4 points, 1 bad"
    assert [line.split()[0] for line in lines[2:]] == ["c/co", "b/lel", "d/x", "a/smoke"]
    assert "bad (timeout)" in lines[2] and lines[2].endswith("95 s")
    assert "12.5 %LEL" in lines[3]


@pytest.mark.parametrize(("width", "height"), [(20, 5), (80, 6), (200, 60)])
def test_it_fits_the_window(width: int, height: int) -> None:
    lines = table([row(f"p{n}/x") for n in range(30)], {}, width, height)
    assert len(lines) < height and all(len(line) <= width for line in lines)
    assert ("more" in lines[-1]) == (height < 30 and width >= 20)


@pytest.mark.parametrize(
    ("age", "words"), [(None, "never"), (0.44, "0.4 s"), (45.2, "45 s"), (600.0, "10 min"), (7300.0, "2 h")]
)
def test_ages_are_short(age: float | None, words: str) -> None:
    assert age_words(age) == words


def test_what_is_bad_is_red() -> None:
    shown = coloured(table(ROWS, {}, 100, 40)).splitlines()
    assert "\x1b[31m" in shown[2] and "\x1b[31m" not in shown[3]


def test_a_command_has_no_value_to_be_bad() -> None:
    profile = load_profiles()["calectro/ug-3"]
    device = Device("d", profile.id, "bus", "3", Place(), profile.points, profile.rules, 60.0, profile.wire, "smoke")
    shown = {view.point for view in DeviceBook([device], (), 0.0).views(1.0)}
    assert shown == {"mounted", "service", "smoke", "relay"}
    assert device.is_command("reset") and not device.is_command("smoke")
