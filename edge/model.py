"""The nouns of the product (see docs/words.md). Frozen, standard library only, imports nothing of ours.

Times: ``*_ms`` is wall time, integer milliseconds since 1970-01-01 UTC; ``*_s`` is a duration or a
monotonic instant in seconds. Unknown is ``None``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

Value = bool | int | float | str


class Condition(StrEnum):
    """What a rule says about the world. ``UNKNOWN`` is neither normal nor alarmed."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class Quality(StrEnum):
    """How far a reading may be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class BadCause(StrEnum):
    """Why a reading is bad. ``SILENT`` causes mean nobody answered, the others that the answer is of no use."""

    TIMEOUT = "timeout"
    LINK_DOWN = "link_down"
    NOT_HEARD = "not_heard"
    OFFLINE = "offline"
    EXCEPTION = "exception"
    GARBLED = "garbled"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"


SILENT_CAUSES = frozenset({BadCause.TIMEOUT, BadCause.LINK_DOWN, BadCause.NOT_HEARD, BadCause.OFFLINE})


class AlarmClass(StrEnum):
    """What kind of danger or trouble an alarm is. Gas is never shown as fire."""

    FIRE_SMOKE = "fire.smoke"
    FIRE_HEAT = "fire.heat"
    GAS_COMBUSTIBLE = "gas.combustible"
    GAS_CO = "gas.co"
    SOS_CALL = "sos.call"
    SOS_INACTIVITY = "sos.inactivity"
    DOOR_FORCED = "door.forced"
    DOOR_HELD = "door.held"
    WATER_LEAK = "water.leak"
    BIN_OVERHEAT = "bin.overheat"
    BIN_FULL = "bin.full"
    AIR_POOR = "air.poor"
    DEVICE_OFFLINE = "device.offline"
    DEVICE_FAULT = "device.fault"
    DEVICE_TAMPER = "device.tamper"
    DEVICE_BATTERY_LOW = "device.battery_low"
    LINK_DOWN = "link.down"
    GATEWAY_LOST = "gateway.lost"
    GATEWAY_STORAGE = "gateway.storage"
    GATEWAY_CLOCK = "gateway.clock"
    DUTY_ROOM_UNHEARD = "duty_room.unheard"
    TEST = "test"


class ClassInfo(NamedTuple):
    """The fixed facts of an alarm class.

    priority: 1 (urgent) … 4 (hint), before overrides. latching: stays until a person acknowledges and resets.
    life_safety: a device with a rule of this class is a life-safety device. contact_id: SIA DC-05 event code.
    """

    priority: int
    latching: bool
    life_safety: bool
    contact_id: int | None


CLASSES: Mapping[AlarmClass, ClassInfo] = {
    AlarmClass.FIRE_SMOKE: ClassInfo(1, True, True, 111),
    AlarmClass.FIRE_HEAT: ClassInfo(1, True, True, 114),
    AlarmClass.GAS_COMBUSTIBLE: ClassInfo(1, True, True, 151),
    AlarmClass.GAS_CO: ClassInfo(1, True, True, 162),
    AlarmClass.SOS_CALL: ClassInfo(1, True, True, 101),
    AlarmClass.SOS_INACTIVITY: ClassInfo(2, False, True, 102),
    AlarmClass.DOOR_FORCED: ClassInfo(2, False, False, None),
    AlarmClass.DOOR_HELD: ClassInfo(3, False, False, None),
    AlarmClass.WATER_LEAK: ClassInfo(2, False, False, 154),
    AlarmClass.BIN_OVERHEAT: ClassInfo(1, True, True, 158),
    AlarmClass.BIN_FULL: ClassInfo(3, False, False, None),
    AlarmClass.AIR_POOR: ClassInfo(4, False, False, None),
    AlarmClass.DEVICE_OFFLINE: ClassInfo(4, False, False, 381),
    AlarmClass.DEVICE_FAULT: ClassInfo(3, False, False, 380),
    AlarmClass.DEVICE_TAMPER: ClassInfo(3, False, False, 383),
    AlarmClass.DEVICE_BATTERY_LOW: ClassInfo(4, False, False, 384),
    AlarmClass.LINK_DOWN: ClassInfo(2, False, False, None),
    AlarmClass.GATEWAY_LOST: ClassInfo(2, False, False, 354),
    AlarmClass.GATEWAY_STORAGE: ClassInfo(2, False, False, None),
    AlarmClass.GATEWAY_CLOCK: ClassInfo(4, False, False, None),
    AlarmClass.DUTY_ROOM_UNHEARD: ClassInfo(1, False, False, None),
    AlarmClass.TEST: ClassInfo(4, False, False, 602),
}


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
class Place:
    """小区›楼›单元›层›户›房间. Floor is the storey's number, -1 for B1; text replaces the parts for people."""

    community: str | None = None
    building: str | None = None
    unit: str | None = None
    floor: int | None = None
    household: str | None = None
    room: str | None = None
    text: str | None = None


class PointKey(NamedTuple):
    """The only name for a thing measured or set; written ``device/point``."""

    device: str
    point: str

    def __str__(self) -> str:
        return f"{self.device}/{self.point}"


