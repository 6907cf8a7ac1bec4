"""One simulated Modbus slave: the device's points as registers and coils, encoded from the profile's read mapping.

Its own encoder: the inverse of scale, offset, type, word order and invert, written from the profile format.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from edge.model import Device, PointKey, Value
from simulators.building import GroundTruth
from simulators.devices.modbus_wire import (
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    READ_COILS,
    READ_DISCRETE,
    READ_HOLDING,
    Fault,
)

ALL_COILS = 0x00FF
"""Relay boards (Waveshare protocol V2) take this coil number as all of their relays."""
RELAYS = 8
"""Relays of a board, whether or not the building file names them all."""
_INTEGERS: Mapping[str, tuple[str, int, int]] = {
    "u16": (">H", 0, 0xFFFF),
    "s16": (">h", -0x8000, 0x7FFF),
    "u32": (">I", 0, 0xFFFF_FFFF),
    "s32": (">i", -0x8000_0000, 0x7FFF_FFFF),
}


class Field(NamedTuple):
    """Where one point sits on the wire and how it is written there."""

    key: PointKey
    function: int
    start: int
    size: int
    read: Mapping[str, Any]


def encode_registers(value: Value, read: Mapping[str, Any]) -> list[int]:
    """An engineering value as registers. Numbers beyond the type's range become its limits, as converters do."""
    kind, scale, offset = read.get("type", "u16"), read.get("scale") or 1.0, read.get("offset") or 0.0
    raw = (float(value) - offset) / scale
    if kind == "f32":
        data = struct.pack(">f", raw)
    else:
        form, low, high = _INTEGERS[kind]
        data = struct.pack(form, low if math.isnan(raw) else round(min(max(raw, low), high)))
    order = read.get("order") or "ABCD"
    if len(data) == 4:
        data = bytes(data["ABCD".index(letter)] for letter in order)
    elif order in ("BADC", "DCBA"):
        data = data[::-1]
    return list(struct.unpack(f">{len(data) // 2}H", data))


def decode_register(raw: int, read: Mapping[str, Any]) -> float:
    """What a master wrote into a one-register point, as an engineering value."""
    signed = raw - 0x10000 if read.get("type") == "s16" and raw & 0x8000 else raw
    return float(signed * (read.get("scale") or 1.0) + (read.get("offset") or 0.0))


def decode_pair(words: Sequence[int], write: Mapping[str, Any]) -> float:
    """What a master wrote into a point of two registers, as an engineering value."""
    wire = struct.pack(">2H", *words)
    order = write.get("order") or "ABCD"
    data = bytes(wire[order.index(letter)] for letter in "ABCD")
    form = {"u32": ">I", "s32": ">i", "f32": ">f"}[write["type"]]
    return float(struct.unpack(form, data)[0]) * (write.get("scale") or 1.0)


def _equal_or_not(on: bool, wanted: int) -> int:
    """The register's word for true, or another for false."""
    return wanted if on else 0 if wanted else 1


def _field(key: PointKey, read: Mapping[str, Any]) -> Field:
    function = int(read["fc"])
    start = read.get("register")
    if start is None:
        start = read["coil"]
    size = 2 if read.get("type") in ("u32", "s32", "f32") else 1
    return Field(key, function, int(start), size, read)


