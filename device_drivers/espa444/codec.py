"""ESPA 4.4.4 on the line, pure: enquiries, replies and data blocks ``SOH header STX id US text {RS …} ETX BCC``.

BCC is the exclusive or of everything behind SOH up to and with ETX, so it may equal any control character.
Source: ESPA 4.4.4 (1984) after gscott.me.uk and wiki.zenitel (reference/standards.md §6.4); call types recalled.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import NamedTuple

SOH, STX, ETX, EOT, ENQ, ACK, NAK, RS, US = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x15, 0x1E, 0x1F
BLOCK_BYTES_MAX = 512
"""The standard's longest text is 128 characters; more without an end is rubbish."""
TRANSMISSION_ERROR = b"1\x15"
CALL_TO_PAGER, CALL_TO_LINE = "1", "4"
RESET = "1"
"""Record 4, call type: the call is over."""


class Enquiry(NamedTuple):
    """``<station> ENQ``: a poll of, or a selection of, that station."""

    station: str


class Sign(NamedTuple):
    """EOT, ACK or NAK."""

    code: int


class Block(NamedTuple):
    """A data block: its header and its records by id, the first of each. good: its BCC is right and it has a form."""

    header: str
    records: dict[str, str]
    good: bool


class Call(NamedTuple):
    """A call of a station. kind: ``1`` resets. priority: 1 alarm, 2 high, 3 normal."""

    address: str
    text: str
    kind: str
    priority: int


Token = Enquiry | Sign | Block


def bcc(data: bytes) -> int:
    """The block check of what stands behind SOH, ETX included."""
    return reduce(xor, data, 0)


def enquiry(station: str) -> bytes:
    """Poll or select a station."""
    return station.encode("ascii") + bytes([ENQ])


def split(received: bytes) -> tuple[list[Token], bytes, int]:
    """(what was said, bytes that may be the start of more, number of faults). Never raises."""
    tokens: list[Token] = []
    faults = at = 0
    while at < len(received):
        first = received[at]
        if first == SOH:
            end = received.find(ETX, at)
            torn = _torn(received, at + 1, end if end >= 0 else len(received))
            if torn is not None:
                faults, at = faults + 1, torn
            elif end < 0 or end + 1 == len(received):
                if len(received) - at <= BLOCK_BYTES_MAX:
                    return tokens, received[at:], faults
                faults, at = faults + 1, at + 1
            else:
                tokens.append(_block(received[at + 1 : end + 1], received[end + 1]))
                at = end + 2
        elif 0x30 <= first <= 0x39:
            if at + 1 == len(received):
                return tokens, received[at:], faults
            second = received[at + 1]
            if second not in (ENQ, NAK):
                faults, at = faults + 1, at + 1
                continue
            tokens.append(Enquiry(chr(first)) if second == ENQ else Sign(NAK))
            at += 2
        else:
            if first in (EOT, ACK, NAK):
                tokens.append(Sign(first))
            else:
                faults += 1
            at += 1
    return tokens, b"", faults


def call_of(block: Block) -> Call | None:
    """The call in a block; None when it is about something else or names nobody."""
    if block.header not in (CALL_TO_PAGER, CALL_TO_LINE) or not block.records.get("1"):
        return None
    priority = block.records.get("6", "3")
    return Call(
        block.records["1"],
        block.records.get("2", ""),
        block.records.get("4", "3"),
        int(priority) if priority in ("1", "2", "3") else 3,
    )


def _torn(received: bytes, start: int, end: int) -> int | None:
    """Where something new begins inside a block, which then has lost its end; None when nothing does."""
    for at in range(start, end):
        if received[at] in (SOH, EOT, ENQ, ACK, NAK):
            numbered = received[at] in (ENQ, NAK) and at > start and 0x30 <= received[at - 1] <= 0x39
            return at - 1 if numbered else at
    return None


def _block(body: bytes, check: int) -> Block:
    """body: behind SOH up to and with ETX. A stray RS before ETX is borne; of records with one id the first counts."""
    header, stx, rest = body[:-1].partition(bytes([STX]))
    records: dict[str, str] = {}
    formed = bool(stx) and len(header) == 1
    for part in rest.split(bytes([RS])):
        name, us, text = part.partition(bytes([US]))
        if us:
            records.setdefault(name.decode("latin-1").strip(), text.decode("latin-1").strip())
        elif part:
            formed = False
    return Block(header.decode("latin-1"), records, formed and bcc(body) == check)
