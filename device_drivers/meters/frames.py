"""What DL/T 645 and CJ/T 188 have in common, pure: ``68 … C L data CS 16``, delimited by L alone.

The end byte 16 may stand anywhere inside (a length of 22 is one), so it only confirms what the length says.
"""

from __future__ import annotations

from typing import NamedTuple

START, END = 0x68, 0x16
WAKE = b"\xfe\xfe\xfe\xfe"
DATA_BYTES_MAX = 200
"""The standards' longest data field; a length above is that of no frame."""


class Layout(NamedTuple):
    """head: bytes from the first 68 to L, inclusive. second: where another 68 must stand, None for none."""

    head: int
    second: int | None


DLT645 = Layout(10, 7)
CJT188 = Layout(11, None)


def split(layout: Layout, received: bytes) -> tuple[list[bytes], bytes, int]:
    """(whole frames with a right sum, bytes that may be the start of one, number of faults). Never raises.

    FE in front of a frame is its wake-up and no fault.
    """
    frames: list[bytes] = []
    faults = at = 0
    while at < len(received):
        if received[at] != START:
            faults += received[at] != WAKE[0]
            at += 1
            continue
        rest = received[at:]
        if layout.second is not None and len(rest) > layout.second and rest[layout.second] != START:
            faults, at = faults + 1, at + 1
        elif len(rest) < layout.head:
            return frames, rest, faults
        elif rest[layout.head - 1] > DATA_BYTES_MAX:
            faults, at = faults + 1, at + 1
        else:
            end = layout.head + rest[layout.head - 1]
            if len(rest) < end + 2:
                return frames, rest, faults
            if rest[end + 1] != END or sum(rest[:end]) & 0xFF != rest[end]:
                faults, at = faults + 1, at + 1
            else:
                frames.append(rest[: end + 2])
                at += end + 2
    return frames, b"", faults


def closed(body: bytes) -> bytes:
    """A frame from its first 68 to the end of its data, with sum and end."""
    return body + bytes((sum(body) & 0xFF, END))


def bcd(data: bytes) -> int | None:
    """Digits, low byte first; None when a nibble is none."""
    text = data[::-1].hex()
    return int(text) if text.isdecimal() else None
