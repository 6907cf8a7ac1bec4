"""Golden bytes and fuzz of the example's codec. Copy this with the driver."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers.example import codec
from edge.model import BadCause


def test_request() -> None:
    assert codec.request(7) == b"R 07\n"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"V 07 21.5", 21.5),
        (b"V 07 -3", -3.0),
        (b"V 08 21.5", BadCause.GARBLED),
        (b"E 07 3", BadCause.EXCEPTION),
        (b"V 07 nan", BadCause.NOT_FINITE),
        (b"V 07 1e999", BadCause.NOT_FINITE),
        (b"V 07", BadCause.GARBLED),
        (b"X 07 1", BadCause.GARBLED),
        (b"\xff", BadCause.GARBLED),
        (b"", BadCause.GARBLED),
    ],
)
def test_answer(line: bytes, wanted: object) -> None:
    assert codec.answer(7, line) == wanted


@given(st.binary(max_size=64))
def test_no_bytes_raise(line: bytes) -> None:
    codec.answer(7, line)
