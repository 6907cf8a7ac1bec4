"""The alarm's life: at every state no press is swallowed and no chain ends without a named person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.decide import alarms
from edge.decide.alarms import Alarm, Refusal, Stamp, Subject, fold
from edge.decide.route import sounding
from edge.decide.suppress import Quiet, quiet
from edge.limits import RE_ALARM_S, SILENCE_S
from edge.model import (
    CLASSES,
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    EventKind,
    Person,
    Place,
    PointKey,
    Sounder,
    Via,
)

LI = Person("li", "李四", Via.CONSOLE)
HORN = PointKey("relay", "horn")
SUBJECT = Subject("s1", "smoke", Place(building="12"))


def stamp(now_ms: int = 1000, by: Person | None = None, reason: str | None = None) -> Stamp:
    return Stamp(now_ms, Clock.SYNCED, by=by, reason=reason)


def raised(alarm_class: AlarmClass = AlarmClass.FIRE_SMOKE, priority: int | None = None) -> Alarm:
    level = priority if priority is not None else CLASSES[alarm_class].priority
    return fold(None, alarms.begin("g-s1-x-1", alarm_class, level, SUBJECT, stamp()))


def then(alarm: Alarm, event: AlarmEvent | Refusal | None) -> Alarm:
    assert isinstance(event, AlarmEvent), event
    after = fold(alarm, event)
    assert after.state is event.state, "an event carries the state that the fold says"
    return after


def test_latched_alarm_walks_through_its_states() -> None:
    alarm = raised()
    assert alarm.state is AlarmState.UNACK
    alarm = then(alarm, alarms.on_condition(alarm, Condition.OFF, 1, stamp()))
    assert alarm.state is AlarmState.LUNACK
    alarm = then(alarm, alarms.acknowledge(alarm, stamp(by=LI)))
    assert alarm.state is AlarmState.LACK
    alarm = then(alarm, alarms.reset(alarm, Condition.OFF, stamp(by=LI)))
    assert alarm.state is AlarmState.NORM


def test_unlatched_alarm_walks_through_its_states() -> None:
    alarm = raised(AlarmClass.DOOR_FORCED)
    gone = then(alarm, alarms.on_condition(alarm, Condition.OFF, 2, stamp()))
    assert gone.state is AlarmState.RTNUN
    assert then(gone, alarms.acknowledge(gone, stamp(by=LI))).state is AlarmState.NORM
    acked = then(alarm, alarms.acknowledge(alarm, stamp(by=LI)))
    assert acked.state is AlarmState.ACKED
    assert then(acked, alarms.on_condition(acked, Condition.OFF, 2, stamp())).state is AlarmState.NORM


def test_acknowledgement_needs_a_person() -> None:
    assert isinstance(alarms.acknowledge(raised(), stamp()), Refusal)


def test_second_acknowledgement_changes_nothing() -> None:
    alarm = raised()
    alarm = then(alarm, alarms.acknowledge(alarm, stamp(by=LI)))
    assert alarms.acknowledge(alarm, stamp(by=replace(LI, id="wang"))) is None


@pytest.mark.parametrize("live", [Condition.ON, Condition.UNKNOWN])
def test_reset_is_refused_while_on_or_unknown(live: Condition) -> None:
    alarm = raised()
    alarm = then(alarm, alarms.acknowledge(alarm, stamp(by=LI)))
    assert isinstance(alarms.reset(alarm, live, stamp(by=LI)), Refusal)


def test_reset_needs_an_acknowledgement() -> None:
    alarm = raised()
    alarm = then(alarm, alarms.on_condition(alarm, Condition.OFF, 1, stamp()))
    assert isinstance(alarms.reset(alarm, Condition.OFF, stamp(by=LI)), Refusal)


def test_a_press_stays_on_until_a_person_resets_it() -> None:
    alarm = raised(AlarmClass.SOS_CALL)
    assert alarms.on_condition(alarm, Condition.OFF, 1, stamp()) is None
    alarm = then(alarm, alarms.acknowledge(alarm, stamp(by=LI)))
    assert then(alarm, alarms.reset(alarm, Condition.ON, stamp(by=LI))).state is AlarmState.NORM


def test_higher_level_rings_as_new_and_falling_back_never_lowers() -> None:
    alarm = raised(AlarmClass.GAS_COMBUSTIBLE, priority=2)
    alarm = then(alarm, alarms.acknowledge(alarm, stamp(by=LI)))
    event = alarms.on_condition(alarm, Condition.ON, 1, stamp(5000))
    alarm = then(alarm, event)
    assert isinstance(event, AlarmEvent) and event.kind is EventKind.PRIORITY_RAISED
    assert (alarm.priority, alarm.state, alarm.rang_ms) == (1, AlarmState.UNACK, 5000)
    assert alarms.on_condition(alarm, Condition.ON, 2, stamp()) is None


def test_re_alarm_after_its_time_only() -> None:
    alarm = raised()
    alarm = then(alarm, alarms.acknowledge(alarm, stamp(0, by=LI)))
    limit_ms = round(RE_ALARM_S[1] * 1000)
    assert alarms.re_alarm(alarm, stamp(limit_ms - 1)) is None
    assert then(alarm, alarms.re_alarm(alarm, stamp(limit_ms))).state is AlarmState.UNACK


def test_silence_lasts_a_minute_and_survives_no_clock_step() -> None:
    alarm = raised()
    alarm = then(alarm, alarms.silence(alarm, stamp(1000)))
    end_ms = 1000 + round(SILENCE_S * 1000)
    assert quiet(alarm, end_ms - 1) is Quiet.SILENCED
    assert quiet(alarm, end_ms) is None
    assert quiet(alarm, 0) is None, "a wall clock that steps back must not prolong a silence"


def test_priority_1_is_never_shelved_and_shelving_ends() -> None:
    assert isinstance(alarms.shelve(raised(), 5000, stamp(by=LI, reason="works")), Refusal)
    alarm = raised(AlarmClass.BIN_FULL)
    for until_ms, by, reason in ((None, LI, "x"), (10**9, LI, "x"), (5000, None, "x"), (5000, LI, None)):
        assert isinstance(alarms.shelve(alarm, until_ms, stamp(by=by, reason=reason)), Refusal)
    shelved = then(alarm, alarms.shelve(alarm, 5000, stamp(by=LI, reason="collection at noon")))
    assert shelved.state is AlarmState.SHLVD and quiet(shelved, 2000) is Quiet.SHELVED
    assert then(shelved, alarms.unshelve(shelved, stamp(5000))).state is AlarmState.UNACK


class Life(RuleBasedStateMachine):
    """Anything may happen in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1000
        self.alarm = raised(AlarmClass.SOS_CALL)
        self.answered_by: Person | None = None

    def stamp(self, by: Person | None = None, reason: str | None = None) -> Stamp:
        return stamp(self.now_ms, by, reason)

    def take(self, event: AlarmEvent | Refusal | None) -> None:
        if isinstance(event, AlarmEvent):
            self.alarm = then(self.alarm, event)
            if event.kind is EventKind.ACKNOWLEDGED:
                self.answered_by = event.by

    @rule(seconds=st.sampled_from([1, 30, 61, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now_ms += seconds * 1000

    @rule()
    def press(self) -> None:
        before = self.alarm.count
        if self.alarm.state is AlarmState.NORM:
            self.alarm = raised(AlarmClass.SOS_CALL)
        else:
            self.take(alarms.press(self.alarm, self.stamp()))
            assert self.alarm.count == before + 1
        self.answered_by = None
        assert self.alarm.unanswered, "a press was swallowed"
        sounders = [Sounder(HORN, (AlarmClass.SOS_CALL,))]
        assert sounding([self.alarm], sounders, set(), self.now_ms) == {HORN}, "a press left nothing audible"

    @precondition(lambda self: self.alarm.state is not AlarmState.NORM)
    @rule(by=st.sampled_from([LI, None]))
    def acknowledge(self, by: Person | None) -> None:
        self.take(alarms.acknowledge(self.alarm, self.stamp(by)))

    @precondition(lambda self: self.alarm.state is not AlarmState.NORM)
    @rule(live=st.sampled_from(list(Condition)))
    def reset(self, live: Condition) -> None:
        self.take(alarms.reset(self.alarm, live, self.stamp(LI)))

    @precondition(lambda self: self.alarm.state is not AlarmState.NORM)
    @rule()
    def silence(self) -> None:
        self.take(alarms.silence(self.alarm, self.stamp()))

    @precondition(lambda self: self.alarm.state is not AlarmState.NORM)
    @rule()
    def maintenance(self) -> None:
        if self.alarm.out_of_service:
            self.take(alarms.in_service(self.alarm, self.stamp(LI)))
        else:
            self.take(alarms.out_of_service(self.alarm, self.stamp(LI, "guard patrols")))

    @precondition(lambda self: self.alarm.state is not AlarmState.NORM)
    @rule()
    def time_is_looked_at(self) -> None:
        event = alarms.re_alarm(self.alarm, self.stamp())
        if event is not None:
            self.answered_by = None
        self.take(event)

    @invariant()
    def quiet_only_with_a_named_person(self) -> None:
        if self.alarm.state in (AlarmState.ACKED, AlarmState.LACK, AlarmState.NORM):
            assert self.answered_by is not None


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase


def test_an_acknowledgement_of_an_older_ring_is_refused() -> None:
    alarm = raised(AlarmClass.SOS_CALL)
    first = alarm.ring_event
    pressed = then(alarm, alarms.press(alarm, stamp(2000)))
    late = alarms.acknowledge(pressed, stamp(3000, LI), seen=first)
    assert isinstance(late, Refusal) and late.code == "rang_again"
    assert isinstance(alarms.acknowledge(pressed, stamp(3000, LI), seen=pressed.ring_event), AlarmEvent)
    assert isinstance(alarms.acknowledge(pressed, stamp(3000, LI)), AlarmEvent), "without seen there is no check"


@pytest.mark.parametrize("seen", ["", "g-s1-x-1", "g-s1-x-1-", "other-9", "g-s1-x-1-9x", "g-s1-x-1-²"])
def test_who_saw_no_event_of_this_alarm_saw_no_ring(seen: str) -> None:
    found = alarms.acknowledge(raised(), stamp(by=LI), seen=seen)
    assert isinstance(found, Refusal) and found.code == "rang_again"


def test_whoever_saw_a_later_event_saw_the_ring_before_it() -> None:
    alarm = raised()
    gone = then(alarm, alarms.on_condition(alarm, Condition.OFF, 1, stamp()))
    assert isinstance(alarms.acknowledge(gone, stamp(by=LI), seen=gone.last.event_id), AlarmEvent)


def test_a_clock_set_back_never_puts_off_what_time_must_bring() -> None:
    late = 10**12
    alarm = then(raised(), alarms.acknowledge(raised(), stamp(late, by=LI)))
    assert alarms.re_alarm(alarm, stamp(late - 59_000)) is None, "a small correction"
    assert alarms.re_alarm(alarm, stamp(late - 3_600_000)) is not None
    held = raised(AlarmClass.DOOR_HELD)
    held = then(held, alarms.shelve(held, late + 3_600_000, stamp(late, by=LI, reason="furniture")))
    assert not alarms.shelf_is_over(held, late - 59_000)
    assert alarms.shelf_is_over(held, late + 3_600_000)
    assert alarms.shelf_is_over(held, late - 86_400_000)
