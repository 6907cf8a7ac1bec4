"""OSDP: the simulated readers' golden bytes, and our control panel against them and against libosdp's own device."""

from __future__ import annotations

import asyncio
import os
import tty
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import osdp
import pytest

from device_drivers import registry
from device_drivers.access import create, osdp_driver
from device_drivers.access.osdp_driver import card_text
from device_drivers.contract import keeps_the_contract
from edge.errors import Denied
from edge.model import BadCause, PointKey
from edge.ports import Driver, Kit, LinkSettings
from simulators.building import GroundTruth, Health
from simulators.devices.osdp import OsdpBus, crc16, osdp_reply, wiegand26
from tests.unit.drivers.fire_rig import profiled

POLL = bytes.fromhex("53 00 08 00 04 60 EB AA")
ACK = bytes.fromhex("53 80 08 00 04 40 59 AC")
PDID = bytes.fromhex("53 80 14 00 05 45 BE BA FE 01 01 AF BE AD DE AD DE AD 0A 91")
RAW = bytes.fromhex("53 80 10 00 05 50 00 01 1A 00 A0 B0 C0 40 B8 28")
KEY = bytes(range(16))


def test_golden_bytes() -> None:
    assert crc16(POLL[:-2]) == POLL[-2:]
    assert osdp_reply(0, 4, 0x40) == ACK
    assert osdp_reply(0, 5, 0x45, PDID[6:-2]) == PDID
    assert osdp_reply(0, 5, 0x50, RAW[6:-2]) == RAW


def test_cards_are_named_as_people_do() -> None:
    bits = wiegand26(101, 12345)
    assert card_text(26, int(bits.ljust(32, "0"), 2).to_bytes(4, "big")) == "101-12345"
    assert card_text(26, bytes.fromhex("A0B0C040")) == "26:A0B0C040"
    assert card_text(56, bytes(7)) == "56:00000000000000"


async def test_without_libosdp_the_link_says_what_to_install(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "osdp", None)
    driver = create(LinkSettings("doors", "osdp", {"port": "x"}), [], kit)
    with pytest.raises(Denied, match="pip install"):
        await driver.open()
    await driver.close()


@pytest.mark.parametrize("key", ["00", "xyz", "00" * 17])
def test_a_key_that_is_none_is_refused(kit: Kit, key: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        create(LinkSettings("doors", "osdp", {"port": "x", "key": key}), [], kit)


class OsdpRig:
    """Simulated readers, with their faults, as the far end."""

    def __init__(self, folder: Path) -> None:
        options = {"port": str(folder / "doors"), "baudrate": 115200}
        self.settings = LinkSettings("doors", "osdp", options)
        made = [profiled(f"r{n}", "osdp/reader", "doors", str(n)) for n in (0, 1)]
        self.devices = [replace(device, wire={**device.wire, "poll_s": 0.1}) for device in made]
        self.truth = GroundTruth(self.devices, ["doors"], {}, 1, lambda: 0)
        self.far = OsdpBus(options, self.devices, self.truth, 1)

    async def start(self) -> None:
        await self.calm()
        await self.far.open()

    async def stop(self) -> None:
        await self.far.close()

    async def speak(self) -> None:
        for device in self.devices:
            self.truth.press(PointKey(device.id, "card"), value="101-12345")
            self.truth.press(PointKey(device.id, "keypad"), value="12#")

    async def trouble(self, random: Random) -> None:
        kinds = [h for h in Health if h not in (Health.LATE, Health.DEAD)]
        self.truth.set_health(random.choice(self.devices).id, random.choice(kinds))
        self.far.line.write(random.randbytes(random.randrange(8)))

    async def calm(self) -> None:
        for device in self.devices:
            self.truth.set_health(device.id, Health.WELL)

    def acknowledged(self) -> None:
        return None


async def test_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osdp_driver, "START_S", 0.5)
    monkeypatch.setattr(osdp_driver, "STEP_S", 0.005)
    rig = OsdpRig(tmp_path)
    await keeps_the_contract(rig, registry.create, range(1), tmp_path)


