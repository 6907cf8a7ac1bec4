"""Payloads of MQTT devices to values, pure. Nothing a device sends raises; what makes no sense is a cause."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from device_drivers.mqtt.codecs import CODECS, bytes_of
from edge.limits import JSON_DEPTH_MAX
from edge.model import BadCause, Point, Value, parse_rfc3339

TEXT_CHARS_MAX = 256
"""The longest text that is a value; more is somebody's essay."""
SEQUENCE_CHARS_MAX = 64
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000


class Absent:
    """The message says nothing about this point."""


ABSENT = Absent()


class Unreadable(ValueError):
    """The payload as a whole makes no sense."""


def body_of(payload: bytes) -> Any:
    """The JSON body. NaN and Infinity come out as such, for the point to be judged by; the rest raises Unreadable.

    Why not json.loads as it is: it takes duplicate keys, and nesting without end (reference/reliability.md §0.10).
    """
    try:
        body = json.loads(payload.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as fault:
        raise Unreadable(str(fault)) from fault
    if _deeper_than(body, JSON_DEPTH_MAX):
        raise Unreadable(f"nested deeper than {JSON_DEPTH_MAX}")
    return body


def text_of(payload: bytes) -> str:
    """The body as text. Raises Unreadable for bytes that are none."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise Unreadable(str(fault)) from fault


def at(body: Any, path: str) -> Any:
    """What a dotted path names in a body; ABSENT when it is not there. An empty path is the body itself.

    A number is an index into a list.
    """
    for step in path.split(".") if path else ():
        if isinstance(body, list) and step.isdecimal() and len(step) < 4 and int(step) < len(body):
            body = body[int(step)]
        elif isinstance(body, dict) and step in body:
            body = body[step]
        else:
            return ABSENT
    return body


def unpacked(body: Any, how: Mapping[str, Any] | None) -> tuple[Any, bool]:
    """The body with the values of the bytes inside it (a profile's ``wire.decode``), and whether all were understood.

    What the network server has decoded itself is kept. Raises Unreadable for bytes that are none.
    """
    if how is None or not isinstance(body, dict):
        return body, True
    try:
        values, whole = CODECS[how["codec"]](bytes_of(at(body, how["path"]) if how["path"] in body else None))
    except ValueError as fault:
        raise Unreadable(str(fault)) from fault
    there = body.get(how["into"])
    return body | {how["into"]: values | there if isinstance(there, dict) else values}, whole


def counter_of(body: Any, wire: Mapping[str, Any]) -> int | None:
    """The device's own count of its reports."""
    found = at(body, wire["counter"]) if wire.get("counter") else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def value_of(point: Point, found: Any, own_id: str) -> Value | BadCause | Absent:
    """The point's value (device_drivers/profiles/schema.py: MqttRead) of what its path found.

    own_id: the last level of the device's address. A momentary point gives a value only when its event is there.
    """
    if isinstance(found, Absent):
        return ABSENT
    read = point.read
    if read.get("id_prefix"):
        return _is_mine(found, own_id)
    if "map" in read:
        value = _mapped(read["map"], found)
    else:
        value = _typed(str(read.get("type", "text")), found, bool(not read.get("path")))
        if not isinstance(value, BadCause):
            value = _judged(point, value)
    if point.momentary and (isinstance(value, BadCause) or value is False or value == ""):
        # Another event, or none: `action` is "" or null when a button is let go.
        return ABSENT
    return value


def sequence_of(body: Any, wire: Mapping[str, Any], observed_ms: int | None) -> str | None:
    """The sender's id of this report; None when it cannot be one.

    A counter starts again when its device does, so a bare number without the device's time names no press for good:
    taken for an id it would swallow a real one.
    """
    path = wire.get("sequence")
    found = at(body, path) if path else None
    if isinstance(found, bool) or not isinstance(found, int | str):
        return None
    if isinstance(found, int) and observed_ms is None:
        return None
    text = str(found) if observed_ms is None else f"{found}@{observed_ms}"
    return text if 0 < len(text) <= SEQUENCE_CHARS_MAX and text.isprintable() else None


def observed_of(body: Any, wire: Mapping[str, Any]) -> int | None:
    """The device's own time of the report: RFC 3339, or milliseconds since 1970. None when it gives none of use."""
    path = wire.get("observed")
    found = at(body, path) if path else None
    if isinstance(found, str):
        try:
            found = parse_rfc3339(found)
        except (ValueError, OverflowError):
            return None
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if _EARLIEST_MS <= found < _LATEST_MS else None


def says_online(payload: bytes, path: str, online: Value) -> bool | None:
    """What an availability message says; None when it cannot be read. A body without JSON is compared as text."""
    try:
        text = text_of(payload)
    except Unreadable:
        return None
    try:
        found = at(body_of(payload), path)
    except Unreadable:
        found = text
    return None if isinstance(found, Absent) or not text else _same(found, online)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _deeper_than(body: Any, depth: int) -> bool:
    level = [body]
    for _ in range(depth):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _same(found: Any, wanted: Value) -> bool:
    """Equal and of one kind: true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _is_mine(found: Any, own_id: str) -> Value | Absent:
    """A code such as 0x7028D2 that begins with this device's own part."""
    if not isinstance(found, str):
        return ABSENT
    code = found.upper().removeprefix("0X")
    return True if own_id and code.startswith(own_id.upper()) else ABSENT


def _mapped(mapping: Mapping[str, Value], found: Any) -> Value | BadCause:
    word = json.dumps(found) if isinstance(found, bool) or found is None else str(found)
    return mapping.get(word[:TEXT_CHARS_MAX], BadCause.WRONG_TYPE)


def _typed(kind: str, found: Any, plain: bool) -> Value | BadCause:
    """The right type, or a cause. plain: the body was no JSON but text, so numbers and truth are written out."""
    if plain and kind != "text" and isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return BadCause.WRONG_TYPE
    if kind == "bool":
        return found if isinstance(found, bool) else BadCause.WRONG_TYPE
    if kind == "number":
        if isinstance(found, bool) or not isinstance(found, int | float):
            return BadCause.WRONG_TYPE
        if isinstance(found, int):
            return found if found.bit_length() < 64 else BadCause.OUT_OF_RANGE
        return found if math.isfinite(found) else BadCause.NOT_FINITE
    if not isinstance(found, str) or len(found) > TEXT_CHARS_MAX or not _encodes(found):
        return BadCause.WRONG_TYPE
    return found


def _encodes(text: str) -> bool:
    """JSON can write half a character (a lone surrogate), which no database or socket takes."""
    return not any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in text)


def _judged(point: Point, value: Value) -> Value | BadCause:
    read = point.read
    if read.get("equals") is not None:
        return _same(value, read["equals"])
    if isinstance(value, bool | str):
        return value
    scale, offset = float(read.get("scale", 1.0)), float(read.get("offset", 0.0))
    if scale != 1.0 or offset != 0.0:
        value = round(value * scale + offset, 9)
        if not math.isfinite(value):
            return BadCause.NOT_FINITE
    if (point.low is not None and value < point.low) or (point.high is not None and value > point.high):
        return BadCause.OUT_OF_RANGE
    return value
