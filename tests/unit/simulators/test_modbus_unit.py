"""Engineering values in registers and coils, computed by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from edge.model import Point, PointKey
from simulators.building import GroundTruth
from simulators.devices.modbus_unit import ModbusUnit, encode_registers
from simulators.devices.modbus_wire import Fault, answer

MakeTruth = Callable[..., GroundTruth]


@pytest.mark.parametrize(
    ("value", "read", "words"),
    [
        (12.3, {"type": "u16", "scale": 0.1}, [123]),
        (-10.1, {"type": "s16", "scale": 0.1}, [0xFF9B]),
        (21.5, {"type": "u16", "scale": 0.5, "offset": -40.0}, [123]),
        (70000, {"type": "u16"}, [0xFFFF]),
        (-1, {"type": "u16"}, [0]),
        (230.2, {"type": "f32"}, [0x4366, 0x3333]),
        (230.2, {"type": "f32", "order": "CDAB"}, [0x3333, 0x4366]),
        (230.2, {"type": "f32", "order": "BADC"}, [0x6643, 0x3333]),
        (230.2, {"type": "f32", "order": "DCBA"}, [0x3333, 0x6643]),
        (0x01020304, {"type": "u32", "order": "DCBA"}, [0x0403, 0x0201]),
        (-2, {"type": "s32"}, [0xFFFF, 0xFFFE]),
    ],
)
def test_a_value_becomes_registers(value: float, read: dict[str, Any], words: list[int]) -> None:
    assert encode_registers(value, read) == words


def test_gas_and_fault_share_one_read(make_truth: MakeTruth) -> None:
    truth = make_truth("g1")
    truth.set(PointKey("g1", "lel"), 25.1)
    truth.set(PointKey("g1", "fault"), True)
    unit = ModbusUnit(truth.device("g1"), truth)
    assert answer(bytes.fromhex("03 00 00 00 02"), unit) == bytes.fromhex("03 04 00 FB 00 01")


def test_smoke_and_fault_are_bits_of_one_register(make_truth: MakeTruth) -> None:
    truth = make_truth("s1")
    unit = ModbusUnit(truth.device("s1"), truth)
    assert unit.registers(3, 0, 1) == [0]
    truth.set(PointKey("s1", "smoke"), True)
    assert unit.registers(3, 0, 1) == [1]
    truth.set(PointKey("s1", "fault"), True)
    assert unit.registers(3, 0, 1) == [3]


def test_an_alarm_contact_is_inverted(make_truth: MakeTruth) -> None:
    truth = make_truth("s1")
    plain = truth.device("s1")
    point = Point("smoke", read={"fc": 2, "coil": 0, "type": "bit", "invert": True})
    device = dataclasses.replace(plain, points=(point,), rules=(), wire={"points": {"smoke": {"read": point.read}}})
    contact = ModbusUnit(device, truth)
    assert list(contact.bits(2, 0, 1)) == [True]
    truth.set(PointKey("s1", "smoke"), True)
    assert list(contact.bits(2, 0, 1)) == [False]


@pytest.mark.parametrize(("function", "start", "count"), [(3, 1, 1), (3, 0, 2), (4, 0, 1)])
def test_registers_that_are_not_there_are_refused(make_truth: MakeTruth, function: int, start: int, count: int) -> None:
    truth = make_truth("s1")
    with pytest.raises(Fault) as refused:
        ModbusUnit(truth.device("s1"), truth).registers(function, start, count)
    assert refused.value.code == 2


def test_the_relay_board_remembers_what_was_written(make_truth: MakeTruth) -> None:
    truth = make_truth("relay1")
    board = ModbusUnit(truth.device("relay1"), truth)
    assert answer(bytes.fromhex("05 00 00 FF 00"), board) == bytes.fromhex("05 00 00 FF 00")
    assert answer(bytes.fromhex("05 00 05 FF 00"), board) == bytes.fromhex("05 00 05 FF 00")
    assert answer(bytes.fromhex("01 00 00 00 08"), board) == bytes.fromhex("01 01 21")
    assert [(f.point, f.value) for f in truth.facts] == [("horn", True)]
    assert answer(bytes.fromhex("05 00 FF 00 00"), board) == bytes.fromhex("05 00 FF 00 00")
    assert answer(bytes.fromhex("01 00 00 00 08"), board) == bytes.fromhex("01 01 00")
    assert truth.value(PointKey("relay1", "horn")) is False


def test_the_key_switch_is_an_input(make_truth: MakeTruth) -> None:
    truth = make_truth("relay1")
    truth.set(PointKey("relay1", "ack_key"), True)
    board = ModbusUnit(truth.device("relay1"), truth)
    assert answer(bytes.fromhex("02 00 00 00 08"), board) == bytes.fromhex("02 01 01")
    assert answer(bytes.fromhex("05 00 08 FF 00"), board) == bytes.fromhex("85 02")


def test_a_measured_register_cannot_be_written(make_truth: MakeTruth) -> None:
    truth = make_truth("g1")
    assert answer(bytes.fromhex("06 00 00 00 01"), ModbusUnit(truth.device("g1"), truth)) == bytes.fromhex("86 02")
