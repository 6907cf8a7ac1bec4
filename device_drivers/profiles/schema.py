"""The form of a profile: one device model as data, in YAML (see any file beside this one).

From one file come the read plan, the decoding, the default alarm rules, the simulated device and the page in
docs/devices.md. Unknown keys are errors. Register and coil numbers are those on the wire, base 0.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from edge.model import AlarmClass

Scalar = bool | int | float | str
"""A value as YAML writes it. In strict mode ``true`` is never 1 and ``1`` is never text."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
"""Names of points and rules: they become topics, columns and file names."""
RULE_CLASSES = tuple(
    c.value
    for c in AlarmClass
    if c
    not in (
        AlarmClass.LINK_DOWN,
        AlarmClass.GATEWAY_LOST,
        AlarmClass.GATEWAY_STORAGE,
        AlarmClass.GATEWAY_CLOCK,
        AlarmClass.DUTY_ROOM_UNHEARD,
        AlarmClass.DEVICE_OFFLINE,
        AlarmClass.TEST,
    )
)
"""Classes a rule may raise; the others are the gateway's own findings."""


class Part(BaseModel):
    """Base of all parts: strict types, unknown keys refused, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Title(Part):
    """The device's name for people."""

    zh: str
    en: str


class ModbusRead(Part):
    """Where a value is: fc 1 or 2 with a coil number, fc 3 or 4 with a register.

    order: bytes of a 32-bit value as sent, A the most significant. value = raw * scale + offset.
    invert: the wire says 0 for true (an alarm contact that opens).
    """

    fc: Literal[1, 2, 3, 4]
    register_: int | None = Field(default=None, alias="register", ge=0, le=0xFFFF)
    coil: int | None = Field(default=None, ge=0, le=0xFFFF)
    type: Literal["bit", "u16", "s16", "u32", "s32", "f32"] = "u16"
    bit: int | None = Field(default=None, ge=0, le=15)
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    scale: float = 1.0
    offset: float = 0.0
    invert: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        coil = self.fc in (1, 2)
        if coil and (self.coil is None or self.register_ is not None):
            raise ValueError("fc 1 and 2 need `coil` and no `register`")
        if not coil and (self.register_ is None or self.coil is not None):
            raise ValueError("fc 3 and 4 need `register` and no `coil`")
        if coil and self.type != "bit":
            raise ValueError("fc 1 and 2 read bits: write `type: bit`")
        if not coil and (self.type == "bit") != (self.bit is not None):
            raise ValueError("`type: bit` and `bit: 0…15` belong together")
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise ValueError("`scale` and `offset` are finite, and scale is not 0")
        return self


class ModbusWrite(Part):
    """How a value is set. fc 5: on/off are true/false; fc 6: numbers.

    off null: this point is never switched off by the gateway (a gas valve is closed, never opened).
    """

    fc: Literal[5, 6]
    register_: int | None = Field(default=None, alias="register", ge=0, le=0xFFFF)
    coil: int | None = Field(default=None, ge=0, le=0xFFFF)
    on: bool | int = True
    off: bool | int | None = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.coil is None) == (self.fc == 5) or (self.register_ is None) == (self.fc == 6):
            raise ValueError("fc 5 needs `coil`, fc 6 needs `register`")
        wanted = bool if self.fc == 5 else int
        if type(self.on) is not wanted or (self.off is not None and type(self.off) is not wanted):
            raise ValueError("`on` and `off` are true/false for fc 5 and numbers for fc 6")
        return self


class MqttRead(Part):
    """Which message of the device carries the value.

    topic: suffix to the device's address; "" is the address itself, "../X" its sibling X.
    path: dotted path in the JSON body; "" is the whole body as text.
    equals: the point is true when the value is this. map: wire value (as text) → our value.
    id_prefix: the value is a hex code; it counts when it starts with the last level of the device's address.
    """

    topic: str = ""
    path: str = ""
    type: Literal["bool", "number", "text"] = "text"
    equals: Scalar | None = None
    map: dict[str, Scalar] | None = None
    scale: float = 1.0
    offset: float = 0.0
    id_prefix: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.equals is not None) + (self.map is not None) + self.id_prefix > 1:
            raise ValueError("only one of `equals`, `map` and `id_prefix`")
        return self


class MqttWrite(Part):
    """What is published to set a value: the payload with ``{value}`` put in as JSON, at topic ``<address>/<topic>``."""

    topic: str
    payload: str


class RadioRead(Part):
    """Which of the transmitter's key bits (1, 2, 4, 8) are this point."""

    keys: Annotated[list[Literal[1, 2, 4, 8]], Field(min_length=1)]


