"""The invariants of a drill. Each returns what is wrong, in words; nothing is wrong in an empty list.

Written against the platter and the people, with its own fold: it must not believe the code it judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from edge.model import RINGING_KINDS, AlarmEvent, AlarmState, Condition, EventKind, Notice
from simulators.disk import Platter
from simulators.drill_world import Presses
from simulators.link import Sent


def check_journal(events: Sequence[AlarmEvent]) -> list[str]:
    """Gap-free, ids unique, one open alarm per device and class, no alarm ends without a named person."""
    faults: list[str] = []
    seen: set[str] = set()
    open_alarms: dict[tuple[str, str], str] = {}
    answered: dict[str, bool] = {}
    for number, event in enumerate(events, start=1):
        if event.seq != number:
            faults.append(f"seq {event.seq} where {number} belongs")
        if event.event_id in seen:
            faults.append(f"{event.event_id} twice")
        seen.add(event.event_id)
        key = (event.device, event.alarm_class)
        if event.kind is EventKind.RAISED:
            if key in open_alarms:
                faults.append(f"{event.alarm_id} raised while {open_alarms[key]} is open")
            open_alarms[key] = event.alarm_id
        elif open_alarms.get(key) != event.alarm_id:
            faults.append(f"{event.kind} of {event.alarm_id} which is not open")
        if event.kind in RINGING_KINDS:
            answered[event.alarm_id] = False
            if event.state not in (AlarmState.UNACK, AlarmState.SHLVD, AlarmState.OOSRV):
                faults.append(f"{event.event_id} rings but is {event.state}")
        if event.kind is EventKind.ACKNOWLEDGED:
            answered[event.alarm_id] = event.by is not None
        if event.state is AlarmState.NORM:
            if not answered[event.alarm_id]:
                faults.append(f"{event.alarm_id} ended without a named person")
            open_alarms.pop(key, None)
    return faults


def check_presses(presses: Presses, acked: Iterable[Sent], events: Sequence[AlarmEvent]) -> list[str]:
    """No acknowledged press is lost; a numbered press rings exactly once."""
    faults: list[str] = []
    causes = Counter((e.device, e.cause) for e in events if e.cause is not None)
    faults += [f"press {cause} rang {count} times" for cause, count in causes.items() if count > 1]
    rings = Counter(e.device for e in events if e.kind in RINGING_KINDS and e.reason == "press")
    taken = Counter[str]()
    for sent in acked:
        if sent.momentary:
            taken[sent.key.device] += 1
            if sent.sequence is not None and (sent.key.device, f"press:{sent.sequence}") not in causes:
                faults.append(f"press {sent.key.device}/{sent.sequence} was acknowledged and is not in the journal")
    for device, count in taken.items():
        if rings[device] < count:
            faults.append(f"{device}: {count} presses acknowledged, {rings[device]} rang")
        if device == "b1" and rings[device] > presses.count[device]:
            faults.append(f"{device}: {presses.count[device]} presses, {rings[device]} rang")
    return faults


def check_notices(platter: Platter, told: Sequence[tuple[float, Notice]]) -> list[str]:
    """A notice keeps its id and words on every retry and never goes out without being owed."""
    faults: list[str] = []
    for _, notice in told:
        owed = platter.notices.get(notice.notice_id)
        if owed is not None and (owed.body, owed.channel) != (notice.body, notice.channel):
            faults.append(f"notice {notice.notice_id} changed between attempts")
    return faults


def open_at_end(events: Sequence[AlarmEvent]) -> dict[tuple[str, str], AlarmEvent]:
    """The last event of every alarm that has not ended, by device and class."""
    last: dict[tuple[str, str], AlarmEvent] = {}
    for event in events:
        key = (event.device, event.alarm_class)
        if event.state is AlarmState.NORM:
            last.pop(key, None)
        else:
            last[key] = event
    return last


def check_truth(expected: dict[tuple[str, str], Condition], events: Sequence[AlarmEvent]) -> list[str]:
    """After healing, every danger that really is there stands in the journal as an open alarm that is on."""
    found = open_at_end(events)
    faults: list[str] = []
    for key, condition in expected.items():
        event = found.get(key)
        if condition is Condition.ON and (event is None or event.condition is not Condition.ON):
            faults.append(f"{key} is on in the building and {'missing' if event is None else event.state} here")
        if condition is Condition.OFF and event is not None and event.condition is Condition.ON:
            faults.append(f"{key} is over in the building and still {event.state} here")
    return faults
