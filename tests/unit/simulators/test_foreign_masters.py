"""Masters that are not ours (pymodbus) against the simulated slaves, on TCP and on a pty."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from edge.model import PointKey
from simulators.building import GroundTruth, Health
from simulators.devices.modbus_lines import RtuBus, TcpHost
from simulators.devices.modbus_unit import ModbusUnit

MakeTruth = Callable[..., GroundTruth]
TIMEOUT_S = 0.3


def units(truth: GroundTruth, *devices: str) -> dict[int, ModbusUnit]:
    """The slaves of a bus by unit id."""
    made = (ModbusUnit(truth.device(d), truth) for d in devices)
    return {unit.unit: unit for unit in made}


@pytest.fixture
async def bus(make_truth: MakeTruth, tmp_path: Path) -> AsyncIterator[tuple[GroundTruth, RtuBus]]:
    """A serial bus without byte timing: a smoke detector at 1, a relay board at 100."""
    truth = make_truth()
    bus = RtuBus(tmp_path / "bus1", units(truth, "s1", "relay1"), truth, 1)
    await bus.open()
    yield truth, bus
    await bus.close()


@pytest.fixture
async def master(bus: tuple[GroundTruth, RtuBus]) -> AsyncIterator[AsyncModbusSerialClient]:
    """A foreign master on the bus."""
    client = AsyncModbusSerialClient(str(bus[1].line.port), baudrate=9600, timeout=TIMEOUT_S, retries=0)
    assert await client.connect()
    yield client
    client.close()


async def test_a_serial_master_reads_and_writes(
    bus: tuple[GroundTruth, RtuBus], master: AsyncModbusSerialClient
) -> None:
    truth, _ = bus
    truth.set(PointKey("s1", "smoke"), True)
    assert (await master.read_holding_registers(0, count=1, device_id=1)).registers == [1]
    assert not (await master.write_coil(0, True, device_id=100)).isError()
    assert (await master.read_coils(0, count=8, device_id=100)).bits[:2] == [True, False]
    assert not (await master.write_coils(0, [False, True], device_id=100)).isError()
    assert (await master.read_coils(0, count=2, device_id=100)).bits[:2] == [False, True]
    assert truth.value(PointKey("relay1", "gas_valve")) is True
    refused = await master.read_holding_registers(7, count=1, device_id=1)
    assert refused.isError() and refused.exception_code == 2


@pytest.mark.parametrize("health", [Health.DEAD, Health.TORN, Health.OTHER_ID, Health.BAD_CRC, Health.BABBLE])
async def test_a_failing_slave_gives_no_value(
    bus: tuple[GroundTruth, RtuBus], master: AsyncModbusSerialClient, health: Health
) -> None:
    truth, line = bus
    truth.set_health("s1", health)
    with pytest.raises(ModbusException):
        await master.read_holding_registers(0, count=1, device_id=1)
    assert line.requests == 1


async def test_nobody_answers_for_an_absent_slave(
    bus: tuple[GroundTruth, RtuBus], master: AsyncModbusSerialClient
) -> None:
    with pytest.raises(ModbusException):
        await master.read_holding_registers(0, count=1, device_id=55)


async def test_noise_before_a_request_is_forgotten(bus: tuple[GroundTruth, RtuBus]) -> None:
    truth, line = bus
    host = os.open(str(line.line.port), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    answered = asyncio.Event()
    asyncio.get_running_loop().add_reader(host, answered.set)
    try:
        os.write(host, b"\xff\x00noise")
        while not line.rejected:
            await asyncio.sleep(0)
        os.write(host, bytes.fromhex("01 03 00 00 00 01 84 0A"))
        await asyncio.wait_for(answered.wait(), 2)
        assert os.read(host, 64) == bytes.fromhex("01 03 02 00 00 B8 44")
    finally:
        asyncio.get_running_loop().remove_reader(host)
        os.close(host)


async def test_a_tcp_master_reads_until_the_link_is_cut(make_truth: MakeTruth) -> None:
    truth = make_truth()
    host = TcpHost("127.0.0.1", 0, units(truth, "g1"), truth, 1)
    await host.open()
    master = AsyncModbusTcpClient("127.0.0.1", port=host.port, timeout=TIMEOUT_S, retries=0, reconnect_delay=0)
    assert await master.connect()
    truth.set(PointKey("g1", "lel"), 25.1)
    assert (await master.read_holding_registers(0, count=2, device_id=1)).registers == [251, 0]
    truth.set_health("g1", Health.BAD_CRC)
    with pytest.raises(ModbusException):
        await master.read_holding_registers(0, count=2, device_id=1)
    truth.set_health("g1", Health.WELL)
    await host.close()
    with pytest.raises(ModbusException):
        await master.read_holding_registers(0, count=2, device_id=1)
    await host.open()
    assert await master.connect()
    assert (await master.read_holding_registers(0, count=2, device_id=1)).registers == [251, 0]
    master.close()
    await host.close()


async def test_a_port_in_use_is_waited_for(make_truth: MakeTruth) -> None:
    truth = make_truth()
    first = TcpHost("127.0.0.1", 0, units(truth, "g1"), truth, 1)
    await first.open()
    second = TcpHost("127.0.0.1", first.port, units(truth, "g1"), truth, 1)
    await second.open()
    await second.close()
    await first.close()


async def test_what_is_no_modbus_is_cut_off(make_truth: MakeTruth) -> None:
    truth = make_truth()
    host = TcpHost("127.0.0.1", 0, units(truth, "g1"), truth, 1)
    await host.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    assert host.rejected == 1
    writer.close()
    await host.close()
