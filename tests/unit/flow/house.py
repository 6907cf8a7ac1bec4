"""A small house around the engine under virtual time, for the tests of this folder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from edge.flow.dispatch import Dispatcher
from edge.flow.engine import Engine
from edge.flow.settings import EngineSettings
from edge.model import (
    AlarmClass,
    BadCause,
    Batch,
    Clock,
    Command,
    CommandKind,
    Delivered,
    Linkage,
    Outcome,
    Person,
    PointKey,
    Quality,
    Reading,
    TryLater,
    Value,
    Via,
    Write,
)
from simulators.clock import VirtualClock, VirtualLoop, run_virtual
from simulators.disk import Platter, SimulatedDisk
from simulators.drill_world import DEVICES, HOUSE, KEY, ROSTER, SOUNDERS, Phone

LI = Person("li", "李四", Via.CONSOLE)
VALVE = PointKey("relay", "gas_valve")


class House:
    """Engine, commit point and dispatcher over a platter; everything else is said by the test."""

    def __init__(self, loop: VirtualLoop, platter: Platter, has_duty_room: bool = True) -> None:
        self.clock = VirtualClock(loop)
        self.platter = platter
        self.disk = SimulatedDisk(platter, random.Random(1), self.clock, lambda: None, faults=False)
        settings = EngineSettings(
            gateway_id="h1",
            place=HOUSE,
            links=("bus", "relays", "radio"),
            devices=DEVICES,
            roster=ROSTER,
            ack_keys=(KEY,),
            has_duty_room=has_duty_room,
            actors=frozenset({"relay"}),
            text=lambda alarm, person: (alarm.alarm_class, person.name),
        )
        self.counted: list[str] = []
        self.engine = Engine(settings, self.disk, self.clock, lambda: Clock.SYNCED, self.counted.append)
        self.phone = Phone(random.Random(1), self.clock, faults=False)
        self.outputs: dict[PointKey, Value] = {}
        self.relay_answers = True
        self._tasks: list[asyncio.Task[None]] = []
        self._commands = 0

    async def start(self) -> None:
        """Rebuild from the platter; links come up at once."""
        await self.engine.start()
        valve = Linkage(VALVE, True, (AlarmClass.GAS_COMBUSTIBLE,), 1)
        self.dispatcher = Dispatcher(
            self.engine, {"messenger": self.phone, "sms": self.phone}, self._write, SOUNDERS, (valve,), self.clock
        )
        for link in ("bus", "relays", "radio"):
            self.engine.link(link, True)
        works = (self.engine.commit.run(), self.dispatcher.run(), self._tick())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def die(self) -> None:
        """The process is killed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait(self, seconds: float, hearing: bool = True, audible: bool = True) -> None:
        """Time passes; hearing: the duty room echoes us and receipts everything."""
        end_s = self.clock.monotonic() + seconds
        while (now_s := self.clock.monotonic()) < end_s:
            if hearing:
                self.engine.duty_heard(audible)
                await self.engine.receipted([event.event_id for event in self.platter.events])
            await self.clock.sleep(min(5.0, end_s - now_s))

    def says(
        self, device: str, point: str, value: Value | None, *, late: bool = False, sequence: str | None = None
    ) -> asyncio.Future[None] | None:
        """A device reports; None is a value of no use."""
        momentary = point == "press"
        quality, cause = (Quality.BAD, BadCause.OUT_OF_RANGE) if value is None else (Quality.GOOD, None)
        now = (self.clock.wall_ms(), self.clock.monotonic())
        reading = Reading(
            PointKey(device, point), value, quality, cause, *now, sequence=sequence, momentary=momentary, late=late
        )
        return self.engine.admit(Batch("x", (reading,), lambda: None))

    def silent(self, device: str, point: str) -> None:
        """A poll of this point got no answer."""
        now = (self.clock.wall_ms(), self.clock.monotonic())
        reading = Reading(PointKey(device, point), None, Quality.BAD, BadCause.TIMEOUT, *now)
        self.engine.admit(Batch("x", (reading,), lambda: None))

    def wish(self, kind: CommandKind, alarm_id: str, by: Person | None = LI) -> Command:
        """A command of a person."""
        self._commands += 1
        return Command(f"c{self._commands}", kind, alarm_id, by, self.clock.wall_ms())

    def states(self) -> dict[str, str]:
        """Alarm id without the gateway's name → state."""
        return {alarm.alarm_id.removeprefix("h1-"): alarm.state for alarm in self.engine.alarms()}

    def told(self, alarm_id: str) -> list[str]:
        """Who was told of an alarm (id without the gateway's name), in order."""
        return [notice.recipient for _, notice in self.phone.told if notice.alarm_id == f"h1-{alarm_id}"]

    def kinds(self) -> list[str]:
        """What the journal says, newest last."""
        return [f"{event.device} {event.alarm_class} {event.kind}" for event in self.platter.events]

    async def _write(self, write: Write) -> Outcome:
        if not self.relay_answers:
            return TryLater("no reply")
        self.outputs[write.key] = write.value
        return Delivered("read back")

    async def _tick(self) -> None:
        while True:
            self.engine.tick()
            await self.clock.sleep(0.25)


def live(
    story: Callable[[House], Awaitable[None]],
    platter: Platter | None = None,
    has_duty_room: bool = True,
    later_s: float = 0.0,
) -> None:
    """Tell a story in a fresh house; later_s: how much later than virtual zero its wall clock begins."""
    loop = VirtualLoop(random.Random(1))

    async def main() -> None:
        house = House(loop, platter if platter is not None else Platter(), has_duty_room)
        house.clock.step_ms = round(later_s * 1000)
        await house.start()
        await story(house)
        await house.die()

    run_virtual(main(), loop)
