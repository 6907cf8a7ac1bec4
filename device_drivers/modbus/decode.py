"""The bytes of a Modbus reply as values, pure. A value that cannot be trusted is a cause, never a number."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_drivers.modbus.pdu import READ_COILS, READ_INPUTS
from edge.model import BadCause, Point, Value

FORMATS = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "f32": ">f"}
ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a point is on the wire, and how its bytes become its value."""

    point: Point
    fc: int
    address: int
    width: int
    kind: str
    bit: int
    order: str
    scale: float
    offset: float
    invert: bool
    equals: int | None = None
    invalid: tuple[int, ...] = ()


def cell(point: Point) -> Cell:
    """The point's read mapping (device_drivers/profiles/schema.py: ModbusRead), checked. Raises ValueError."""
    read: Mapping[str, Any] = point.read
    fc = int(read.get("fc", 0))
    kind = str(read.get("type", "u16"))
    bits = fc in (READ_COILS, READ_INPUTS)
    address = read.get("coil" if bits else "register")
    if fc not in (1, 2, 3, 4) or not isinstance(address, int):
        raise ValueError(f"point {point.key}: needs fc 1–4 and a {'coil' if bits else 'register'} number")
    if kind != "bit" and (bits or kind not in FORMATS):
        raise ValueError(f"point {point.key}: type {kind!r} cannot be read with fc {fc}")
    order = str(read.get("order", "ABCD"))
    if order not in ORDERS:
        raise ValueError(f"point {point.key}: order {order!r} is none of {', '.join(ORDERS)}")
    width = 1 if kind == "bit" else struct.calcsize(FORMATS[kind]) // 2
    if not 0 <= address <= 0x10000 - width:
        raise ValueError(f"point {point.key}: {address} is no address on the wire")
    return Cell(
        point,
        fc,
        address,
        width,
        kind,
        int(read.get("bit", 0)),
        order,
        float(read.get("scale", 1.0)),
        float(read.get("offset", 0.0)),
        bool(read.get("invert", False)),
        read.get("equals"),
        tuple(read.get("invalid", ())),
    )


def value_of(cell: Cell, first: int, data: bytes) -> Value | BadCause:
    """The cell's value in the data of a reply that starts at register or bit number ``first``."""
    at = cell.address - first
    if cell.fc in (READ_COILS, READ_INPUTS):
        # The first bit asked for is the lowest bit of the first byte (V1.1b3 §6.1).
        return bool(data[at // 8] >> at % 8 & 1) != cell.invert
    raw = data[2 * at : 2 * (at + cell.width)]
    if cell.kind == "bit":
        (register,) = struct.unpack(">H", ordered(raw, cell.order))
        return bool(register >> cell.bit & 1) != cell.invert
    (number,) = struct.unpack(FORMATS[cell.kind], ordered(raw, cell.order))
    return _judge(cell, number)


def ordered(raw: bytes, order: str) -> bytes:
    """Bytes of the wire, most significant first, and back again: every order is its own inverse.

    Of a single register only the order of its two bytes matters.
    """
    if len(raw) == 2:
        return raw[::-1] if order in ("BADC", "DCBA") else raw
    return bytes(raw[index] for index in ORDERS[order])


def _judge(cell: Cell, number: float) -> Value | BadCause:
    if number in cell.invalid:
        return BadCause.OUT_OF_RANGE
    if cell.equals is not None:
        return (number == cell.equals) != cell.invert
    if not math.isfinite(number):
        return BadCause.NOT_FINITE
    if cell.scale != 1.0 or cell.offset != 0.0:
        # Nine digits after the point take away what binary fractions add (252 * 0.1 is 25.2, not 25.200000000000003).
        number = round(number * cell.scale + cell.offset, 9)
        if not math.isfinite(number):
            return BadCause.NOT_FINITE
    low, high = cell.point.low, cell.point.high
    if (low is not None and number < low) or (high is not None and number > high):
        return BadCause.OUT_OF_RANGE
    return number
