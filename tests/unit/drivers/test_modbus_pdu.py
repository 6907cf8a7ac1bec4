"""Golden bytes (reference/standards.md §5) and fuzz of the Modbus codec, with pymodbus as the independent encoder."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from device_drivers.modbus import pdu
from device_drivers.modbus.pdu import Data, Refusal, Request, Rubbish

requests = st.one_of(
    st.builds(Request, st.integers(1, 247), st.sampled_from([1, 2]), st.integers(0, 0xFFFF), st.integers(1, 2000)),
    st.builds(Request, st.integers(1, 247), st.sampled_from([3, 4]), st.integers(0, 0xFFFF), st.integers(1, 125)),
    st.builds(
        Request,
        st.integers(1, 247),
        st.sampled_from([5, 6]),
        st.integers(0, 0xFFFF),
        st.just(1),
        st.sampled_from([0, 1, 0xFF00]),
    ),
)


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    ("request_", "frame"),
    [
        (Request(0xFE, 4, 3), "FE 04 00 03 00 01 D5 C5"),
        (Request(1, 3, 0, 2), "01 03 00 00 00 02 C4 0B"),
        (Request(1, 5, 0, value=0xFF00), "01 05 00 00 FF 00 8C 3A"),
        (Request(1, 5, 0xFF, value=0xFF00), "01 05 00 FF FF 00 BC 0A"),
        (Request(1, 1, 0, 8), "01 01 00 00 00 08 3D CC"),
        (Request(1, 4, 0, 2), "01 04 00 00 00 02 71 CB"),
        (Request(1, 3, 3), "01 03 00 03 00 01 74 0A"),
        (Request(1, 2, 0, 4), "01 02 00 00 00 04 79 C9"),
    ],
)
def test_published_requests(request_: Request, frame: str) -> None:
    assert pdu.rtu_frame(request_) == hexed(frame)


@pytest.mark.parametrize(
    ("request_", "reply", "answer"),
    [
        (Request(0xFE, 4, 3), "FE 04 02 03 88 AD B2", Data(hexed("03 88"))),
        (Request(1, 3, 0, 2), "01 03 04 02 92 FF 9B 5A 3D", Data(hexed("02 92 FF 9B"))),
        (Request(1, 4, 0, 2), "01 04 04 43 66 33 33 5A FA", Data(hexed("43 66 33 33"))),
        (Request(1, 5, 0, value=0xFF00), "01 05 00 00 FF 00 8C 3A", Data(b"")),
        (Request(1, 4, 0, 2), "01 84 02 C2 C1", Refusal(2)),
        (Request(0xFE, 4, 3), "FE 04 02 03 88 D5 C5", Rubbish("bad_crc")),
        (Request(2, 3, 0, 2), "01 03 04 02 92 FF 9B 5A 3D", Rubbish("wrong_unit")),
        (Request(1, 4, 0, 2), "01 03 04 02 92 FF 9B 5A 3D", Rubbish("wrong_function")),
        (Request(1, 3, 0, 1), "01 03 04 02 92 FF 9B 5A 3D", Rubbish("bad_length")),
        (Request(1, 3, 0, 3), "01 03 04 02 92 FF 9B 5A 3D", None),
        (Request(1, 3, 0, 2), "01 03 04 02 92 FF 9B 5A 3D 00", Rubbish("bad_length")),
        (Request(1, 5, 1, value=0xFF00), "01 05 00 00 FF 00 8C 3A", Rubbish("wrong_echo")),
    ],
)
def test_published_replies(request_: Request, reply: str, answer: object) -> None:
    assert pdu.rtu_answer(request_, hexed(reply)) == answer


def test_published_tcp_frames() -> None:
    request = Request(1, 3, 3)
    assert pdu.tcp_frame(request, 1) == hexed("00 01 00 00 00 06 01 03 00 03 00 01")
    split = pdu.tcp_split(hexed("00 01 00 00 00 05 01 03 02 00 01") + b"rest")
    assert split == (1, hexed("01 03 02 00 01"), b"rest")
    assert pdu.tcp_answer(request, hexed("01 03 02 00 01")) == Data(hexed("00 01"))
    assert pdu.tcp_answer(request, hexed("02 03 02 00 01")) == Rubbish("wrong_unit")
    assert pdu.tcp_split(hexed("00 01 00 01 00 05 01 03 02 00 01")) == Rubbish("bad_header")
    assert pdu.tcp_split(hexed("00 01 00 00 FF FF 01")) == Rubbish("bad_header")


@given(st.binary(max_size=300))
def test_the_crc_is_that_of_an_independent_library(data: bytes) -> None:
    assert pdu.crc16(data) == struct.pack(">H", FramerRTU.compute_CRC(data))


@given(requests, st.binary(max_size=300))
def test_no_bytes_raise_and_none_without_a_right_crc_are_data(request: Request, received: bytes) -> None:
    answer = pdu.rtu_answer(request, received)
    assert answer is None or isinstance(answer, Data | Refusal | Rubbish)
    if isinstance(answer, Data | Refusal):
        assert received[-2:] == struct.pack(">H", FramerRTU.compute_CRC(received[:-2]))


@given(requests, requests, st.data())
def test_a_reply_to_another_request_is_never_data_unless_it_has_the_same_shape(
    mine: Request, other: Request, data: st.DataObject
) -> None:
    body = data.draw(st.binary(min_size=other.data_bytes, max_size=other.data_bytes))
    reply = bytes([other.unit]) + (other.pdu if other.writes else bytes([other.fc, len(body)]) + body)
    frame = reply + struct.pack(">H", FramerRTU.compute_CRC(reply))
    if isinstance(pdu.rtu_answer(mine, frame), Data) and mine != other:
        assert mine.shape == other.shape and not mine.writes


@given(requests, st.integers(0, 40), st.data())
def test_a_torn_reply_is_never_data(request: Request, cut: int, data: st.DataObject) -> None:
    body = data.draw(st.binary(min_size=request.data_bytes, max_size=request.data_bytes))
    reply = bytes([request.unit]) + (request.pdu if request.writes else bytes([request.fc, len(body)]) + body)
    frame = reply + struct.pack(">H", FramerRTU.compute_CRC(reply))
    assert isinstance(pdu.rtu_answer(request, frame), Data)
    torn = frame[: min(cut, len(frame) - 1)]
    assert pdu.rtu_answer(request, torn) is None or isinstance(pdu.rtu_answer(request, torn), Rubbish)


@given(requests, st.binary(max_size=300))
def test_no_tcp_bytes_raise(request: Request, received: bytes) -> None:
    split = pdu.tcp_split(received)
    if isinstance(split, tuple):
        transaction, body, rest = split
        assert len(body) >= 2 and received.endswith(rest) and 0 <= transaction <= 0xFFFF
        pdu.tcp_answer(request, body)
