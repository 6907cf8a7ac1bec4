"""The form of a Modbus profile: where each value is on the wire, how it is decoded, and how it is set.

Register and coil numbers are those on the wire, base 0: a sheet that writes 40001 means register 0 of function 3.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from device_drivers.profiles.base import Part, PointForm, ProfileForm, hang_together

Register = Annotated[int, Field(ge=0, le=0xFFFF)]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
NumberType = Literal["u16", "s16", "u32", "s32", "f32"]


class ModbusRead(Part):
    """Where a value is: fc 1 or 2 with a coil number, fc 3 or 4 with a register.

    order: bytes of a 32-bit value as sent, A the most significant. value = raw * scale + offset.
    invert: the wire says 0 for true (an alarm contact that opens). equals: the point is true while the register
    holds this. invalid: raw values with which the device says that it measures nothing.
    """

    fc: Literal[1, 2, 3, 4]
    register_: int | None = Field(default=None, alias="register", ge=0, le=0xFFFF)
    coil: int | None = Field(default=None, ge=0, le=0xFFFF)
    type: Literal["bit"] | NumberType = "u16"
    bit: int | None = Field(default=None, ge=0, le=15)
    order: Order = "ABCD"
    scale: float = 1.0
    offset: float = 0.0
    invert: bool = False
    equals: int | None = Field(default=None, ge=-0x80000000, le=0xFFFFFFFF)
    invalid: Annotated[list[int], Field(min_length=1, max_length=16)] | None = None

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
        if self.type in ("bit", "f32") and (self.equals is not None or self.invalid is not None):
            raise ValueError("`equals` and `invalid` are raw whole numbers: not for bits or f32")
        return self


class ModbusUnlock(Part):
    """A register that must hold a magic number before the device takes the write proper."""

    register_: int = Field(alias="register", ge=0, le=0xFFFF)
    value: int = Field(ge=0, le=0xFFFF)


class ModbusWrite(Part):
    """How a value is set. fc 5, 15: coils, on/off are true/false; fc 6, 16, 23: registers, on/off are raw numbers.

    fc 16 writes numbers of any type; fc 23 writes and reads back in one exchange.
    off null: this point is never switched off by the gateway (a gas valve is closed, never opened; a magic number
    such as "reset" is only ever sent). unlock: written first, in order. read_back: false for registers that take a
    command and show something else.
    """

    fc: Literal[5, 6, 15, 16, 23]
    register_: int | None = Field(default=None, alias="register", ge=0, le=0xFFFF)
    coil: int | None = Field(default=None, ge=0, le=0xFFFF)
    on: bool | int = True
    off: bool | int | None = False
    type: NumberType = "u16"
    order: Order = "ABCD"
    scale: float = 1.0
    unlock: Annotated[list[ModbusUnlock], Field(max_length=8)] = []
    read_back: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        bits = self.fc in (5, 15)
        if (self.coil is None) == bits or (self.register_ is None) != bits:
            raise ValueError("fc 5 and 15 need `coil`, fc 6, 16 and 23 need `register`")
        if bits and (type(self.on) is not bool or (self.off is not None and type(self.off) is not bool)):
            raise ValueError("`on` and `off` are true or false for coils")
        if self.fc in (5, 6, 15) and self.type not in ("u16", "s16"):
            raise ValueError("32-bit values need fc 16 or 23")
        if self.scale == 0 or not math.isfinite(self.scale):
            raise ValueError("`scale` is finite and not 0")
        return self


class ModbusPoint(PointForm):
    """A point of a Modbus device. Without `read` it is a command: nothing shows whether it took."""

    read: ModbusRead | None = None
    write: ModbusWrite | None = None

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        if self.read is None and self.write is None:
            raise ValueError("a point has `read`, `write`, or both")
        if self.read is None and self.write is not None and self.write.read_back:
            raise ValueError("a point without `read` needs `read_back: false`")
        return self


class ModbusWire(Part):
    """Serial settings the device leaves the factory with, and what its requests must respect.

    unit: the unit number it leaves the factory with; numbers above 247 are only taken for devices that say so here.
    gap: up to this many unused registers or coils are read along to save a request (0: none, they may not exist).
    illegal: ranges [first, last] of registers that must never be asked for. max_registers: most in one request.
    """

    baudrate: int | None = Field(default=None, ge=300, le=115200)
    parity: Literal["N", "E", "O"] | None = None
    stopbits: int | None = Field(default=None, ge=1, le=2)
    unit: int | None = Field(default=None, ge=1, le=255)
    gap: int = Field(default=0, ge=0, le=64)
    illegal: Annotated[list[tuple[Register, Register]], Field(max_length=64)] = []
    max_registers: int | None = Field(default=None, ge=2, le=125)

    @field_validator("illegal", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return [tuple(pair) if isinstance(pair, list) else pair for pair in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if any(first > last for first, last in self.illegal):
            raise ValueError("`illegal` is [[first, last], …], first not above last")
        return self


class ModbusProfile(ProfileForm):
    """A device on a Modbus bus or host: polled."""

    link: Literal["modbus"]
    poll_s: float = Field(ge=0.1, le=86400, allow_inf_nan=False)
    wire: ModbusWire = ModbusWire()
    points: Annotated[list[ModbusPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))
