"""Lossy links in memory: a broker session that redelivers, and a bus whose slaves time out. They are drivers.

Both outlive the gateway's crashes, as a broker and a bus do.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.errors import Garbled, Unreachable
from edge.model import (
    BadCause,
    Batch,
    Delivered,
    Outcome,
    PointKey,
    PollItem,
    Quality,
    Reading,
    ReadRequest,
    TryLater,
    Value,
    Write,
)
from edge.ports import Clockwork


@dataclass(slots=True)
class Sent:
    """One message of a device: what it says and whether it is an event."""

    key: PointKey
    value: Value
    momentary: bool
    sequence: str | None
    tries: int = 0


@dataclass(slots=True)
class Session:
    """A persistent broker session: what is not acknowledged comes again."""

    id: str
    rng: random.Random
    clock: Clockwork
    faults: bool = True
    up: bool = True
    queue: deque[Sent] = field(default_factory=deque)
    unacked: list[Sent] = field(default_factory=list)
    acked: list[Sent] = field(default_factory=list)

    def send(self, sent: Sent) -> None:
        """A device publishes; the broker keeps it."""
        self.queue.append(sent)


class SessionDriver:
    """edge.ports.Driver over a session."""

    plan: Sequence[PollItem] = ()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open = False

    async def open(self) -> None:
        """Connect; everything unacknowledged is queued again, in order."""
        session = self._session
        await session.clock.sleep(0.05)
        if not session.up:
            raise Unreachable("broker is away")
        session.queue.extendleft(reversed(session.unacked))
        session.unacked.clear()
        self._open = True

    async def read(self, request: ReadRequest | None) -> Batch:
        """What is waiting, at times repeated, reordered or torn."""
        session = self._session
        while not session.queue:
            await session.clock.sleep(0.5)
            self._check()
        self._check()
        count = min(len(session.queue), session.rng.randint(1, 4))
        sent = [session.queue.popleft() for _ in range(count)]
        session.unacked += sent
        if session.faults and session.rng.random() < 0.02:
            for message in sent:
                session.unacked.remove(message)
            session.queue.extendleft(reversed(sent))
            raise Garbled("torn")
        readings = [self._reading(message) for message in sent]
        if session.faults and session.rng.random() < 0.05:
            readings.append(readings[0]._replace(late=True))
        if session.faults and session.rng.random() < 0.05:
            session.rng.shuffle(readings)
        return Batch(session.id, tuple(readings), lambda: self._ack(sent))

    async def close(self) -> None:
        """Drop the connection."""
        self._open = False

    def _check(self) -> None:
        if not self._open or not self._session.up:
            raise Unreachable("connection lost")

    def _ack(self, sent: list[Sent]) -> None:
        if not self._open:
            return
        for message in sent:
            if message in self._session.unacked:
                self._session.unacked.remove(message)
                self._session.acked.append(message)

    def _reading(self, sent: Sent) -> Reading:
        clock = self._session.clock
        sent.tries += 1
        return Reading(
            sent.key,
            sent.value,
            Quality.GOOD,
            None,
            clock.wall_ms(),
            clock.monotonic(),
            sequence=sent.sequence,
            momentary=sent.momentary,
            late=sent.tries > 1,
        )


@dataclass(slots=True)
class Bus:
    """A polled bus: what each slave's registers hold, which slaves are dead."""

    id: str
    rng: random.Random
    clock: Clockwork
    read_value: Callable[[PointKey], Value]
    points: dict[str, list[PointKey]]
    period_s: float
    faults: bool = True
    up: bool = True
    dead: set[str] = field(default_factory=set)
    written: dict[PointKey, Value] = field(default_factory=dict)


class BusDriver:
    """edge.ports.Driver and Writer over a bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.plan: Sequence[PollItem] = tuple(
            PollItem(ReadRequest(device), bus.period_s, True, 0.5) for device in bus.points
        )

    async def open(self) -> None:
        """The port is there or not."""
        await self._bus.clock.sleep(0.02)
        if not self._bus.up:
            raise Unreachable("no such port")

    async def read(self, request: ReadRequest | None) -> Batch:
        """One exchange; lost replies and dead slaves are bad readings, never values."""
        assert request is not None
        bus = self._bus
        if not bus.up:
            raise Unreachable("port is gone")
        lost = request.device in bus.dead or (bus.faults and bus.rng.random() < 0.1)
        await bus.clock.sleep(0.5 if lost else 0.03)
        torn = bus.faults and bus.rng.random() < 0.02
        readings = tuple(self._reading(key, lost, torn) for key in bus.points[request.device])
        return Batch(bus.id, readings, lambda: None)

    async def write(self, write: Write) -> Outcome:
        """Set an output; a lost reply is tried again later."""
        bus = self._bus
        await bus.clock.sleep(0.03)
        if write.key.device in bus.dead or (bus.faults and bus.rng.random() < 0.1):
            return TryLater("no reply")
        bus.written[write.key] = write.value
        return Delivered("read back")

    async def close(self) -> None:
        """Nothing is held."""
        await asyncio.sleep(0)

    def _reading(self, key: PointKey, lost: bool, torn: bool) -> Reading:
        clock = self._bus.clock
        now = (clock.wall_ms(), clock.monotonic())
        if lost or torn:
            cause = BadCause.TIMEOUT if lost else BadCause.GARBLED
            return Reading(key, None, Quality.BAD, cause, *now)
        return Reading(key, self._bus.read_value(key), Quality.GOOD, None, *now)
