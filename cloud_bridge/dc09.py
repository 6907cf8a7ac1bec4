"""SIA DC-09 frames: ADM-CID and NULL out, ACK, NAK and DUH in (reference: standards §2.6). Pure.

``LF <CRC> <0LLL> "<id>" <seq> R<receiver> L<line> #<account> [<data>] _HH:MM:SS,MM-DD-YYYY CR``
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.errors import Garbled
from edge.model import CLASSES, AlarmClass, AlarmEvent, EventKind

NEW, RESTORED, STILL = 1, 3, 6
BYPASS = 570
"""Contact ID of a zone that a named person has taken out."""
SEQUENCE_MAX = 9999
_REPLY = re.compile(
    rb'\n?([0-9A-F]{4})(0[0-9A-F]{3})("(\*?)(ACK|NAK|DUH)"(\d{4})(?:[RL][0-9A-F]{1,6}){0,2}'
    rb"[#A]?([0-9A-F]{1,16})?\[([^\]\r]*)\]?(?:\[[^\]\r]*\])*(_[0-9:,-]+)?)\r"
)
_BARE = re.compile(rb'\s*"(ACK|NAK|DUH)"\s*')
Cipher = Callable[[bytes], bytes]
"""AES-CBC with IV 0 over whole blocks."""


def crc16(data: bytes) -> int:
    """CRC-16 (reflected 0x8005, start 0) over everything from the first quote to before CR."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are to the receiver. receiver and line: hex digits without their letter."""

    number: str
    receiver: str = "0"
    line: str = "0"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the receiver says. sequence None: an unframed answer. at: its own time, in a NAK."""

    word: str
    sequence: int | None
    at: datetime | None = None


def frame(
    ident: str, sequence: int, account: Account, data: str, at: datetime | None, cipher: Cipher | None = None
) -> bytes:
    """One message. data: what stands between the brackets. at: UTC; needed with a cipher."""
    stamp = f"_{at:%H:%M:%S,%m-%d-%Y}" if at is not None else ""
    head = f"{sequence:04d}R{account.receiver}L{account.line}#{account.number}["
    if cipher is None:
        body = f'"{ident}"{head}{data}]{stamp}'
    else:
        # The padding stands in front, up to the bar, so that the whole is a multiple of 16.
        plain = f"|{data}]{stamp}"
        plain = "0" * (-len(plain) % 16) + plain
        body = f'"*{ident}"{head}{cipher(plain.encode("ascii")).hex().upper()}'
    raw = body.encode("ascii")
    return b"\n%04X0%03X%s\r" % (crc16(raw), len(raw), raw)


def link_test(account: Account, at: datetime | None = None, cipher: Cipher | None = None) -> bytes:
    """NULL: is somebody there? Its sequence is always 0."""
    return frame("NULL", 0, account, "", at, cipher)


def adm_cid(account: str, qualifier: int, code: int, zone: int, partition: int = 1) -> str:
    """The data of an ADM-CID message: ``#acct|QEEE GG CCC``. Zones above 999 have no number there: 000."""
    return f"#{account}|{qualifier}{code:03d} {partition:02d} {zone if 0 <= zone <= 999 else 0:03d}"


def word_of(event: AlarmEvent) -> tuple[int, int] | None:
    """Qualifier and event code of a journaled event; None for what an alarm receiving centre has no use for."""
    code = CLASSES[event.alarm_class].contact_id
    if code is None:
        return None
    momentary = event.alarm_class in (AlarmClass.SOS_CALL, AlarmClass.TEST)
    match event.kind:
        case EventKind.RAISED | EventKind.REPEATED | EventKind.PRIORITY_RAISED:
            return NEW, code
        case EventKind.RE_ALARMED:
            return STILL, code
        case EventKind.CLEARED:
            return RESTORED, code
        case EventKind.RESET:
            return (RESTORED, code) if momentary else None
        case EventKind.SHELVED | EventKind.OUT_OF_SERVICE:
            return NEW, BYPASS
        case EventKind.UNSHELVED | EventKind.IN_SERVICE:
            return RESTORED, BYPASS
    return None


def parse_reply(data: bytes) -> Reply:
    """An answer up to its CR. Raises Garbled; that is no answer."""
    bare = _BARE.fullmatch(data)
    if bare is not None:
        return Reply(bare[1].decode(), None)
    found = _REPLY.fullmatch(data.lstrip(b"\n\r"))
    if found is None:
        raise Garbled(f"no answer of DC-09: {data[:80]!r}")
    raw = found[3]
    if int(found[1], 16) != crc16(raw) or int(found[2], 16) != len(raw):
        raise Garbled("the answer's checksum or length is wrong")
    at = None
    if found[9] is not None:
        try:
            at = datetime.strptime(found[9].decode(), "_%H:%M:%S,%m-%d-%Y").replace(tzinfo=UTC)
        except ValueError as fault:
            raise Garbled(f"the answer's time makes no sense: {found[9]!r}") from fault
    return Reply(found[5].decode(), int(found[6]), at)


def split_answer(buffer: bytes) -> tuple[bytes, bytes] | None:
    """The first answer in what came so far and the rest; None while it is not whole. Some words come unframed."""
    if _BARE.fullmatch(buffer):
        return buffer, b""
    line, end, rest = buffer.partition(b"\r")
    return (line + end, rest) if end else None


def cipher_of(key: str) -> Cipher:
    """AES-CBC, IV 0, from 16, 24 or 32 characters, or ``hex:`` and their hex digits. Raises ValueError."""
    from cryptography.hazmat.primitives.ciphers import Cipher as Machine
    from cryptography.hazmat.primitives.ciphers import algorithms, modes

    raw = bytes.fromhex(key[4:]) if key.startswith("hex:") else key.encode("ascii")
    machine = Machine(algorithms.AES(raw), modes.CBC(bytes(16)))

    def encrypt(plain: bytes) -> bytes:
        work = machine.encryptor()
        return work.update(plain) + work.finalize()

    return encrypt
