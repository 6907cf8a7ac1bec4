"""Modbus as bytes, from the slave's side: CRC, framing of requests, and one answer per request. Pure.

Source: Modbus Application Protocol V1.1b3 and Modbus over Serial Line V1.02; checked against published frames.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Protocol

READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS, WRITE_AND_READ = 5, 6, 15, 16, 23
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
BITS_MAX, REGISTERS_MAX = 2000, 125
WRITE_BITS_MAX, WRITE_REGISTERS_MAX = 1968, 123
FRAME_BYTES_MAX = 256
"""Longest RTU frame; more without a sense is noise."""
FIXED_REQUEST_BYTES = 8
MBAP = struct.Struct(">HHHB")


class Fault(Exception):
    """The slave refuses a request with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code:02d}")
        self.code = code


class Bank(Protocol):
    """The four tables of one slave. Each method raises Fault for numbers the slave does not have."""

    def bits(self, function: int, start: int, count: int) -> Sequence[bool]:
        """Coils (function 1) or discrete inputs (2)."""
        ...

    def registers(self, function: int, start: int, count: int) -> Sequence[int]:
        """Holding (3) or input (4) registers, each 0–65535."""
        ...

    def write_bits(self, start: int, values: Sequence[bool]) -> None:
        """Set coils."""
        ...

    def write_registers(self, start: int, values: Sequence[int]) -> None:
        """Set holding registers."""
        ...


def crc(frame: bytes) -> bytes:
    """CRC-16 (reflected A001, init FFFF), low byte first."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return bytes((value & 0xFF, value >> 8))


def rtu(unit: int, pdu: bytes) -> bytes:
    """A serial frame: unit id, PDU, CRC."""
    body = bytes((unit,)) + pdu
    return body + crc(body)


def tcp(transaction: int, unit: int, pdu: bytes) -> bytes:
    """A TCP frame: MBAP header, PDU."""
    return MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


def take_rtu(buffer: bytearray) -> tuple[int, bytes] | None:
    """Remove one whole request (unit, PDU) from the front of the buffer; None when there is none.

    Only the functions whose length the bytes tell are found here. Anything else, noise too, stays until the line
    has been quiet (see take_whole), as in a real slave.
    """
    if len(buffer) < FIXED_REQUEST_BYTES:
        return None
    function = buffer[1]
    if function in (WRITE_COILS, WRITE_REGISTERS):
        size = 9 + buffer[6]
    elif function == WRITE_AND_READ:
        size = 13 + buffer[10] if len(buffer) > 10 else FRAME_BYTES_MAX
    elif READ_COILS <= function <= WRITE_REGISTER:
        size = FIXED_REQUEST_BYTES
    else:
        return None
    frame = bytes(buffer[:size])
    if len(frame) < size or crc(frame[:-2]) != frame[-2:]:
        return None
    del buffer[:size]
    return frame[0], frame[1:-2]


def take_whole(buffer: bytearray) -> tuple[int, bytes] | None:
    """What is in the buffer after a quiet, as one frame; None when its CRC is wrong. Empties the buffer."""
    frame = bytes(buffer)
    buffer.clear()
    if 4 <= len(frame) <= FRAME_BYTES_MAX and crc(frame[:-2]) == frame[-2:]:
        return frame[0], frame[1:-2]
    return None


def answer(pdu: bytes, bank: Bank) -> bytes:
    """The slave's PDU to a request PDU: what was asked for, an echo of what was written, or an exception."""
    function = pdu[0]
    try:
        return bytes((function,)) + _serve(function, pdu[1:], bank)
    except Fault as fault:
        return bytes((function | 0x80, fault.code))
    except struct.error:
        return bytes((function | 0x80, ILLEGAL_VALUE))


def _serve(function: int, body: bytes, bank: Bank) -> bytes:
    if function in (READ_COILS, READ_DISCRETE):
        start, count = _span(body, BITS_MAX)
        return _counted(pack_bits(bank.bits(function, start, count)))
    if function in (READ_HOLDING, READ_INPUT):
        start, count = _span(body, REGISTERS_MAX)
        return _counted(struct.pack(f">{count}H", *bank.registers(function, start, count)))
    if function == WRITE_COIL:
        return _write_coil(body, bank)
    if function == WRITE_REGISTER:
        number, value = struct.unpack(">HH", body)
        bank.write_registers(number, [value])
        return body
    if function in (WRITE_COILS, WRITE_REGISTERS):
        return _write_many(function, body, bank)
    if function == WRITE_AND_READ:
        return _write_and_read(body, bank)
    raise Fault(ILLEGAL_FUNCTION)


def _write_and_read(body: bytes, bank: Bank) -> bytes:
    """The write comes first (V1.1b3 §6.17)."""
    start, count, write_start, write_count, size = struct.unpack_from(">HHHHB", body)
    data = body[9:]
    if not (1 <= count <= REGISTERS_MAX and 1 <= write_count <= 121 and size == len(data) == 2 * write_count):
        raise Fault(ILLEGAL_VALUE)
    bank.write_registers(write_start, struct.unpack(f">{write_count}H", data))
    return _counted(struct.pack(f">{count}H", *bank.registers(READ_HOLDING, start, count)))


def _write_coil(body: bytes, bank: Bank) -> bytes:
    number, value = struct.unpack(">HH", body)
    if value == 0x5500:
        bank.write_bits(number, [not bank.bits(READ_COILS, number, 1)[0]])
    elif value in (0xFF00, 0x0000):
        bank.write_bits(number, [value == 0xFF00])
    else:
        raise Fault(ILLEGAL_VALUE)
    return body


def _write_many(function: int, body: bytes, bank: Bank) -> bytes:
    start, count, size = struct.unpack_from(">HHB", body)
    data = body[5:]
    bits = function == WRITE_COILS
    if not 1 <= count <= (WRITE_BITS_MAX if bits else WRITE_REGISTERS_MAX):
        raise Fault(ILLEGAL_VALUE)
    if size != len(data) or size != ((count + 7) // 8 if bits else 2 * count):
        raise Fault(ILLEGAL_VALUE)
    if bits:
        bank.write_bits(start, [bool(data[n // 8] >> (n % 8) & 1) for n in range(count)])
    else:
        bank.write_registers(start, struct.unpack(f">{count}H", data))
    return body[:4]


def _span(body: bytes, most: int) -> tuple[int, int]:
    start, count = struct.unpack(">HH", body)
    if not 1 <= count <= most:
        raise Fault(ILLEGAL_VALUE)
    if start + count > 0x10000:
        raise Fault(ILLEGAL_ADDRESS)
    return start, count


def _counted(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def pack_bits(bits: Sequence[bool]) -> bytes:
    """Bits to bytes, first bit lowest, rest of the last byte zero."""
    data = bytearray((len(bits) + 7) // 8)
    for n, bit in enumerate(bits):
        data[n // 8] |= bit << (n % 8)
    return bytes(data)
