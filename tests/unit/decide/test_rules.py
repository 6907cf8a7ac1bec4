"""Rules: raise on one good reading, clear on two, bad is unknown and never clears."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decide.rules import START, START_ON, RuleState, combine, due, judge
from edge.model import AlarmClass, BadCause, Condition, PointKey, Quality, Reading, Rule, RuleKind, Value

SMOKE = Rule("smoke", "smoke", AlarmClass.FIRE_SMOKE, RuleKind.STATE)
LOW = Rule("low", "lel", AlarmClass.GAS_COMBUSTIBLE, RuleKind.THRESHOLD, priority=2, limit=10, deadband=1)
HIGH = Rule("high", "lel", AlarmClass.GAS_COMBUSTIBLE, RuleKind.THRESHOLD, priority=1, limit=25, deadband=1)
SLOW = Rule("slow", "lel", AlarmClass.GAS_COMBUSTIBLE, RuleKind.THRESHOLD, limit=10, on_delay_s=5)


def good(value: Value, at_s: float = 0.0) -> Reading:
    return Reading(PointKey("d", "p"), value, Quality.GOOD, None, round(at_s * 1000), at_s)


def bad(at_s: float = 0.0) -> Reading:
    return Reading(PointKey("d", "p"), None, Quality.BAD, BadCause.TIMEOUT, round(at_s * 1000), at_s)


def after(rule: Rule, *readings: Reading, start: RuleState = START) -> Condition:
    state = start
    for reading in readings:
        state = judge(rule, state, reading)
    return state.condition


def test_unknown_until_heard() -> None:
    assert START.condition is Condition.UNKNOWN
    assert after(SMOKE, bad()) is Condition.UNKNOWN
    assert after(SMOKE, good(False)) is Condition.OFF


def test_raises_on_one_and_clears_on_two() -> None:
    assert after(SMOKE, good(True)) is Condition.ON
    assert after(SMOKE, good(True), good(False)) is Condition.ON
    assert after(SMOKE, good(True), good(False), good(False)) is Condition.OFF
    assert after(SMOKE, good(True), good(False), good(True), good(False)) is Condition.ON


def test_bad_in_between_does_not_help_clearing() -> None:
    assert after(SMOKE, good(True), bad(), good(False)) is Condition.UNKNOWN
    assert after(SMOKE, good(True), good(False), bad(), good(False)) is Condition.UNKNOWN
    assert after(SMOKE, good(True), bad(), good(False), good(False)) is Condition.OFF


def test_open_alarm_of_the_journal_needs_two_good_readings_after_a_start() -> None:
    assert after(SMOKE, good(False), start=START_ON) is Condition.UNKNOWN
    assert after(SMOKE, good(False), good(False), start=START_ON) is Condition.OFF


def test_threshold_falls_back_past_its_deadband_only() -> None:
    assert after(LOW, good(10.0)) is Condition.ON
    assert after(LOW, good(9.5)) is Condition.OFF
    assert after(LOW, good(10.0), good(9.5), good(9.5), good(9.5)) is Condition.ON
    assert after(LOW, good(10.0), good(8.9), good(8.9)) is Condition.OFF


def test_below_is_the_mirror_image() -> None:
    rule = Rule("low", "p", AlarmClass.AIR_POOR, RuleKind.THRESHOLD, limit=19.5, below=True, deadband=0.5)
    assert after(rule, good(19.0)) is Condition.ON
    assert after(rule, good(19.0), good(19.9), good(19.9)) is Condition.ON
    assert after(rule, good(19.0), good(20.1), good(20.1)) is Condition.OFF


def test_on_delay_must_hold() -> None:
    assert after(SLOW, good(12.0, 0)) is Condition.UNKNOWN
    assert after(SLOW, good(0.0, 0), good(12.0, 1), good(12.0, 5.9)) is Condition.OFF
    assert after(SLOW, good(0.0, 0), good(12.0, 1), good(12.0, 6)) is Condition.ON
    assert after(SLOW, good(12.0, 1), good(0.0, 3), good(12.0, 6)) is Condition.OFF


def test_on_delay_runs_out_without_a_reading() -> None:
    state = judge(SLOW, START, good(12.0, 1))
    assert due(SLOW, state, 5.9) == state
    assert due(SLOW, state, 6.0).condition is Condition.ON


@pytest.mark.parametrize(
    ("value", "condition", "priority"),
    [(0.0, Condition.OFF, 4), (12.0, Condition.ON, 2), (30.0, Condition.ON, 1)],
)
def test_levels_of_one_class(value: float, condition: Condition, priority: int) -> None:
    level = combine([(rule, judge(rule, START, good(value))) for rule in (LOW, HIGH)])
    assert (level.condition, level.priority) == (condition, priority)


def test_unknown_beats_off_and_on_beats_unknown() -> None:
    off, unknown, on = RuleState(Condition.OFF), RuleState(Condition.UNKNOWN), RuleState(Condition.ON, True)
    assert combine([(LOW, off), (HIGH, unknown)]).condition is Condition.UNKNOWN
    assert combine([(LOW, on), (HIGH, unknown)]).condition is Condition.ON
    assert combine([]).condition is Condition.OFF


@given(st.lists(st.one_of(st.just(None), st.booleans()), max_size=30))
def test_danger_is_never_off_right_after_it_was_reported(reports: list[bool | None]) -> None:
    """Whatever came before: after a good True the condition is on; one reading alone never turns it off."""
    state = START
    for report in reports:
        before = state
        state = judge(SMOKE, state, bad() if report is None else good(report))
        if report:
            assert state.condition is Condition.ON
        if report is None:
            assert state.condition is Condition.UNKNOWN
        if before.condition is Condition.ON:
            assert state.condition is not Condition.OFF or before.off_run == 1
