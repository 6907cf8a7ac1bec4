"""The forms of profiles beside Modbus, MQTT and 433 MHz: fire panels, nurse calls, meters, access-control readers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from device_drivers.profiles.base import Part, PointForm, ProfileForm, hang_together

Di = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8}$")]


class GbtRead(Part):
    """What a GB/T 26875.3 transmission device uploads. Exactly one of state, analog, operation, unlisted, duty.

    state: bit of the state word of the addressed thing (type 1 of a system, 2 of a component, 21 of the device).
    analog: kind of the analogue value (type 3); the standard's own scale is used. operation: bit of type 4 or 24.
    unlisted: bit of a component of ours that is not in the building file; gas: only gas detectors, else all others.
    duty: ``unanswered`` while a duty check (查岗) of ours ran out without an answer. invert: the wire says 0 for true.
    """

    state: int | None = Field(default=None, ge=0, le=15)
    analog: int | None = Field(default=None, ge=1, le=12)
    operation: int | None = Field(default=None, ge=0, le=7)
    unlisted: int | None = Field(default=None, ge=1, le=15)
    gas: bool = False
    duty: Literal["unanswered"] | None = None
    invert: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(x is not None for x in (self.state, self.analog, self.operation, self.unlisted, self.duty)) != 1:
            raise ValueError("exactly one of `state`, `analog`, `operation`, `unlisted`, `duty`")
        return self


class GbtWrite(Part):
    """What the device can be asked: a duty check (查岗), the value is the time to answer in minutes."""

    control: Literal["duty_check"]


class GbtPoint(PointForm):
    """A point of a fire panel's transmission device, system or component; without read it can only be set."""

    read: GbtRead | None = None
    write: GbtWrite | None = None

    @model_validator(mode="after")
    def _events(self) -> Self:
        if self.read is None:
            if self.write is None or self.momentary:
                raise ValueError("a point without `read` needs `write`, and is no event")
            return self
        if (self.read.operation is not None or self.read.unlisted is not None) != self.momentary:
            raise ValueError("`operation` and `unlisted` are events: write `momentary: true` with them and only them")
        return self


class GbtWire(Part):
    """types: component types (GB/T 26875.3 table 6) that this profile is for; another at its address is a fault.

    watched_by: who notices when it dies and tells us; such a device needs no supervision time of its own.
    """

    watched_by: Literal["panel", "transmitter"] | None = None
    types: list[Annotated[int, Field(ge=0, le=255)]] | None = None


