"""Alarms → what must sound, what must be set, who must be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from edge.decide.alarms import Alarm
from edge.decide.suppress import quiet
from edge.model import (
    RINGING_KINDS,
    AlarmEvent,
    Condition,
    Linkage,
    Notice,
    PointKey,
    Recipient,
    Sounder,
    SounderStart,
    Write,
)

MESSENGER, SMS = "messenger", "sms"
"""The channels: what hands text to people's services, and the gateway's own modem."""


def sounding(
    alarms: Iterable[Alarm], sounders: Sequence[Sounder], laddered: AbstractSet[str], now_ms: int
) -> frozenset[PointKey]:
    """The sounder points that must be on now. laddered: alarm ids whose ladder of the gateway runs."""
    points: set[PointKey] = set()
    for alarm in alarms:
        if quiet(alarm, now_ms) is not None:
            continue
        for sounder in sounders:
            started = sounder.start is SounderStart.AT_ONCE or alarm.alarm_id in laddered
            if started and alarm.alarm_class in sounder.classes:
                points.add(sounder.point)
    return frozenset(points)


def linked(event: AlarmEvent, linkages: Sequence[Linkage], alarms: Iterable[Alarm] = ()) -> tuple[Write, ...]:
    """What a ringing event sets, e.g. the gas valve closes. Nothing is ever undone from here.

    alarms: all that are open, for linkages that ask for more than one device in alarm.
    """
    if event.kind not in RINGING_KINDS or event.condition is not Condition.ON or event.test:
        return ()
    found = []
    for linkage in linkages:
        if event.alarm_class not in linkage.classes or event.priority > linkage.priority:
            continue
        devices = {event.device} | {
            alarm.subject.device
            for alarm in (alarms if linkage.triggers > 1 else ())
            if alarm.alarm_class in linkage.classes
            and alarm.priority <= linkage.priority
            and alarm.condition is Condition.ON
            and not alarm.last.test
        }
        if len(devices) >= linkage.triggers:
            found.append(Write(linkage.point, linkage.value))
    return tuple(found)


def notices(
    alarm: Alarm,
    step: int,
    roster: Sequence[Recipient],
    text: Callable[[Alarm, Recipient], tuple[str, str]],
    now_ms: int,
    again: bool = False,
) -> tuple[Notice, ...]:
    """The notices of one ladder step's recipient, one per channel. text gives title and body.

    again: a new ring while the ladder runs; everyone told so far is told anew, so that a second press counts.
    """
    if not roster:
        return ()
    told = roster[:step] if again else (roster[min(step, len(roster) - 1)],)
    mark = f"ring{alarm.rings}" if again else f"{alarm.rings}.{step}"
    return tuple(
        Notice(f"{alarm.alarm_id}/{mark}/{person.id}{suffix}", alarm.alarm_id, step, person.id, channel, *words, now_ms)
        for person in told
        for words in (text(alarm, person),)
        for channel in channels(person)
        for suffix in ("" if channel == MESSENGER else f"/{channel}",)
    )


def channels(person: Recipient) -> tuple[str, ...]:
    """Every channel that one of the person's ways belongs to; somebody without any is refused by the messenger."""
    found = {SMS if way.startswith(f"{SMS}:") else MESSENGER for way in person.tell}
    return tuple(sorted(found or {MESSENGER}))
