"""Pure: what people do about an incident. Each step is legal from few states; the rest is an IllegalStep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from duty_room.incident import (
    ENDED,
    UNANSWERED,
    AlarmView,
    Answer,
    Change,
    Echo,
    Helper,
    Incident,
    Order,
    State,
    Step,
)
from duty_room.incidents import changed
from edge.errors import LinliError
from edge.limits import SHELVE_S_MAX
from edge.model import AlarmState, CommandKind, Condition, Person


class IllegalStep(LinliError):
    """The step is not possible in the present state; code is stable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Wish:
    """What a named person wants to do. target: the person sent (dispatch) or coming (en-route, arrive).

    account: who is signed in where the step was taken; kept in the log, since the name is only what was said.
    """

    kind: str
    by: Person
    at_ms: int
    target: tuple[str, str] | None = None
    cause: str | None = None
    note: str | None = None
    reason: str | None = None
    until_ms: int | None = None
    account: str | None = None


def take(old: Incident, wish: Wish) -> Change:
    """Fold one wish. Raises IllegalStep; KeyError for a kind that is not in STEPS."""
    return STEPS[wish.kind](old, wish)


def _line(wish: Wish, step: str, reason: str | None = None) -> Step:
    return Step(wish.at_ms, step, wish.by, reason)


def _own(alarms: tuple[AlarmView, ...], reset: bool) -> tuple[AlarmView, ...]:
    """The duty room is its own gateway for its own alarms: the answer takes effect at once."""
    moved: list[AlarmView] = []
    for alarm in alarms:
        if alarm.local and alarm.state is not AlarmState.NORM:
            over = alarm.condition is Condition.OFF and (reset or alarm.state is AlarmState.RTNUN)
            alarm = replace(alarm, state=AlarmState.NORM if over else AlarmState.ACKED)
        moved.append(alarm)
    return tuple(moved)


def _acknowledge(old: Incident, wish: Wish) -> Change:
    # Answered already, but the building has not heard it: the same step again sends it again.
    first = old.state is State.UNACKNOWLEDGED
    again = not first and old.state not in ENDED and bool(old.unheard or old.refused)
    if not first and not again:
        raise IllegalStep("already_acknowledged" if old.state not in ENDED else "illegal_step")
    open_alarms = [a for a in old.alarms if not a.local and a.state is not AlarmState.NORM]
    orders = tuple(Order(CommandKind.ACKNOWLEDGE, a.id, wish.by, wish.reason, seen=a.event) for a in open_alarms)
    echoes = tuple(dict.fromkeys((*old.echoes, *(Echo(o.alarm_id, wish.by.id, wish.by.via.value) for o in orders))))
    answer = Answer(wish.by, wish.at_ms)
    new = replace(
        old,
        state=State.ACKNOWLEDGED if first else old.state,
        stage_ms=wish.at_ms if first else old.stage_ms,
        alarms=_own(old.alarms, reset=False),
        acknowledged=answer if first else old.acknowledged,
        first_answer=old.first_answer or answer,
        echoes=echoes,
        unheard=(),
        refused=(),
        overdue=False,
    )
    return changed(old, new, (_line(wish, "acknowledged", wish.reason),), orders=orders, answered=True, decisive=True)


def _with_helper(old: Incident, helper: Helper) -> tuple[Helper, ...]:
    return (*(h for h in old.helpers if h.id != helper.id), helper)


def _helper(wish: Wish, step: str) -> Helper:
    person, name = wish.target or (wish.by.id, wish.by.name)
    return Helper(person, name, step, wish.at_ms)


def _dispatch(old: Incident, wish: Wish) -> Change:
    if old.state in ENDED or old.state is State.UNACKNOWLEDGED:
        raise IllegalStep("not_acknowledged" if old.state is State.UNACKNOWLEDGED else "illegal_step")
    helper = _helper(wish, "dispatched")
    state = State.DISPATCHED if old.state is State.ACKNOWLEDGED else old.state
    new = replace(
        old,
        state=state,
        stage_ms=wish.at_ms if state is not old.state else old.stage_ms,
        assignee=helper,
        helpers=_with_helper(old, helper),
        overdue=False,
        support=False,
    )
    return changed(old, new, (_line(wish, "dispatched", helper.name),), tell=(helper.id,), decisive=True)


def _en_route(old: Incident, wish: Wish) -> Change:
    if old.state in ENDED or old.state is State.UNACKNOWLEDGED:
        raise IllegalStep("not_acknowledged" if old.state is State.UNACKNOWLEDGED else "illegal_step")
    helper = _helper(wish, "en_route")
    if any(h.id == helper.id and h.step in ("en_route", "on_scene") for h in old.helpers):
        raise IllegalStep("already_en_route")
    first = old.state in (State.ACKNOWLEDGED, State.DISPATCHED)
    new = replace(
        old,
        state=State.EN_ROUTE if first else old.state,
        stage_ms=wish.at_ms if first else old.stage_ms,
        assignee=old.assignee or helper,
        helpers=_with_helper(old, helper),
        overdue=False,
    )
    return changed(old, new, (_line(wish, "en_route", helper.name),), decisive=True)


def _arrive(old: Incident, wish: Wish) -> Change:
    if old.state in ENDED or old.state is State.UNACKNOWLEDGED:
        raise IllegalStep("not_acknowledged" if old.state is State.UNACKNOWLEDGED else "illegal_step")
    helper = _helper(wish, "on_scene")
    if any(h.id == helper.id and h.step == "on_scene" for h in old.helpers):
        raise IllegalStep("already_on_scene")
    first = old.state is not State.ON_SCENE
    new = replace(
        old,
        state=State.ON_SCENE,
        stage_ms=wish.at_ms if first else old.stage_ms,
        assignee=old.assignee or helper,
        helpers=_with_helper(old, helper),
        overdue=False,
    )
    return changed(old, new, (_line(wish, "on_scene", helper.name),), decisive=True)


