"""A bus with late, torn, repeated, foreign and corrupt replies, under virtual time: no wrong value, ever.

Each register holds its own unit and address, so a value of another register shows at once. The control shows that the
same bus does fool a master that goes on after a timeout as if nothing had been.
"""

from __future__ import annotations

import asyncio
import selectors
import struct
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest
from pymodbus.framer.rtu import FramerRTU

from device_drivers.lines import Line, SerialLine
from device_drivers.modbus import driver as driver_module
from device_drivers.modbus import wire
from device_drivers.modbus.driver import ModbusDriver, create
from edge.errors import Unreachable
from edge.model import AlarmClass, Device, Place, Point, Quality, Rule, RuleKind
from edge.ports import Kit, LinkSettings


class JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting it lets the loop's clock jump."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits and nothing is under way"
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by waiting."""

    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s


class LoopClock:
    """Clockwork on the loop's time."""

    def wall_ms(self) -> int:
        return int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def virtually(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def truth(unit: int, address: int) -> int:
    return unit * 256 + address


def framed(body: bytes) -> bytes:
    """An independent CRC."""
    return body + struct.pack(">H", FramerRTU.compute_CRC(body))


class WickedBus:
    """Slaves that answer any read of fc 3 or 1, and a wire that does what wires do."""

    def __init__(self, random: Random, wicked: float) -> None:
        self.random, self.wicked = random, wicked
        self.line: FakeLine | None = None
        self.sent = 0

    def master_says(self, frame: bytes) -> None:
        self.sent += 1
        unit, fc, address, count = struct.unpack(">BBHH", frame[:6])
        if fc == 3:
            body = b"".join(struct.pack(">H", truth(unit, address + n)) for n in range(count))
        else:
            body = bytes((count + 7) // 8)
        reply = framed(bytes([unit, fc, len(body)]) + body)
        delay_s = self.random.uniform(0.005, 0.05)
        if self.random.random() < self.wicked:
            reply, delay_s = self._spoil(reply, unit, fc)
        elif self.random.random() < 0.3:
            cut = self.random.randrange(1, len(reply))
            self._later(delay_s, reply[:cut])
            delay_s, reply = delay_s + 0.01, reply[cut:]
        self._later(delay_s, reply)

    def _spoil(self, reply: bytes, unit: int, fc: int) -> tuple[bytes, float]:
        random = self.random
        late_s = random.choice([0.31, 0.35, 0.45, 0.6, 1.0, 2.0, random.uniform(0.3, 4.5)])
        what = random.randrange(8)
        if what <= 2:
            return reply, late_s
        if what == 3:
            return reply[: random.randrange(len(reply))], 0.02
        if what == 4:
            broken = bytearray(reply)
            broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
            return bytes(broken), 0.02
        if what == 5:
            return reply + reply, 0.02
        if what == 6:
            return framed(bytes([unit % 3 + 1]) + reply[1:-2]), 0.02
        return framed(bytes([unit, fc | 0x80, random.choice([1, 2, 4, 6, 11])])), random.choice([0.02, late_s])

    def _later(self, delay_s: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self.line is not None and self.line.lost is None and data:
            self.line._take(data)


class FakeLine(Line):
    """A line whose far end is a WickedBus. Late bytes reach the port that is open then, as behind a serial gateway."""

    def __init__(self, bus: WickedBus) -> None:
        super().__init__()
        self._bus = bus
        bus.line = self

    def _send(self, data: bytes) -> None:
        self._bus.master_says(data)

    def _shut(self) -> None:
        pass


def device(name: str, unit: int, registers: list[int], coils: list[int] | None = None) -> Device:
    points = [Point(f"r{n}", read={"fc": 3, "register": n}) for n in registers]
    points += [Point(f"c{n}", read={"fc": 1, "coil": n, "type": "bit"}) for n in coils or []]
    rule = Rule("smoke", points[0].key, AlarmClass.FIRE_SMOKE, RuleKind.STATE)
    return Device(name, "p", "bus", str(unit), Place(), tuple(points), (rule,), 60.0, {"poll_s": 2.0})


DEVICES = [
    device("twins", 1, [0, 10, 20, 21, 30]),
    device("plain", 2, [0, 1, 2]),
    device("mixed", 3, [5, 7], [0, 1, 2, 30]),
]


def make(monkeypatch: pytest.MonkeyPatch, bus: WickedBus, counts: Counter[str]) -> ModbusDriver:
    async def opened(*_: Any) -> FakeLine:
        return FakeLine(bus)

    monkeypatch.setattr(SerialLine, "open", opened)
    kit = Kit(LoopClock(), lambda cause: counts.update([cause]), "")
    made = create(LinkSettings("bus", "modbus-rtu", {"port": "x", "baudrate": 9600}), DEVICES, kit)
    assert isinstance(made, ModbusDriver)
    return made


async def polled(driver: ModbusDriver, polls: int) -> Counter[str]:
    """good, bad and wrong readings after so many polls in turn."""
    seen: Counter[str] = Counter()
    await driver.open()
    units = {each.id: int(each.address) for each in DEVICES}
    for number in range(polls):
        batch = await driver.read(driver.plan[number % len(driver.plan)].request)
        for reading in batch.readings:
            good = reading.quality is Quality.GOOD
            seen["plain"] += reading.key.device == "plain"
            seen["plain good"] += reading.key.device == "plain" and good
            if not good:
                seen["bad"] += 1
                continue
            name = reading.key.point
            wanted = truth(units[reading.key.device], int(name[1:])) if name[0] == "r" else False
            seen["good" if reading.value == wanted else "wrong"] += 1
    await driver.close()
    return seen


@pytest.mark.parametrize(("seed", "wicked", "polls"), [(1, 0.3, 12_000), (2, 0.05, 12_000), (3, 0.9, 3_000)])
def test_no_late_or_torn_reply_becomes_a_value(
    monkeypatch: pytest.MonkeyPatch, seed: int, wicked: float, polls: int
) -> None:
    counts: Counter[str] = Counter()
    bus = WickedBus(Random(seed), wicked)
    seen = virtually(polled(make(monkeypatch, bus, counts), polls))
    assert seen["wrong"] == 0
    assert seen["plain good"] > (1 - 2 * wicked) * seen["plain"], f"{seen}: the bus must stay of use"
    assert counts["timeout"] and counts["bad_crc"] and counts["torn"] and counts["late_reply"], counts


def test_control_the_same_bus_fools_a_naive_master(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: object) -> None:
        pass

    driver = make(monkeypatch, WickedBus(Random(1), 0.3), Counter())
    monkeypatch.setattr(wire.RtuBus, "clean", nothing)
    monkeypatch.setattr(driver_module, "LATE_REPLY_S", 0.0)
    assert virtually(polled(driver, 3_000))["wrong"] > 0


def test_a_dead_slave_costs_what_its_item_says_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead(WickedBus):
        def master_says(self, frame: bytes) -> None:
            if frame[0] != 1:
                super().master_says(frame)

    async def run() -> None:
        driver = make(monkeypatch, Dead(Random(1), 0.0), Counter())
        await driver.open()
        loop = asyncio.get_running_loop()
        for item in driver.plan:
            await driver.read(item.request)
        item = driver.plan[0]
        assert item.request.device == "twins"
        started_s = loop.time()
        batch = await driver.read(item.request)
        assert all(reading.cause == "timeout" for reading in batch.readings)
        assert loop.time() - started_s <= item.timeout_s + 0.05
        plain = next(each for each in driver.plan if each.request.device == "plain")
        started_s = loop.time()
        await driver.read(plain.request)
        assert loop.time() - started_s < 0.1, "the dead one's silence is not paid by the living"

    virtually(run())


def test_a_port_that_does_not_open_again_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        driver = make(monkeypatch, WickedBus(Random(1), 0.0), Counter())
        await driver.open()

        async def gone(*_: Any) -> FakeLine:
            raise Unreachable("x: no such port")

        monkeypatch.setattr(SerialLine, "open", gone)
        monkeypatch.setattr(WickedBus, "master_says", lambda *_: None)
        with pytest.raises(Unreachable):
            await driver.read(driver.plan[0].request)

    virtually(run())


def test_a_bus_that_babbles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        counts: Counter[str] = Counter()
        bus = WickedBus(Random(1), 0.0)
        driver = make(monkeypatch, bus, counts)
        await driver.open()

        def babble() -> None:
            bus._arrive(b"\x00")
            asyncio.get_running_loop().call_later(0.01, babble)

        babble()
        causes = set()
        for item in driver.plan:
            started_s = asyncio.get_running_loop().time()
            causes |= {reading.cause for reading in (await driver.read(item.request)).readings}
            assert asyncio.get_running_loop().time() - started_s < 2.5
        assert "garbled" in causes
        assert counts["babble"] and counts["wrong_unit"]

    virtually(run())
