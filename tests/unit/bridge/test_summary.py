"""What the city is told: counts, percentiles, windows, and nothing about people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.city_messages import CityPlace, Lost
from cloud_bridge.summary import (
    FILL_POINT,
    HOUR_MS,
    Frame,
    Snapshot,
    Tally,
    fact,
    percentile,
    snapshot_of,
    window_of,
)
from device_drivers.profiles.loader import load_profile, profile_paths
from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    Device,
    EventKind,
    Person,
    Place,
    Point,
    Quality,
    Rule,
    RuleKind,
    Value,
    Via,
)
from tests.unit.bridge.samples import NOW_MS, event

PLACE = CityPlace(community="新盛", grid="XS-03")
FRAME = Frame("b12", PLACE, "0.1.0", "abc")
LI = Person("li", "李四", Via.CONSOLE)


@dataclass(frozen=True)
class Shown:
    device: str
    point: str
    value: Value | None = True
    quality: Quality = Quality.GOOD


@dataclass(frozen=True)
class Open:
    last: AlarmEvent


def device(
    ident: str, kind: str, *rules: tuple[str, AlarmClass], momentary: bool = False, link: str = "bus1"
) -> Device:
    points = tuple(Point(key, read={"register": 0}, momentary=momentary) for key in dict(rules))
    made = tuple(Rule(key, key, alarm_class, RuleKind.STATE) for key, alarm_class in rules)
    return Device(ident, f"example/{kind}", link, "1", Place("新盛", "12", "1", 3, "301"), points, made, 60.0, {}, kind)


SMOKE = [device(f"s{n}", "smoke", ("smoke", AlarmClass.FIRE_SMOKE)) for n in range(4)]
BUTTON = device("c1", "call_button", ("press", AlarmClass.SOS_CALL), momentary=True, link="rf")
BINS = [device(f"bin{n}", "bin", ("fill_percent", AlarmClass.BIN_FULL)) for n in range(2)]


def snapshot(**changes: Any) -> Snapshot:
    points = [Shown("s0", "smoke", False), Shown("s1", "smoke", None, Quality.BAD), Shown("s2", "smoke")]
    points += [Shown("s3", "smoke"), Shown("bin0", "fill_percent", 40.0), Shown("bin1", "fill_percent", 91)]
    alarms = [
        Open(event(1, device="s2")),
        Open(event(2, device="s3", alarm_class=AlarmClass.DEVICE_FAULT)),
        Open(event(3, device="bin1", alarm_class=AlarmClass.BIN_FULL)),
        Open(event(4, device="s0", condition=Condition.OFF, state=AlarmState.LUNACK)),
    ]
    given = {"links": {"bus1": "up", "rf": "up"}, "passages": {"access": 7}, "sheds": {}, "clock": Clock.SYNCED}
    return snapshot_of([*SMOKE, BUTTON, *BINS], points, alarms, **{**given, **changes})


def test_devices_by_class_and_state() -> None:
    now = snapshot()
    assert now.devices["smoke"] == {"normal": 1, "unknown": 1, "alarm": 1, "fault": 1}
    assert now.devices["call_button"] == {"unsupervised": 1}
    assert now.devices["bin"] == {"normal": 1, "alarm": 1}
    assert now.open[AlarmClass.FIRE_SMOKE] == 2


def test_protection_counts_what_can_be_trusted() -> None:
    guard = snapshot().protection
    assert (guard.life_safety_points, guard.protected, guard.share) == (5, 3, 0.6), "s1 is bad, s3 faulty"
    assert snapshot(links={"bus1": "down", "rf": "up"}).protection.protected == 1
    assert snapshot(links={"bus1": "unknown", "rf": "down"}).protection.share == 0.0


def test_bins() -> None:
    bins = snapshot().bins
    assert (bins.total, bins.known, bins.full, bins.overheated, bins.fill_mean, bins.fill_max) == (2, 2, 1, 0, 65.5, 91)


def test_a_window_is_counted_and_summed_up() -> None:
    tally = Tally(NOW_MS, NOW_MS + 300_000, 100.0, {"access": 3})
    tally.note(event(1))
    tally.note(event(2, alarm_id="b12-s301-fire.smoke-1", kind=EventKind.REPEATED, received_ms=NOW_MS + 9_000))
    later: dict[str, Any] = {"alarm_id": "b12-s301-fire.smoke-1", "received_ms": NOW_MS + 12_500}
    tally.note(event(3, kind=EventKind.ACKNOWLEDGED, by=LI, **later))
    tally.note(event(4, kind=EventKind.CLEARED, **later))
    tally.note(event(5, kind=EventKind.RAISED, test=True, alarm_class=AlarmClass.TEST))
    tally.look({"bus1": "up", "rf": "down"}, 150.0)
    tally.look({"bus1": "down", "rf": "down"}, 200.0)
    made = tally.summary(FRAME, snapshot(), Lost(summaries=2), 400.0)
    smoke = made.alarms[AlarmClass.FIRE_SMOKE]
    assert (smoke.raised, smoke.repeated, smoke.acknowledged, smoke.cleared, smoke.open) == (1, 1, 1, 1, 2)
    assert smoke.response_p50_s == smoke.response_p90_s == 12.5, "from the first ring to the person"
    assert AlarmClass.TEST not in made.alarms
    assert made.id == "b12/2026-09-21T14:13:20.123Z" and made.covered_s == 300.0
    assert made.links == {"bus1": 0.5, "rf": 0.0} and made.passages == {"access": 4} and made.lost.summaries == 2


def test_response_times_reach_over_windows_and_clock_steps() -> None:
    first = Tally(NOW_MS, NOW_MS + 1000, 0.0)
    first.note(event(1))
    second = Tally(NOW_MS + 1000, NOW_MS + 2000, 1.0, {}, first.waiting)
    second.note(event(2, alarm_id=event(1).alarm_id, kind=EventKind.ACKNOWLEDGED, by=LI, received_ms=NOW_MS - 5))
    made = second.summary(FRAME, snapshot(), Lost(), 2.0)
    assert made.alarms[AlarmClass.FIRE_SMOKE].response_p50_s == 0.0


@pytest.mark.parametrize(
    ("values", "p50", "p90"),
    [([], None, None), ([3.0], 3.0, 3.0), ([1.0, 2.0], 1.0, 2.0), ([float(n) for n in range(1, 11)], 5.0, 9.0)],
)
def test_percentiles_are_values_that_occurred(values: list[float], p50: float | None, p90: float | None) -> None:
    assert (percentile(values, 50), percentile(values, 90)) == (p50, p90)


@given(st.integers(0, 4_000_000_000_000), st.floats(1.0, 8000.0))
def test_windows_hold_now_and_end_at_the_hour(now_ms: int, every_s: float) -> None:
    start, end = window_of(now_ms, every_s)
    assert start <= now_ms < end and end - start <= round(every_s * 1000)
    assert start // HOUR_MS == (end - 1) // HOUR_MS
    assert window_of(start, every_s) == (start, end) and window_of(end, every_s)[0] == end


def test_a_fact_says_nothing_about_people() -> None:
    told = event(
        9,
        kind=EventKind.ACKNOWLEDGED,
        by=LI,
        reason="张阿姨 13800000000",
        place=Place("新盛", "12", "1", 3, "301", "厨房", "301 室 王家"),
        value="secret",
        device="g301",
        alarm_id="b12-g301-gas.combustible-1",
    )
    made = fact(told, "b12", PLACE, b"salt")
    text = made.encode().decode()
    for private in ("301", "李四", "13800000000", "张阿姨", "厨房", "王家", "secret", '"unit"', '"floor"', "device"):
        assert private not in text, private
    assert made.answered and made.fact_id == "b12/9" and made.place.grid == "XS-03"
    assert made.alarm == fact(event(10, alarm_id=told.alarm_id), "b12", PLACE, b"salt").alarm
    assert made.alarm != fact(told, "b12", PLACE, b"other salt").alarm


def test_every_bin_profile_measures_the_fill_that_the_summary_looks_for() -> None:
    bins = [load_profile(path) for name, path in profile_paths().items() if name.startswith("bin/")]
    assert bins
    for profile in bins:
        assert FILL_POINT in {point.key for point in profile.points}, profile.id
