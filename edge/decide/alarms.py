"""The alarm's life: a fold of immutable events, after ISA-18.2.

The state is never stored, it follows from four facts: is the condition on, has a named person acknowledged, does
the class latch, has somebody taken it out (shelved, out of service). Each function returns the next event, None
when there is nothing new, or a Refusal with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.limits import CLOCK_BACK_S, RE_ALARM_S, SHELVE_S_MAX
from edge.model import (
    CLASSES,
    RINGING_KINDS,
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    EventKind,
    Person,
    Place,
    Value,
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """When and why something happened; what every event carries besides the alarm's own facts."""

    now_ms: int
    clock: Clock
    by: Person | None = None
    reason: str | None = None
    cause: str | None = None
    late: bool = False
    value: Value | None = None
    observed_ms: int | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alarm is about: a device (or a link, or the gateway itself) and the point that told."""

    device: str
    point: str | None
    place: Place
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a wish was not granted; code is stable, message is for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """One open alarm: the fold of its events. condition is the last journaled one, on or off.

    rings counts events that made it ring; ring_event is the newest of them. momentary: nothing measures
    whether it is over (a press), so only a person's reset ends it.
    """

    alarm_id: str
    alarm_class: AlarmClass
    subject: Subject
    priority: int
    condition: Condition
    momentary: bool
    raised_ms: int
    rang_ms: int
    ring_event: str
    rings: int
    events: int
    count: int
    last: AlarmEvent
    acknowledged: Person | None = None
    acknowledged_ms: int | None = None
    silenced_ms: int | None = None
    shelved_until_ms: int | None = None
    out_of_service: bool = False
    is_reset: bool = False

    @property
    def state(self) -> AlarmState:
        """The ISA-18.2 state that follows from the facts."""
        if self.is_reset:
            return AlarmState.NORM
        if self.out_of_service:
            return AlarmState.OOSRV
        if self.shelved_until_ms is not None:
            return AlarmState.SHLVD
        acked = self.acknowledged is not None
        if self.condition is not Condition.OFF:
            return AlarmState.ACKED if acked else AlarmState.UNACK
        if CLASSES[self.alarm_class].latching:
            return AlarmState.LACK if acked else AlarmState.LUNACK
        return AlarmState.NORM if acked else AlarmState.RTNUN

    @property
    def unanswered(self) -> bool:
        """No named person has acknowledged, and nobody has shelved it or taken it out of service."""
        return self.state in (AlarmState.UNACK, AlarmState.RTNUN, AlarmState.LUNACK)


def alarm_id(gateway: str, device: str, alarm_class: AlarmClass, generation: int) -> str:
    """Derived from its cause: the n-th alarm of this class of this device, as the journal counts them."""
    return f"{gateway}-{device}-{alarm_class}-{generation}"


def fold(alarm: Alarm | None, event: AlarmEvent) -> Alarm:
    """The alarm after one event. An event of an alarm that was never raised is an assertion failure."""
    if event.kind is EventKind.RAISED:
        assert alarm is None, f"{event.alarm_id} raised twice"
        return Alarm(
            alarm_id=event.alarm_id,
            alarm_class=event.alarm_class,
            subject=Subject(event.device, event.point, event.place, event.unit),
            priority=event.priority,
            condition=event.condition,
            momentary=event.alarm_class in (AlarmClass.SOS_CALL, AlarmClass.TEST),
            raised_ms=event.received_ms,
            rang_ms=event.received_ms,
            ring_event=event.event_id,
            rings=1,
            events=1,
            count=1,
            last=event,
        )
    assert alarm is not None, f"{event.kind} of {event.alarm_id} which was never raised"
    alarm = replace(alarm, events=alarm.events + 1, last=event, priority=event.priority, condition=event.condition)
    if event.kind in RINGING_KINDS:
        again = 1 if event.kind is EventKind.REPEATED else 0
        alarm = replace(
            alarm,
            acknowledged=None,
            acknowledged_ms=None,
            silenced_ms=None,
            rang_ms=event.received_ms,
            ring_event=event.event_id,
            rings=alarm.rings + 1,
            count=alarm.count + again,
            # A person who calls is never maintained away: the call brings its alarm back into service.
            out_of_service=alarm.out_of_service and not alarm.momentary,
            shelved_until_ms=None if alarm.momentary else alarm.shelved_until_ms,
        )
    match event.kind:
        case EventKind.ACKNOWLEDGED:
            return replace(alarm, acknowledged=event.by, acknowledged_ms=event.received_ms)
        case EventKind.SILENCED:
            return replace(alarm, silenced_ms=event.received_ms)
        case EventKind.RESET:
            return replace(alarm, is_reset=True)
        case EventKind.SHELVED:
            return replace(alarm, shelved_until_ms=event.until_ms)
        case EventKind.UNSHELVED | EventKind.PRIORITY_RAISED:
            return replace(alarm, shelved_until_ms=None)
        case EventKind.OUT_OF_SERVICE:
            return replace(alarm, out_of_service=True)
        case EventKind.IN_SERVICE:
            return replace(alarm, out_of_service=False)
    return alarm


def begin(ident: str, alarm_class: AlarmClass, priority: int, subject: Subject, stamp: Stamp) -> AlarmEvent:
    """The event that raises a new alarm."""
    return AlarmEvent(
        event_id=f"{ident}-1",
        alarm_id=ident,
        kind=EventKind.RAISED,
        alarm_class=alarm_class,
        priority=priority,
        state=AlarmState.UNACK,
        condition=Condition.ON,
        device=subject.device,
        point=subject.point,
        place=subject.place,
        value=stamp.value,
        unit=subject.unit,
        observed_ms=stamp.observed_ms,
        received_ms=stamp.now_ms,
        clock=stamp.clock,
        by=stamp.by,
        reason=stamp.reason,
        cause=stamp.cause,
        late=stamp.late,
        test=stamp.test,
    )


def on_condition(alarm: Alarm, condition: Condition, priority: int, stamp: Stamp) -> AlarmEvent | None:
    """A rule has judged again. Falling back to a lower level never lowers an open alarm."""
    if condition is Condition.ON:
        urgent = min(priority, alarm.priority)
        if urgent < alarm.priority:
            return _next(alarm, EventKind.PRIORITY_RAISED, stamp, condition=condition, priority=urgent)
        if alarm.condition is Condition.OFF:
            return _next(alarm, EventKind.REPEATED, stamp, condition=condition)
        return None
    if condition is Condition.OFF and alarm.condition is Condition.ON and not alarm.momentary:
        return _next(alarm, EventKind.CLEARED, stamp, condition=condition)
    return None


def press(alarm: Alarm, stamp: Stamp) -> AlarmEvent:
    """Somebody pressed again: always a new cause, it rings and tells again, whatever the state."""
    return _next(alarm, EventKind.REPEATED, stamp, condition=Condition.ON)


def acknowledge(alarm: Alarm, stamp: Stamp, seen: str | None = None) -> AlarmEvent | Refusal | None:
    """A named person has taken it on. None when somebody already had.

    seen: the newest event that person saw. An acknowledgement that was on its way while the alarm rang again says
    nothing about the new ring.
    """
    if stamp.by is None:
        return Refusal("person_missing", "an acknowledgement needs the person who gives it")
    if alarm.acknowledged is not None:
        return None
    if seen is not None and _place_in(alarm, seen) < _place_in(alarm, alarm.ring_event):
        return Refusal("rang_again", "it rang again after this person looked: look once more, then acknowledge")
    return _next(alarm, EventKind.ACKNOWLEDGED, stamp)


def silence(alarm: Alarm, stamp: Stamp) -> AlarmEvent | None:
    """The sounder goes quiet for a minute; the alarm stays unacknowledged and the ladder goes on."""
    if not alarm.unanswered:
        return None
    return _next(alarm, EventKind.SILENCED, stamp)


def reset(alarm: Alarm, live: Condition, stamp: Stamp) -> AlarmEvent | Refusal:
    """End a latched alarm. live: what the rules say now. Refused while on, unknown or unacknowledged."""
    if not alarm.momentary:
        if live is Condition.ON:
            return Refusal("condition_on", "still in alarm: the device reports the danger as present")
        if live is Condition.UNKNOWN:
            return Refusal("condition_unknown", "the device cannot be read: look on site, then try again")
    if alarm.acknowledged is None:
        return Refusal("not_acknowledged", "acknowledge first: nobody has taken this alarm on")
    return _next(alarm, EventKind.RESET, stamp, condition=Condition.OFF)


def shelve(alarm: Alarm, until_ms: int | None, stamp: Stamp) -> AlarmEvent | Refusal:
    """Put aside with owner, reason and end; never priority 1, never longer than a shift."""
    if alarm.priority == 1:
        return Refusal("priority_1", "an urgent alarm is never shelved")
    if stamp.by is None or not stamp.reason:
        return Refusal("reason_missing", "shelving needs a person and a reason")
    if until_ms is None or not stamp.now_ms < until_ms <= stamp.now_ms + SHELVE_S_MAX * 1000:
        return Refusal("bad_until", "shelving needs an end within the next 8 hours")
    return replace(_next(alarm, EventKind.SHELVED, stamp, shelved_until_ms=until_ms), until_ms=until_ms)


def shelf_is_over(alarm: Alarm, now_ms: int) -> bool:
    """Its time has come; or the clock was set back so far that the end lies further off than any shelving may."""
    until_ms = alarm.shelved_until_ms
    return until_ms is not None and not now_ms < until_ms <= now_ms + (SHELVE_S_MAX + CLOCK_BACK_S) * 1000


def unshelve(alarm: Alarm, stamp: Stamp) -> AlarmEvent | None:
    """Back by a person or because its time is over."""
    if alarm.shelved_until_ms is None:
        return None
    return _next(alarm, EventKind.UNSHELVED, stamp)


def out_of_service(alarm: Alarm, stamp: Stamp) -> AlarmEvent | Refusal | None:
    """Taken out for maintenance; the reason names the compensating measure."""
    if stamp.by is None or not stamp.reason:
        return Refusal("reason_missing", "name the person and what protects people meanwhile")
    if alarm.out_of_service:
        return None
    return _next(alarm, EventKind.OUT_OF_SERVICE, stamp)


def in_service(alarm: Alarm, stamp: Stamp) -> AlarmEvent | None:
    """Back from maintenance."""
    return _next(alarm, EventKind.IN_SERVICE, stamp) if alarm.out_of_service else None


def re_alarm(alarm: Alarm, stamp: Stamp) -> AlarmEvent | None:
    """Acknowledged long ago and still active: nobody has dealt with it, so it rings again.

    A clock that was set back further than limits.CLOCK_BACK_S says nothing about how long ago: it rings again too.
    """
    after_s = RE_ALARM_S.get(alarm.priority)
    if after_s is None or alarm.state is not AlarmState.ACKED or alarm.acknowledged_ms is None:
        return None
    if -CLOCK_BACK_S * 1000 <= stamp.now_ms - alarm.acknowledged_ms < after_s * 1000:
        return None
    return _next(alarm, EventKind.RE_ALARMED, replace(stamp, reason="not dealt with"))


def _place_in(alarm: Alarm, event_id: str) -> int:
    """Which of the alarm's events this is, from 1; 0 for an id that is none of them."""
    number = event_id.removeprefix(f"{alarm.alarm_id}-")
    return int(number) if number != event_id and number.isascii() and number.isdigit() else 0


def _next(
    alarm: Alarm,
    kind: EventKind,
    stamp: Stamp,
    condition: Condition | None = None,
    priority: int | None = None,
    shelved_until_ms: int | None = None,
) -> AlarmEvent:
    """The alarm's next event, its state being what the fold will say."""
    event = AlarmEvent(
        event_id=f"{alarm.alarm_id}-{alarm.events + 1}",
        alarm_id=alarm.alarm_id,
        kind=kind,
        alarm_class=alarm.alarm_class,
        priority=priority if priority is not None else alarm.priority,
        state=AlarmState.NORM,
        condition=condition if condition is not None else alarm.condition,
        device=alarm.subject.device,
        point=alarm.subject.point,
        place=alarm.subject.place,
        value=stamp.value if stamp.value is not None else alarm.last.value,
        unit=alarm.subject.unit,
        observed_ms=stamp.observed_ms,
        received_ms=stamp.now_ms,
        clock=stamp.clock,
        by=stamp.by,
        reason=stamp.reason,
        cause=stamp.cause,
        late=stamp.late,
        test=alarm.last.test,
        until_ms=shelved_until_ms,
    )
    return replace(event, state=fold(alarm, event).state)
