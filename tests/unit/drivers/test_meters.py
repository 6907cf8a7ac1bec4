"""DL/T 645 and CJ/T 188: golden frames, noise, every fault on a pty, and a foreign meter."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers import registry
from device_drivers.contract import keeps_the_contract
from device_drivers.meters import cjt188, create, dlt645
from device_drivers.meters.frames import CJT188, DLT645, bcd, split
from edge.errors import Unreachable
from edge.model import BadCause, Device
from edge.ports import Driver, Kit, LinkSettings, Prober
from simulators.building import GroundTruth, Health
from simulators.devices import byte_line, meters
from simulators.devices.families import FAMILIES
from tests.unit.drivers.fire_rig import profiled
from tests.unit.drivers.rigs import PtyEnd

ENERGY = {"di": "00010000", "bytes": 4, "decimals": 2}
VOLUME = {"at": 0, "bytes": 4, "decimals": 2, "unit": 0x2C}
READ_ENERGY = bytes.fromhex("FE FE FE FE 68 12 90 78 56 34 12 68 11 04 33 33 34 33 68 16")
ENERGY_REPLY = bytes.fromhex("FE FE FE FE 68 12 90 78 56 34 12 68 91 08 33 33 34 33 9A 78 56 34 88 16")
REFUSED = bytes.fromhex("68 12 90 78 56 34 12 68 D1 01 35 8D 16")
READ_WATER = bytes.fromhex("FE FE 68 10 78 56 34 12 00 00 00 01 03 90 1F 01 40 16")
WATER_REPLY = bytes.fromhex(
    "FE FE 68 10 78 56 34 12 00 00 00 81 16 90 1F 01 45 23 01 00 2C 00 00 00 00 2C 00 05 13 21 11 26 20 00 00 24 16"
)
METER, WATER = "123456789012", "00000012345678"


def test_golden_electricity() -> None:
    assert dlt645.request(METER, "00010000") == READ_ENERGY
    assert dlt645.who() == bytes.fromhex("FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16")
    (frame,), rest, faults = split(DLT645, ENERGY_REPLY)
    data = dlt645.answer(frame, METER, "00010000")
    assert (rest, faults) == (b"", 0) and isinstance(data, bytes) and dlt645.value(data, ENERGY) == 12345.67
    (refusal,), _, _ = split(DLT645, REFUSED)
    assert dlt645.answer(refusal, METER, "00010000") is BadCause.EXCEPTION
    assert dlt645.answer(frame, "123456789013", "00010000") is None and dlt645.answer(frame, METER, "00010100") is None


def test_golden_water() -> None:
    assert cjt188.request(0x10, WATER, "901F") == READ_WATER
    (frame,), rest, faults = split(CJT188, WATER_REPLY)
    data = cjt188.answer(frame, 0x10, WATER, "901F")
    assert (rest, faults) == (b"", 0) and isinstance(data, bytes) and cjt188.value(data, VOLUME) == 123.45
    assert cjt188.value(data, {"at": 17, "mask": 0xC0, "equals": 0x40}) is False
    assert cjt188.value(data, {**VOLUME, "unit": 0x2B}) is BadCause.WRONG_TYPE
    assert cjt188.value(data, {**VOLUME, "at": 30}) is BadCause.GARBLED
    for other in ((0x30, WATER, "901F"), (0x10, "00000012345679", "901F"), (0x10, WATER, "1F90")):
        assert cjt188.answer(frame, *other) is None


def test_simulated_meters_send_the_golden_frames() -> None:
    data = bytes.fromhex("00 00 01 00") + meters.digits(12345.67, 4, 2)
    assert b"\xfe" * 4 + meters.dlt_frame(METER, 0x91, data) == ENERGY_REPLY
    assert meters.dlt_frame(METER, 0xD1, b"\x02") == REFUSED
    fields = meters.digits(123.45, 4, 2) + bytes.fromhex("2C 00 00 00 00 2C 00 05 13 21 11 26 20 00 00")
    assert b"\xfe\xfe" + meters.cjt_frame(0x10, WATER, 0x81, bytes.fromhex("90 1F 01") + fields) == WATER_REPLY


@pytest.mark.parametrize(("value", "wire"), [(-0.9876, "769880"), (0.9876, "769800"), (79.9999, "999979")])
def test_the_sign_of_power_is_the_top_bit(value: float, wire: str) -> None:
    assert dlt645.value(bytes.fromhex(wire), {"bytes": 3, "decimals": 4, "signed": True}) == value
    assert meters.digits(value, 3, 4).hex() == wire


@pytest.mark.parametrize("data", ["FFFFFFFF", "0A000000", "000000"])
def test_what_is_no_number_is_no_number(data: str) -> None:
    assert dlt645.value(bytes.fromhex(data), ENERGY) is BadCause.GARBLED


@pytest.mark.parametrize(
    "noise", [b"\x00\xfe", b"\x68", ENERGY_REPLY[:14], ENERGY_REPLY[:-2] + b"\x00\x16", b"\x16\x16"]
)
def test_a_good_frame_behind_noise_is_read(noise: bytes) -> None:
    frames, rest, _ = split(DLT645, noise + ENERGY_REPLY + b"\xfe" * 200)
    assert ENERGY_REPLY[4:] in frames and rest == b""


@given(st.binary(max_size=80), st.integers(0, 24))
def test_no_bytes_raise(noise: bytes, cut: int) -> None:
    for layout, golden in ((DLT645, ENERGY_REPLY), (CJT188, WATER_REPLY)):
        for received in (noise, golden[:cut] + noise, noise + golden):
            frames, rest, _ = split(layout, received)
            assert len(rest) < 300
            for frame in frames:
                dlt645.answer(frame, METER, "00010000") if layout is DLT645 else cjt188.answer(frame, 16, WATER, "901F")
    dlt645.value(noise, {**ENERGY, "signed": True})
    cjt188.value(noise, VOLUME)
    bcd(noise)


def electric_devices() -> list[Device]:
    return [
        profiled("e1", "dlt645/electricity-meter", "bus", METER),
        profiled("e2", "dlt645/electricity-meter", "bus", "000000000007"),
    ]


class MeterRig(PtyEnd):
    """Meters on a pty with an encoder of their own: golden replies with other addresses and data."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "bus")
        self.settings = LinkSettings(
            "bus", "dlt645", {"port": str(self.port), "baudrate": 115200, "parity": "N", "timeout_s": 0.02}
        )
        self.devices = electric_devices()[:1]
        self._spoil: Random | None = None

    async def start(self) -> None:
        await self.calm()
        self.plug()

    async def stop(self) -> None:
        self.unplug()

    async def speak(self) -> None:
        pass

    async def trouble(self, random: Random) -> None:
        self._spoil = random

    async def calm(self) -> None:
        self._spoil = None
        self.heard.clear()

    def acknowledged(self) -> None:
        return None

    def received(self, data: bytes) -> None:
        self.heard += data
        while len(self.heard) >= 20:
            question, self.heard = bytes(self.heard[4:20]), self.heard[20:]
            size = 4 if question[10:14] == b"\x33\x33\x34\x33" else 3 if question[12] != 0x34 else 2
            body = question[:8] + bytes((0x91, 4 + size)) + question[10:14] + b"\x44\x33\x33\x33"[:size]
            good = body + bytes((sum(body) % 256, 0x16))
            self.say(good if self._spoil is None else self._bad(self._spoil, question, good))

    def _bad(self, random: Random, question: bytes, good: bytes) -> bytes:
        other = question[:1] + b"\x99" + good[2:-2]
        return random.choice(
            [
                b"",
                good[: random.randrange(len(good))],
                random.randbytes(30),
                good + good,
                question,
                other + bytes((sum(other) % 256, 0x16)),
                good[:-2] + b"\0\x16",
                REFUSED,
            ]
        )


