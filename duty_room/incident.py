"""The incident: what people do about an alarm. Frozen nouns and what follows from them; no clock, no I/O.

The gateway owns the alarm (the condition of a device), the duty room owns the incident. ``*_ms`` is wall time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge.model import AlarmClass, AlarmState, CommandKind, Condition, Person, Place, Value


class State(StrEnum):
    """未确认→已确认→已派单→在途→到场→已处置→已归档."""

    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    DISPATCHED = "dispatched"
    EN_ROUTE = "en_route"
    ON_SCENE = "on_scene"
    RESOLVED = "resolved"
    CLOSED = "closed"


UNANSWERED = frozenset({AlarmState.UNACK, AlarmState.RTNUN, AlarmState.LUNACK})
"""Alarm states in which the building waits for a person."""
QUIET = frozenset({AlarmState.SHLVD, AlarmState.DSUPR, AlarmState.OOSRV})
"""Alarm states in which a named person, or a rule, has decided that it does not ring."""
ENDED = frozenset({State.RESOLVED, State.CLOSED})

ACKNOWLEDGE_S: Mapping[int, float] = {1: 60.0, 2: 180.0, 3: 1800.0}
"""Time to acknowledge, per priority; priority 4 waits for the next handover (console reference §1.3)."""
DISPATCH_S: Mapping[int, float] = {1: 120.0, 2: 600.0, 3: 7200.0}
"""Time from acknowledged to dispatched."""
ON_SCENE_S: Mapping[int, float] = {1: 600.0, 2: 1800.0, 3: 86400.0}
"""Time from dispatched to on scene: 急事 10 分钟必到, the rest within the day."""
TIMELINE_MAX = 120
"""Lines an incident carries itself; the log keeps all. A chattering device must not make every update larger."""
ARCHIVE_S = 3600.0
"""Resolved and back to normal for this long: closed by itself, so that the queue holds work only."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. reason is for people; value (with its unit) is what the device measured then."""

    at_ms: int
    step: str
    by: Person | None = None
    reason: str | None = None
    value: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class AlarmView:
    """What the duty room knows of one alarm: its state after the newest event by seq.

    local: the duty room's own alarm (gateway.lost); no gateway is asked to acknowledge or reset it.
    event: the id of that newest event; None only in rows of an older version.
    """

    id: str
    alarm_class: AlarmClass
    priority: int
    state: AlarmState
    condition: Condition
    device: str
    seq: int
    value: Value | None = None
    unit: str | None = None
    local: bool = False
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A named person has answered."""

    by: Person
    at_ms: int


@dataclass(frozen=True, slots=True)
class Helper:
    """A person on the way, and since when in this step (dispatched, en_route, on_scene)."""

    id: str
    name: str
    step: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Echo:
    """An acknowledge of ours on its way to the gateway: its event is the echo of an answer already counted."""

    alarm_id: str
    person: str
    via: str


@dataclass(frozen=True, slots=True)
class Order:
    """A command that a step asks of the gateway. seen: the newest event of the alarm that the person saw."""

    kind: CommandKind
    alarm_id: str
    by: Person | None
    reason: str | None = None
    until_ms: int | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """The fold of gateway events and people's steps.

    version counts every change; decided is the version of the last change that a person must have seen before
    acting (a step of a person, a ring): see ``incidents.check_version``. rings counts how often it rang anew.
    stage_ms: when the present state began. awaited/unheard: commands without an outcome, and without one for too long.
    refused: outcome codes of refusals since the last ring. support: somebody there asked for more people.
    """

    id: str
    gateway: str
    alarm_class: AlarmClass
    priority: int
    place: Place
    opened_ms: int
    stage_ms: int
    state: State = State.UNACKNOWLEDGED
    version: int = 1
    decided: int = 1
    rings: int = 1
    repeats: int = 0
    alarms: tuple[AlarmView, ...] = ()
    acknowledged: Answer | None = None
    first_answer: Answer | None = None
    assignee: Helper | None = None
    helpers: tuple[Helper, ...] = ()
    echoes: tuple[Echo, ...] = ()
    awaited: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    timeline: tuple[Step, ...] = ()
    test: bool = False
    late: bool = False
    overdue: bool = False
    escalated: bool = False
    support: bool = False
    shelved_until_ms: int | None = None
    cause: str | None = None
    note: str | None = None
    resolved: Answer | None = None
    closed_ms: int | None = None

    @property
    def condition(self) -> Condition:
        """On while any alarm is on; unknown while any cannot be told; off only when all are."""
        conditions = {alarm.condition for alarm in self.alarms}
        for worst in (Condition.ON, Condition.UNKNOWN):
            if worst in conditions:
                return worst
        return Condition.OFF

    @property
    def still_in_alarm(self) -> bool:
        """Resolved by a person, yet the gateway holds an alarm that is neither normal nor taken out of service."""
        held = (a for a in self.alarms if a.state is not AlarmState.NORM and a.state not in QUIET)
        return self.state is State.RESOLVED and any(held)

    @property
    def quiet(self) -> bool:
        """Somebody decided that it does not ring: shelved, suppressed or out of service."""
        return self.shelved_until_ms is not None or all(a.state in QUIET for a in self.alarms)

    @property
    def ringing(self) -> bool:
        """A person must answer now."""
        return self.state is State.UNACKNOWLEDGED and not self.quiet

    @property
    def deadline_ms(self) -> int | None:
        """When the next step is due; None when nothing is (priority 4, on scene and later, shelved)."""
        if self.shelved_until_ms is not None:
            return None
        spans = {
            State.UNACKNOWLEDGED: ACKNOWLEDGE_S,
            State.ACKNOWLEDGED: DISPATCH_S,
            State.DISPATCHED: ON_SCENE_S,
            State.EN_ROUTE: ON_SCENE_S,
        }.get(self.state)
        if spans is None or self.priority not in spans:
            return None
        return self.stage_ms + round(spans[self.priority] * 1000)

    @property
    def flags(self) -> tuple[str, ...]:
        """Words for the screen, in a fixed order."""
        states = {alarm.state for alarm in self.alarms}
        marks = {
            "test": self.test,
            "late": self.late,
            "pending": bool(self.awaited),
            "unheard": bool(self.unheard),
            "refused": bool(self.refused),
            "still_in_alarm": self.still_in_alarm,
            "shelved": self.shelved_until_ms is not None or AlarmState.SHLVD in states,
            "suppressed": AlarmState.DSUPR in states,
            "out_of_service": AlarmState.OOSRV in states,
            "overdue": self.overdue,
            "escalated": self.escalated,
            "support": self.support,
            "unprotected": self.alarm_class is AlarmClass.LINK_DOWN and self.condition is Condition.ON,
        }
        return tuple(word for word, holds in marks.items() if holds)

    def alarm(self, alarm_id: str) -> AlarmView | None:
        """The alarm with that id, if it belongs to this incident."""
        return next((a for a in self.alarms if a.id == alarm_id), None)


@dataclass(frozen=True, slots=True)
class Change:
    """An incident after a change, and what the change asks of the world.

    steps: the new lines of the log. rang: people must be told anew from the first step. answered: the ladder ends.
    tell: people to be told in any case (dispatched).
    """

    incident: Incident
    steps: tuple[Step, ...] = ()
    orders: tuple[Order, ...] = ()
    rang: bool = False
    answered: bool = False
    tell: tuple[str, ...] = ()
    decisive: bool = False
