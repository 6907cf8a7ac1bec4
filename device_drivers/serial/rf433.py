"""Frames of an RF bridge that hears 433 MHz remotes, pure: ``AA A4 <Tsyn:2> <Tlow:2> <Thigh:2> <code:3> 55``.

EV1527: 24 bits = 20 bits of identity and 4 key bits. 0x55 may occur inside, so a frame is twelve bytes, and the end
mark only confirms it. Source: ESPHome rf_bridge.cpp, RF-Bridge-EFM8BB1 headers (reference/standards.md §6.1).
"""

from __future__ import annotations

from typing import NamedTuple

FRAME_BYTES = 12
START = b"\xaa\xa4"
END = 0x55
ACK = b"\xaa\xa0\x55"
"""What the bridge waits for after each frame."""


class Press(NamedTuple):
    """One code heard. identity: five hex digits. keys: the key bits, 1 to 15 (0: none was readable)."""

    identity: str
    keys: int


def split(received: bytes) -> tuple[list[Press], bytes, int]:
    """(presses, bytes that may be the start of a frame, number of faults). Never raises, never keeps 12 bytes or more.

    A start without its end mark is rubbish, or a frame that lost bytes with the next one behind it: the search goes on
    at the next byte, so that no good frame is lost after it.
    """
    presses: list[Press] = []
    faults = 0
    at = 0
    while (start := received.find(START[0], at)) >= 0:
        frame = received[start : start + FRAME_BYTES]
        faults += start > at
        if frame[: len(START)] != START[: len(frame)]:
            faults, at = faults + 1, start + 1
        elif len(frame) < FRAME_BYTES:
            return presses, frame, faults
        elif frame[-1] != END:
            faults, at = faults + 1, start + 1
        else:
            code = frame[8:11].hex().upper()
            presses.append(Press(code[:5], int(code[5], 16)))
            at = start + FRAME_BYTES
    return presses, b"", faults + (at < len(received))