async def test_contract(tmp_path: Path) -> None:
    counts = await keeps_the_contract(MeterRig(tmp_path), registry.create, range(2), tmp_path)
    assert counts["timeout"] and counts["garbled"] and counts["late_reply"]


async def asked(driver: Driver, device: str) -> dict[str, object]:
    """All of a device's readings: value or cause."""
    found: dict[str, object] = {}
    for item in driver.plan:
        if item.request.device == device:
            for r in (await driver.read(item.request)).readings:
                found[r.key.point] = r.value if r.cause is None else r.cause
    return found


@pytest.mark.parametrize(
    ("health", "wanted"),
    [
        (Health.WELL, {"energy": 12345.67, "voltage": 230.1, "current": 4.321, "power": 0.9876}),
        (Health.DOUBLED, {"energy": 12345.67, "voltage": 230.1, "current": 4.321, "power": 0.9876}),
        (Health.DEAD, dict.fromkeys(("energy", "voltage", "current", "power"), BadCause.TIMEOUT)),
        (Health.OTHER_ID, dict.fromkeys(("energy", "voltage", "current", "power"), BadCause.TIMEOUT)),
        (Health.TORN, dict.fromkeys(("energy", "voltage", "current", "power"), BadCause.GARBLED)),
        (Health.BAD_CRC, dict.fromkeys(("energy", "voltage", "current", "power"), BadCause.GARBLED)),
        (Health.LATE, dict.fromkeys(("energy", "voltage", "current", "power"), BadCause.TIMEOUT)),
    ],
)
async def test_a_faulty_meter_gives_bad_readings_and_never_anothers(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch, health: Health, wanted: dict[str, object]
) -> None:
    monkeypatch.setattr(byte_line, "LATE_S", 0.09)
    options = {"port": str(tmp_path / "bus"), "baudrate": 115200, "parity": "N", "timeout_s": 0.06}
    devices = electric_devices()
    values = {"energy": 12345.67, "voltage": 230.1, "current": 4.321, "power": 0.9876}
    truth = GroundTruth(devices, ["bus"], {"dlt645/electricity-meter": values}, 1, lambda: 0)
    monkeypatch.setattr(GroundTruth, "measured", GroundTruth.value)
    far = FAMILIES["dlt645"](options, devices, truth, 1)
    driver = create(LinkSettings("bus", "dlt645", options), devices, kit)
    await far.open()
    await driver.open()
    truth.set_health("e1", health)
    for _ in range(2):
        assert await asked(driver, "e1") == wanted
        assert await asked(driver, "e2") == values
    await driver.close()
    await far.close()


