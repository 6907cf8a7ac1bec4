"""Every driver keeps to device_drivers/contract.py, with random faults from seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device_drivers import example, registry
from device_drivers.contract import keeps_the_contract
from edge.ports import Kit, LinkSettings
from tests.unit.drivers import rigs

if TYPE_CHECKING:
    from tests.unit.drivers.conftest import Mosquitto

pytestmark = pytest.mark.asyncio


async def test_example(tmp_path: Path) -> None:
    rig = rigs.ExampleRig()
    await rig.prepare()
    counts = await keeps_the_contract(rig, example.create, range(4), tmp_path)
    assert counts["garbled"] and counts["not_finite"]


async def test_modbus_rtu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_drivers.modbus.wire.QUIET_AFTER_FAULT_S", 0.02)
    counts = await keeps_the_contract(rigs.RtuRig(tmp_path), registry.create, range(3), tmp_path)
    assert counts["timeout"] and counts["bad_crc"] and counts["wrong_unit"]


async def test_modbus_tcp(tmp_path: Path) -> None:
    rig = rigs.TcpRig()
    await rig.prepare()
    counts = await keeps_the_contract(rig, registry.create, range(3), tmp_path)
    assert counts["timeout"] and counts["late_reply"]


async def test_modbus_rtu_over_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_drivers.modbus.wire.QUIET_AFTER_FAULT_S", 0.02)
    rig = rigs.RtuTcpRig()
    await rig.prepare()
    counts = await keeps_the_contract(rig, registry.create, range(3), tmp_path)
    assert counts["timeout"] and counts["bad_crc"]


async def test_mqtt(tmp_path: Path, mosquitto: Mosquitto) -> None:
    rig = rigs.MqttRig(mosquitto)
    await rig.prepare()
    counts = await keeps_the_contract(rig, registry.create, range(3), tmp_path)
    assert counts["garbled"] and counts["not_finite"] and counts["wrong_type"]


async def test_rf433(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_drivers.serial.driver.PRESS_DEBOUNCE_S", 0.0)
    counts = await keeps_the_contract(rigs.RfRig(tmp_path), registry.create, range(4), tmp_path)
    assert counts["garbled"] and counts["unknown_id"]


async def test_an_unknown_kind_is_refused_by_name(kit: Kit) -> None:
    with pytest.raises(ValueError, match="no driver for kind 'can-bus'"):
        registry.create(LinkSettings("x", "can-bus", {}), [], kit)
