"""Modbus frames, pure: requests to bytes, and bytes to the one answer that belongs to a request.

A reply is taken only when unit, function and length are those of the request in flight, with a right CRC (RTU) or the
right transaction number (TCP). Sources: Modbus Application Protocol V1.1b3, Modbus over Serial Line V1.02; golden
bytes in tests/unit/drivers/test_modbus_pdu.py from reference/standards.md §5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS = 1, 2, 3, 4
READS = frozenset({READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS})
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS, WRITE_AND_READ = 5, 6, 15, 16, 23
REGISTERS_MAX, BITS_MAX = 125, 2000
"""What one read may ask for (V1.1b3 §6.1, §6.3)."""
MBAP_BYTES = 7
_FRAME_BYTES_MAX = 254
_ECHO_BYTES = 5
"""A confirmation repeats function, address, and value or count (V1.1b3 §6.5, §6.6, §6.11, §6.12)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One read or write of one unit.

    fc 1–4: count bits or registers from address. fc 5–6: value as on the wire. fc 15–16: count bits or registers,
    packed in data. fc 23: data is written at write_address, then count registers are read from address.
    """

    unit: int
    fc: int
    address: int
    count: int = 1
    value: int = 0
    data: bytes = b""
    write_address: int = 0

    @property
    def writes(self) -> bool:
        """True for requests whose reply only confirms: fc 5, 6, 15 and 16."""
        return self.fc in (WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS)

    @property
    def data_bytes(self) -> int:
        """Length of the data in the reply to a read."""
        words = self.fc in (READ_HOLDING, READ_INPUT_REGISTERS, WRITE_AND_READ)
        return 2 * self.count if words else (self.count + 7) // 8

    @property
    def pdu(self) -> bytes:
        """Function code and parameters."""
        if self.fc == WRITE_AND_READ:
            head = (self.fc, self.address, self.count, self.write_address, len(self.data) // 2, len(self.data))
            return struct.pack(">BHHHHB", *head) + self.data
        if self.fc in (WRITE_COILS, WRITE_REGISTERS):
            return struct.pack(">BHHB", self.fc, self.address, self.count, len(self.data)) + self.data
        return struct.pack(">BHH", self.fc, self.address, self.value if self.writes else self.count)

    @property
    def reply_bytes(self) -> int:
        """Length of the PDU of a good reply."""
        return _ECHO_BYTES if self.writes else 2 + self.data_bytes

    @property
    def shape(self) -> tuple[int, int, int]:
        """All by which the reply to a read is known on a line without transaction numbers."""
        return self.unit, self.fc, self.data_bytes


@dataclass(frozen=True, slots=True)
class Data:
    """The answer to a read (its data) or a write (empty: the device echoed it)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exception reply. 1 illegal function, 2 illegal address, 3 illegal value, 4 device failure, …"""

    code: int


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Bytes that are no answer to the request. cause is counted."""

    cause: str


Answer = Data | Refusal | Rubbish


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC = tuple(_crc_row(byte) for byte in range(256))


def crc16(data: bytes) -> bytes:
    """The CRC of the serial line (reflected 0x8005, start 0xFFFF), low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return struct.pack("<H", crc)


def answer_in(request: Request, pdu: bytes) -> Answer:
    """The meaning of a complete reply PDU. Never raises."""
    if not pdu:
        return Rubbish("torn")
    if pdu[0] == request.fc | 0x80:
        return Refusal(pdu[1]) if len(pdu) == 2 else Rubbish("bad_length")
    if pdu[0] != request.fc:
        return Rubbish("wrong_function")
    if request.writes:
        return Data(b"") if pdu == request.pdu[:_ECHO_BYTES] else Rubbish("wrong_echo")
    if len(pdu) != request.reply_bytes or pdu[1] != request.data_bytes:
        return Rubbish("bad_length")
    return Data(pdu[2:])


def rtu_frame(request: Request) -> bytes:
    """Unit, PDU, CRC."""
    body = bytes([request.unit]) + request.pdu
    return body + crc16(body)


def rtu_answer(request: Request, received: bytes) -> Answer | None:
    """What the bytes since the request mean; None while the frame may still be growing. Never raises.

    Strict on purpose: a byte too many or too few, and the whole is rubbish. On a line without transaction numbers
    guessing where a frame starts is how a late reply becomes another register's value.
    """
    if not received:
        return None
    if received[0] != request.unit:
        return Rubbish("wrong_unit")
    if len(received) < 2:
        return None
    if received[1] not in (request.fc, request.fc | 0x80):
        return Rubbish("wrong_function")
    length = (2 if received[1] & 0x80 else request.reply_bytes) + 3
    if len(received) < length:
        return None
    if len(received) > length:
        return Rubbish("bad_length")
    if crc16(received[:-2]) != received[-2:]:
        return Rubbish("bad_crc")
    return answer_in(request, received[1:-2])


def tcp_frame(request: Request, transaction: int) -> bytes:
    """MBAP header and PDU."""
    return struct.pack(">HHHB", transaction, 0, len(request.pdu) + 1, request.unit) + request.pdu


def tcp_split(received: bytes) -> tuple[int, bytes, bytes] | Rubbish | None:
    """The first frame: (transaction, unit and PDU, rest). None while incomplete, Rubbish when it makes no sense."""
    if len(received) < MBAP_BYTES - 1:
        return None
    transaction, protocol, length = struct.unpack_from(">HHH", received)
    if protocol != 0 or not 2 <= length <= _FRAME_BYTES_MAX:
        return Rubbish("bad_header")
    end = MBAP_BYTES - 1 + length
    if len(received) < end:
        return None
    return transaction, received[MBAP_BYTES - 1 : end], received[end:]


def tcp_answer(request: Request, body: bytes) -> Answer:
    """The meaning of unit and PDU of the frame with our transaction number."""
    return answer_in(request, body[1:]) if body[0] == request.unit else Rubbish("wrong_unit")
