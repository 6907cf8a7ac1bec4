"""Frames of GB/T 26875.3-2011 between a building and its fire monitoring centre (reference: standards §3.1). Pure.

Numbers are little-endian, times are binary and local, the end is found by length, never by looking for ``##``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from edge.errors import Garbled

START, END = b"@@", b"##"
UNIT_BYTES_MAX = 1024
"""Longest application data unit."""
HEAD = struct.Struct("<2sHBB6s6s6sHB")
OVERHEAD = HEAD.size + 3
"""Bytes of a frame beside its data unit."""
COMPONENTS_MAX = 22
"""Component states in one frame."""
TEXT_BYTES = 31


class Action(IntEnum):
    """命令: what a frame is for."""

    CONTROL = 1
    SEND = 2
    CONFIRM = 3
    REQUEST = 4
    ANSWER = 5
    DENY = 6


class Kind(IntEnum):
    """类型标志 of the data units that are spoken here."""

    COMPONENT_STATE = 2
    ANALOG = 3
    DEVICE_STATE = 21
    DEVICE_OPERATION = 24
    DEVICE_TIME = 28
    READ_COMPONENT_STATE = 62
    READ_DEVICE_STATE = 81
    READ_DEVICE_TIME = 88
    SET_CLOCK = 90
    DUTY_CHECK = 91


class ComponentBit(IntEnum):
    """部件状态. Bit 0 set is normal operation, clear is test."""

    NORMAL = 1
    FIRE = 2
    FAULT = 4
    SHIELDED = 8
    POWER_FAULT = 256


class DeviceBit(IntEnum):
    """传输装置状态."""

    NORMAL = 1
    FIRE = 2
    FAULT = 4
    LINE_FAULT = 64


DUTY_ANSWER_BIT = 32
"""操作标志 of type 24: somebody answered the duty check."""
COMPONENT_TYPES = {"smoke": 40, "heat": 30, "gas": 10, "call_point": 23}
"""部件类型 by device kind. Others are 128 and above, by agreement with the centre."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. source and target: addresses as numbers. at: local time, None when its bytes are no time."""

    serial: int
    action: int
    source: int
    target: int
    at: datetime | None
    unit: bytes = b""
    user_version: int = 0

    def encode(self) -> bytes:
        """On the wire. Raises ValueError for a unit that is too long."""
        if len(self.unit) > UNIT_BYTES_MAX:
            raise ValueError(f"{len(self.unit)} bytes are more than one frame may have")
        head = HEAD.pack(
            START,
            self.serial,
            1,
            self.user_version,
            stamp(self.at) if self.at is not None else bytes(6),
            self.source.to_bytes(6, "little"),
            self.target.to_bytes(6, "little"),
            len(self.unit),
            self.action,
        )
        body = head + self.unit
        return body + bytes((sum(body[2:]) & 0xFF,)) + END

    def reply(self, action: Action, at: datetime, unit: bytes = b"") -> Frame:
        """The answer to this frame: same serial, source and target swapped."""
        return Frame(self.serial, action, self.target, self.source, at, unit, self.user_version)

    @property
    def kind(self) -> int | None:
        """类型标志, None without a data unit."""
        return self.unit[0] if self.unit else None


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that began like a frame and are none; reply names whom to deny, when the head could be read."""

    why: str
    head: Frame | None = None


def stamp(at: datetime) -> bytes:
    """秒 分 时 日 月 年."""
    return bytes((at.second, at.minute, at.hour, at.day, at.month, at.year % 100))


def parse_stamp(raw: bytes) -> datetime | None:
    """Back; None when it is no time."""
    second, minute, hour, day, month, year = raw
    try:
        return datetime(2000 + year, month, day, hour, minute, second)
    except ValueError:
        return None


class Deframer:
    """Frames out of a stream of bytes. Never raises; what is no frame comes out as Broken, and it goes on behind it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame | Broken]:
        """Everything that is whole now."""
        self._buffer += data
        found: list[Frame | Broken] = []
        while (one := self._next()) is not None:
            found.append(one)
        return found

    def _next(self) -> Frame | Broken | None:
        buffer = self._buffer
        begin = buffer.find(START)
        if begin < 0:
            noise = len(buffer) - (1 if buffer.endswith(START[:1]) else 0)
            if noise:
                del buffer[:noise]
                return Broken("bytes between frames")
            return None
        if begin:
            del buffer[:begin]
            return Broken("bytes between frames")
        if len(buffer) < HEAD.size:
            return None
        _, serial, major, user, when, source, target, length, action = HEAD.unpack_from(buffer)
        ends = (int.from_bytes(source, "little"), int.from_bytes(target, "little"))
        head = Frame(serial, action, *ends, parse_stamp(when), b"", user)
        if length > UNIT_BYTES_MAX or major != 1:
            del buffer[:1]
            return Broken("too long" if major == 1 else f"version {major}", head)
        size = length + OVERHEAD
        if len(buffer) < size:
            return None
        unit, check, end = bytes(buffer[HEAD.size : size - 3]), buffer[size - 3], bytes(buffer[size - 2 : size])
        if end != END or check != sum(buffer[2 : size - 3]) & 0xFF:
            del buffer[:1]
            return Broken("wrong end" if end != END else "wrong checksum", head)
        del buffer[:size]
        return Frame(serial, action, *ends, head.at, unit, user)


def component_state(
    system: int, component: int, address: int, state: int, text: str, at: datetime, system_address: int = 1
) -> bytes:
    """One object of type 2 with its time: system and component type, address, state bits, text for people."""
    words = text.encode("gb18030", "replace")
    while len(words) > TEXT_BYTES:
        text = text[:-1]
        words = text.encode("gb18030", "replace")
    head = struct.pack("<BBBIH", system, system_address, component, address, state)
    return head + words.ljust(TEXT_BYTES, b"\0") + stamp(at)


def unit_of(kind: Kind, objects: Sequence[bytes]) -> bytes:
    """A data unit of whole objects."""
    return bytes((kind, len(objects))) + b"".join(objects)


def analog(system: int, component: int, address: int, quantity: int, value: int, at: datetime) -> bytes:
    """One object of type 3, e.g. quantity 6: gas in 0.1 %LEL."""
    return struct.pack("<BBBIBh", system, 1, component, address, quantity, value) + stamp(at)


def requested_components(unit: bytes) -> list[tuple[int, int, int]]:
    """(system type, system address, component address) of a unit of type 62. Raises Garbled."""
    size = struct.calcsize("<BBI")
    count = unit[1] if len(unit) > 1 else 0
    if not 0 < count <= COMPONENTS_MAX or len(unit) != 2 + count * size:
        raise Garbled("the list of components makes no sense")
    return [struct.unpack_from("<BBI", unit, 2 + n * size) for n in range(count)]
