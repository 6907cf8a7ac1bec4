"""One supervisor per link: opens it, asks the schedule what is next, hands batches on, acknowledges in order.

Never cancels a read: a request in flight is waited out, because its late reply would become the next one's value.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from edge.decide.schedule import Schedule
from edge.errors import Denied, Garbled, LinkError, NobodyCalls, Unreachable, WrongDevice
from edge.flow.engine import Engine
from edge.flow.nap import nap
from edge.limits import (
    BATCHES_AWAITING_COMMIT_MAX,
    LINK_BACKOFF_S_MAX,
    LINK_BACKOFF_S_MIN,
    LINK_DOWN_DELAY_S,
)
from edge.model import SILENT_CAUSES, Batch, Outcome, PollItem, Quality, Refused, TryLater, Write
from edge.ports import Clockwork, Driver, Remembers, Writer

log = structlog.get_logger("supervise")

NOBODY_ANSWERS = "nobody on it answers (cable, power or serial settings)"


class Supervisor:
    """Owner of one link. create makes a fresh driver for every attempt; it does no I/O."""

    def __init__(
        self, link: str, create: Callable[[], Driver], engine: Engine, clock: Clockwork, count: Callable[[str], None]
    ) -> None:
        self._link = link
        self._create = create
        self._engine = engine
        self._clock = clock
        self._count = count
        self._pending: deque[tuple[asyncio.Future[None], Batch]] = deque()
        self._writes: deque[tuple[Write, asyncio.Future[Outcome]]] = deque()
        self._wake = asyncio.Event()
        self._driver: Driver | None = None
        self._polled = False
        self._stopping = False
        self._said: str | None = None

    async def run(self) -> None:
        """Keep the link open until stop()."""
        backoff_s = LINK_BACKOFF_S_MIN
        while not self._stopping:
            driver = self._create()
            opened_s = None
            try:
                await driver.open()
                self._driver, opened_s = driver, self._clock.monotonic()
                self._health(True, "")
                if isinstance(driver, Remembers) and driver.session_lost:
                    self._engine.session_lost(self._link)
                await self._serve(driver)
            except LinkError as fault:
                self._health(False, _words(fault))
                if isinstance(fault, NobodyCalls):
                    backoff_s = LINK_BACKOFF_S_MIN
            finally:
                self._driver = None
                self._refuse_writes()
                await driver.close()
            if opened_s is not None and self._clock.monotonic() - opened_s >= LINK_DOWN_DELAY_S:
                backoff_s = LINK_BACKOFF_S_MIN
            if not self._stopping:
                await nap(self._wake, backoff_s)
                backoff_s = min(backoff_s * 2, LINK_BACKOFF_S_MAX)

    async def stop(self) -> None:
        """Let the exchange in flight finish, then end run(). Safe twice."""
        self._stopping = True
        self._wake.set()
        if self._driver is not None and not self._polled:
            await self._driver.close()

    async def write(self, write: Write) -> Outcome:
        """Set a point on this link; on a polled link between two reads."""
        driver = self._driver
        if driver is None:
            return TryLater(f"link {self._link} is down")
        if not isinstance(driver, Writer):
            return Refused(f"link {self._link} cannot write")
        if not self._polled:
            return await self._write(driver, write)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._writes.append((write, future))
        self._wake.set()
        return await future

    async def _serve(self, driver: Driver) -> None:
        self._polled = bool(driver.plan)
        if self._polled:
            await self._poll(driver)
            return
        while not self._stopping:
            try:
                batch = await driver.read(None)
            except Garbled as fault:
                self._count(type(fault).__name__)
                continue
            await self._submit(batch)

    async def _poll(self, driver: Driver) -> None:
        schedule = Schedule.of(driver.plan, self._clock.monotonic())
        while not self._stopping:
            while self._writes:
                await self._write_next(driver)
            turn = schedule.next(self._clock.monotonic())
            if turn.item is None:
                await nap(self._wake, turn.wait_s)
                continue
            answered = await self._exchange(driver, schedule, turn.item)
            if answered:
                self._health(True, "")
            elif schedule.all_dead():
                self._health(False, NOBODY_ANSWERS)

    async def _exchange(self, driver: Driver, schedule: Schedule, item: PollItem) -> bool:
        started_s = self._clock.monotonic()
        try:
            batch = await driver.read(item.request)
        except Garbled as fault:
            self._count(type(fault).__name__)
            schedule.done(item, False, started_s, self._clock.monotonic())
            return False
        answered = any(r.quality is not Quality.BAD or r.cause not in SILENT_CAUSES for r in batch.readings)
        schedule.done(item, answered, started_s, self._clock.monotonic())
        if answered:
            self._health(True, "")
        await self._submit(batch)
        return answered

    async def _submit(self, batch: Batch) -> None:
        """Hand over; acknowledge after the commit, in order; wait when too many are on their way."""
        future = self._engine.admit(batch)
        if future is None and not self._pending:
            batch.ack()
            return
        if future is None:
            future = asyncio.get_running_loop().create_future()
            future.set_result(None)
        self._pending.append((future, batch))
        future.add_done_callback(self._settle)
        while len(self._pending) >= BATCHES_AWAITING_COMMIT_MAX and not self._stopping:
            await asyncio.wait({self._pending[0][0]})
            self._settle()

    def _settle(self, *_: object) -> None:
        while self._pending and self._pending[0][0].done():
            future, batch = self._pending.popleft()
            if not future.cancelled():
                batch.ack()

    async def _write_next(self, driver: Driver) -> None:
        write, future = self._writes.popleft()
        if future.done():
            return
        if isinstance(driver, Writer):
            try:
                future.set_result(await self._write(driver, write))
            except LinkError:
                future.set_result(TryLater(f"link {self._link} went down"))
                raise

    async def _write(self, driver: Writer, write: Write) -> Outcome:
        try:
            return await driver.write(write)
        except Unreachable:
            if self._polled:
                raise
            return TryLater(f"link {self._link} went down")
        except LinkError as fault:
            return TryLater(str(fault))

    def _refuse_writes(self) -> None:
        while self._writes:
            _, future = self._writes.popleft()
            if not future.done():
                future.set_result(TryLater(f"link {self._link} is down"))

    def _health(self, up: bool, why: str) -> None:
        """Tell the engine; log the change, not the repetition."""
        self._engine.link(self._link, up, why)
        if why != self._said:
            self._said = why
            (log.info if up else log.warning)("link", link=self._link, up=up, why=why or None)


def _words(fault: LinkError) -> str:
    """Why the link is down, for people."""
    if isinstance(fault, Denied):
        return f"access denied: {fault}"
    if isinstance(fault, WrongDevice):
        return f"wrong device: {fault}"
    return str(fault)