async def test_water_over_tcp_with_the_identifier_either_way_round(kit: Kit) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        options = {"tcp": f"127.0.0.1:{probe.getsockname()[1]}", "timeout_s": 0.2}
    device = profiled("w1", "cjt188/water-meter", "bus", WATER)
    turned = Device(
        "w2",
        device.profile,
        "bus",
        "00000012345699",
        device.place,
        device.points,
        (),
        None,
        {**device.wire, "di": "1F90"},
    )
    devices = [device, turned]
    truth = GroundTruth(devices, ["bus"], {"cjt188/water-meter": {"volume": 123.45, "battery_low": True}}, 1, lambda: 0)
    far = FAMILIES["cjt188"](options, devices, truth, 1)
    driver = create(LinkSettings("bus", "cjt188", options), devices, kit)
    with pytest.raises(Unreachable):
        await driver.open()
    await far.open()
    await driver.open()
    for name in ("w1", "w2"):
        found = await asked(driver, name)
        assert found.pop("volume") == pytest.approx(123.45, abs=2100)
        assert found == {"valve_closed": False, "valve_fault": False, "battery_low": True}
    await driver.close()
    await far.close()


def test_an_address_that_is_no_meter_number_is_refused(kit: Kit) -> None:
    for kind, profile in (("dlt645", "dlt645/electricity-meter"), ("cjt188", "cjt188/water-meter")):
        with pytest.raises(ValueError, match=r"meter number|hexadecimal"):
            create(LinkSettings("bus", kind, {"port": "x"}), [profiled("m", profile, "bus", "12x4")], kit)


@pytest.fixture
def foreign_meter() -> Iterator[str]:
    """The meter of PyPI dlt645; HOST:PORT. Its address is matched as on the wire: low byte first, so reversed here."""
    from dlt645 import MeterServerService

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    meter = MeterServerService.new_tcp_server("127.0.0.1", port, 3)
    wire_order = "".join(reversed([METER[at : at + 2] for at in range(0, 12, 2)]))
    assert meter.set_address(wire_order)
    meter.set_00(0x00010000, 12345.67)
    meter.set_02(0x02010100, 230.1)
    meter.set_02(0x02020100, 4.321)
    meter.set_02(0x02030000, 0.9876)
    meter.start()
    yield f"127.0.0.1:{port}"
    meter.stop()


async def test_a_foreign_meter_is_read(foreign_meter: str, kit: Kit, counts: Counter[str]) -> None:
    settings = LinkSettings("bus", "dlt645", {"tcp": foreign_meter, "timeout_s": 1.0})
    driver = create(settings, electric_devices(), kit)
    for _ in range(50):
        try:
            await driver.open()
            break
        except Unreachable:
            await asyncio.sleep(0.02)
    assert await asked(driver, "e1") == {"energy": 12345.67, "voltage": 230.1, "current": 4.321, "power": 0.9876}
    e2 = set((await asked(driver, "e2")).values())
    assert e2 <= {BadCause.EXCEPTION, BadCause.TIMEOUT}, (
        "the peer refuses for a stranger's address, where a meter is silent"
    )
    assert isinstance(driver, Prober)
    await driver.close()
