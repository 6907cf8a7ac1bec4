"""The example's line protocol, pure: ``R 07\\n`` asks station 7, ``V 07 21.5\\n`` answers, ``E 07 3\\n`` refuses.

Source of a real codec: name the document and its section here. Golden bytes: tests/unit/drivers/test_example.py.
"""

from __future__ import annotations

import math

from edge.model import BadCause

LINE_BYTES_MAX = 64
"""The longest answer is 12 bytes; more without an end of line is rubbish."""


def request(station: int) -> bytes:
    """The question to one station."""
    return b"R %02d\n" % station


def answer(station: int, line: bytes) -> float | BadCause:
    """The value in an answer, or why there is none. Never raises."""
    try:
        kind, number, text = line.decode("ascii").split(" ")
        if int(number) != station:
            return BadCause.GARBLED
        if kind == "E":
            return BadCause.EXCEPTION
        value = float(text)
    except ValueError:
        return BadCause.GARBLED
    if kind != "V":
        return BadCause.GARBLED
    return value if math.isfinite(value) else BadCause.NOT_FINITE
