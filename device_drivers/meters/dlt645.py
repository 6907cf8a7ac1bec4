"""DL/T 645-2007, pure: addresses and data low byte first, every data byte + 33H.

Source: DL/T 645-2007 §5–7, appendix A (reference/standards.md §3.4); confirmed against PyPI dlt645 3.2.0, which takes
the address in the order of the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from device_drivers.meters.frames import START, WAKE, bcd, closed
from edge.model import BadCause

READ, READ_ADDRESS = 0x11, 0x13
REPLY, REPLY_MORE, REFUSAL, ADDRESS_REPLY = 0x91, 0xB1, 0xD1, 0x93
_OFFSET = 0x33
ANYBODY = b"\xaa" * 6


def address_bytes(address: str) -> bytes:
    """Twelve figures as on the wire. Raises ValueError."""
    data = bytes.fromhex(address)[::-1]
    if len(data) != 6 or not address.isdecimal():
        raise ValueError(f"{address!r} is no meter number (12 figures)")
    return data


def request(address: str, di: str) -> bytes:
    """The question for one data item, with the four FE that wake a meter."""
    data = bytes((b + _OFFSET) & 0xFF for b in bytes.fromhex(di)[::-1])
    return WAKE + closed(bytes((START, *address_bytes(address), START, READ, len(data))) + data)


def who() -> bytes:
    """The question for the address: only with one meter on the line."""
    return WAKE + closed(bytes((START, *ANYBODY, START, READ_ADDRESS, 0)))


def address_of(frame: bytes) -> str:
    """Whose frame it is."""
    return frame[1:7][::-1].hex()


def answer(frame: bytes, address: str, di: str) -> bytes | BadCause | None:
    """The data behind the identifier, why there is none, or None when the frame answers something else."""
    control, data = frame[8], bytes((b - _OFFSET) & 0xFF for b in frame[10:-2])
    if address_of(frame) != address:
        return None
    if control == REFUSAL:
        return BadCause.EXCEPTION
    if control not in (REPLY, REPLY_MORE) or data[:4][::-1].hex() != di.lower():
        return None
    return data[4:]


def value(data: bytes, read: Mapping[str, Any]) -> float | BadCause:
    """A point's value from the data of its item. The sign is the top bit of the highest byte."""
    field = data[: int(read["bytes"])]
    if len(field) < int(read["bytes"]):
        return BadCause.GARBLED
    negative = bool(read.get("signed")) and field[-1] >= 0x80
    number = bcd(field[:-1] + bytes((field[-1] & 0x7F,)) if negative else field)
    if number is None:
        return BadCause.GARBLED
    scaled = round(number / 10 ** int(read.get("decimals", 0)), 8)
    return float(-scaled if negative else scaled)
