"""CJ/T 188, pure: like DL/T 645 without its offset, with a meter type and seven address bytes.

Source: CJ/T 188-2004 §6, sdqr's cj188.h, python_cjt188 (reference/standards.md §3.5). The order of the two identifier
bytes differs between meters: the profile says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from device_drivers.meters.frames import START, bcd, closed
from edge.model import BadCause

READ, REPLY, REFUSAL = 0x01, 0x81, 0xC1
SERIAL = 1
_WAKE = b"\xfe\xfe"


def address_bytes(address: str) -> bytes:
    """Fourteen figures as on the wire. Raises ValueError."""
    data = bytes.fromhex(address)[::-1]
    if len(data) != 7 or not address.isdecimal():
        raise ValueError(f"{address!r} is no meter number (14 figures)")
    return data


def request(meter_type: int, address: str, di: str) -> bytes:
    """The question for a meter's reading. di: two bytes in the order of the wire."""
    head = bytes((START, meter_type, *address_bytes(address), READ, 3))
    return _WAKE + closed(head + bytes.fromhex(di) + bytes((SERIAL,)))


def answer(frame: bytes, meter_type: int, address: str, di: str) -> bytes | BadCause | None:
    """The fields behind the serial byte, why there are none, or None when the frame answers something else."""
    control, data = frame[9], frame[11:-2]
    if frame[1] != meter_type or frame[2:9][::-1].hex() != address:
        return None
    if control == REFUSAL:
        return BadCause.EXCEPTION
    if control != REPLY or data[:2].hex() != di.lower():
        return None
    return data[3:]


def value(data: bytes, read: Mapping[str, Any]) -> float | bool | BadCause:
    """A point's value from the fields of an answer."""
    at, size = int(read["at"]), int(read.get("bytes", 1))
    field, behind = data[at : at + size], data[at + size : at + size + 1]
    if len(field) < size:
        return BadCause.GARBLED
    mask = read.get("mask")
    if mask is not None:
        return field[0] & int(mask) == int(read.get("equals", 0))
    if read.get("unit") is not None and behind != bytes((int(read["unit"]),)):
        return BadCause.WRONG_TYPE
    number = bcd(field)
    return BadCause.GARBLED if number is None else round(number / 10 ** int(read.get("decimals", 0)), 8)
