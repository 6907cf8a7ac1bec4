"""Golden bytes of the Modbus slave: published frames and frames computed by hand, never by product code."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.devices.modbus_wire import Fault, answer, crc, rtu, take_rtu, take_whole, tcp


class Table:
    """A slave with eight coils, inputs and registers, all by hand."""

    def __init__(self) -> None:
        self.coils = [False] * 8
        self.words = [0] * 8

    def bits(self, function: int, start: int, count: int) -> Sequence[bool]:
        if start + count > 8:
            raise Fault(2)
        return self.coils[start : start + count]

    def registers(self, function: int, start: int, count: int) -> Sequence[int]:
        if start + count > 8:
            raise Fault(2)
        return self.words[start : start + count]

    def write_bits(self, start: int, values: Sequence[bool]) -> None:
        self.coils[start : start + len(values)] = values

    def write_registers(self, start: int, values: Sequence[int]) -> None:
        self.words[start : start + len(values)] = values


def test_the_crc_is_the_published_one() -> None:
    assert crc(bytes.fromhex("01050000FF00")) == bytes.fromhex("8C3A")
    assert crc(bytes.fromhex("010500FFFF00")) == bytes.fromhex("BC0A")
    assert crc(bytes.fromhex("010100000008")) == bytes.fromhex("3DCC")
    assert crc(bytes.fromhex("FE0402 0388".replace(" ", ""))) == bytes.fromhex("ADB2")


def test_a_temperature_sensor_answers_as_published() -> None:
    table = Table()
    table.words[:2] = [0x0292, 0xFF9B]
    request = bytearray.fromhex("01 03 00 00 00 02 C4 0B")
    found = take_rtu(request)
    assert found is not None and not request
    assert rtu(found[0], answer(found[1], table)) == bytes.fromhex("01 03 04 02 92 FF 9B 5A 3D")


def test_an_exception_is_the_published_one() -> None:
    assert rtu(1, answer(bytes.fromhex("04 00 07 00 02"), Table())) == bytes.fromhex("01 84 02 C2 C1")


def test_the_smoke_read_over_tcp() -> None:
    table = Table()
    table.words[3] = 1
    assert tcp(1, 1, answer(bytes.fromhex("03 00 03 00 01"), table)) == bytes.fromhex(
        "00 01 00 00 00 05 01 03 02 00 01"
    )


@pytest.mark.parametrize(
    ("request_pdu", "answer_pdu", "coils"),
    [
        ("05 00 00 FF 00", "05 00 00 FF 00", "10000000"),
        ("05 00 01 55 00", "05 00 01 55 00", "01000000"),
        ("05 00 00 12 34", "85 03", "00000000"),
        ("0F 00 00 00 0A 02 CD 01", "0F 00 00 00 0A", "1011001110"),
        ("0F 00 00 00 0A 01 CD", "8F 03", "00000000"),
    ],
)
def test_coils_are_written(request_pdu: str, answer_pdu: str, coils: str) -> None:
    table = Table()
    assert answer(bytes.fromhex(request_pdu), table) == bytes.fromhex(answer_pdu)
    assert table.coils == [c == "1" for c in coils]


@pytest.mark.parametrize(
    ("request_pdu", "answer_pdu", "words"),
    [
        ("06 00 01 00 03", "06 00 01 00 03", [0, 3, 0, 0]),
        ("10 00 01 00 02 04 00 0A 01 02", "10 00 01 00 02", [0, 10, 258, 0]),
        ("10 00 01 00 02 03 00 0A 01", "90 03", [0, 0, 0, 0]),
        ("10 00", "90 03", [0, 0, 0, 0]),
        ("18 00 01", "98 01", [0, 0, 0, 0]),
        ("17 00 01", "97 03", [0, 0, 0, 0]),
        ("17 00 01 00 02 00 01 00 01 02 00 09", "17 04 00 09 00 00", [0, 9, 0, 0]),
        ("03 00 00 00 00", "83 03", [0, 0, 0, 0]),
        ("03 00 00 00 7E", "83 03", [0, 0, 0, 0]),
    ],
)
def test_registers_are_written_and_nonsense_is_refused(request_pdu: str, answer_pdu: str, words: list[int]) -> None:
    table = Table()
    assert answer(bytes.fromhex(request_pdu), table) == bytes.fromhex(answer_pdu)
    assert table.words[:4] == words


@given(st.binary(min_size=1, max_size=253))
def test_any_request_gets_an_answer_of_its_function(pdu: bytes) -> None:
    reply = answer(pdu, Table())
    assert 2 <= len(reply) <= 253 and reply[0] & 0x7F == pdu[0] & 0x7F


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_leave_a_buffer_that_a_quiet_empties(chunks: list[bytes]) -> None:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while take_rtu(buffer) is not None:
            pass
    take_whole(buffer)
    assert not buffer


def test_coils_are_packed_lowest_bit_first() -> None:
    table = Table()
    table.coils[0] = table.coils[2] = True
    assert answer(bytes.fromhex("01 00 00 00 08"), table) == bytes.fromhex("01 01 05")


def test_a_request_is_found_when_its_last_byte_is_there() -> None:
    frame = rtu(9, bytes.fromhex("10 00 01 00 02 04 00 0A 01 02"))
    buffer = bytearray()
    for byte in frame[:-1]:
        buffer.append(byte)
        assert take_rtu(buffer) is None
    buffer.append(frame[-1])
    assert take_rtu(buffer) == (9, frame[1:-2])


def test_two_requests_in_one_read_are_both_found() -> None:
    buffer = bytearray(rtu(1, b"\x03\x00\x00\x00\x01") + rtu(2, b"\x03\x00\x00\x00\x01"))
    assert [take_rtu(buffer), take_rtu(buffer), take_rtu(buffer)] == [
        (1, b"\x03\x00\x00\x00\x01"),
        (2, b"\x03\x00\x00\x00\x01"),
        None,
    ]


def test_a_bad_crc_is_no_request_and_goes_with_the_quiet() -> None:
    buffer = bytearray.fromhex("01 03 00 00 00 02 C4 0C")
    assert take_rtu(buffer) is None
    assert take_whole(buffer) is None
    assert not buffer


def test_an_unknown_function_is_a_frame_once_the_line_is_quiet() -> None:
    body = bytes.fromhex("01 2B 0E 01 00")
    buffer = bytearray(body + crc(body))
    assert take_rtu(buffer) is None
    assert take_whole(buffer) == (1, body[1:])
