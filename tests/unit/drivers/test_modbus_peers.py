"""The Modbus driver against peers: pymodbus' server on TCP, hand-made slaves on a pty. Reads, writes, unplugging."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymodbus.framer.rtu import FramerRTU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from device_drivers.modbus import create
from device_drivers.modbus.driver import ModbusDriver
from edge.errors import Unreachable
from edge.model import (
    Delivered,
    Device,
    Outcome,
    Place,
    Point,
    PointKey,
    Refused,
    TryLater,
    Write,
)
from edge.ports import Kit, LinkSettings
from tests.unit.drivers.conftest import free_port
from tests.unit.drivers.rigs import RtuRig, modbus_reply


def modbus_device(points: list[Point], writes: dict[str, dict[str, Any]] | None = None, unit: int = 1) -> Device:
    maps = {key: {"write": how} for key, how in (writes or {}).items()}
    return Device("d", "p", "l", str(unit), Place(), tuple(points), (), 60.0, {"poll_s": 1.0, "points": maps})


REGISTERS = [0x0001, 0x4366, 0x3333, 0xFF9B, 0x7FC0, 0x0000, 250, 1001]
POINTS = [
    Point("bit", read={"fc": 3, "register": 0, "type": "bit", "bit": 0}),
    Point("volts", read={"fc": 3, "register": 1, "type": "f32"}),
    Point("cold", read={"fc": 3, "register": 3, "type": "s16", "scale": 0.1}),
    Point("nan", read={"fc": 3, "register": 4, "type": "f32"}),
    Point("lel", read={"fc": 3, "register": 6, "scale": 0.1}, low=0, high=100),
    Point("over", read={"fc": 3, "register": 7, "scale": 0.1}, low=0, high=100),
    Point("absent", read={"fc": 3, "register": 900}),
]
WRITES: dict[str, dict[str, Any]] = {
    "level": {"fc": 6, "register": 6, "on": 7, "off": 3},
    "nowhere": {"fc": 6, "register": 900, "on": 1, "off": 0},
}


@pytest_asyncio.fixture
async def foreign_host() -> AsyncIterator[int]:
    """pymodbus' own server with holding registers."""
    port = free_port()
    host = SimDevice(1, simdata=[SimData(0, values=REGISTERS, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(host, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    yield port
    await server.shutdown()  # type: ignore[no-untyped-call]


async def read_all(driver: ModbusDriver) -> dict[str, tuple[object, object]]:
    got: dict[str, tuple[object, object]] = {}
    for item in driver.plan:
        for reading in (await driver.read(item.request)).readings:
            got[reading.key.point] = (reading.value, reading.cause)
    return got


def made(kind: str, options: dict[str, Any], device: Device, kit: Kit) -> ModbusDriver:
    driver = create(LinkSettings("l", kind, options), [device], kit)
    assert isinstance(driver, ModbusDriver)
    return driver


async def test_a_foreign_host_is_read_and_written(foreign_host: int, kit: Kit, counts: Counter[str]) -> None:
    driver = made("modbus-tcp", {"host": "127.0.0.1", "port": foreign_host}, modbus_device(POINTS, WRITES), kit)
    await driver.open()
    got = await read_all(driver)
    volts = got.pop("volts")[0]
    assert isinstance(volts, float) and abs(volts - 230.2) < 1e-4
    assert got == {
        "bit": (True, None),
        "cold": (-10.1, None),
        "nan": (None, "not_finite"),
        "lel": (25.0, None),
        "over": (None, "out_of_range"),
        "absent": (None, "exception"),
    }
    assert counts["exception_2"] == 1

    async def written(point: str, value: bool | int | str) -> Outcome:
        return await driver.write(Write(PointKey("d", point), value))

    assert await written("level", True) == Delivered("read back")
    assert (await read_all(driver))["lel"] == (0.7, None)
    assert await written("level", 42) == Delivered("read back")
    assert isinstance(await written("level", "high"), Refused)
    assert isinstance(await written("level", 70_000), Refused)
    assert isinstance(await written("nowhere", True), Refused)
    assert isinstance(await written("bit", True), Refused)
    await driver.close()
    assert isinstance(await written("level", True), TryLater)


async def test_a_host_that_goes_away_is_unreachable(foreign_host: int, kit: Kit) -> None:
    driver = made("modbus-tcp", {"host": "127.0.0.1", "port": free_port()}, modbus_device(POINTS), kit)
    with pytest.raises(Unreachable):
        await driver.open()
    with pytest.raises(Unreachable):
        await driver.read(driver.plan[0].request)


class Relay(RtuRig):
    """A relay board on a pty: remembers coils, if it obeys."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.coils = [0] * 16
        self.obeys = True
        self.answers = True

    def received(self, data: bytes) -> None:
        unit, fc, address, number = struct.unpack(">BBHH", data[:6])
        body = modbus_reply(data)
        if fc == 5 and self.obeys:
            self.coils[address] = int(number == 0xFF00)
        if fc == 1:
            packed = sum(bit << n for n, bit in enumerate(self.coils[address : address + number]))
            body = bytes([unit, 1, 1, packed | 0x80])
        if self.answers:
            self.say(body + struct.pack(">H", FramerRTU.compute_CRC(body)))


HORN = [
    Point("horn", read={"fc": 1, "coil": 0, "type": "bit"}, writable=True),
    Point("valve", read={"fc": 1, "coil": 1, "type": "bit"}, writable=True),
]
SWITCHES: dict[str, dict[str, Any]] = {
    "horn": {"fc": 5, "coil": 0, "on": True, "off": False},
    "valve": {"fc": 5, "coil": 1, "on": True, "off": None},
}


async def test_a_relay_board(tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_drivers.modbus.wire.QUIET_AFTER_FAULT_S", 0.02)
    relay = Relay(tmp_path)
    await relay.start()
    driver = made("modbus-rtu", dict(relay.settings.options), modbus_device(HORN, SWITCHES), kit)
    await driver.open()
    assert len(driver.plan) == 1

    async def written(point: str, value: bool) -> Outcome:
        return await driver.write(Write(PointKey("d", point), value))

    assert await written("horn", True) == Delivered("read back")
    assert (await read_all(driver))["horn"] == (True, None)
    assert await written("horn", False) == Delivered("read back")
    assert await written("valve", True) == Delivered("read back")
    assert isinstance(await written("valve", False), Refused), "the gateway never opens the gas valve"
    assert relay.coils[:2] == [0, 1]
    relay.obeys = False
    assert isinstance(await written("horn", True), TryLater)
    relay.answers = False
    assert isinstance(await written("horn", True), TryLater)
    relay.answers = relay.obeys = True
    assert await written("horn", True) == Delivered("read back")
    await relay.stop()
    await asyncio.sleep(0.05)
    assert isinstance(await written("horn", True), TryLater)
    with pytest.raises(Unreachable):
        await driver.read(driver.plan[0].request)
    await driver.close()


async def test_probe_finds_who_answers(tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_drivers.modbus.wire.QUIET_AFTER_FAULT_S", 0.001)
    monkeypatch.setattr("device_drivers.modbus.scan.PING_S_MAX", 0.005)
    monkeypatch.setattr("device_drivers.modbus.scan.PING_S_MIN", 0.005)

    class Two(RtuRig):
        def received(self, data: bytes) -> None:
            if data[0] in (17, 99):
                super().received(data)

    rig = Two(tmp_path)
    await rig.start()
    driver = made("modbus-rtu", dict(rig.settings.options), modbus_device(POINTS), kit)
    await driver.open()
    assert await driver.probe() == ["17", "99"]
    await driver.close()
    await rig.stop()


@pytest.mark.parametrize(("kind", "unit"), [("modbus-rtu", 0), ("modbus-rtu", 248), ("modbus-tcp", 256)])
def test_unit_numbers_that_cannot_be_are_refused(kit: Kit, kind: str, unit: int) -> None:
    with pytest.raises(ValueError, match="no unit number"):
        made(kind, {"port": 502, "host": "x"}, modbus_device(POINTS, unit=unit), kit)
