"""The form of a profile: one device model as data, in YAML (see any file beside this one).

From one file come the read plan, the decoding, the default alarm rules, the simulated device and the page in
docs/devices.md. Unknown keys are errors. Register and coil numbers are those on the wire, base 0.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from device_drivers.profiles.base import Part, PointForm, ProfileForm, RuleForm, Scalar, hang_together
from device_drivers.profiles.wired import FAMILIES as WIRED_FAMILIES
from device_drivers.profiles.wired import WiredProfile

__all__ = ["FAMILIES", "PROFILE", "Profiled", "RuleForm", "Scalar"]


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


class ModbusProfile(ProfileForm):
    """A device on a Modbus bus or host: polled."""

    link: Literal["modbus"]
    poll_s: float = Field(ge=0.1, le=86400, allow_inf_nan=False)
    wire: ModbusWire = ModbusWire()
    points: Annotated[list[ModbusPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class MqttProfile(ProfileForm):
    """A device that publishes to the building broker."""

    link: Literal["mqtt"]
    wire: MqttWire = MqttWire()
    points: Annotated[list[MqttPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class RadioProfile(ProfileForm):
    """A one-way 433 MHz transmitter behind a receiver: nothing supervises it."""

    link: Literal["rf433"]
    supervise_s: None
    wire: RadioWire = RadioWire()
    points: Annotated[list[RadioPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


Profiled = ModbusProfile | MqttProfile | RadioProfile | WiredProfile
PROFILE: TypeAdapter[Profiled] = TypeAdapter(Annotated[Profiled, Field(discriminator="link")])
"""Checks the content of one profile file."""
FAMILIES: dict[str, str] = {
    "modbus-rtu": "modbus",
    "modbus-tcp": "modbus",
    "mqtt": "mqtt",
    "rf433": "rf433",
    **WIRED_FAMILIES,
}
"""Which profiles a kind of link carries."""
