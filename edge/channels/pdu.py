"""Short messages as the bytes a GSM modem takes and gives in PDU mode (3GPP TS 23.040). Pure.

Sent texts are always UCS2, which every character of a Chinese address needs; received ones may be of any alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass

PART_UNITS, LONG_PART_UNITS = 70, 67
"""UTF-16 units in a message, and in each part of a longer one (its header takes 6 bytes)."""
PARTS_MAX = 8
"""A text of more parts is cut: nobody reads on, and a modem sends each for seconds."""
_GSM7 = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


class BadPdu(ValueError):
    """Bytes that are no message we understand."""


@dataclass(frozen=True, slots=True)
class Submit:
    """One part to send: hex digits, and the length the modem wants to hear (without the service centre's)."""

    hex: str
    octets: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message from a phone."""

    number: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message: its reference, the number, and the status (below 0x20: it is on the phone)."""

    reference: int
    number: str
    status: int

    @property
    def arrived(self) -> bool:
        """It is on the phone."""
        return self.status < 0x20

    @property
    def final(self) -> bool:
        """The network tries no more."""
        return self.arrived or self.status >= 0x40


def submits(number: str, text: str, reference: int, report: bool) -> tuple[Submit, ...]:
    """A text as one message or as parts that belong together. number: +COUNTRY… or as dialled here."""
    parts = split(text)
    found = []
    for index, part in enumerate(parts, start=1):
        header = bytes((5, 0, 3, reference & 0xFF, len(parts), index)) if len(parts) > 1 else b""
        data = header + part.encode("utf-16-be")
        first = 0x11 | (0x20 if report else 0) | (0x40 if header else 0)
        body = bytes((first, 0)) + _address(number) + bytes((0, 0x08, 0xA7, len(data))) + data
        found.append(Submit((b"\0" + body).hex().upper(), len(body)))
    return tuple(found)


def split(text: str) -> tuple[str, ...]:
    """The text in parts that fit, never through the middle of a character outside the basic plane."""
    if _units(text) <= PART_UNITS:
        return (text,)
    parts, part = [], ""
    for character in text:
        if _units(part + character) > LONG_PART_UNITS:
            parts.append(part)
            part = ""
        part += character
    return (*parts, part)[:PARTS_MAX]


def parse(pdu: str) -> Received | Report:
    """A message or a delivery report as the modem hands it out. Raises BadPdu."""
    try:
        raw = bytes.fromhex(pdu)
        at = 1 + raw[0]
        kind = raw[at] & 0x03
        if kind == 0:
            return _deliver(raw, at)
        if kind == 2:
            return _report(raw, at)
    except (ValueError, IndexError) as fault:
        raise BadPdu(f"not a message: {fault}") from fault
    raise BadPdu(f"a message of kind {kind}")


def _deliver(raw: bytes, at: int) -> Received:
    has_header = bool(raw[at] & 0x40)
    number, at = _read_address(raw, at + 1)
    coding = raw[at + 1]
    length, data = raw[at + 9], raw[at + 10 :]
    header = 1 + data[0] if has_header else 0
    alphabet = coding & 0x0C if coding & 0xC0 == 0 else (0x08 if coding & 0xF0 == 0xE0 else 0)
    if alphabet == 0x08:
        return Received(number, data[header:length].decode("utf-16-be", errors="replace"))
    if alphabet == 0x04:
        return Received(number, data[header:length].decode("latin-1"))
    skip = (header * 8 + 6) // 7
    return Received(number, _unpack(data, length)[skip:])


def _report(raw: bytes, at: int) -> Report:
    reference = raw[at + 1]
    number, at = _read_address(raw, at + 2)
    return Report(reference, number, raw[at + 14])


def _units(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2


def _address(number: str) -> bytes:
    digits = number.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise BadPdu(f"{number!r} is no telephone number")
    padded = digits + "F" * (len(digits) % 2)
    swapped = bytes(int(padded[i + 1] + padded[i], 16) for i in range(0, len(padded), 2))
    return bytes((len(digits), 0x91 if number.startswith("+") else 0x81)) + swapped


def _read_address(raw: bytes, at: int) -> tuple[str, int]:
    """The number at this offset, and the offset after it. A name instead of a number stays a name."""
    length, kind = raw[at], raw[at + 1]
    octets = (length + 1) // 2
    body = raw[at + 2 : at + 2 + octets]
    if len(body) != octets:
        raise IndexError("the number is cut off")
    after = at + 2 + octets
    if kind & 0x70 == 0x50:
        return _unpack(body, length * 4 // 7), after
    digits = "".join(f"{octet & 15:X}{octet >> 4:X}" for octet in body)[:length]
    return ("+" if kind & 0x70 == 0x10 else "") + digits, after


def _unpack(data: bytes, septets: int) -> str:
    """Characters of 7 bits, packed without gaps."""
    bits = int.from_bytes(data, "little")
    return "".join(_GSM7[bits >> 7 * n & 0x7F] for n in range(min(septets, len(data) * 8 // 7)))
