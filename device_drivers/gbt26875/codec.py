"""Frames of GB/T 26875.3-2011, pure: ``@@`` head, application data, sum, ``##``.

A frame ends where its length says: there is no stuffing, ``##`` may stand inside. All numbers are little-endian, the
time label is binary and local (Beijing). Source: the standard's §6–8, reference/standards.md §3.1.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

START, END = b"@@", b"##"
DATA_BYTES_MAX = 1024
_HEAD = struct.Struct("<2sHBB6s6s6sHB")
_TAIL_BYTES = 3
CONTROL, SEND, CONFIRM, REQUEST, ANSWER, DENY = range(1, 7)
SYSTEM_STATE, COMPONENT_STATE, ANALOG, OPERATION = 1, 2, 3, 4
DEVICE_STATE, DEVICE_OPERATION = 21, 24
READ_SYSTEM, READ_COMPONENT, DUTY_CHECK = 61, 62, 91
DUTY_ANSWER_BIT = 5
GAS_COMPONENTS = frozenset({10, 11, 12, 74})
"""Component types of combustible-gas detectors: their alarm is never shown as fire (GB 50116 §8.1)."""
ANALOG_SCALES = {1: 1, 2: 0.01, 3: 0.1, 4: 0.1, 5: 0.1, 6: 0.1, 7: 1, 8: 0.1, 9: 0.1, 10: 0.1, 11: 0.1, 12: 1}
"""Value of one step, by kind: number, m, ℃, MPa, kPa, %LEL, s, V, A, L/s, m³/min, m/s."""
_OBJECT_BYTES = {SYSTEM_STATE: 10, COMPONENT_STATE: 46, ANALOG: 16, OPERATION: 10, DEVICE_STATE: 7, DEVICE_OPERATION: 8}
_BEIJING = timezone(timedelta(hours=8))


class Frame(NamedTuple):
    """One frame. source, target: addresses as numbers. label: the six bytes of its time. why: what is wrong with it."""

    serial: int
    version: tuple[int, int]
    label: bytes
    source: int
    target: int
    command: int
    data: bytes = b""
    why: str = ""


class Item(NamedTuple):
    """One information object. system: (type, number), None for the transmission device itself.

    what: its type flag. value: state word, operation bits or the raw analogue value. kind: of the analogue value.
    component: (type, address). text: the component's description, or the operator's number.
    """

    what: int
    system: tuple[int, int] | None
    component: tuple[int, int] | None
    value: int
    kind: int
    text: str
    label: bytes


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    source, target = frame.source.to_bytes(6, "little"), frame.target.to_bytes(6, "little")
    head = _HEAD.pack(
        START, frame.serial, *frame.version, frame.label, source, target, len(frame.data), frame.command
    )  # fmt: skip
    body = head[2:] + frame.data
    return START + body + bytes([sum(body) & 0xFF]) + END


def reply(frame: Frame, command: int) -> bytes:
    """Our confirmation or denial of a frame: its serial number, addresses exchanged."""
    return encode(Frame(frame.serial, frame.version, frame.label, frame.target, frame.source, command))


def split(received: bytes) -> tuple[list[Frame], bytes, int]:
    """(frames, bytes that may be the start of one, number of faults). Never raises, keeps less than one frame.

    A frame whose sum or end is wrong is returned with ``why`` (to be denied), and the search goes on behind its head:
    what is lost is never a good frame that follows.
    """
    frames: list[Frame] = []
    faults = at = 0
    while (start := received.find(START[:1], at)) >= 0:
        faults += start > at
        rest = received[start:]
        if rest[:2] != START[: len(rest)]:
            faults, at = faults + 1, start + 1
            continue
        if len(rest) < _HEAD.size:
            return frames, rest, faults
        _, serial, major, minor, label, source, target, length, command = _HEAD.unpack_from(rest)
        found = Frame(
            serial, (major, minor), label, int.from_bytes(source, "little"), int.from_bytes(target, "little"), command
        )
        end = _HEAD.size + length
        if length > DATA_BYTES_MAX:
            frames.append(found._replace(why="too_long"))
            faults, at = faults + 1, start + len(START)
        elif len(rest) < end + _TAIL_BYTES:
            return frames, rest, faults
        elif rest[end + 1 : end + _TAIL_BYTES] != END or sum(rest[2:end]) & 0xFF != rest[end]:
            frames.append(found._replace(why="bad_sum"))
            faults, at = faults + 1, start + len(START)
        else:
            frames.append(found._replace(data=rest[_HEAD.size : end]))
            at = start + end + _TAIL_BYTES
    return frames, b"", faults + (at < len(received))


def items(data: bytes) -> list[Item] | None:
    """The objects of application data; None when they do not fit their length. Types we do not use give no items."""
    if len(data) < 2:
        return None
    what, count = data[0], data[1]
    size = _OBJECT_BYTES.get(what)
    if size is None:
        return []
    if len(data) != 2 + count * size or not count:
        return None
    return [_item(what, data[at : at + size]) for at in range(2, len(data), size)]


def _item(what: int, part: bytes) -> Item:
    label = part[-6:]
    if what == DEVICE_STATE:
        return Item(what, None, None, part[0], 0, "", label)
    if what == DEVICE_OPERATION:
        return Item(what, None, None, part[0], 0, str(part[1]), label)
    system = (part[0], part[1])
    if what == SYSTEM_STATE:
        return Item(what, system, None, int.from_bytes(part[2:4], "little"), 0, "", label)
    if what == OPERATION:
        return Item(what, system, None, part[2], 0, str(part[3]), label)
    if what == ANALOG:
        component = (part[2], int.from_bytes(part[3:7], "little"))
        return Item(what, system, component, int.from_bytes(part[8:10], "little", signed=True), part[7], "", label)
    component = (part[2], int.from_bytes(part[3:7], "little"))
    return Item(what, system, component, int.from_bytes(part[7:9], "little"), 0, description(part[9:40]), label)


def description(field: bytes) -> str:
    """The component's description: GB18030, padded with zeros; bytes that are none show as �."""
    return field.split(b"\0")[0].decode("gb18030", "replace").strip()


def label_ms(label: bytes) -> int | None:
    """A time label (second … year, binary, Beijing time) as milliseconds since 1970; None when it is no time."""
    second, minute, hour, day, month, year = label
    try:
        return round(datetime(2000 + year, month, day, hour, minute, second, tzinfo=_BEIJING).timestamp() * 1000)
    except ValueError:
        return None


def label_of(at_ms: int) -> bytes:
    """Milliseconds since 1970 as a time label."""
    at = datetime.fromtimestamp(at_ms / 1000, tz=_BEIJING)
    return bytes((at.second, at.minute, at.hour, at.day, at.month, at.year % 100))


def duty_check(minutes: int) -> bytes:
    """Application data of a duty check (查岗): answer within these minutes."""
    return bytes((DUTY_CHECK, 1, minutes))


def question(system: tuple[int, int], component: int | None) -> bytes:
    """Application data that asks for the state of a system, or of one component by its address."""
    if component is None:
        return bytes((READ_SYSTEM, 1, *system))
    return bytes((READ_COMPONENT, 1, *system)) + component.to_bytes(4, "little")
