"""Rules that look at time: off-delay, rate of change, a value that never changes. Unknown stays a third value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from device_drivers.profiles.base import RuleForm
from device_drivers.profiles.loader import build_rule
from edge.decide.rules import SAMPLES_MAX, START, START_ON, RuleState, due, judge
from edge.model import AlarmClass, BadCause, Condition, PointKey, Quality, Reading, Rule, RuleKind, Value

ON, OFF, UNKNOWN = Condition.ON, Condition.OFF, Condition.UNKNOWN


def reading(value: Value | None, at_s: float) -> Reading:
    quality, cause = (Quality.GOOD, None) if value is not None else (Quality.BAD, BadCause.TIMEOUT)
    return Reading(PointKey("d", "p"), value, quality, cause, 0, at_s)


def run(rule: Rule, *values: tuple[float, Value | None], state: RuleState = START) -> list[Condition]:
    said = []
    for at_s, value in values:
        state = judge(rule, state, reading(value, at_s))
        said.append(state.condition)
    return said


HELD = Rule("held", "p", AlarmClass.DOOR_HELD, RuleKind.STATE, off_delay_s=10)
RISE = Rule("rise", "p", AlarmClass.FIRE_HEAT, RuleKind.RATE, limit=8, window_s=60)
FALL = Rule("fall", "p", AlarmClass.WATER_LEAK, RuleKind.RATE, limit=8, window_s=60, below=True, deadband=2)
STUCK = Rule("stuck", "p", AlarmClass.DEVICE_FAULT, RuleKind.STUCK, window_s=100)


def test_off_only_after_its_delay_and_a_relapse_begins_it_anew() -> None:
    assert run(HELD, (0, True), (1, False), (5, False), (10.9, False), (11, False)) == [ON, ON, ON, ON, OFF]
    assert run(HELD, (0, True), (1, False), (9, True), (12, False), (21, False), (22, False))[-2:] == [ON, OFF]


def test_the_off_delay_runs_out_without_a_further_reading() -> None:
    state = judge(HELD, START, reading(True, 0))
    for at_s in (1, 2):
        state = judge(HELD, state, reading(False, at_s))
    assert due(HELD, state, 10.9).condition is ON and due(HELD, state, 11).condition is OFF
    one = judge(HELD, judge(HELD, START, reading(True, 0)), reading(False, 1))
    assert due(HELD, one, 1e6).condition is ON, "one reading never clears"


def test_a_rise_within_the_window_and_the_same_rise_over_hours() -> None:
    assert run(RISE, (0, 20.0), (20, 23.0), (40, 27.9), (55, 28.0)) == [UNKNOWN, OFF, OFF, ON]
    slow = [(30.0 * step, 20.0 + step) for step in range(100)]
    assert set(run(RISE, *slow)[1:]) == {OFF}


def test_a_fall_with_its_deadband_and_the_way_back() -> None:
    assert run(FALL, (0, 20.0), (10, 12.0), (20, 13.9), (30, 14.5), (40, 14.5)) == [UNKNOWN, ON, ON, ON, OFF]


def test_a_gap_forgets_what_was_before() -> None:
    assert run(RISE, (0, 20.0), (10, None), (20, 40.0), (30, 40.0)) == [UNKNOWN, UNKNOWN, UNKNOWN, OFF]


def test_memory_is_bounded_however_fast_the_readings_come() -> None:
    state = START
    for step in range(10_000):
        state = judge(RISE, state, reading(20.0 + step % 3, step * 0.01))
        assert len(state.seen) <= SAMPLES_MAX + 2


def test_a_value_that_never_changes() -> None:
    assert run(STUCK, (0, 5.0), (50, 5.0), (99, 5.0), (100, 5.0)) == [UNKNOWN, UNKNOWN, UNKNOWN, ON]
    assert run(STUCK, (0, 5.0), (100, 5.0), (110, 5.1), (120, 5.2)) == [UNKNOWN, ON, ON, OFF]
    assert run(STUCK, (0, 5.0), (10, 6.0), (90, 6.0), (110, 6.0)) == [UNKNOWN, OFF, OFF, ON]
    assert run(STUCK, (0, 5.0), (50, None), (149, 5.0)) == [UNKNOWN, UNKNOWN, UNKNOWN]


def test_an_open_alarm_is_not_cleared_by_knowing_too_little() -> None:
    assert run(STUCK, (0, 5.0), state=START_ON) == [UNKNOWN]
    assert run(RISE, (0, 5.0), (1, 5.0), (2, 5.0), state=START_ON) == [UNKNOWN, UNKNOWN, OFF]


def test_from_a_profile() -> None:
    common = {"id": "r", "class": "fire.heat", "point": "t"}
    rise = build_rule(RuleForm.model_validate({**common, "rise": 8.0, "window_s": 60.0, "off_delay_s": 5.0}))
    assert (rise.kind, rise.limit, rise.window_s, rise.below) == (RuleKind.RATE, 8.0, 60.0, False)
    assert rise.off_delay_s == 5.0
    assert build_rule(RuleForm.model_validate({**common, "fall": 8.0, "window_s": 60.0})).below
    assert build_rule(RuleForm.model_validate({**common, "stuck": True, "window_s": 60.0})).kind is RuleKind.STUCK
    for wrong in ({"rise": 8.0}, {"stuck": True}, {"above": 1.0, "window_s": 9.0}, {"rise": 1.0, "fall": 1.0}):
        with pytest.raises(ValidationError):
            RuleForm.model_validate({**common, **wrong})
