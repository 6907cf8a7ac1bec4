"""What the links out of the building share: what they get from outside, a durable queue of events, and reconnecting."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cloud_bridge.city import ParcelLike, Queue
from cloud_bridge.summary import PointLike
from edge import limits
from edge.errors import Denied, LinkError, NotDurable
from edge.model import AlarmEvent, Command, CommandOutcome, Device, Place, Value
from edge.mqtt.tls import Tls
from edge.ports import Clockwork

log = logging.getLogger(__name__)

FRESH_MAX = 4096
"""Events on their way to the file; more at once only when its disk is stuck, and then the oldest are shed."""
CHUNK = 64
"""Events written to the file in one transaction."""
TROUBLE, ALARM = LANES = ("trouble", "alarm")
"""What waits for a link, in the order in which it is shed: life safety last."""
IDLE_S = 1.0
"""How long a loop waits at most before it looks at the time again."""

Pack = Callable[[AlarmEvent], bytes | None]
"""The queued form of an event, or None for one that this link has no word for."""


class PassageLike(PointLike, Protocol):
    """A point with its age; see edge.web.view."""

    @property
    def age_s(self) -> float | None: ...
    @property
    def unit(self) -> str | None: ...


class OpenAlarm(Protocol):
    """One open alarm; last is its newest event."""

    @property
    def alarm_id(self) -> str: ...
    @property
    def last(self) -> AlarmEvent: ...


class ChangeLike(Protocol):
    """A new value of a point, as the readings file keeps it."""

    @property
    def n(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def point(self) -> str: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def value(self) -> Value | None: ...


class SpanLike(Protocol):
    """Five minutes of a number."""

    @property
    def n(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def point(self) -> str: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def least(self) -> float: ...
    @property
    def mean(self) -> float: ...
    @property
    def most(self) -> float: ...


class History(Protocol):
    """The readings file (edge/store/readings.py). Raises NotDurable."""

    async def after(self, name: str, limit: int) -> tuple[Sequence[ChangeLike], Sequence[SpanLike]]:
        """The oldest rows that the reader of this name has not had."""
        ...

    async def had(self, name: str, change: int, span: int) -> None:
        """The reader of this name has everything up to these n."""
        ...


@dataclass(frozen=True, slots=True)
class UplinkKit:
    """What an uplink gets from outside instead of reaching for it.

    queue(name): the durable queue of that name, opened. numbers: the stable number of each device (from 1).
    count: one cause per fault. links: link id → up, down or unknown. command: the one door for wishes.
    """

    gateway: str
    place: Place
    timezone: str
    data_dir: Path
    clock: Clockwork
    devices: Sequence[Device]
    numbers: Mapping[str, int]
    points: Callable[[], Sequence[PassageLike]]
    alarms: Callable[[], Sequence[OpenAlarm]]
    links: Callable[[], Mapping[str, str]]
    command: Callable[[Command], Awaitable[CommandOutcome]]
    queue: Callable[[str], Awaitable[Queue]]
    count: Callable[[str], None]
    history: History | None = None


def lane_of(event: AlarmEvent) -> str:
    """Priority 1 is shed after everything else."""
    return ALARM if event.priority == 1 else TROUBLE


class EventQueue:
    """Committed events on their way through a durable queue to one reader, in order, off the alarm path."""

    def __init__(self, queue: Queue, pack: Pack, count: Callable[[str], None]) -> None:
        self._queue, self._pack, self._count = queue, pack, count
        self._fresh: deque[AlarmEvent] = deque()
        self._wake = asyncio.Event()
        self._queued = asyncio.Event()

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events, in seq order. Never waits."""
        for event in events:
            if len(self._fresh) >= FRESH_MAX:
                self._fresh.popleft()
                self._count("shed_event")
            self._fresh.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Write what is offered, for ever; at the end, what is left."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._flush()
        finally:
            await self._flush()

    async def _flush(self) -> None:
        while self._fresh:
            parcels: list[tuple[str, str, str, bytes, int]] = []
            while self._fresh and len(parcels) < CHUNK:
                event = self._fresh.popleft()
                body = self._pack(event)
                if body is not None:
                    parcels.append((lane_of(event), event.event_id, "", body, event.received_ms))
            if not parcels:
                continue
            try:
                for _ in range(await self._queue.put(parcels)):
                    self._count("shed_queued")
            except NotDurable:
                for _ in parcels:
                    self._count("shed_event")
            self._queued.set()

    async def next(self, wait_s: float) -> ParcelLike | None:
        """The oldest parcel; None when none came within wait_s. It stays until ``done``."""
        self._queued.clear()
        found = await self._queue.peek(1)
        if found:
            return found[0]
        try:
            async with asyncio.timeout(wait_s):
                await self._queued.wait()
        except TimeoutError:
            return None
        found = await self._queue.peek(1)
        return found[0] if found else None

    async def done(self, parcel: ParcelLike) -> None:
        """The other side has it, or will never take it."""
        await self._queue.drop([parcel.n])


def tls_of(options: Mapping[str, Any], clock: Clockwork) -> Callable[[], ssl.SSLContext] | None:
    """How a link makes the TLS context of each connection; None for one without TLS."""
    tls = Tls(options.get("ca"), options.get("cert"), options.get("key"))
    if not options.get("tls") and tls == Tls():
        return None
    return lambda: tls.context(clock.wall_ms())


class Reconnect:
    """Attempts for ever, with a wait that grows and is short again after a connection that worked."""

    def __init__(self, name: str, clock: Clockwork, count: Callable[[str], None]) -> None:
        self._name, self._clock, self._count = name, clock, count
        self._said_down = False
        self.connected = False
        self.why = "not connected yet"

    def up(self) -> None:
        """The other side has answered."""
        if not self.connected:
            log.info("%s is up", self._name)
        self.connected, self._said_down, self.why = True, False, ""

    async def keep(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Run attempt again whenever it ends with a LinkError or NotDurable."""
        wait_s = limits.LINK_BACKOFF_S_MIN
        while True:
            worked = False
            try:
                await attempt()
            except* (LinkError, NotDurable) as faults:
                # Who denies us will deny the next attempt too: there the wait grows.
                worked = self.connected and faults.subgroup(Denied) is None
                self._lost(first_of(faults))
            self.connected = False
            wait_s = limits.LINK_BACKOFF_S_MIN if worked else min(2 * wait_s, limits.LINK_BACKOFF_S_MAX)
            await self._clock.sleep(wait_s)

    def _lost(self, fault: BaseException) -> None:
        """Count every loss; log it once, not at every attempt."""
        self.why = str(fault)
        self._count("denied" if isinstance(fault, Denied) else "unreachable")
        if not self._said_down:
            self._said_down = True
            log.warning("%s is down: %s (what is made is kept and sent later)", self._name, fault)


def first_of(faults: BaseExceptionGroup[Exception]) -> BaseException:
    """The first single fault of a group of groups: the one whose words are shown."""
    first: BaseException = faults
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