class Reading(NamedTuple):
    """One value of one point.

    value is None exactly when quality is bad. observed_ms: the device's own time, if it gave one.
    received_ms/received_s: our wall and monotonic time, stamped by the driver's kit when the bytes arrived.
    momentary: an event such as a press or a card passage, not a state. late: came out of a queue, a
    redelivery or the broker's retained store. sequence: the sender's own id of this report, if it has one;
    the same (device, point, sequence) twice is one cause.
    """

    key: PointKey
    value: Value | None
    quality: Quality
    cause: BadCause | None
    received_ms: int
    received_s: float
    observed_ms: int | None = None
    sequence: str | None = None
    momentary: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """1–256 readings of one link, and how to acknowledge them to their sender after our commit."""

    link: str
    readings: tuple[Reading, ...]
    ack: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Point:
    """A thing a profile's device measures or lets us set.

    read: how the driver finds it on the wire (its own schema, see device_drivers/profiles/schema.py).
    writable: a driver with the ``Writer`` ability may set it. low/high: valid range, outside is bad quality.
    momentary: readings are events (a press), never a state. deadband: change in value worth writing down.
    """

    key: str
    unit: str | None = None
    read: Mapping[str, Any] = field(default_factory=dict)
    writable: bool = False
    low: float | None = None
    high: float | None = None
    momentary: bool = False
    deadband: float = 0.0


class RuleKind(StrEnum):
    """How a rule judges a point."""

    STATE = "state"
    THRESHOLD = "threshold"
    PRESS = "press"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a point's readings mean an alarm.

    state: condition is on while value == on_value. threshold: on at value >= limit (or <= when below),
    off again past the deadband; must hold on_delay_s. press: each momentary reading is a cause of its own.
    priority: None takes the class's default. Several rules of one class on one device are levels of one alarm.
    """

    id: str
    point: str
    alarm_class: AlarmClass
    kind: RuleKind
    priority: int | None = None
    on_value: Value = True
    limit: float = 0.0
    below: bool = False
    deadband: float = 0.0
    on_delay_s: float = 0.0
    debounce_s: float = 0.5

    @property
    def level(self) -> int:
        """Priority in force, 1 (urgent) … 4."""
        return self.priority if self.priority is not None else CLASSES[self.alarm_class].priority


@dataclass(frozen=True, slots=True)
class Device:
    """A profile on a link at a place. address is the link's own way to name it.

    supervise_s: longest silence before device.offline; None for devices that cannot be supervised (one-way radio).
    wire: the profile's protocol part, read by the driver only.
    """

    id: str
    profile: str
    link: str
    address: str
    place: Place
    points: tuple[Point, ...]
    rules: tuple[Rule, ...]
    supervise_s: float | None
    wire: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "device"
    """Device class for people and summaries: smoke, gas, call_button, bin, door, relay, air, meter, …"""

    @property
    def life_safety(self) -> bool:
        """True when any rule of the device is of a life-safety class."""
        return any(CLASSES[r.alarm_class].life_safety for r in self.rules)


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
    """A wish of a person or the duty room about one alarm; refused after expires_ms."""

    command_id: str
    kind: CommandKind
    alarm_id: str
    by: Person | None
    at_ms: int
    expires_ms: int | None = None
    reason: str | None = None
    until_ms: int | None = None


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


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of the roster and every way to tell them (Apprise URLs, secrets resolved)."""

    id: str
    name: str
    role: str
    tell: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """The duty to tell one recipient by one channel; the id is the idempotency key."""

    notice_id: str
    alarm_id: str
    step: int
    recipient: str
    channel: str
    title: str
    body: str
    due_ms: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """Handed to the service; never means that a person has answered."""

    reference: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now; the dispatcher decides when."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Never; somebody must mend it."""

    why: str


Outcome = Delivered | TryLater | Refused


@dataclass(frozen=True, slots=True)
class Write:
    """Set one writable point of a device (horn on, valve close)."""

    key: PointKey
    value: Value


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One exchange on a polled link. plan indexes the driver's read plan for the device."""

    device: str
    plan: int = 0


class SounderStart(StrEnum):
    """When a sounder starts: with the alarm, or when the gateway's own ladder starts."""

    AT_ONCE = "at_once"
    LADDER = "ladder"


@dataclass(frozen=True, slots=True)
class Sounder:
    """The annunciator at the guard's post for these classes; sounds until acknowledged. Never the evacuation sounder."""

    point: PointKey
    classes: tuple[AlarmClass, ...]
    start: SounderStart = SounderStart.AT_ONCE


@dataclass(frozen=True, slots=True)
class Linkage:
    """What is set when an alarm of these classes reaches this priority (or a more urgent one), e.g. close the gas valve."""

    point: PointKey
    value: Value
    classes: tuple[AlarmClass, ...]
    priority: int = 1


@dataclass(frozen=True, slots=True)
class PollItem:
    """One request that must be made every period_s. cost_s: expected bus time of one exchange."""

    request: ReadRequest
    period_s: float
    life_safety: bool
    timeout_s: float
    cost_s: float = 0.0


WriteFn = Callable[[Write], Awaitable[Outcome]]


def rfc3339(at_ms: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 UTC with milliseconds and ``Z``; None stays None."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """RFC 3339 text to milliseconds since 1970. Raises ValueError for a time without a zone or no time at all."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone (write …Z)")
    return round(moment.timestamp() * 1000)
