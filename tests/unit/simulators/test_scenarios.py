"""Scenarios under virtual time: the script is data, the truth is what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.model import PointKey
from simulators.building import GroundTruth
from simulators.scenarios import DAY_S, NAMES, SCENARIOS, Cannot, ScriptPlayer

MakeTruth = Callable[..., GroundTruth]
KINDS = {"bus1": "modbus-rtu", "bus2": "modbus-rtu", "plc": "modbus-tcp", "zigbee": "mqtt", "rf": "rf433"}


def play(
    truth: GroundTruth, name: str, target: str | None = None, until_s: float = 300.0
) -> list[tuple[float, str, object]]:
    """Play one scenario; what happened as (seconds, device/point, value)."""
    player, now_s, happened = ScriptPlayer(truth, KINDS, 1), 0.0, list[tuple[float, str, object]]()
    truth.watch(lambda fact: happened.append((now_s, f"{fact.device}/{fact.point}", fact.value)))
    player.start(name, now_s, target)
    while (due_s := player.due_s()) is not None and due_s <= until_s:
        now_s = due_s
        player.advance(now_s)
    return happened


def test_the_names_are_those_of_the_contract() -> None:
    assert set(NAMES) == set(
        "day quiet sos smoke-kitchen gas-rising door-forced bin-full detector-dead bus-cut storm".split()
    )


def test_an_sos_is_one_press(make_truth: MakeTruth) -> None:
    assert play(make_truth(), "sos", "c1") == [(0.0, "c1/call", True)]


def test_kitchen_smoke_clears(make_truth: MakeTruth) -> None:
    assert play(make_truth(), "smoke-kitchen", "s1") == [(0.0, "s1/smoke", True), (25.0, "s1/smoke", False)]


def test_gas_rises_past_both_limits_and_falls(make_truth: MakeTruth) -> None:
    values = [value for _, point, value in play(make_truth(), "gas-rising", "g1") if point == "g1/lel"]
    assert values == [3.0, 7.0, 10.8, 14.5, 19.0, 23.5, 26.5, 34.0, 28.0, 17.5, 6.0, 0.0]


def test_a_door_is_forced_and_closed(make_truth: MakeTruth) -> None:
    assert play(make_truth(), "door-forced") == [(0.0, "a1/state", "forced"), (20.0, "a1/state", "closed")]


def test_a_bin_fills_and_is_emptied(make_truth: MakeTruth) -> None:
    happened = play(make_truth(), "bin-full")
    fills = [value for _, _, value in happened]
    assert fills == [46.0, 59.0, 72.0, 81.8, 88.2, 91.5, 20.0] and happened[-1][0] == 45.0


def test_a_detector_is_missed_before_it_comes_back(make_truth: MakeTruth) -> None:
    assert play(make_truth(), "detector-dead", "s1") == [(0.0, "s1/answers", "dead"), (90.0, "s1/answers", "well")]


@pytest.mark.parametrize("target", ["bus1", "s1"])
def test_the_bus_of_a_device_is_pulled_and_put_back(make_truth: MakeTruth, target: str) -> None:
    assert play(make_truth(), "bus-cut", target) == [(0.0, "bus1/link", "down"), (25.0, "bus1/link", "up")]


def test_a_storm_is_many_at_once_and_passes(make_truth: MakeTruth) -> None:
    truth = make_truth()
    happened = play(truth, "storm")
    assert len({point for at_s, point, _ in happened if at_s < 5}) == 9
    assert all(truth.at_rest(device) for device in truth.devices)


def test_quiet_stops_what_runs(make_truth: MakeTruth) -> None:
    truth = make_truth()
    player = ScriptPlayer(truth, KINDS, 1)
    player.start("day", 0.0)
    player.start("gas-rising", 0.0, "g1")
    player.advance(30.0)
    assert truth.value(PointKey("g1", "lel")) == 34.0
    player.start("quiet", 31.0)
    assert player.due_s() is None and truth.value(PointKey("g1", "lel")) == 0.0


def test_the_day_repeats_with_something_to_see_every_40_s(make_truth: MakeTruth) -> None:
    happened = play(make_truth(), "day", until_s=2 * DAY_S)
    begun = [at_s for at_s, point, _ in happened if not point.endswith("/passage")]
    gaps = [b - a for a, b in zip(begun, begun[1:], strict=False)]
    assert max(gaps) <= 60 and begun[0] <= 20
    seen = {point.rpartition("/")[2] for _, point, _ in happened}
    assert seen >= {"call", "smoke", "lel", "state", "answers", "fill_percent", "link", "passage"}
    assert {point for at_s, point, _ in happened if at_s > DAY_S} >= {"a1/state", "bin1/fill_percent", "g1/lel"}


def test_one_seed_is_one_day(make_truth: MakeTruth) -> None:
    assert play(make_truth(), "day", until_s=DAY_S) == play(make_truth(), "day", until_s=DAY_S)


def test_run_ids_differ_and_facts_carry_them(make_truth: MakeTruth) -> None:
    truth = make_truth()
    player = ScriptPlayer(truth, KINDS, 7)
    first, second = player.start("sos", 0.0, "c1"), player.start("sos", 1.0, "c1")
    assert first != second
    assert [f.run_id for f in truth.facts] == [first, second]


@pytest.mark.parametrize(
    ("name", "target"), [("gas-rising", "s1"), ("bus-cut", "nobody"), ("sos", "g1"), ("storm", "d1")]
)
def test_a_device_that_cannot_is_refused(make_truth: MakeTruth, name: str, target: str) -> None:
    with pytest.raises(Cannot):
        play(make_truth(), name, target)


def test_a_building_without_bins_has_a_day_without_them(make_truth: MakeTruth) -> None:
    truth = make_truth("s1", "c1")
    with pytest.raises(Cannot):
        play(truth, "bin-full")
    assert play(truth, "day", until_s=DAY_S)


def test_picked_devices_rest_before(make_truth: MakeTruth) -> None:
    truth = make_truth("s1", "s2")
    truth.set(PointKey("s1", "smoke"), True)
    assert {point for _, point, _ in play(truth, "smoke-kitchen")} == {"s2/smoke"}


def test_every_scenario_has_both_titles() -> None:
    assert all(s.zh and s.en and s.parts for s in SCENARIOS.values())