class ModbusUnit:
    """A ``Bank`` whose values are the ground truth. Registers between the first and last of a table read as zero.

    written: called with every request that changed something, as (device, text) for the log.
    """

    def __init__(self, device: Device, truth: GroundTruth, written: Callable[[str, str], None] | None = None) -> None:
        self.device = device
        self.unit = int(str(device.address), 0)
        self._truth = truth
        self._written = written
        mappings: Mapping[str, Any] = device.wire.get("points", {})
        reads = {p.key: mappings.get(p.key, {}).get("read") or p.read for p in device.points}
        self._fields = [_field(PointKey(device.id, key), read) for key, read in reads.items() if read]
        self._writes: dict[tuple[bool, int], tuple[PointKey, Mapping[str, Any]]] = {}
        for key, mapping in mappings.items():
            write = mapping.get("write")
            if write:
                number = write.get("coil") if write.get("coil") is not None else write.get("register")
                self._writes[(int(write["fc"]) in (5, 15), int(number))] = PointKey(device.id, key), write
        self._other_coils: dict[int, bool] = {}
        self._other_registers: dict[int, int] = {}

    def bits(self, function: int, start: int, count: int) -> Sequence[bool]:
        """Coils or discrete inputs from the truth."""
        self._check(function, start, count)
        others = self._other_coils if function == READ_COILS else {}
        bits = [others.get(n, False) for n in range(start, start + count)]
        for field in self._fields:
            if field.function == function and start <= field.start < start + count:
                bits[field.start - start] = bool(self._truth.measured(field.key)) is not bool(field.read.get("invert"))
        return bits

    def registers(self, function: int, start: int, count: int) -> Sequence[int]:
        """Holding or input registers from the truth; points that share a register are or-ed together as bits."""
        self._check(function, start, count)
        others = self._other_registers if function == READ_HOLDING else {}
        words = [others.get(n, 0) for n in range(start, start + count)]
        for field in self._fields:
            if field.function != function or field.start >= start + count or field.start + field.size <= start:
                continue
            value = self._truth.measured(field.key)
            if field.read.get("type") == "bit":
                on = bool(value) is not bool(field.read.get("invert"))
                words[field.start - start] |= on << int(field.read.get("bit") or 0)
                continue
            if field.read.get("equals") is not None:
                value = _equal_or_not(bool(value) is not bool(field.read.get("invert")), int(field.read["equals"]))
                plain = {"type": field.read["type"], "order": field.read.get("order")}
            else:
                plain = dict(field.read)
            for n, word in enumerate(encode_registers(value, plain), field.start):
                if start <= n < start + count:
                    words[n - start] = word
        return words

    def write_bits(self, start: int, values: Sequence[bool]) -> None:
        """Set coils: points by their write mapping, relays nobody named just remember."""
        if start == ALL_COILS and len(values) == 1 and self.device.kind == "relay":
            start, values = 0, [values[0]] * RELAYS
        self._check(READ_COILS, start, len(values))
        for number, on in enumerate(values, start):
            point = self._writes.get((True, number))
            if point is None:
                self._other_coils[number] = on
            else:
                key, write = point
                on_is = bool(write.get("on", True))
                self._truth.set(key, on is on_is)
            self._log(f"coil {number} {'on' if on else 'off'}")

    def write_registers(self, start: int, values: Sequence[int]) -> None:
        """Set holding registers by the points' write mapping; a value that means nothing there is refused."""
        skip_to = start
        for number, raw in enumerate(values, start):
            if number < skip_to:
                continue
            point = self._writes.get((False, number))
            if point is None:
                self._check(READ_HOLDING, number, 1)
                if any(f.function == READ_HOLDING and f.start <= number < f.start + f.size for f in self._fields):
                    raise Fault(ILLEGAL_ADDRESS)
                self._other_registers[number] = raw
            else:
                key, write = point
                size = 2 if write.get("type") in ("u32", "s32", "f32") else 1
                words = values[number - start : number - start + size]
                if len(words) < size:
                    raise Fault(ILLEGAL_ADDRESS)
                self._write_point(key, write, words)
                skip_to = number + size
            self._log(f"register {number} = {raw}")

    def _write_point(self, key: PointKey, write: Mapping[str, Any], words: Sequence[int]) -> None:
        if isinstance(self._truth.value(key), bool):
            on, off = int(write.get("on", True)), write.get("off", False)
            if words[0] != on and (off is None or words[0] != int(off)):
                raise Fault(ILLEGAL_VALUE)
            self._truth.set(key, words[0] == on)
        elif len(words) == 1:
            self._truth.set(key, decode_register(words[0], write))
        else:
            self._truth.set(key, decode_pair(words, write))

    def _check(self, function: int, start: int, count: int) -> None:
        low, high = self._extent(function)
        if start < low or start + count > high:
            raise Fault(ILLEGAL_ADDRESS)

    def _extent(self, function: int) -> tuple[int, int]:
        """First number of a table and the one after the last; empty when the device has no such table."""
        spans = [(f.start, f.start + f.size) for f in self._fields if f.function == function]
        if function in (READ_COILS, READ_HOLDING):
            coils = function == READ_COILS
            spans += [(number, number + 1) for is_coil, number in self._writes if is_coil is coils]
        if self.device.kind == "relay" and function in (READ_COILS, READ_DISCRETE):
            spans.append((0, RELAYS))
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0, 0)

    def _log(self, what: str) -> None:
        if self._written is not None:
            self._written(self.device.id, what)
