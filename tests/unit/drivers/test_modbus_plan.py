"""Pure parts of the Modbus driver: which requests, which frames set a value, how long each slave is waited for."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers.modbus import pdu
from device_drivers.modbus.decode import ORDERS, cell, value_of
from device_drivers.modbus.patience import FORGIVEN, REPLY_S_MIN, SAMPLES_MIN, Patience
from device_drivers.modbus.pdu import Data, Refusal, Request, answer_in, rtu_frame
from device_drivers.modbus.plan import Limits, spans
from device_drivers.modbus.write import setting
from edge.model import BadCause, Point


def at(register: int, kind: str = "u16", **more: Any) -> Point:
    return Point(f"r{register}", read={"fc": 3, "register": register, "type": kind, **more})


def planned(points: list[Point], limits: Limits | None = None) -> list[tuple[int, int]]:
    return [(s.request.address, s.request.count) for s in spans(1, (cell(p) for p in points), limits)]


def test_ranges_merge_when_they_touch_and_across_gaps_the_profile_allows() -> None:
    points = [at(0), at(1, "f32"), at(5), at(7)]
    assert planned(points) == [(0, 3), (5, 1), (7, 1)]
    assert planned(points, Limits(gap=1)) == [(0, 3), (5, 3)]
    assert planned(points, Limits(gap=2)) == [(0, 8)]
    assert planned(points, Limits(gap=2, registers=4)) == [(0, 3), (5, 3)]
    assert planned(points, Limits(gap=2, illegal=((3, 3),))) == [(0, 3), (5, 3)]


def test_a_point_in_an_illegal_range_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="point r5"):
        planned([at(5)], Limits(illegal=((4, 6),)))


@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["u16", "f32"])), min_size=1, max_size=30),
    st.integers(0, 8),
    st.integers(2, 125),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5)), max_size=4),
)
def test_every_plan_reads_all_and_asks_for_nothing_forbidden(
    where: list[tuple[int, str]], gap: int, most: int, holes: list[tuple[int, int]]
) -> None:
    limits = Limits(gap, tuple((low, low + size) for low, size in holes), most)
    cells = [cell(at(register, kind)) for register, kind in where]
    cells = [each for each in cells if limits.allow(each.address, each.address + each.width)]
    made = spans(1, cells, limits)
    assert sorted(id(c) for span in made for c in span.cells) == sorted(map(id, cells))
    for span in made:
        start, end = span.request.address, span.request.address + span.request.count
        assert span.request.count <= most and limits.allow(start, end)
        assert all(start <= c.address and c.address + c.width <= end for c in span.cells)


@pytest.mark.parametrize(
    ("how", "value", "frames", "wanted"),
    [
        ({"fc": 5, "coil": 1, "on": True, "off": False}, True, ["05 0001 FF00"], "01"),
        ({"fc": 15, "coil": 3, "on": True, "off": False}, False, ["0F 0003 0001 01 00"], "00"),
        ({"fc": 6, "register": 0, "on": 234, "off": None, "read_back": False}, True, ["06 0000 00EA"], "00EA"),
        ({"fc": 6, "register": 4, "type": "s16", "scale": 0.1}, -2.5, ["06 0004 FFE7"], "FFE7"),
        ({"fc": 16, "register": 8, "type": "f32"}, 230.2, ["10 0008 0002 04 43663333"], "43663333"),
        ({"fc": 16, "register": 8, "type": "u32", "order": "CDAB"}, 65538, ["10 0008 0002 04 00020001"], "00020001"),
        ({"fc": 23, "register": 8}, 7, ["17 0008 0001 0008 0001 02 0007"], "0007"),
        (
            {"fc": 6, "register": 9, "unlock": [{"register": 99, "value": 0x5A5A}], "on": 1, "off": 0},
            True,
            ["06 0063 5A5A", "06 0009 0001"],
            "0001",
        ),
    ],
)
def test_a_value_becomes_frames(how: dict[str, Any], value: Any, frames: list[str], wanted: str) -> None:
    made = setting(1, how, value)
    assert [step.pdu.hex() for step in made.steps] == [frame.replace(" ", "").lower() for frame in frames]
    assert made.wanted == bytes.fromhex(wanted)
    assert (made.back is None) == (how.get("read_back") is False)


@pytest.mark.parametrize(
    ("how", "value"),
    [
        ({"fc": 5, "coil": 1, "on": True, "off": None}, False),
        ({"fc": 5, "coil": 1}, 1),
        ({"fc": 5, "coil": 1}, "on"),
        ({"fc": 6, "register": 1, "on": 234, "off": None}, 5),
        ({"fc": 6, "register": 1}, 65536),
        ({"fc": 6, "register": 1}, -1),
        ({"fc": 6, "register": 1}, "a"),
        ({"fc": 16, "register": 1, "type": "f32"}, float("nan")),
        ({"fc": 16, "register": 1, "type": "u32"}, 2**32),
    ],
)
def test_what_a_point_never_takes_is_refused(how: dict[str, Any], value: Any) -> None:
    with pytest.raises(ValueError, match=r"never|cannot|fit"):
        setting(1, how, value)


@given(st.sampled_from(sorted(ORDERS)), st.integers(0, 0xFFFFFFFF))
def test_what_is_written_in_any_order_reads_back_the_same(order: str, number: int) -> None:
    data = setting(1, {"fc": 16, "register": 0, "type": "u32", "order": order}, number).wanted
    assert value_of(cell(at(0, "u32", order=order)), 0, data) == number


def test_replies_to_the_longer_writes() -> None:
    coils = Request(1, 15, 3, 10, data=b"\xcd\x01")
    assert rtu_frame(coils)[:9] == bytes.fromhex("010F0003000A02CD01")
    assert answer_in(coils, bytes.fromhex("0F0003000A")) == Data(b"")
    assert not isinstance(answer_in(coils, bytes.fromhex("0F0003000B")), Data)
    both = Request(1, 23, 3, 6, data=b"\0\xff" * 3, write_address=14)
    assert both.pdu == bytes.fromhex("17 0003 0006 000E 0003 06 00FF00FF00FF")
    assert answer_in(both, b"\x17\x0c" + bytes(12)) == Data(bytes(12))
    assert answer_in(both, b"\x97\x02") == Refusal(2)


def test_raw_words_that_mean_nothing_and_words_that_mean_true() -> None:
    invalid = cell(at(0, invalid=[0xFFFF, 0x8000]))
    assert value_of(invalid, 0, b"\xff\xff") is BadCause.OUT_OF_RANGE
    assert value_of(invalid, 0, b"\x00\x07") == 7
    pipe = cell(at(0, equals=0x55))
    assert (value_of(pipe, 0, b"\x00\x55"), value_of(pipe, 0, b"\x00\xaa")) == (True, False)
    assert value_of(cell(at(0, equals=1, invert=True)), 0, struct.pack(">H", 1)) is False


def test_patience_is_three_times_what_a_slave_needs_within_bounds() -> None:
    patience = Patience()
    for _ in range(SAMPLES_MIN - 1):
        patience.answered(0.01)
    assert patience.reply_s(0.5) == 0.5, "not known yet"
    patience.answered(0.06)
    assert patience.reply_s(0.5) == pytest.approx(0.18)
    assert patience.reply_s(0.1) == 0.1, "never more than the link allows"
    quick = Patience()
    for _ in range(SAMPLES_MIN):
        quick.answered(0.001)
    assert quick.reply_s(0.5) == REPLY_S_MIN


def test_after_a_missing_answer_a_slave_gets_its_full_time_again() -> None:
    patience = Patience()
    for _ in range(SAMPLES_MIN):
        patience.answered(0.01)
    patience.silent()
    for _ in range(FORGIVEN):
        assert patience.reply_s(0.5) == 0.5
        patience.answered(0.3)
    assert patience.reply_s(0.5) == 0.5, "and its slower answers are learnt"


def test_reads_are_the_only_canaries() -> None:
    assert pdu.READS == {1, 2, 3, 4}