async def until(driver: Driver, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Read until it is so; all that was heard: values, or causes."""
    heard: dict[str, Any] = {}
    async with asyncio.timeout(6):
        while not wanted(heard):
            for r in (await driver.read(None)).readings:
                heard[str(r.key)] = r.value if r.cause is None else r.cause
    return heard


async def test_cards_keys_contacts_and_silence_of_simulated_readers(
    tmp_path: Path, kit: Kit, counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = OsdpRig(tmp_path)
    driver = create(rig.settings, rig.devices, kit)
    await rig.start()
    await driver.open()
    heard = await until(driver, lambda h: {"r0/tamper", "r1/power"} <= h.keys())
    assert heard["r0/tamper"] is False and heard["r1/power"] is False
    rig.truth.set(PointKey("r1", "tamper"), True)
    await rig.speak()
    heard = await until(
        driver, lambda h: h.get("r1/tamper") is True and {"r0/card", "r0/keypad", "r1/card"} <= h.keys()
    )
    assert (heard["r0/card"], heard["r0/keypad"]) == ("101-12345", "12#")
    # libosdp itself gives a silent reader 8 s; here it says at once that none is there.
    monkeypatch.setattr(driver, "_panel", NobodyThere())
    await until(driver, lambda h: h.get("r1/tamper") is BadCause.TIMEOUT)
    assert counts["timeout"]
    await driver.close()
    await rig.stop()


class NobodyThere:
    """libosdp when every reader has been silent for too long."""

    def refresh(self) -> None:
        """Nothing happens."""

    def status(self) -> int:
        """No bit is set."""
        return 0


class ForeignReader:
    """libosdp's peripheral device on a pty, in its own thread."""

    def __init__(self, port: Path, key: bytes | None, reader_key: bytes | None = None) -> None:
        master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(master, False)
        port.symlink_to(os.ttyname(self._slave))
        self._master = master
        capabilities = [(osdp.Capability.ContactStatusMonitoring, 1, 4), (osdp.Capability.CardDataFormat, 1, 1)]
        if key is not None:
            capabilities.append((osdp.Capability.CommunicationSecurity, 1, 1))
        info = osdp.PDInfo(9, _channel(master), scbk=reader_key or key, flags=[])
        self.device = osdp.PeripheralDevice(info, osdp.PDCapabilities(capabilities), log_level=osdp.LogLevel.Emergency)
        self.device.start()

    def close(self) -> None:
        self.device.teardown()
        os.close(self._master)
        os.close(self._slave)


def _channel(file: int) -> Any:
    class Pty(osdp.Channel):  # type: ignore[misc]
        def read(self, max_bytes: int) -> bytes:
            try:
                return os.read(file, max_bytes)
            except BlockingIOError:
                return b""

        def write(self, buf: bytes) -> int:
            return os.write(file, buf)

        def flush(self) -> None:
            pass

    return Pty()


Foreign = Callable[..., ForeignReader]


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Foreign]:
    made: list[ForeignReader] = []

    def make(key: bytes | None, reader_key: bytes | None = None) -> ForeignReader:
        made.append(ForeignReader(tmp_path / "doors", key, reader_key))
        return made[-1]

    yield make
    for reader in made:
        reader.close()


def our_side(tmp_path: Path, kit: Kit, key: bytes | None) -> Driver:
    options = {"port": str(tmp_path / "doors"), "baudrate": 115200, "key": None if key is None else key.hex()}
    return create(LinkSettings("doors", "osdp", options), [profiled("r9", "osdp/reader", "doors", "9")], kit)


@pytest.mark.parametrize("key", [None, KEY], ids=["clear", "secure channel"])
async def test_a_foreign_reader(tmp_path: Path, kit: Kit, foreign: Foreign, key: bytes | None) -> None:
    reader = foreign(key)
    driver = our_side(tmp_path, kit, key)
    await driver.open()
    assert (await until(driver, lambda h: "r9/tamper" in h)) == {"r9/tamper": False, "r9/power": False}
    assert bool(reader.device.is_sc_active()) is (key is not None)
    bits = int(wiegand26(101, 12345).ljust(32, "0"), 2).to_bytes(4, "big")
    card = {"event": osdp.Event.CardRead, "reader_no": 0, "direction": 0, "format": 1, "length": 26, "data": bits}
    assert reader.device.submit_event(card)
    local = osdp.StatusReportType.Local
    tampered = {"event": osdp.Event.Status, "type": local, "report": bytes([1, 0]), "nr_entries": 2}
    assert reader.device.submit_event(tampered)
    heard = await until(driver, lambda h: "r9/card" in h and h.get("r9/tamper") is True)
    assert heard["r9/card"] == "101-12345"
    await driver.close()


async def test_a_reader_with_another_key_is_never_believed(
    tmp_path: Path, kit: Kit, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osdp_driver, "START_S", 0.8)
    foreign(KEY, reader_key=bytes(16))
    driver = our_side(tmp_path, kit, KEY)
    await driver.open()
    assert await until(driver, bool) == {"r9/tamper": BadCause.TIMEOUT, "r9/power": BadCause.TIMEOUT}
    await driver.close()
