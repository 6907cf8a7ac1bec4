"""Pure: gateway events folded into incidents. People's steps are in ``steps.py``.

No event at any state is swallowed: a ring (raised, repeated, priority_raised, re_alarmed, or an alarm found waiting
for a person though it had been answered) brings the incident back to unacknowledged, whatever people have done before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from duty_room.incident import (
    ARCHIVE_S,
    ENDED,
    QUIET,
    TIMELINE_MAX,
    UNANSWERED,
    AlarmView,
    Answer,
    Change,
    Echo,
    Incident,
    Order,
    State,
    Step,
)
from edge.model import (
    RINGING_KINDS,
    AlarmEvent,
    AlarmState,
    CommandKind,
    CommandOutcome,
    EventKind,
    Result,
)


def incident_id(gateway: str, alarm_id: str, anew_ms: int | None = None) -> str:
    """Ids come from causes: the same alarm of the same gateway is always the same incident. Safe in a URL.

    anew_ms: when the alarm began, for one whose id the gateway has given out a second time.
    """
    cause = f"{gateway}\x00{alarm_id}" + (f"\x00{anew_ms}" if anew_ms is not None else "")
    digest = hashlib.blake2b(cause.encode(), digest_size=8).hexdigest()
    return f"i-{digest}"


def changed(old: Incident, new: Incident, lines: Sequence[Step], **what: object) -> Change:
    """Close a change: next version, timeline, decided version when the change is decisive."""
    decisive = bool(what.get("decisive"))
    version = old.version + 1
    timeline = old.timeline + tuple(lines)
    if len(timeline) > TIMELINE_MAX:
        timeline = timeline[:10] + timeline[10 - TIMELINE_MAX :]
    new = replace(new, version=version, decided=version if decisive else old.decided, timeline=timeline)
    return Change(new, tuple(lines), **what)  # type: ignore[arg-type]  # the names are Change's own fields


def fold_event(
    old: Incident | None, gateway: str, event: AlarmEvent, now_ms: int, *, local: bool = False, anew: bool = False
) -> Change:
    """One event of a gateway (or of the duty room's own watch: local) into its incident.

    The caller has made sure that this event was never folded before. Events may arrive out of order: an older
    one never undoes what a newer one said of the alarm, but an unseen ring always rings. anew: the gateway has begun
    a new journal, and its seq with it.
    """
    if old is None:
        return _opened(gateway, event, now_ms, local, anew)
    known = old.alarm(event.alarm_id)
    newer = known is None or anew or event.seq > known.seq
    view = _view(event, local) if newer or known is None else known
    if known is not None:
        view = replace(view, priority=min(view.priority, known.priority))
    alarms = tuple(view if a.id == view.id else a for a in old.alarms) if known else (*old.alarms, view)
    new = replace(old, alarms=alarms, priority=min(old.priority, event.priority), late=old.late or event.late)
    if event.kind is EventKind.REPEATED:
        new = replace(new, repeats=old.repeats + 1)
    line = _line(event)
    if _rings(known, event, newer):
        return _rung(old, new, event, now_ms, line)
    if event.kind is EventKind.ACKNOWLEDGED and event.by is not None:
        return _answered_there(old, new, event, now_ms, newer)
    orders: tuple[Order, ...] = ()
    if old.state is State.RESOLVED and old.resolved is not None and view.state is AlarmState.LACK and newer:
        # The condition has gone at last: ask again for the reset that was refused while it was on.
        orders = (Order(CommandKind.RESET, view.id, old.resolved.by, old.cause),)
    if not new.still_in_alarm and old.still_in_alarm:
        new = replace(new, refused=(), stage_ms=now_ms)
    return changed(old, new, (line,), orders=orders)


def _rings(known: AlarmView | None, event: AlarmEvent, newer: bool) -> bool:
    if newer and event.state in QUIET:
        return False
    if event.kind in RINGING_KINDS or known is None:
        return True
    # A ring that we missed: the alarm had been answered and now waits for a person again.
    return newer and event.state in UNANSWERED and known.state not in UNANSWERED


def _line(event: AlarmEvent) -> Step:
    """The event on the timeline; a measured value is worth reading, a state or a count of devices is not."""
    measured = event.unit is not None and isinstance(event.value, int | float) and not isinstance(event.value, bool)
    value = float(event.value) if measured and event.value is not None else None
    return Step(event.received_ms, event.kind.value, event.by, event.reason, value, event.unit if measured else None)


def _view(event: AlarmEvent, local: bool) -> AlarmView:
    return AlarmView(
        id=event.alarm_id,
        alarm_class=event.alarm_class,
        priority=event.priority,
        state=event.state,
        condition=event.condition,
        device=event.device,
        seq=event.seq,
        value=event.value,
        unit=event.unit,
        local=local,
        event=event.event_id,
    )


def _opened(gateway: str, event: AlarmEvent, now_ms: int, local: bool, anew: bool) -> Change:
    """The first thing ever heard of an alarm, whatever it is, opens an incident that asks for a person."""
    line = _line(event)
    answered = event.kind is EventKind.ACKNOWLEDGED and event.by is not None
    answer = Answer(event.by, event.received_ms) if answered and event.by is not None else None
    incident = Incident(
        id=incident_id(gateway, event.alarm_id, event.received_ms if anew else None),
        gateway=gateway,
        alarm_class=event.alarm_class,
        priority=event.priority,
        place=event.place,
        opened_ms=event.received_ms,
        stage_ms=now_ms,
        state=State.ACKNOWLEDGED if answered else State.UNACKNOWLEDGED,
        alarms=(_view(event, local),),
        acknowledged=answer,
        first_answer=answer,
        timeline=(line,),
        test=event.test,
        late=event.late,
        repeats=1 if event.kind is EventKind.REPEATED else 0,
    )
    return Change(incident, (line,), rang=incident.ringing, answered=answered, decisive=True)


def _rung(old: Incident, new: Incident, event: AlarmEvent, now_ms: int, line: Step) -> Change:
    new = replace(
        new,
        state=State.UNACKNOWLEDGED,
        rings=old.rings + 1,
        # Our own clock: a gateway that believes it is 1970 must not make every deadline overdue.
        stage_ms=now_ms,
        acknowledged=None,
        refused=(),
        overdue=False,
        support=False,
        # A real alarm during a test is real; a test ring never hides a real one.
        test=old.test and event.test,
        shelved_until_ms=None if new.priority == 1 else old.shelved_until_ms,
        cause=None,
        note=None,
        resolved=None,
        closed_ms=None,
    )
    return changed(old, new, (line,), rang=new.ringing, decisive=True)


def _answered_there(old: Incident, new: Incident, event: AlarmEvent, now_ms: int, newer: bool) -> Change:
    """An acknowledge by a named person in the building ends both ladders, unless it is only the echo of ours."""
    assert event.by is not None
    line = _line(event)
    echo = Echo(event.alarm_id, event.by.id, event.by.via.value)
    if echo in old.echoes:
        # The timeline has this answer already, from the moment the person gave it.
        return changed(old, replace(new, echoes=tuple(e for e in old.echoes if e != echo)), ())
    others = any(a.state in UNANSWERED for a in new.alarms if a.id != event.alarm_id)
    if not newer or others or old.state is not State.UNACKNOWLEDGED:
        return changed(old, new, (line,))
    answer = Answer(event.by, event.received_ms)
    new = replace(
        new,
        state=State.ACKNOWLEDGED,
        stage_ms=now_ms,
        acknowledged=answer,
        first_answer=old.first_answer or answer,
        overdue=False,
    )
    return changed(old, new, (line,), answered=True, decisive=True)


def ordered(old: Incident, command_ids: Sequence[str]) -> Incident:
    """The commands of the change just made are under way. Part of that same change: no new version."""
    return replace(old, awaited=old.awaited + tuple(command_ids)) if command_ids else old


def fold_outcome(old: Incident, order: Order, outcome: CommandOutcome) -> Change:
    """What the gateway did with a command. A refusal stays visible until the next ring or success."""
    cid = outcome.command_id
    new = replace(
        old,
        awaited=tuple(c for c in old.awaited if c != cid),
        unheard=tuple(c for c in old.unheard if c != cid),
    )
    if outcome.result is Result.DONE:
        return changed(old, replace(new, refused=()), ())
    by = order.by
    echoes = tuple(e for e in old.echoes if by is None or e.alarm_id != order.alarm_id or e.person != by.id)
    new = replace(new, echoes=echoes, refused=tuple(dict.fromkeys((*old.refused, outcome.code))))
    text = f"{order.kind.value}: {outcome.code} {outcome.message}".strip()
    return changed(old, new, (Step(outcome.at_ms, f"order_{outcome.result.value}", by, text),))


def fold_unheard(old: Incident, command_id: str, order: Order, now_ms: int) -> Change:
    """No outcome within the waiting time: the building has not heard you."""
    if command_id in old.unheard or command_id not in old.awaited:
        return Change(old)
    new = replace(old, unheard=(*old.unheard, command_id))
    return changed(old, new, (Step(now_ms, "unheard", order.by, order.kind.value),))


def fold_given_up(old: Incident, command_id: str) -> Change:
    """The command has expired without an outcome: nothing is awaited any more, the mark stays until the next."""
    new = replace(old, awaited=tuple(c for c in old.awaited if c != command_id))
    return changed(old, new, ())


def fold_time(old: Incident, now_ms: int) -> Change | None:
    """What the passing of time alone changes: overdue, the end of shelving, the archive. None when nothing."""
    if old.shelved_until_ms is not None:
        if now_ms < old.shelved_until_ms:
            return None
        new = replace(old, shelved_until_ms=None, stage_ms=now_ms)
        return changed(old, new, (Step(now_ms, "unshelved"),), rang=new.ringing, decisive=True)
    if old.state is State.RESOLVED and not old.still_in_alarm:
        if now_ms < old.stage_ms + round(ARCHIVE_S * 1000):
            return None
        new = replace(old, state=State.CLOSED, stage_ms=now_ms, closed_ms=now_ms)
        return changed(old, new, (Step(now_ms, "closed", None, "archive"),), decisive=True)
    due = old.deadline_ms
    if due is None or old.overdue or old.state in ENDED or now_ms < due:
        return None
    return changed(old, replace(old, overdue=True), (Step(now_ms, "overdue", None, old.state.value),))


def next_look_ms(incident: Incident) -> int | None:
    """When ``fold_time`` must be asked again: a durable row, so that an overdue one fires once after a restart."""
    if incident.shelved_until_ms is not None:
        return incident.shelved_until_ms
    if incident.state is State.RESOLVED and not incident.still_in_alarm:
        return incident.stage_ms + round(ARCHIVE_S * 1000)
    return None if incident.overdue else incident.deadline_ms


def check_version(incident: Incident, seen: int) -> bool:
    """Compare-and-swap: has nothing decisive happened since the version that the person saw?

    Outcomes, notices and a recovering device also give a new version, but nobody loses a race against them.
    """
    return incident.decided <= seen <= incident.version