class PointForm(Part):
    """One thing measured or set; valid is the range outside of which a value is bad."""

    key: Name
    unit: str | None = None
    valid: tuple[float, float] | None = None
    momentary: bool = False
    deadband: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("valid", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.valid is not None and not self.valid[0] < self.valid[1]:
            raise ValueError("`valid` is [low, high], low first")
        return self


class ModbusPoint(PointForm):
    """A point of a Modbus device."""

    read: ModbusRead
    write: ModbusWrite | None = None


class MqttPoint(PointForm):
    """A point of an MQTT device. momentary: an event such as `action`, never a state."""

    read: MqttRead
    write: MqttWrite | None = None


class RadioPoint(PointForm):
    """A point of a one-way 433 MHz transmitter: always a press."""

    read: RadioRead
    momentary: Literal[True] = True
    write: None = None


class RuleForm(Part):
    """When a point's value is an alarm. Exactly one of above, below, state, press.

    above: on at value >= above; below: on at value <= below; state: on while value == state;
    press: every momentary reading is a call of its own.
    """

    id: Name
    class_: Literal[RULE_CLASSES] = Field(alias="class")  # type: ignore[valid-type]
    point: Name
    above: float | None = Field(default=None, allow_inf_nan=False)
    below: float | None = Field(default=None, allow_inf_nan=False)
    state: Scalar | None = None
    press: Literal[True] | None = None
    priority: int | None = Field(default=None, ge=1, le=4)
    deadband: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    on_delay_s: float = Field(default=0.0, ge=0, le=86400, allow_inf_nan=False)
    debounce_s: float = Field(default=0.5, ge=0, le=60, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_judgement(self) -> Self:
        if sum(x is not None for x in (self.above, self.below, self.state, self.press)) != 1:
            raise ValueError("exactly one of `above`, `below`, `state`, `press`")
        return self


class Availability(Part):
    """The topic that says whether the device is there; a body without JSON is compared as text."""

    topic: str
    path: str = ""
    online: Scalar = "online"


class MqttWire(Part):
    """What is common to all messages of the device: availability, and where its own id and time of a report are."""

    availability: Availability | None = None
    sequence: str | None = None
    observed: str | None = None


class ModbusWire(Part):
    """Serial settings the device leaves the factory with; the building file's link says what is in force."""

    baudrate: int | None = Field(default=None, ge=300, le=115200)
    parity: Literal["N", "E", "O"] | None = None


class RadioWire(Part):
    """Nothing: a 433 MHz code is all there is."""


class ProfileForm(Part):
    """What every profile says. status: ``confirmed`` by a document or device named in source, else ``recalled``."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+$")]
    title: Title
    kind: Name
    source: Annotated[str, Field(min_length=1)]
    status: Literal["confirmed", "recalled"]
    supervise_s: float | None = Field(gt=0, le=7 * 86400, allow_inf_nan=False)
    poll_s: float | None = Field(default=None, ge=0.1, le=86400, allow_inf_nan=False)
    rules: list[RuleForm] = []
    simulate: dict[str, Scalar] = {}
    notes: str | None = None


class ModbusProfile(ProfileForm):
    """A device on a Modbus bus or host: polled."""

    link: Literal["modbus"]
    poll_s: float = Field(ge=0.1, le=86400, allow_inf_nan=False)
    wire: ModbusWire = ModbusWire()
    points: Annotated[list[ModbusPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: _hang_together(self))


class MqttProfile(ProfileForm):
    """A device that publishes to the building broker."""

    link: Literal["mqtt"]
    wire: MqttWire = MqttWire()
    points: Annotated[list[MqttPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: _hang_together(self))


class RadioProfile(ProfileForm):
    """A one-way 433 MHz transmitter behind a receiver: nothing supervises it."""

    link: Literal["rf433"]
    supervise_s: None
    wire: RadioWire = RadioWire()
    points: Annotated[list[RadioPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: _hang_together(self))


Profiled = ModbusProfile | MqttProfile | RadioProfile
PROFILE: TypeAdapter[Profiled] = TypeAdapter(Annotated[Profiled, Field(discriminator="link")])
"""Checks the content of one profile file."""
FAMILIES: dict[str, str] = {"modbus-rtu": "modbus", "modbus-tcp": "modbus", "mqtt": "mqtt", "rf433": "rf433"}
"""Which profiles a kind of link carries."""


def _hang_together(form: Any) -> Any:
    """Rules and resting values name points of this profile, and each name is there once. Raises ValueError."""
    keys = [p.key for p in form.points]
    ids = [r.id for r in form.rules]
    for names, what in ((keys, "point"), (ids, "rule")):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"{what} {twice[0]!r} is there twice")
    for rule in form.rules:
        if rule.point not in keys:
            raise ValueError(f"rule {rule.id!r} names the point {rule.point!r}, which is not there")
        momentary = next(p.momentary for p in form.points if p.key == rule.point)
        if momentary != bool(rule.press):
            raise ValueError(f"rule {rule.id!r}: `press: true` and a momentary point belong together")
    for key in form.simulate:
        if key not in keys:
            raise ValueError(f"`simulate` names the point {key!r}, which is not there")
    return form
