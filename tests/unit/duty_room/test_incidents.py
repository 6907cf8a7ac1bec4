"""The fold: nothing at any state is swallowed, and only people answer."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duty_room.incident import ENDED, QUIET, UNANSWERED, Change, Incident, State
from duty_room.incidents import check_version, fold_event, fold_outcome, fold_time, fold_unheard, next_look_ms, ordered
from duty_room.intake import command_message
from duty_room.steps import STEPS, IllegalStep, Wish, take
from duty_room.store import rows
from duty_room.store.rows import Waiting
from edge.model import (
    RINGING_KINDS,
    AlarmClass,
    AlarmEvent,
    AlarmState,
    CommandKind,
    CommandOutcome,
    Condition,
    EventKind,
    Person,
    Result,
    Via,
)
from tests.unit.duty_room.conftest import T0, event

ZHANG = Person("zhang", "张三", Via.CONSOLE)
LI = Person("li", "李四", Via.LOCAL)


def opened(**changes: Any) -> Incident:
    return fold_event(None, "b12", event(**changes), T0).incident


def step(incident: Incident, kind: str, at_ms: int = T0, by: Person = ZHANG, **more: Any) -> Change:
    return take(incident, Wish(kind, by, at_ms, **more))


def test_first_event_opens_an_unacknowledged_incident() -> None:
    change = fold_event(None, "b12", event(), T0)
    assert change.incident.state is State.UNACKNOWLEDGED
    assert change.rang
    assert change.incident.deadline_ms == T0 + 60_000


def test_the_whole_way() -> None:
    acknowledged = step(opened(), "acknowledge")
    assert [o.kind for o in acknowledged.orders] == [CommandKind.ACKNOWLEDGE]
    assert acknowledged.answered
    incident = fold_event(
        acknowledged.incident, "b12", event(EventKind.ACKNOWLEDGED, 2, by=ZHANG), T0
    ).incident
    incident = step(incident, "dispatch", target=("li", "李四")).incident
    assert incident.state is State.DISPATCHED and incident.assignee is not None
    incident = step(incident, "en-route", by=LI).incident
    incident = step(incident, "arrive", by=LI).incident
    resolved = step(incident, "resolve", cause="helped")
    assert [o.kind for o in resolved.orders] == [CommandKind.RESET]
    assert "still_in_alarm" in resolved.incident.flags
    with pytest.raises(IllegalStep, match="still_in_alarm"):
        step(resolved.incident, "close")
    normal = fold_event(resolved.incident, "b12", event(EventKind.RESET, 3, by=ZHANG), T0).incident
    assert "still_in_alarm" not in normal.flags
    assert step(normal, "close").incident.state is State.CLOSED


@pytest.mark.parametrize("kind", sorted(RINGING_KINDS))
@pytest.mark.parametrize("state", list(State))
def test_a_ring_at_any_state_brings_it_back(kind: EventKind, state: State) -> None:
    incident = replace(opened(), state=state, version=7, decided=7)
    change = fold_event(incident, "b12", event(kind, 2), T0 + 5000)
    assert change.incident.state is State.UNACKNOWLEDGED
    assert change.incident.acknowledged is None
    assert change.rang
    assert change.incident.rings == incident.rings + 1


def test_a_press_counts() -> None:
    incident = fold_event(opened(), "b12", event(EventKind.REPEATED, 2), T0).incident
    assert fold_event(incident, "b12", event(EventKind.REPEATED, 3), T0).incident.repeats == 2


def test_the_echo_of_our_acknowledge_does_not_hide_a_press_in_between() -> None:
    incident = step(opened(), "acknowledge").incident
    incident = fold_event(incident, "b12", event(EventKind.REPEATED, 2), T0).incident
    incident = fold_event(incident, "b12", event(EventKind.ACKNOWLEDGED, 3, by=ZHANG), T0).incident
    assert incident.state is State.UNACKNOWLEDGED
    # A second acknowledge by the same person, after the echo was counted, is a new one.
    again = fold_event(incident, "b12", event(EventKind.ACKNOWLEDGED, 4, by=ZHANG), T0).incident
    assert again.state is State.ACKNOWLEDGED


def test_a_person_in_the_building_answers_for_both_ladders() -> None:
    change = fold_event(opened(), "b12", event(EventKind.ACKNOWLEDGED, 2, by=LI), T0)
    assert change.incident.state is State.ACKNOWLEDGED
    assert change.answered
    assert change.incident.acknowledged is not None and change.incident.acknowledged.by == LI


def test_an_acknowledge_without_a_person_answers_nothing() -> None:
    assert fold_event(opened(), "b12", event(EventKind.ACKNOWLEDGED, 2), T0).incident.state is State.UNACKNOWLEDGED


def test_an_older_acknowledge_does_not_answer_a_newer_press() -> None:
    incident = fold_event(opened(), "b12", event(EventKind.REPEATED, 5), T0).incident
    change = fold_event(incident, "b12", event(EventKind.ACKNOWLEDGED, 4, by=LI), T0)
    assert change.incident.state is State.UNACKNOWLEDGED


def test_a_missed_ring_is_seen_in_the_next_event() -> None:
    incident = fold_event(opened(), "b12", event(EventKind.ACKNOWLEDGED, 2, by=LI), T0).incident
    change = fold_event(incident, "b12", event(EventKind.CLEARED, 9), T0)
    assert change.incident.state is State.UNACKNOWLEDGED and change.rang


def test_a_higher_level_never_falls_back() -> None:
    incident = opened(priority=2, alarm_class=AlarmClass.GAS_COMBUSTIBLE)
    incident = fold_event(incident, "b12", event(EventKind.PRIORITY_RAISED, 2, priority=1), T0).incident
    incident = fold_event(incident, "b12", event(EventKind.REPEATED, 3, priority=2), T0).incident
    assert incident.priority == 1


def test_the_end_of_the_condition_asks_again_for_the_refused_reset() -> None:
    incident = step(opened(), "acknowledge").incident
    incident = fold_event(incident, "b12", event(EventKind.ACKNOWLEDGED, 2, by=ZHANG), T0).incident
    resolved = step(incident, "resolve", cause="real")
    refusal = CommandOutcome("c1", Result.REFUSED, "condition_on", "still on", T0)
    incident = fold_outcome(ordered(resolved.incident, ["c1"]), resolved.orders[0], refusal).incident
    assert {"refused", "still_in_alarm"} <= set(incident.flags)
    change = fold_event(incident, "b12", event(EventKind.CLEARED, 3, state=AlarmState.LACK), T0)
    assert [(o.kind, o.by) for o in change.orders] == [(CommandKind.RESET, ZHANG)]


def test_nobody_has_heard_you() -> None:
    change = step(opened(), "acknowledge")
    incident = ordered(change.incident, ["c1"])
    assert "pending" in incident.flags
    marked = fold_unheard(incident, "c1", change.orders[0], T0 + 10_000).incident
    assert "unheard" in marked.flags
    done = fold_outcome(marked, change.orders[0], CommandOutcome("c1", Result.DONE, "ok", "", T0)).incident
    assert not {"unheard", "pending"} & set(done.flags)
    assert step(marked, "acknowledge").orders


def test_version_is_compared_with_what_people_decided() -> None:
    incident = ordered(step(opened(), "acknowledge").incident, ["c1"])
    assert incident.version == 2
    order = step(opened(), "acknowledge").orders[0]
    later = fold_outcome(incident, order, CommandOutcome("c1", Result.DONE, "ok", "", T0)).incident
    assert later.version == 3
    assert check_version(later, 2) and check_version(later, 3)
    assert not check_version(later, 1) and not check_version(later, 4)


def test_priority_1_is_never_shelved() -> None:
    with pytest.raises(IllegalStep, match="priority_1"):
        step(opened(), "shelve", until_ms=T0 + 1000, reason="x")


def test_shelving_ends_by_itself_and_says_so() -> None:
    shelved = step(opened(priority=3), "shelve", until_ms=T0 + 60_000, reason="x").incident
    assert not shelved.ringing and next_look_ms(shelved) == T0 + 60_000
    assert fold_time(shelved, T0 + 59_999) is None
    back = fold_time(shelved, T0 + 60_000)
    assert back is not None and back.rang and back.steps[0].step == "unshelved"


def test_overdue_once() -> None:
    late = fold_time(opened(), T0 + 60_000)
    assert late is not None and "overdue" in late.incident.flags
    assert fold_time(late.incident, T0 + 90_000) is None
    assert next_look_ms(late.incident) is None


def test_a_real_alarm_during_a_test_is_real() -> None:
    incident = opened(test=True)
    assert "test" in incident.flags
    assert "test" not in fold_event(incident, "b12", event(EventKind.REPEATED, 2), T0).incident.flags


@pytest.mark.parametrize("kind", ["dispatch", "en-route", "arrive", "resolve", "close"])
def test_nothing_comes_before_the_acknowledge(kind: str) -> None:
    with pytest.raises(IllegalStep):
        step(opened(), kind, target=("li", "李四"), cause="real")


events = st.builds(
    lambda kind, state, condition, by, seq, priority: event(
        kind, seq, state=state, condition=condition, by=by, priority=priority
    ),
    st.sampled_from(list(EventKind)),
    st.sampled_from(list(AlarmState)),
    st.sampled_from(list(Condition)),
    st.sampled_from([None, ZHANG, LI]),
    st.integers(1, 30),
    st.integers(1, 4),
)
wishes = st.builds(
    lambda kind, by: Wish(kind, by, T0 + 1, ("li", "李四"), "real", None, "why", T0 + 3_600_000),
    st.sampled_from(sorted(STEPS)),
    st.sampled_from([ZHANG, LI]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(events, wishes), max_size=25))
def test_no_history_leaves_a_waiting_alarm_quiet(history: list[AlarmEvent | Wish]) -> None:
    incident = opened()
    for happened in history:
        before = incident
        if isinstance(happened, Wish):
            try:
                incident = take(incident, happened).incident
            except IllegalStep:
                assert incident is before
                continue
            assert incident.version == before.version + 1
            continue
        change = fold_event(incident, "b12", happened, T0 + 1)
        incident = change.incident
        known = before.alarm(happened.alarm_id)
        assert known is not None
        quiet = happened.state in QUIET and happened.seq > known.seq
        if happened.kind in RINGING_KINDS and not quiet:
            assert incident.state is State.UNACKNOWLEDGED and change.decisive
            assert incident.priority <= happened.priority
        if before.state is State.UNACKNOWLEDGED and incident.state is not State.UNACKNOWLEDGED:
            # Only a named person ends it, and only by an event newer than every ring.
            assert happened.kind is EventKind.ACKNOWLEDGED and happened.by is not None and happened.seq > known.seq
        if happened.seq > known.seq and happened.state in UNANSWERED and known.state not in UNANSWERED:
            assert incident.state is State.UNACKNOWLEDGED
        assert (incident.acknowledged is None) or incident.state is not State.UNACKNOWLEDGED
        assert incident.version == before.version + 1
        assert incident.state not in ENDED or before.state in ENDED


def test_an_acknowledge_says_which_ring_was_seen() -> None:
    incident = fold_event(opened(), "b12", event(EventKind.REPEATED, 2), T0).incident
    (order,) = step(incident, "acknowledge").orders
    assert order.seen == event(EventKind.REPEATED, 2).event_id
    older = fold_event(incident, "b12", event(EventKind.RAISED, 1), T0).incident
    assert older.alarms[0].event == order.seen, "an older event never undoes what a newer one said"
    waiting = Waiting("c1", incident.id, "b12", order, T0, T0 + 1000)
    assert command_message(waiting).seen == order.seen


def test_resolving_an_unheard_acknowledge_says_what_was_seen() -> None:
    incident = step(opened(), "acknowledge").incident
    first, second = step(replace(incident, alarms=opened().alarms), "resolve", cause="helped").orders
    assert (first.kind, first.seen) == (CommandKind.ACKNOWLEDGE, event().event_id)
    assert second.kind is CommandKind.RESET


def test_an_order_keeps_what_was_seen_in_the_store() -> None:
    (order,) = step(opened(), "acknowledge").orders
    assert rows._order(orjson.dumps(asdict(order)).decode()) == order
    old = {name: value for name, value in asdict(order).items() if name != "seen"}
    assert rows._order(orjson.dumps(old).decode()) == replace(order, seen=None), "orders of an older version"
