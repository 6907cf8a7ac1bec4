"""The whole gateway core from one seed under virtual time: faults on, then healed, then it must converge.

`linli drill --seeds A..B`. A failing seed prints itself and replays exactly.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from edge.decide.alarms import Alarm
from edge.flow.dispatch import Dispatcher
from edge.flow.engine import Engine
from edge.flow.settings import EngineSettings
from edge.flow.supervise import Supervisor
from edge.limits import ACK_WAIT_S
from edge.model import (
    Clock,
    Command,
    CommandKind,
    Condition,
    Outcome,
    PointKey,
    Write,
)
from simulators.checker import check_journal, check_notices, check_presses, check_truth
from simulators.clock import VirtualClock, VirtualLoop, run_virtual
from simulators.disk import Platter, SimulatedDisk
from simulators.drill_world import (
    DEVICES,
    HORN,
    HOUSE,
    KEY,
    LI,
    ROSTER,
    SOUNDERS,
    Phone,
    Presses,
    buses,
    condition,
    ignore,
    normal,
    text,
)
from simulators.link import BusDriver, Sent, Session, SessionDriver

FAULTY_S = 240.0
"""How long everything goes wrong."""
TICK_S = 0.5
FRESH_MS = 5_000
"""An event this young may still be on its way."""


@dataclass(slots=True)
class Gateway:
    """One life of the gateway process, until its next crash."""

    engine: Engine
    disk: SimulatedDisk
    dispatcher: Dispatcher | None = None
    supervisors: dict[str, Supervisor] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    asked: set[asyncio.Task[Any]] = field(default_factory=set)

    def ask(self, wish: Coroutine[Any, Any, Any]) -> None:
        """Somebody wants something of this process; it dies with it."""
        task = asyncio.create_task(wish)
        self.asked.add(task)
        task.add_done_callback(self.asked.discard)


class Drill:
    """One seed."""

    def __init__(self, seed: int, loop: VirtualLoop, rng: random.Random) -> None:
        self.seed = seed
        self.rng = rng
        self.clock = VirtualClock(loop)
        self.platter = Platter()
        self.truth = normal()
        self.bus, self.relays = buses(rng, self.clock, self.truth)
        self.radio = Session("radio", rng, self.clock)
        self.presses = Presses()
        self.phone = Phone(rng, self.clock)
        self.faults: list[str] = []
        self.crashed = asyncio.Event()
        self.crashes = 0
        self.trust = Clock.SYNCED
        self.duty_up = True
        self.healing = False
        self.seen: set[str] = set()
        self.gateway: Gateway | None = None

    async def run(self) -> list[str]:
        """Live through the fault time, heal, converge, and say what is wrong."""
        world = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("gateway", self._gateway_lives()),
                ("nature", self._nature()),
                ("duty room", self._duty_room()),
                ("people", self._people()),
            )
        ]
        await self._watch(world, self.clock.sleep(FAULTY_S))
        self._heal()
        await self._watch(world, self.clock.sleep(60.0))
        await self._check_dangers()
        await self._watch(world, self.clock.sleep(150.0))
        self._check_answers()
        self._calm()
        await self._watch(world, self.clock.sleep(60.0))
        await self._watch(world, self._close_all())
        self._check_calm()
        for task in world:
            task.cancel()
        return self.faults

    async def _watch(self, world: list[asyncio.Task[None]], work: Awaitable[None]) -> None:
        """Go on until the work is done; a task of the world that fails fails the drill."""
        main = asyncio.ensure_future(work)
        while not main.done():
            await asyncio.wait({main, *world}, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in world if task.done()]:
                world.remove(task)
                if (fault := task.exception()) is not None:
                    main.cancel()
                    raise fault

    # The gateway and its crashes

    async def _gateway_lives(self) -> None:
        while True:
            self.crashed.clear()
            gateway = await self._start()
            self.gateway = gateway
            waiter = asyncio.create_task(self.crashed.wait())
            lives: set[asyncio.Task[Any]] = {waiter, *gateway.tasks}
            done, _ = await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
            self.gateway = None
            lives |= gateway.asked
            for task in lives:
                task.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
            for task in done - {waiter}:
                if not task.cancelled() and (fault := task.exception()) is not None:
                    raise fault
            self.crashes += 1
            self.faults += check_journal(self.platter.events)
            await self.clock.sleep(self.rng.uniform(0.5, 8.0))

    async def _start(self) -> Gateway:
        disk = SimulatedDisk(self.platter, self.rng, self.clock, self.crashed.set, not self.healing)
        settings = EngineSettings(
            gateway_id="d1",
            place=HOUSE,
            links=("bus", "relays", "radio"),
            devices=DEVICES,
            roster=ROSTER,
            ack_keys=(KEY,),
            has_duty_room=True,
            actors=frozenset({"relay"}),
            text=text,
        )
        engine = Engine(settings, disk, self.clock, lambda: self.trust, lambda _: None)
        await engine.start()
        gateway = Gateway(engine, disk)
        gateway.supervisors = {
            "bus": Supervisor("bus", lambda: BusDriver(self.bus), engine, self.clock, ignore),
            "relays": Supervisor("relays", lambda: BusDriver(self.relays), engine, self.clock, ignore),
            "radio": Supervisor("radio", lambda: SessionDriver(self.radio), engine, self.clock, ignore),
        }

        async def write(what: Write) -> Outcome:
            device = next(d for d in DEVICES if d.id == what.key.device)
            return await gateway.supervisors[device.link].write(what)

        gateway.dispatcher = Dispatcher(engine, {"messenger": self.phone}, write, SOUNDERS, (), self.clock)
        works: list[tuple[str, Coroutine[None, None, None]]] = [
            ("commit", engine.commit.run()),
            ("dispatch", gateway.dispatcher.run()),
            ("tick", self._tick(engine)),
            *((name, supervisor.run()) for name, supervisor in gateway.supervisors.items()),
        ]
        gateway.tasks = [asyncio.create_task(work, name=name) for name, work in works]
        return gateway

    async def _tick(self, engine: Engine) -> None:
        while True:
            engine.tick()
            await self.clock.sleep(TICK_S)

    # What happens around it

    async def _nature(self) -> None:
        """Fires, gas, presses, dead slaves, cut links and crashes, at random, until healing."""
        while not self.healing:
            await self.clock.sleep(self.rng.expovariate(1 / 4))
            if self.healing:
                return
            self.rng.choice(
                (self._fire, self._fire, self._gas, self._press, self._press, self._press, self._slave, self._links)
                + (self._crash, lambda: self.platter.ail(self.rng), self._step_clock)
            )()

    def _fire(self) -> None:
        key = PointKey(self.rng.choice(("s1", "s2", "z1")), "smoke")
        self._set(key, not self.truth.values[key])

    def _gas(self) -> None:
        self._set(PointKey("g1", "lel"), self.rng.choice((0.0, 9.5, 12.0, 30.0)))

    def _set(self, key: PointKey, value: bool | float) -> None:
        self.truth.set(key, value, self.clock.monotonic())
        if key.device == "z1":
            self.radio.send(Sent(key, value, False, None))

    def _press(self) -> None:
        self.presses.press(self.rng.choice(("b1", "b2")), self.radio)

    def _slave(self) -> None:
        self.bus.dead ^= {self.rng.choice(("s1", "s2", "g1"))}

    def _links(self) -> None:
        target = self.rng.choice((self.bus, self.relays, self.radio, None))
        if target is None:
            self.duty_up = not self.duty_up
        else:
            target.up = not target.up

    def _crash(self) -> None:
        self.crashed.set()

    def _step_clock(self) -> None:
        self.clock.be_set(self.rng)
        self.trust = self.rng.choice(tuple(Clock))

    async def _duty_room(self) -> None:
        """Receives what is unreceipted, at times without its receipt coming through."""
        beat_s = 0.0
        while True:
            await self.clock.sleep(1.0)
            gateway = self.gateway
            if gateway is None or not self.duty_up:
                continue
            for event in await gateway.disk.unreceipted(0, 32):
                self.seen.add(event.event_id)
                if (self.healing or self.rng.random() < 0.7) and gateway is self.gateway:
                    gateway.ask(gateway.engine.receipted([event.event_id]))
            if self.clock.monotonic() - beat_s >= 10 and gateway is self.gateway:
                beat_s = self.clock.monotonic()
                gateway.engine.duty_heard(audible=self.healing or self.rng.random() < 0.7)

    async def _people(self) -> None:
        """Until healing somebody acknowledges, silences or resets now and then, at times the same wish twice."""
        while not self.healing:
            await self.clock.sleep(self.rng.expovariate(1 / 12))
            alarm_ids = {event.alarm_id for event in self.platter.events}
            if self.gateway is None or not alarm_ids:
                continue
            kind = self.rng.choice((CommandKind.ACKNOWLEDGE, CommandKind.SILENCE, CommandKind.RESET))
            command = self._wish(kind, self.rng.choice(sorted(alarm_ids)))
            for _ in range(self.rng.choice((1, 1, 2))):
                self.gateway.ask(self.gateway.engine.command(command))

    def _wish(self, kind: CommandKind, alarm_id: str) -> Command:
        return Command(f"c{self.rng.getrandbits(48):x}", kind, alarm_id, LI, self.clock.wall_ms())

    # Healing and judging

    def _heal(self) -> None:
        """Mend everything, as carefully as it was broken. Dangers that are there stay."""
        self.healing = True
        for link in (self.bus, self.relays, self.radio):
            link.up, link.faults = True, False
        self.platter.full, self.platter.slow_s = False, 0.0
        self.bus.dead.clear()
        self.duty_up = True
        self.phone.faults = False
        if self.gateway is not None:
            self.gateway.disk.faults = False
        for device in ("s1", "z1"):
            self._set(PointKey(device, "smoke"), True)
        self._press()

    async def _check_dangers(self) -> None:
        """A minute after healing every danger is in the journal and at the duty room, and the horn sounds."""
        events = self.platter.events
        lel = float(self.truth.read(PointKey("g1", "lel")))
        expected = {
            ("s1", "fire.smoke"): Condition.ON,
            ("z1", "fire.smoke"): Condition.ON,
            ("s2", "fire.smoke"): condition(bool(self.truth.read(PointKey("s2", "smoke")))),
        }
        if not 9 < lel < 10:  # between deadband and limit both are right
            expected["g1", "gas.combustible"] = condition(lel >= 10)
        self.faults += check_truth(expected, events)
        self.faults += check_presses(self.presses, self.radio.acked, events)
        self.faults += [f"{sent.key} was never taken" for sent in self.presses.sent if sent not in self.radio.acked]
        fresh_ms = self.clock.wall_ms() - FRESH_MS
        late = [e.event_id for e in events if e.event_id not in self.seen and e.received_ms < fresh_ms]
        self.faults += [f"{ident} has not reached the duty room" for ident in late]
        if not any(alarm.unanswered and not alarm.silenced_ms for alarm in self._alarms("fire.smoke")):
            return
        if self.relays.written.get(HORN) is not True:
            self.faults.append("there is smoke, nobody has answered, and the horn is silent")

    def _check_answers(self) -> None:
        """Long after healing the roster has been told of everything that nobody has acknowledged."""
        told = {notice.alarm_id for _, notice in self.phone.told}
        for alarm in self._alarms():
            assert self.gateway is not None
            waited_s = self.clock.monotonic() - self.gateway.engine.book.rang_s[alarm.alarm_id]
            if alarm.unanswered and alarm.priority in ACK_WAIT_S and waited_s > ACK_WAIT_S[alarm.priority] + 30:
                if alarm.alarm_id not in told:
                    self.faults.append(f"{alarm.alarm_id} is unanswered and nobody of the roster was told")
        self.faults += check_notices(self.platter, self.phone.told)

    def _calm(self) -> None:
        """The dangers end."""
        for key, value in list(self.truth.values.items()):
            if key.point in ("smoke", "lel") and value:
                self._set(key, False if key.point == "smoke" else 0.0)
        for _ in range(2):
            self.radio.send(Sent(PointKey("z1", "smoke"), False, False, None))

    async def _close_all(self) -> None:
        """A person acknowledges and resets everything."""
        for kind in (CommandKind.ACKNOWLEDGE, CommandKind.RESET):
            for alarm in self._alarms():
                assert self.gateway is not None
                await self.gateway.engine.command(self._wish(kind, alarm.alarm_id))
        await self.clock.sleep(30.0)

    def _check_calm(self) -> None:
        """Nothing is left: no alarm, no ladder, no sound, no event without a receipt."""
        self.faults += check_journal(self.platter.events)
        self.faults += [f"{alarm.alarm_id} is still {alarm.state}" for alarm in self._alarms()]
        self.faults += [f"ladder of {ident} still runs" for ident in self.platter.ladders]
        if self.relays.written.get(HORN) is True:
            self.faults.append("everything is answered and the horn still sounds")
        pending = [e.event_id for e in self.platter.events if e.event_id not in self.platter.receipted]
        self.faults += [f"{ident} has no receipt" for ident in pending]

    def _alarms(self, alarm_class: str | None = None) -> list[Alarm]:
        assert self.gateway is not None, "the gateway is down after healing"
        return [a for a in self.gateway.engine.alarms() if alarm_class in (None, a.alarm_class)]


@dataclass(frozen=True, slots=True)
class Report:
    """What one seed showed."""

    seed: int
    faults: list[str]
    events: int
    crashes: int


def run_seed(seed: int) -> Report:
    """One drill. The same seed gives the same report."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    rng = random.Random(seed)
    loop = VirtualLoop(rng)

    async def main() -> Report:
        drill = Drill(seed, loop, rng)
        faults = await drill.run()
        return Report(seed, faults, len(drill.platter.events), drill.crashes)

    return run_virtual(main(), loop)


def run_drill(first: int, last: int, minutes: float | None = None) -> int:
    """Drill every seed from first to last (or until the minutes are over); 1 when one fails."""
    until_s = time.monotonic() + minutes * 60 if minutes else float("inf")
    done = events = crashes = 0
    for seed in range(first, last + 1):
        if time.monotonic() > until_s:
            break
        report = run_seed(seed)
        done, events, crashes = done + 1, events + report.events, crashes + report.crashes
        if report.faults:
            sys.stdout.write(f"seed {seed} failed (replay: linli drill --seeds {seed}..{seed})\n")
            sys.stdout.writelines(f"  {fault}\n" for fault in report.faults)
            return 1
    sys.stdout.write(f"{done} seeds, {events} events, {crashes} crashes, 0 faults\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_drill(int(sys.argv[1]), int(sys.argv[2])))
