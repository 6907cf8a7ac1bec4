"""The wire contract between gateways and duty room, typed (topics under ``linli/v1/<gateway>/``).

Readers ignore unknown fields but never an unknown ``v``. Times are RFC 3339 UTC with milliseconds; the
AsyncAPI file under docs/ is generated from these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    CommandKind,
    Condition,
    EventKind,
    Person,
    Place,
    Result,
    Value,
    Via,
    parse_rfc3339,
    rfc3339,
)

ROOT = "linli/v1"


def topic(gateway: str, name: str) -> str:
    """Topic of one message kind of one gateway, e.g. ``linli/v1/b12/event``."""
    return f"{ROOT}/{gateway}/{name}"


def _is_time(text: str) -> str:
    parse_rfc3339(text)
    return text


Time = Annotated[str, AfterValidator(_is_time), Field(json_schema_extra={"format": "date-time"})]


class Message(BaseModel):
    """Base: unknown fields are ignored, an unknown version is an error."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, allow_inf_nan=False)
    v: Literal[1] = 1

    def encode(self) -> bytes:
        """UTF-8 JSON, unknown as null."""
        return self.model_dump_json(by_alias=True).encode()


class PersonBody(BaseModel):
    """Who did it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    name: str
    via: Via

    def person(self) -> Person:
        """As the noun."""
        return Person(self.id, self.name, self.via)


class PlaceBody(BaseModel):
    """Where it is; text is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    community: str | None = None
    building: str | None = None
    unit: str | None = None
    floor: int | None = None
    household: str | None = None
    room: str | None = None
    text: str | None = None

    def place(self) -> Place:
        """As the noun."""
        return Place(**self.model_dump())


class EventMessage(Message):
    """``event`` QoS 1, gateway → duty room: one immutable fact about an alarm."""

    event_id: str
    seq: int
    alarm_id: str
    kind: EventKind
    alarm_class: AlarmClass = Field(alias="class")
    priority: int = Field(ge=1, le=4)
    state: AlarmState
    condition: Condition
    device: str
    point: str | None = None
    place: PlaceBody
    value: Value | None = None
    unit: str | None = None
    observed_at: Time | None = None
    received_at: Time
    clock: Clock
    by: PersonBody | None = None
    reason: str | None = None
    late: bool = False
    test: bool = False
    replay: bool = False

    @classmethod
    def of(cls, event: AlarmEvent, replay: bool = False) -> EventMessage:
        """The wire form of a journaled event. replay: published again because no receipt came."""
        by = event.by
        body: dict[str, Any] = {
            "event_id": event.event_id,
            "seq": event.seq,
            "alarm_id": event.alarm_id,
            "kind": event.kind,
            "class": event.alarm_class,
            "priority": event.priority,
            "state": event.state,
            "condition": event.condition,
            "device": event.device,
            "point": event.point,
            "place": place_body(event.place),
            "value": event.value,
            "unit": event.unit,
            "observed_at": rfc3339(event.observed_ms),
            "received_at": rfc3339(event.received_ms),
            "clock": event.clock,
            "by": PersonBody(id=by.id, name=by.name, via=by.via) if by else None,
            "reason": event.reason,
            "late": event.late,
            "test": event.test,
            "replay": replay,
        }
        return cls.model_validate(body)


def place_body(place: Place) -> PlaceBody:
    """The wire form of a place."""
    return PlaceBody(
        community=place.community,
        building=place.building,
        unit=place.unit,
        floor=place.floor,
        household=place.household,
        room=place.room,
        text=place.text,
    )


class ReceiptMessage(Message):
    """``receipt`` QoS 1, duty room → gateway, only after the duty room's commit."""

    event_id: str
    duty_room: str
    at: Time


class CommandMessage(Message):
    """``command`` QoS 1, duty room → gateway. seen: the newest event of the alarm that the person saw.

    An acknowledge is refused with ``rang_again`` when the alarm has rung since; without seen there is no such check.
    alarm_id: null only for a test, which is about no alarm yet.
    """

    command_id: str
    kind: CommandKind
    alarm_id: str | None = None
    by: PersonBody | None = None
    at: Time
    expires_at: Time | None = None
    reason: str | None = None
    until: Time | None = None
    seen: str | None = None

    @model_validator(mode="after")
    def _about_an_alarm(self) -> CommandMessage:
        if self.alarm_id is None and self.kind is not CommandKind.TEST:
            raise ValueError("alarm_id is missing")
        return self


class OutcomeMessage(Message):
    """``outcome`` QoS 1, gateway → duty room; the same command_id always gets the same one."""

    command_id: str
    result: Result
    code: str
    message: str
    at: Time


class HeartbeatMessage(Message):
    """``heartbeat`` QoS 0 every 10 s, gateway → duty room. durable: the journal takes commits."""

    boot_id: str
    seq: int
    head: int
    clock: Clock
    links: dict[str, Literal["up", "down", "unknown"]]
    open: int
    outbox: int
    durable: bool


class Heard(BaseModel):
    """The newest heartbeat the duty room has heard."""

    boot_id: str
    seq: int


class DutyMessage(Message):
    """``duty`` QoS 0 every 10 s, duty room → gateway. audible: a console can be heard right now."""

    duty_room: str
    at: Time
    heard: Heard | None = None
    audible: bool
    on_duty: list[str] = Field(default_factory=list)


class StatusMessage(Message):
    """``status`` QoS 1, retained, also the will (online false)."""

    online: bool
    boot_id: str
    at: Time


class FloorCount(BaseModel):
    """Devices of one kind on one floor of one stair: how many there are and how many can be trusted now."""

    unit: str | None
    floor: int | None
    kind: str
    life_safety: bool
    total: int
    online: int


class SiteMessage(Message):
    """``site`` QoS 1, retained, gateway → duty room: the building's shape and its protection by floor.

    Published at connect and when a count changes (at most every 5 s). floors: lowest and highest storey.
    """

    community: str
    grid: str | None = None
    micro_grid: str | None = None
    building: str
    units: list[str]
    floors: tuple[int, int]
    households_per_floor: int
    counts: list[FloorCount] = Field(default_factory=list)
