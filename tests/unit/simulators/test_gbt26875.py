"""The simulated transmission device: golden bytes, and against the product's driver, with every fault."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from device_drivers.gbt26875.driver import Gbt26875Driver
from edge.clock import SystemClock
from edge.model import PointKey, Write
from edge.ports import Kit, LinkSettings
from simulators.building import GroundTruth, Health
from simulators.devices import byte_line, gbt26875
from simulators.devices.families import FAMILIES
from tests.unit.drivers.fire_rig import BEAT, FIRE, LEL, SOURCE, fire_device, free_port

AT_MS = 1795237500000


def test_golden_bytes() -> None:
    label = gbt26875.time_label(AT_MS)
    smoke = gbt26875.component_object((1, 1), 42, 1204, 3, "3栋2单元1204室厨房烟感", label)
    assert gbt26875.packet(1, label, SOURCE, 1, 2, smoke) == FIRE
    assert gbt26875.packet(2, label, SOURCE, 1, 2, gbt26875.analog_object((1, 1), 11, 1204, 6, 253, label)) == LEL
    assert gbt26875.packet(3, label, SOURCE, 1, 2, b"\x15\x01\x01" + label) == BEAT


def test_a_description_is_cut_at_a_character() -> None:
    text = gbt26875.component_object((1, 1), 42, 1, 1, "a" + "烟" * 20, bytes(6))[11:42]
    assert text.rstrip(b"\0").decode("gb18030") == "a" + "烟" * 15 and len(text) == 31


class Pair:
    """The product's driver and the simulated devices that call it."""

    def __init__(self) -> None:
        port = free_port()
        devices = [
            fire_device("tx", "gbt26875/transmitter", str(SOURCE)),
            fire_device("panel", "gbt26875/panel", f"{SOURCE}/1.1"),
            fire_device("k1204", "gbt26875/smoke", f"{SOURCE}/1.1/1204"),
            fire_device("g7", "gbt26875/gas", f"{SOURCE}/1.1/7"),
        ]
        clock, self.counts = SystemClock(), Counter[str]()
        options = {"host": "127.0.0.1", "port": port}
        kit = Kit(clock, lambda cause: self.counts.update([cause]), "")
        self.truth = GroundTruth(devices, ["fire"], {}, 1, clock.wall_ms)
        self.far = FAMILIES["gbt26875-server"](options, devices, self.truth, 1)
        self.driver = Gbt26875Driver(LinkSettings("fire", "gbt26875-server", options), devices, kit)
        self.known: dict[str, object] = {}
        self.said: list[tuple[str, object]] = []

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Read and acknowledge until it is so."""
        async with asyncio.timeout(5):
            while not wanted():
                batch = await self.driver.read(None)
                for r in batch.readings:
                    self.known[str(r.key)] = r.value if r.cause is None else r.cause
                    self.said.append((str(r.key), r.value))
                batch.ack()


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(gbt26875, "CALL_AGAIN_S", 0.05)
    monkeypatch.setattr(gbt26875, "CONFIRM_S", 0.2)
    monkeypatch.setattr(gbt26875, "DUTY_S", 0.05)
    monkeypatch.setattr(byte_line, "LATE_S", 0.1)
    made = Pair()
    opening = asyncio.ensure_future(made.driver.open())
    await asyncio.sleep(0)
    await made.far.open()
    await opening
    yield made
    await made.far.close()
    await made.driver.close()


async def test_every_point_is_known_soon_after_the_call(pair: Pair) -> None:
    states = {f"{d.id}/{p.key}" for d in pair.truth.devices.values() for p in d.points if p.read and not p.momentary}
    await pair.until(lambda: states <= pair.known.keys())
    assert pair.known["k1204/smoke"] is False and pair.known["panel/testing"] is False
    assert float(str(pair.known["g7/lel"])) < 1, "at rest, with a sensor's small noise"


async def test_fire_gas_and_what_nobody_entered_come_through(pair: Pair) -> None:
    pair.truth.set(PointKey("k1204", "smoke"), True)
    pair.truth.set(PointKey("g7", "lel"), 31.5)
    pair.truth.press(PointKey("tx", "unlisted_fire"), value="地下室")
    await pair.until(lambda: pair.known.get("k1204/smoke") is True and "tx/unlisted_fire" in pair.known)
    await pair.until(lambda: pair.known.get("g7/lel") == 31.5)
    assert pair.known["tx/unlisted_fire"] == "地下室"
    pair.truth.set(PointKey("k1204", "smoke"), False)
    await pair.until(lambda: pair.said.count(("k1204/smoke", False)) >= 2)


@pytest.mark.parametrize("health", [Health.LATE, Health.TORN, Health.DOUBLED, Health.BAD_CRC, Health.OTHER_ID])
async def test_a_fault_on_the_way_delays_a_fire_and_never_loses_it(pair: Pair, health: Health) -> None:
    pair.truth.set_health("k1204", health)
    pair.truth.set(PointKey("k1204", "smoke"), True)
    await pair.until(lambda: pair.known.get("k1204/smoke") is True)


async def test_a_duty_check_is_answered(pair: Pair) -> None:
    await pair.until(lambda: "tx/fire" in pair.known)
    asking = asyncio.ensure_future(pair.driver.write(Write(PointKey("tx", "duty_check"), 5)))
    await pair.until(lambda: "tx/duty_answer" in pair.known)
    await asking
    assert pair.known["tx/duty_unanswered"] is False
