"""Reading + rule + what the rule knew → condition on, off or unknown.

Raise on one good reading, clear on two (limits.CLEAR_GOOD_READINGS). A bad reading is unknown: neither normal
nor alarmed, and it never clears anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.limits import CLEAR_GOOD_READINGS
from edge.model import Condition, Quality, Reading, Rule, RuleKind, Value


@dataclass(frozen=True, slots=True)
class RuleState:
    """What a rule remembers of its point.

    was_on: on since it was last off, also through unknown: then two good readings are needed to clear.
    pending_since_s: the limit is passed but the on-delay has not run out (monotonic).
    off_since_s: back to normal, but the off-delay has not run out or a second reading is missing.
    seen: when and what, for rules that look back: values of the window, or the value that does not change.
    """

    condition: Condition = Condition.UNKNOWN
    was_on: bool = False
    off_run: int = 0
    pending_since_s: float | None = None
    off_since_s: float | None = None
    seen: tuple[tuple[float, Value], ...] = ()


SAMPLES_MAX = 32
"""Values remembered of a window: more would not find a change of this length any better."""
START = RuleState()
START_ON = RuleState(was_on=True)
"""For a rule whose alarm is open in the journal: unknown, and not to be cleared by a single reading."""


def judge(rule: Rule, state: RuleState, reading: Reading) -> RuleState:
    """The rule's state after one reading of its point."""
    if reading.quality is Quality.BAD or reading.value is None:
        return unknown(state)
    now_s = reading.received_s
    verdict, seen = _look_back(rule, state, reading.value, now_s) if rule.window_s else (None, ())
    if verdict is Condition.UNKNOWN:
        return replace(unknown(state), seen=seen)
    if verdict is Condition.ON or (verdict is None and _matches(rule, state, reading.value)):
        return replace(_toward_on(rule, state, now_s), seen=seen)
    if not state.was_on:
        return RuleState(Condition.OFF, seen=seen)
    off_run = state.off_run + 1 if reading.quality is Quality.GOOD else state.off_run
    off_since_s = state.off_since_s if state.off_since_s is not None else now_s
    return due(rule, RuleState(state.condition, True, off_run, None, off_since_s, seen), now_s)


def unknown(state: RuleState) -> RuleState:
    """The rule's state when its point cannot be trusted (bad reading, silence, link down)."""
    return RuleState(Condition.UNKNOWN, state.was_on)


def due(rule: Rule, state: RuleState, now_s: float) -> RuleState:
    """The rule's state when time has passed without a reading: an on-delay or an off-delay may have run out."""
    if state.pending_since_s is not None and now_s - state.pending_since_s >= rule.on_delay_s:
        return RuleState(Condition.ON, True, seen=state.seen)
    if state.off_since_s is not None and state.off_run >= CLEAR_GOOD_READINGS:
        return RuleState(Condition.OFF, seen=state.seen) if now_s - state.off_since_s >= rule.off_delay_s else state
    return state


def _look_back(
    rule: Rule, state: RuleState, value: Value, now_s: float
) -> tuple[Condition, tuple[tuple[float, Value], ...]]:
    """What a rule says that compares with earlier values, and what it remembers. Unknown until it knows enough."""
    if rule.kind is RuleKind.STUCK:
        same = state.seen if state.seen and state.seen[0][1] == value else ((now_s, value),)
        if now_s - same[0][0] >= rule.window_s:
            return Condition.ON, same
        known = state.condition is Condition.OFF or (state.seen and same is not state.seen)
        return (Condition.OFF if known else Condition.UNKNOWN), same
    if isinstance(value, str):
        return Condition.UNKNOWN, ()
    recent = tuple(one for one in state.seen if now_s - one[0] <= rule.window_s)
    enough = recent and now_s - recent[-1][0] < rule.window_s / SAMPLES_MAX
    moved = [(float(one) - value) * (1 if rule.below else -1) for _, one in recent]
    seen = recent if enough else (*recent, (now_s, value))
    if not moved:
        return Condition.UNKNOWN, seen
    limit = rule.limit - (rule.deadband if state.was_on else 0.0)
    return (Condition.ON if max(moved) >= limit else Condition.OFF), seen


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
