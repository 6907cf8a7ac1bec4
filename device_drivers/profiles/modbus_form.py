"""The form of a Modbus profile: where each value is on the wire, how it is decoded, and how it is set.

Register and coil numbers are those on the wire, base 0: a sheet that writes 40001 means register 0 of function 3.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from device_drivers.profiles.base import Part, PointForm, ProfileForm, hang_together


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


class ModbusPoint(PointForm):
    """A point of a Modbus device."""

    read: ModbusRead
    write: ModbusWrite | None = None


class ModbusWire(Part):
    """Serial settings the device leaves the factory with; the building file's link says what is in force."""

    baudrate: int | None = Field(default=None, ge=300, le=115200)
    parity: Literal["N", "E", "O"] | None = None


class ModbusProfile(ProfileForm):
    """A device on a Modbus bus or host: polled."""

    link: Literal["modbus"]
    poll_s: float = Field(ge=0.1, le=86400, allow_inf_nan=False)
    wire: ModbusWire = ModbusWire()
    points: Annotated[list[ModbusPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))