class GbtProfile(ProfileForm):
    """A user information transmission device, a system behind it, or one of its components."""

    link: Literal["gbt26875"]
    wire: GbtWire = GbtWire()
    points: Annotated[list[GbtPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class EspaRead(Part):
    """What of a call is meant. call: each call (its text is the value when as_text). calling: true until it is reset.

    priorities: only calls of these priorities (record 6: 1 alarm, 2 high, 3 normal); all when left out.
    """

    what: Literal["call", "calling"]
    as_text: bool = False
    priorities: Annotated[list[Literal[1, 2, 3]], Field(min_length=1)] | None = None


class EspaPoint(PointForm):
    """A point of a nurse-call station. A call is an event."""

    read: EspaRead
    write: None = None

    @model_validator(mode="after")
    def _events(self) -> Self:
        if (self.read.what == "call") != self.momentary:
            raise ValueError("`what: call` is an event: write `momentary: true` with it and only with it")
        return self


class NoWire(Part):
    """Nothing: the address is all there is to know."""


class EspaProfile(ProfileForm):
    """A call station behind a nurse-call system that speaks ESPA 4.4.4."""

    link: Literal["espa444"]
    supervise_s: None
    wire: NoWire = NoWire()
    points: Annotated[list[EspaPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class DltRead(Part):
    """One data item of a DL/T 645-2007 meter: its identifier as the standard prints it, BCD bytes and decimals."""

    di: Di
    bytes: int = Field(ge=1, le=8)
    decimals: int = Field(default=0, ge=0, le=8)
    signed: bool = False


class DltPoint(PointForm):
    """A point of an electricity meter."""

    read: DltRead
    write: None = None


class DltProfile(ProfileForm):
    """An electricity meter that speaks DL/T 645-2007: polled."""

    link: Literal["dlt645"]
    poll_s: float = Field(ge=0.1, le=86400, allow_inf_nan=False)
    wire: NoWire = NoWire()
    points: Annotated[list[DltPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class CjtRead(Part):
    """A field of the meter's answer: where it begins behind the serial number byte, BCD bytes and decimals, or a bit.

    unit: the unit byte that must follow the BCD bytes, 0x2C is m³; another unit is a fault.
    mask and equals: the point is true when the byte masked is this.
    """

    at: int = Field(ge=0, le=200)
    bytes: int = Field(default=1, ge=1, le=8)
    decimals: int = Field(default=0, ge=0, le=8)
    unit: int | None = Field(default=None, ge=0, le=255)
    mask: int | None = Field(default=None, ge=1, le=255)
    equals: int = Field(default=0, ge=0, le=255)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mask is not None and (self.bytes != 1 or self.decimals or self.unit is not None):
            raise ValueError("`mask` looks at one byte: no `bytes`, `decimals`, `unit`")
        return self


class CjtPoint(PointForm):
    """A point of a water, gas or heat meter."""

    read: CjtRead
    write: None = None


class CjtWire(Part):
    """meter_type: 16 cold water, 48 gas, 64 electricity. di: the two identifier bytes in the order of the wire."""

    meter_type: int = Field(ge=0x10, le=0x4F)
    di: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{4}$")] = "901F"


class CjtProfile(ProfileForm):
    """A meter that speaks CJ/T 188: polled."""

    link: Literal["cjt188"]
    poll_s: float = Field(ge=0.1, le=86400, allow_inf_nan=False)
    wire: CjtWire
    points: Annotated[list[CjtPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class WiegandRead(Part):
    """card: only this card, written FACILITY-NUMBER; every card when left out, with its number as the value."""

    card: Annotated[str, Field(pattern=r"^[0-9]{1,5}-[0-9]{1,10}$")] | None = None


class WiegandPoint(PointForm):
    """A point of a Wiegand reader: a card was shown."""

    read: WiegandRead
    momentary: Literal[True] = True
    write: None = None


class WiegandProfile(ProfileForm):
    """A Wiegand reader behind a converter that speaks text: one-way, nothing supervises it."""

    link: Literal["wiegand"]
    supervise_s: None
    wire: NoWire = NoWire()
    points: Annotated[list[WiegandPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


class OsdpRead(Part):
    """What an OSDP reader says: a card or a key (events), its tamper or power contact, or an input."""

    what: Literal["card", "keypad", "tamper", "power", "input"]
    number: int = Field(default=0, ge=0, le=15)


class OsdpPoint(PointForm):
    """A point of an OSDP reader. The gateway never opens a door, so nothing of a reader can be set."""

    read: OsdpRead
    write: None = None

    @model_validator(mode="after")
    def _events(self) -> Self:
        if (self.read.what in ("card", "keypad")) != self.momentary:
            raise ValueError("cards and keys are events: write `momentary: true` with them and only with them")
        return self


class OsdpProfile(ProfileForm):
    """An access-control reader on an OSDP bus."""

    link: Literal["osdp"]
    poll_s: float = Field(ge=0.1, le=10, allow_inf_nan=False)
    wire: NoWire = NoWire()
    points: Annotated[list[OsdpPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


WiredProfile = GbtProfile | EspaProfile | DltProfile | CjtProfile | WiegandProfile | OsdpProfile
FAMILIES: dict[str, str] = {
    "gbt26875-server": "gbt26875",
    "espa444": "espa444",
    "dlt645": "dlt645",
    "cjt188": "cjt188",
    "wiegand-text": "wiegand",
    "osdp": "osdp",
}
"""Which of these profiles a kind of link carries."""
