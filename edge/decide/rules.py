"""Reading + rule + what the rule knew → condition on, off or unknown.

Raise on one good reading, clear on two (limits.CLEAR_GOOD_READINGS). A bad reading is unknown: neither normal
nor alarmed, and it never clears anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.limits import CLEAR_GOOD_READINGS
from edge.model import Condition, Quality, Reading, Rule, RuleKind, Value


@dataclass(frozen=True, slots=True)
class RuleState:
    """What a rule remembers of its point.

    was_on: on since it was last off, also through unknown: then two good readings are needed to clear.
    pending_since_s: the limit is passed but the on-delay has not run out (monotonic).
    """

    condition: Condition = Condition.UNKNOWN
    was_on: bool = False
    off_run: int = 0
    pending_since_s: float | None = None


START = RuleState()
START_ON = RuleState(was_on=True)
"""For a rule whose alarm is open in the journal: unknown, and not to be cleared by a single reading."""


def judge(rule: Rule, state: RuleState, reading: Reading) -> RuleState:
    """The rule's state after one reading of its point."""
    if reading.quality is Quality.BAD or reading.value is None:
        return unknown(state)
    if _matches(rule, state, reading.value):
        return _toward_on(rule, state, reading.received_s)
    if not state.was_on:
        return RuleState(Condition.OFF)
    off_run = state.off_run + 1 if reading.quality is Quality.GOOD else state.off_run
    if off_run >= CLEAR_GOOD_READINGS:
        return RuleState(Condition.OFF)
    return RuleState(state.condition, True, off_run)


def unknown(state: RuleState) -> RuleState:
    """The rule's state when its point cannot be trusted (bad reading, silence, link down)."""
    return RuleState(Condition.UNKNOWN, state.was_on)


def due(rule: Rule, state: RuleState, now_s: float) -> RuleState:
    """The rule's state when time has passed without a reading: an on-delay may have run out."""
    if state.pending_since_s is None or now_s - state.pending_since_s < rule.on_delay_s:
        return state
    return RuleState(Condition.ON, True)


def _matches(rule: Rule, state: RuleState, value: Value) -> bool:
    if rule.kind is RuleKind.STATE:
        return value == rule.on_value
    if isinstance(value, str):
        return False
    margin = rule.deadband if state.was_on else 0.0
    if rule.below:
        return value <= rule.limit + margin
    return value >= rule.limit - margin


def _toward_on(rule: Rule, state: RuleState, now_s: float) -> RuleState:
    if state.was_on or rule.on_delay_s <= 0:
        return RuleState(Condition.ON, True)
    since = state.pending_since_s if state.pending_since_s is not None else now_s
    return due(rule, RuleState(state.condition, False, 0, since), now_s)


@dataclass(frozen=True, slots=True)
class Level:
    """What all rules of one class say of one device: its condition and, when on, the most urgent level."""

    condition: Condition
    priority: int
    rule: Rule | None = None


def combine(judged: list[tuple[Rule, RuleState]]) -> Level:
    """Any rule on → on at the most urgent level; else any unknown → unknown; else off.

    A latched-in rule (was on, now unknown) keeps the class unknown, so a dead device never reads as normal.
    """
    on = [rule for rule, state in judged if state.condition is Condition.ON]
    if on:
        worst = min(on, key=lambda rule: rule.level)
        return Level(Condition.ON, worst.level, worst)
    if any(state.condition is Condition.UNKNOWN for _, state in judged):
        return Level(Condition.UNKNOWN, 4)
    return Level(Condition.OFF, 4)
