"""Alarm events, the persons and commands that move an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.model.classes import AlarmClass
from edge.model.devices import Place
from edge.model.readings import Value


class Condition(StrEnum):
    """What a rule says about the world. ``UNKNOWN`` is neither normal nor alarmed."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class AlarmState(StrEnum):
    """The nine states of ISA-18.2 (LUNACK and LACK: condition gone, alarm latched)."""

    NORM = "NORM"
    UNACK = "UNACK"
    ACKED = "ACKED"
    RTNUN = "RTNUN"
    LUNACK = "LUNACK"
    LACK = "LACK"
    SHLVD = "SHLVD"
    DSUPR = "DSUPR"
    OOSRV = "OOSRV"


class EventKind(StrEnum):
    """What happened to an alarm; the only ways an alarm can change."""

    RAISED = "raised"
    REPEATED = "repeated"
    PRIORITY_RAISED = "priority_raised"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    RESET = "reset"
    RE_ALARMED = "re_alarmed"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"


RINGING_KINDS = frozenset({EventKind.RAISED, EventKind.REPEATED, EventKind.PRIORITY_RAISED, EventKind.RE_ALARMED})
"""Kinds that make an alarm unacknowledged: they ring, and people are told anew."""


class CommandKind(StrEnum):
    """The verbs a person or the duty room may ask for."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"
    TEST = "test"


class Clock(StrEnum):
    """How far the wall clock may be trusted."""

    UNSYNCED = "unsynced"
    SYNCED = "synced"
    HOLDOVER = "holdover"


class Via(StrEnum):
    """By which way a person spoke to us."""

    CONSOLE = "console"
    PHONE = "phone"
    LOCAL = "local"
    API = "api"


@dataclass(frozen=True, slots=True)
class Person:
    """Who did something. An acknowledgement always carries one."""

    id: str
    name: str
    via: Via


LOCAL_KEY = Person("local-key", "local key", Via.LOCAL)
"""The key switch on the relay board (``ack_key``): somebody on site has answered."""


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One immutable fact about an alarm, as journaled and as published (CONTRACT: ``event``).

    state and condition are those after the event. cause is the sender's id or the rule's reason.
    seq is gap-free from 1, given by the engine in the order of decision and checked by the journal.
    """

    event_id: str
    alarm_id: str
    kind: EventKind
    alarm_class: AlarmClass
    priority: int
    state: AlarmState
    condition: Condition
    device: str
    point: str | None
    place: Place
    value: Value | None
    unit: str | None
    observed_ms: int | None
    received_ms: int
    clock: Clock
    by: Person | None = None
    reason: str | None = None
    cause: str | None = None
    late: bool = False
    test: bool = False
    until_ms: int | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A wish of a person or the duty room about one alarm; refused after expires_ms.

    seen: the newest event of the alarm that the person had before their eyes; None where nobody can tell.
    """

    command_id: str
    kind: CommandKind
    alarm_id: str
    by: Person | None
    at_ms: int
    expires_ms: int | None = None
    reason: str | None = None
    until_ms: int | None = None
    seen: str | None = None


class Result(StrEnum):
    """What became of a command."""

    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """The answer to a command; the same command_id always gets the same one."""

    command_id: str
    result: Result
    code: str
    message: str
    at_ms: int
