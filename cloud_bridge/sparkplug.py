"""Payloads of Sparkplug B 3.0, encoded by hand: a few fields of protobuf, from the public schema (standards §9). Pure.

Payload: 1 timestamp, 2 metrics, 3 seq. Metric: 1 name, 2 alias, 3 timestamp, 4 datatype, 5 is_historical, 7 is_null,
10 int, 11 long, 13 double, 14 boolean, 15 string. All fields have explicit presence (proto2).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from edge.errors import Garbled
from edge.model import Value

REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


class Datatype(IntEnum):
    """The types that are used here."""

    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. In a birth it has name and alias, in data the alias only. value None: it cannot be trusted now."""

    datatype: Datatype
    value: Value | None
    name: str | None = None
    alias: int | None = None
    at_ms: int | None = None
    historical: bool = False


def datatype_of(value: Value) -> Datatype:
    """Whole numbers are doubles too: a metric may never change its type between births."""
    if isinstance(value, bool):
        return Datatype.BOOLEAN
    return Datatype.STRING if isinstance(value, str) else Datatype.DOUBLE


def payload(metrics: Sequence[Metric], at_ms: int | None, seq: int | None) -> bytes:
    """A Payload message."""
    out = b"" if at_ms is None else _number(1, at_ms)
    for metric in metrics:
        raw = _metric(metric)
        out += _key(2, _BYTES) + _varint(len(raw)) + raw
    return out if seq is None else out + _number(3, seq)


def _metric(metric: Metric) -> bytes:
    out = b""
    if metric.name is not None:
        out += _text(1, metric.name)
    if metric.alias is not None:
        out += _number(2, metric.alias)
    if metric.at_ms is not None:
        out += _number(3, metric.at_ms)
    out += _number(4, metric.datatype)
    if metric.historical:
        out += _number(5, 1)
    value = metric.value
    if value is None:
        return out + _number(7, 1)
    match metric.datatype:
        case Datatype.INT64:
            return out + _number(11, int(value))
        case Datatype.DOUBLE:
            return out + _key(13, _DOUBLE) + struct.pack("<d", float(value))
        case Datatype.BOOLEAN:
            return out + _number(14, 1 if value else 0)
        case Datatype.STRING:
            return out + _text(15, str(value))


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF)


def _text(field: int, value: str) -> bytes:
    raw = value.encode()
    return _key(field, _BYTES) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def wants_rebirth(raw: bytes) -> bool:
    """Whether an NCMD asks for births. Nothing else is obeyed: this node is read-only. Raises Garbled."""
    for field, value in _fields(raw):
        if field == 2 and isinstance(value, bytes):
            metric = dict(_fields(value))
            if metric.get(1) == REBIRTH.encode() and metric.get(14):
                return True
    return False


def _fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    """Field number and value of a message. Raises Garbled."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(raw):
        key, at = _read(raw, at)
        wire = key & 7
        if wire == _VARINT:
            number, at = _read(raw, at)
            found.append((key >> 3, number))
            continue
        if wire not in (_DOUBLE, _BYTES, _FLOAT):
            raise Garbled(f"wire type {wire}")
        size = {_DOUBLE: 8, _FLOAT: 4}.get(wire, 0)
        if wire == _BYTES:
            size, at = _read(raw, at)
        if at + size > len(raw):
            raise Garbled("cut off")
        found.append((key >> 3, raw[at : at + size]))
        at += size
    return found


def _read(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(raw) or shift > 63:
            raise Garbled("cut off")
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


@dataclass(frozen=True, slots=True)
class HostState:
    """A STATE message of the primary host."""

    online: bool
    at_ms: int


def parse_state(raw: bytes) -> HostState:
    """JSON ``{"online": bool, "timestamp": ms}``. Raises Garbled."""
    try:
        body = json.loads(raw)
        online, at_ms = body["online"], body["timestamp"]
    except (ValueError, TypeError, KeyError, RecursionError) as fault:
        raise Garbled("no STATE") from fault
    if type(online) is not bool or type(at_ms) is not int:
        raise Garbled("no STATE")
    return HostState(online, at_ms)
