"""Registers to values, and points to requests: pure, against Python's own struct and by property."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers.modbus.decode import Cell, cell, value_of
from device_drivers.modbus.pdu import BITS_MAX, REGISTERS_MAX, Request
from device_drivers.modbus.plan import quiet_s, rtu_cost_s, spans
from edge.model import BadCause, Point


def made(low: float | None = None, high: float | None = None, **read: Any) -> Cell:
    return cell(Point("p", read=read, low=low, high=high))


@pytest.mark.parametrize(
    ("read", "data", "value"),
    [
        ({"fc": 4, "register": 3}, "0388", 904),
        ({"fc": 3, "register": 0, "scale": 0.1}, "0292", 65.8),
        ({"fc": 3, "register": 0, "type": "s16", "scale": 0.1}, "FF9B", -10.1),
        ({"fc": 3, "register": 0, "scale": 0.1}, "00FC", 25.2),
        ({"fc": 3, "register": 0, "scale": 1.0, "offset": -40.0}, "0064", 60.0),
        ({"fc": 3, "register": 0, "order": "DCBA"}, "0100", 1),
        ({"fc": 3, "register": 0, "type": "bit", "bit": 0}, "0001", True),
        ({"fc": 3, "register": 0, "type": "bit", "bit": 15}, "8000", True),
        ({"fc": 3, "register": 0, "type": "bit", "bit": 8}, "0001", False),
        ({"fc": 3, "register": 0, "type": "bit", "bit": 8, "order": "BADC"}, "0001", True),
        ({"fc": 3, "register": 0, "type": "bit", "bit": 1, "invert": True}, "0001", True),
        ({"fc": 3, "register": 0, "type": "u32"}, "00010002", 0x10002),
        ({"fc": 3, "register": 0, "type": "u32", "order": "CDAB"}, "00020001", 0x10002),
        ({"fc": 3, "register": 0, "type": "u32", "order": "BADC"}, "01000200", 0x10002),
        ({"fc": 3, "register": 0, "type": "u32", "order": "DCBA"}, "02000100", 0x10002),
        ({"fc": 3, "register": 0, "type": "s32"}, "FFFFFFFF", -1),
        ({"fc": 2, "coil": 0, "type": "bit"}, "01", True),
        ({"fc": 2, "coil": 0, "type": "bit", "invert": True}, "01", False),
    ],
)
def test_values(read: dict[str, Any], data: str, value: object) -> None:
    one = made(**read)
    found = value_of(one, one.address, bytes.fromhex(data))
    assert found == value and type(found) is type(value)


def test_the_published_voltage() -> None:
    found = value_of(made(fc=4, register=0, type="f32"), 0, bytes.fromhex("43663333"))
    assert isinstance(found, float) and math.isclose(found, 230.2, rel_tol=1e-6)


def test_coils_count_from_the_lowest_bit_of_the_first_byte() -> None:
    data = bytes([0b00000001, 0b10000000])
    assert [value_of(made(fc=1, coil=n, type="bit"), 0, data) for n in range(16)] == [True] + [False] * 14 + [True]
    assert value_of(made(fc=1, coil=105, type="bit"), 100, bytes([0b00100000])) is True


@pytest.mark.parametrize("bits", ["7FC00000", "7F800000", "FF800000", "FFFFFFFF"])
def test_nan_and_infinity_are_a_cause(bits: str) -> None:
    assert value_of(made(fc=3, register=0, type="f32"), 0, bytes.fromhex(bits)) is BadCause.NOT_FINITE


def test_a_scale_that_overflows_is_a_cause() -> None:
    one = made(fc=3, register=0, type="f32", scale=1e308)
    assert value_of(one, 0, struct.pack(">f", 3e38)) is BadCause.NOT_FINITE


def test_out_of_range_is_a_cause_and_the_edges_are_not() -> None:
    one = made(0.0, 100.0, fc=3, register=0, scale=0.1)
    assert [value_of(one, 0, struct.pack(">H", raw)) for raw in (0, 1000, 1001, 0xFFFF)] == [
        0.0,
        100.0,
        BadCause.OUT_OF_RANGE,
        BadCause.OUT_OF_RANGE,
    ]


@given(
    st.sampled_from(["u16", "s16", "u32", "s32", "f32"]), st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]), st.data()
)
def test_every_order_is_undone(kind: str, order: str, data: st.DataObject) -> None:
    code = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "f32": ">f"}[kind]
    raw = data.draw(st.binary(min_size=struct.calcsize(code), max_size=struct.calcsize(code)))
    (number,) = struct.unpack(code, raw)
    letters = "ABCD" if len(raw) == 4 else {"ABCD": "AB", "CDAB": "AB", "BADC": "BA", "DCBA": "BA"}[order]
    if len(raw) == 4:
        letters = order
    sent = bytes(raw["ABCD".index(letter)] for letter in letters)
    found = value_of(made(fc=3, register=0, type=kind, order=order), 0, sent)
    assert found == number if math.isfinite(number) else found is BadCause.NOT_FINITE


@pytest.mark.parametrize(
    "read",
    [{}, {"fc": 7, "register": 1}, {"fc": 3}, {"fc": 1, "register": 1}, {"fc": 3, "register": 1, "type": "u64"}]
    + [{"fc": 1, "coil": 1, "type": "u16"}, {"fc": 3, "register": 0xFFFF, "type": "u32"}]
    + [{"fc": 3, "register": 1, "order": "ACBD"}],
)
def test_mappings_that_cannot_be_are_refused(read: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="point p"):
        made(**read)


cells = st.builds(
    lambda fc, address, kind: (
        made(fc=fc, coil=address, type="bit") if fc < 3 else made(fc=fc, register=address, type=kind)
    ),
    st.sampled_from([1, 2, 3, 4]),
    st.integers(0, 400) | st.integers(0, 0xFFFE),
    st.sampled_from(["u16", "s32", "f32"]),
)


@given(st.lists(cells, max_size=60))
def test_the_plan_reads_every_cell_and_no_register_besides(wanted: list[Cell]) -> None:
    plan = spans(9, wanted)
    assert sorted(map(id, wanted)) == sorted(id(each) for span in plan for each in span.cells)
    for span in plan:
        covered = {n for each in span.cells for n in range(each.address, each.address + each.width)}
        assert covered == set(range(span.request.address, span.request.address + span.request.count))
        assert span.request.count <= (BITS_MAX if span.request.fc < 3 else REGISTERS_MAX)


def test_neighbours_share_a_request_and_gaps_do_not() -> None:
    plan = spans(1, [made(fc=3, register=n) for n in (1, 0, 5)] + [made(fc=3, register=1, type="bit", bit=3)])
    assert [span.request for span in plan] == [Request(1, 3, 0, 2), Request(1, 3, 5, 1)]


def test_times_of_a_slow_bus() -> None:
    assert math.isclose(quiet_s(9600), 0.00401, rel_tol=0.01)
    assert quiet_s(115200) == 0.00175
    assert 0.03 < rtu_cost_s(Request(1, 3, 0, 2), 9600) < 0.05