def _resolve(old: Incident, wish: Wish) -> Change:
    if old.state in ENDED or old.state is State.UNACKNOWLEDGED:
        raise IllegalStep("not_acknowledged" if old.state is State.UNACKNOWLEDGED else "already_resolved")
    if not wish.cause:
        raise IllegalStep("cause_missing")
    orders: list[Order] = []
    for alarm in old.alarms:
        if alarm.local or alarm.state is AlarmState.NORM:
            continue
        if alarm.state in UNANSWERED:
            # The acknowledge may have been lost on the way; the gateway resets only what is acknowledged.
            orders.append(Order(CommandKind.ACKNOWLEDGE, alarm.id, wish.by, wish.cause, seen=alarm.event))
        orders.append(Order(CommandKind.RESET, alarm.id, wish.by, wish.cause))
    echoes = (Echo(o.alarm_id, wish.by.id, wish.by.via.value) for o in orders if o.kind is CommandKind.ACKNOWLEDGE)
    new = replace(
        old,
        state=State.RESOLVED,
        stage_ms=wish.at_ms,
        alarms=_own(old.alarms, reset=True),
        cause=wish.cause,
        note=wish.note,
        resolved=Answer(wish.by, wish.at_ms),
        echoes=tuple(dict.fromkeys((*old.echoes, *echoes))),
        unheard=(),
        refused=(),
        overdue=False,
        support=False,
        shelved_until_ms=None,
    )
    reason = f"{wish.cause}: {wish.note}" if wish.note else wish.cause
    return changed(old, new, (_line(wish, "resolved", reason),), orders=tuple(orders), decisive=True)


def _close(old: Incident, wish: Wish) -> Change:
    if old.state is not State.RESOLVED:
        raise IllegalStep("not_resolved" if old.state is not State.CLOSED else "already_closed")
    if old.still_in_alarm:
        raise IllegalStep("still_in_alarm")
    new = replace(old, state=State.CLOSED, stage_ms=wish.at_ms, closed_ms=wish.at_ms)
    return changed(old, new, (_line(wish, "closed", wish.reason),), decisive=True)


def _shelve(old: Incident, wish: Wish) -> Change:
    if old.priority == 1:
        raise IllegalStep("priority_1_never_shelved")
    if old.state in ENDED:
        raise IllegalStep("illegal_step")
    if wish.until_ms is None or not 0 < wish.until_ms - wish.at_ms <= SHELVE_S_MAX * 1000:
        raise IllegalStep("until_out_of_range")
    orders = tuple(
        Order(CommandKind.SHELVE, a.id, wish.by, wish.reason, wish.until_ms)
        for a in old.alarms
        if not a.local and a.state is not AlarmState.NORM
    )
    new = replace(old, shelved_until_ms=wish.until_ms)
    return changed(old, new, (_line(wish, "shelved", wish.reason),), orders=orders, decisive=True)


def _escalate(old: Incident, wish: Wish) -> Change:
    if old.state in ENDED:
        raise IllegalStep("illegal_step")
    new = replace(old, escalated=True)
    return changed(old, new, (_line(wish, "escalated", wish.reason),), decisive=True)


def _pass_on(old: Incident, wish: Wish) -> Change:
    """This person cannot go: no longer counted as going, and when nobody else is, somebody must be sent anew."""
    if old.state in ENDED:
        raise IllegalStep("illegal_step")
    if any(h.id == wish.by.id and h.step == "on_scene" for h in old.helpers):
        raise IllegalStep("already_on_scene")
    helpers = tuple(h for h in old.helpers if h.id != wish.by.id)
    state = old.state
    if state in (State.DISPATCHED, State.EN_ROUTE):
        steps = {h.step for h in helpers}
        left = State.DISPATCHED if "dispatched" in steps else State.ACKNOWLEDGED
        state = State.EN_ROUTE if "en_route" in steps else left
    assignee = old.assignee
    if assignee is not None and assignee.id == wish.by.id:
        assignee = helpers[-1] if helpers else None
    moved = state is not old.state
    new = replace(
        old,
        state=state,
        stage_ms=wish.at_ms if moved else old.stage_ms,
        assignee=assignee,
        helpers=helpers,
        overdue=old.overdue and not moved,
    )
    return changed(old, new, (_line(wish, "cannot_go", wish.reason),), decisive=True)


def _support(old: Incident, wish: Wish) -> Change:
    """Who is there needs more people: the next tier is told, and the screen shows it until somebody is sent."""
    if old.state in ENDED or old.state is State.UNACKNOWLEDGED:
        raise IllegalStep("not_acknowledged" if old.state is State.UNACKNOWLEDGED else "illegal_step")
    new = replace(old, support=True, escalated=True)
    return changed(old, new, (_line(wish, "support", wish.reason),), decisive=True)


STEPS: dict[str, Callable[[Incident, Wish], Change]] = {
    "acknowledge": _acknowledge,
    "dispatch": _dispatch,
    "en-route": _en_route,
    "arrive": _arrive,
    "resolve": _resolve,
    "close": _close,
    "shelve": _shelve,
    "escalate": _escalate,
    "pass-on": _pass_on,
    "support": _support,
}
