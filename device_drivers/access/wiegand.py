"""Wiegand as a converter writes it, pure: one line of text for each card, ``[READER:]CARD``.

26 bits: even parity over the first 13, 8 of facility, 16 of card, odd parity over the last 13; 34 bits the same with
16 of facility. Source: reference/standards.md §4.
"""

from __future__ import annotations

from typing import NamedTuple

LINE_BYTES_MAX = 64
"""Longer without an end of line is rubbish."""
FACILITY_BITS = {26: 8, 34: 16}


class Card(NamedTuple):
    """reader: what stood before the colon, "" for nothing."""

    reader: str
    facility: int
    number: int

    def __str__(self) -> str:
        return f"{self.facility}-{self.number}"


def split(received: bytes) -> tuple[list[bytes], bytes, int]:
    """(lines, bytes of an unfinished one, number of faults). Never raises."""
    lines = received.replace(b"\r", b"\n").split(b"\n")
    rest = lines.pop()
    faults = sum(len(line) > LINE_BYTES_MAX for line in lines)
    if len(rest) > LINE_BYTES_MAX:
        rest, faults = b"", faults + 1
    return [line.strip() for line in lines if line.strip() and len(line) <= LINE_BYTES_MAX], rest, faults


def card(line: bytes, form: str) -> Card | None:
    """The card in a line; None when it is none. form: bits (with parity), hex or decimal (without)."""
    try:
        reader, _, text = line.decode("ascii").rpartition(":")
    except UnicodeDecodeError:
        return None
    text = text.strip()
    if form == "bits":
        found = of_bits(text)
    elif form == "hex":
        found = _of_hex(text)
    else:
        found = _of_decimal(text)
    return None if found is None else Card(reader.strip(), *found)


def of_bits(text: str) -> tuple[int, int] | None:
    """Facility and number of 26 or 34 bits whose parity is right."""
    facility = FACILITY_BITS.get(len(text))
    if facility is None or set(text) - {"0", "1"}:
        return None
    half = len(text) // 2
    if text[:half].count("1") % 2 or not text[half:].count("1") % 2:
        return None
    return int(text[1 : 1 + facility], 2), int(text[1 + facility : -1], 2)


def _of_hex(text: str) -> tuple[int, int] | None:
    if len(text) not in (6, 8) or set(text.upper()) - set("0123456789ABCDEF"):
        return None
    value = int(text, 16)
    return value >> 16, value & 0xFFFF


def _of_decimal(text: str) -> tuple[int, int] | None:
    """The ten digits printed on a card: facility · 65536 + number. Fewer are the rest of a torn line."""
    if not (text.isascii() and text.isdigit() and len(text) == 10) or int(text) > 0xFFFFFFFF:
        return None
    return int(text) >> 16, int(text) & 0xFFFF
