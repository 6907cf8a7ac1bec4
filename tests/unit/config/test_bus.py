"""Bus time: arithmetic checked by hand."""

from __future__ import annotations

import pytest

from device_drivers.profiles import load_profiles
from edge.config.bus import Exchange, exchange_s, exchanges, load, what_helps
from edge.model import Device, Place

PROFILES = load_profiles()


def device(profile: str, address: int) -> Device:
    p = PROFILES[profile]
    return Device(f"d{address}", p.id, "bus", str(address), Place(), p.points, p.rules, p.supervise_s, p.wire, p.kind)


def test_points_that_touch_share_one_exchange() -> None:
    assert exchanges(PROFILES["example/smoke-modbus"].wire) == [Exchange(8, 7)]
    assert exchanges(PROFILES["example/gas-modbus"].wire) == [Exchange(8, 9)]
    assert exchanges(PROFILES["relay/waveshare"].wire) == [Exchange(8, 6), Exchange(8, 6)]


def test_points_apart_do_not() -> None:
    def read(register: int, kind: str = "u16") -> dict[str, object]:
        return {"read": {"fc": 4, "register": register, "type": kind}}

    assert exchanges({"points": {"a": read(0, "f32"), "b": read(2), "c": read(4)}}) == [Exchange(8, 11), Exchange(8, 7)]


def test_one_exchange_at_9600_8n1() -> None:
    # 15 characters of 10 bits are 15.625 ms, twice 3.5 characters 7.292 ms, the turnaround 20 ms.
    assert exchange_s(Exchange(8, 7), 9600, 10) == pytest.approx(0.042917, abs=1e-6)


def test_the_worst_case_of_a_bus() -> None:
    bus = load(
        [device("example/smoke-modbus", n) for n in range(1, 11)] + [device("relay/waveshare", 11)], 9600, "N", 1, 0.5
    )
    assert (bus.life_safety, bus.devices) == (10, 11)
    assert bus.detect_s == pytest.approx(10 * 0.042917 / 0.9 + 0.5, abs=1e-4)
    assert bus.round_s > bus.detect_s


def test_parity_and_a_second_stop_bit_cost_time() -> None:
    devices = [device("example/smoke-modbus", 1)]
    assert load(devices, 9600, "E", 1, 0.5).detect_s > load(devices, 9600, "N", 1, 0.5).detect_s
    assert load(devices, 9600, "N", 2, 0.5).detect_s == load(devices, 9600, "E", 1, 0.5).detect_s


def test_gaps_and_illegal_ranges_are_the_profiles() -> None:
    def read(register: int) -> dict[str, object]:
        return {"read": {"fc": 3, "register": register, "type": "u16"}}

    points = {"a": read(0), "b": read(3), "command": {"write": {"fc": 6, "register": 9}}}
    assert exchanges({"points": points}) == [Exchange(8, 7), Exchange(8, 7)]
    assert exchanges({"points": points, "gap": 2}) == [Exchange(8, 13)]
    assert exchanges({"points": points, "gap": 2, "illegal": [(1, 1)]}) == [Exchange(8, 7), Exchange(8, 7)]
    assert exchanges({"points": points, "gap": 2, "max_registers": 3}) == [Exchange(8, 7), Exchange(8, 7)]


def test_slaves_that_die_together_cost_a_timeout_for_each_of_their_requests() -> None:
    devices = [device("example/smoke-modbus", n) for n in range(1, 11)] + [device("relay/waveshare", 11)]
    alone, two = load(devices, 9600, "N", 1, 0.25), load(devices, 9600, "N", 1, 0.25, dead=2)
    assert two.dead_s == pytest.approx(alone.detect_s + 3 * (0.25 + 0.15))
    assert two.detect_s == alone.detect_s


def test_what_helps_is_said_in_numbers() -> None:
    devices = [device("example/smoke-modbus", n) for n in range(1, 248)]
    assert load(devices, 9600, "N", 1, 0.25).detect_s > 10
    baudrate, move = what_helps(devices, 9600, "N", 1, 0.25, 10.0)
    assert baudrate == 19200
    assert load(devices[: 247 - move], 9600, "N", 1, 0.25).detect_s <= 10
    assert load(devices[: 248 - move], 9600, "N", 1, 0.25).detect_s > 10
    assert what_helps(devices, 9600, "N", 1, 9.9, 10.0)[0] is None
