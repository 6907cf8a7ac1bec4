"""The gateway's link to the city: summaries and alarm facts, store-and-forward, oldest first.

The city may be away for days and nothing in the building notices: what is made goes into its own bounded file,
and from there, in order, to the city's broker whenever that is there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from pydantic import ValidationError

from cloud_bridge.city_messages import CaseMessage, Lost, SummaryMessage
from cloud_bridge.messages import topic
from cloud_bridge.settings import BrokerLike
from cloud_bridge.summary import Frame, Snapshot, Tally, coalesce, fact, mark_of, window_of
from edge import limits
from edge.errors import Denied, LinkError, NotDurable
from edge.model import AlarmEvent, rfc3339
from edge.mqtt import MqttSession
from edge.ports import Clockwork

log = logging.getLogger(__name__)

SUMMARY, FACT = LANES = ("summary", "fact")
"""What is queued, in the order in which it is shed; also the last part of the topic."""
CASE = "case"
CASES_MAX = 1000
"""Cases of the city held in memory; a case of an alarm long closed is of no use here."""
FRESH_MAX = 4096
"""Events on their way to the file; more at once only when its disk is stuck, and then the oldest are shed."""
LOOK_S = 5.0
"""How often the links are looked at for their availability."""
CHUNK = 32
"""Parcels published at once."""
IDLE_S = 1.0
"""Longest wait of each loop: the end of a window is never missed by more, however the wall clock steps."""


class ParcelLike(Protocol):
    """A parcel as the queue hands it out; n rises with every put."""

    @property
    def n(self) -> int: ...
    @property
    def lane(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class ShedLike(Protocol):
    """What a lane has ever lost."""

    @property
    def count(self) -> int: ...
    @property
    def first_ms(self) -> int: ...
    @property
    def last_ms(self) -> int: ...


class FillLike(Protocol):
    """How full the queue is. newest: the n of the last parcel put."""

    @property
    def newest(self) -> int: ...
    @property
    def lost(self) -> Mapping[str, ShedLike]: ...


class Queue(Protocol):
    """The durable queue (edge/store/outbox.py with LANES). Raises NotDurable when its disk refuses."""

    async def put(self, parcels: Sequence[tuple[str, str, str, bytes, int]]) -> int:
        """Queue (lane, id, topic, body, made_ms) in order; returns how many were shed to make room."""
        ...

    async def peek(self, limit: int, after: int = 0, lane: str | None = None) -> Sequence[ParcelLike]:
        """The oldest parcels (of a lane) with n > after."""
        ...

    async def park(self, number: int, why: str) -> None:
        """The other side will never take this one."""
        ...

    async def drop(self, numbers: Sequence[int]) -> None:
        """These were taken."""
        ...

    async def fill(self) -> FillLike:
        """Newest n and losses."""
        ...


class Letter(NamedTuple):
    """What goes out at once: which parcels, where to, and the message; bare: without the mark of a replay."""

    numbers: tuple[int, ...]
    topic: str
    body: bytes
    bare: bytes


class CityLink:
    """Runs until cancelled. Event loop thread only. snapshot: the building as it is now (``snapshot_of``).

    salt: a secret of this gateway that makes alarm marks meaningless outside. count: one cause per fault.
    """

    def __init__(
        self,
        frame: Frame,
        broker: BrokerLike,
        every_s: float,
        clock: Clockwork,
        queue: Queue,
        *,
        snapshot: Callable[[], Snapshot],
        salt: bytes,
        count: Callable[[str], None],
    ) -> None:
        self._frame, self._broker, self._every_s, self._clock, self._queue = frame, broker, every_s, clock, queue
        self._snapshot, self._salt, self._count = snapshot, salt, count
        self._fresh: deque[AlarmEvent] = deque()
        self._fresh_wake = asyncio.Event()
        self._queued = asyncio.Event()
        self._tally: Tally | None = None
        self._said_down = False
        self._cases: dict[str, CaseMessage] = {}
        self.connected = False

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events, in seq order. Never waits."""
        for event in events:
            if self._tally is not None:
                self._tally.note(event)
            if len(self._fresh) >= FRESH_MAX:
                self._fresh.popleft()
                self._count("shed_fact")
            self._fresh.append(event)
        self._fresh_wake.set()

    async def run(self) -> None:
        """Count, queue and send; for ever."""
        self._tally = self._new_tally({})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._queue_facts(), name="city-facts")
                tasks.create_task(self._summarise(), name="city-summary")
                tasks.create_task(self._deliver(), name="city-send")
        finally:
            await self._flush()

    # Making

    def _new_tally(self, waiting: dict[str, int]) -> Tally:
        start_ms, end_ms = window_of(self._clock.wall_ms(), self._every_s)
        return Tally(start_ms, end_ms, self._clock.monotonic(), dict(self._snapshot().passages), waiting)

    async def _summarise(self) -> None:
        looked_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(IDLE_S)
            tally, now_s = self._tally, self._clock.monotonic()
            assert tally is not None
            # The monotonic clock ends a window too: a wall clock set back must not stop the summaries.
            over = self._clock.wall_ms() >= tally.end_ms or now_s - tally.begun_s > self._every_s + 2 * IDLE_S
            if over or now_s - looked_s >= LOOK_S:
                looked_s = now_s
                tally.look(self._snapshot().links, now_s)
            if over:
                self._tally = self._new_tally(tally.waiting)
                await self._queue_summary(tally, now_s)

    async def _queue_summary(self, tally: Tally, now_s: float) -> None:
        try:
            summary = tally.summary(self._frame, self._snapshot(), await self._lost(), now_s)
            name = topic(self._frame.gateway, SUMMARY)
            shed = await self._queue.put([(SUMMARY, summary.id, name, summary.encode(), tally.end_ms)])
        except NotDurable:
            self._count("shed_summary")
            return
        self._note_sheds(shed)

    async def _lost(self) -> Lost:
        lost = (await self._queue.fill()).lost
        if not lost:
            return Lost()
        counts = {lane: shed.count for lane, shed in lost.items()}
        return Lost(
            summaries=counts.get(SUMMARY, 0),
            facts=counts.get(FACT, 0),
            first_at=rfc3339(min(shed.first_ms for shed in lost.values())),
            last_at=rfc3339(max(shed.last_ms for shed in lost.values())),
        )

    async def _queue_facts(self) -> None:
        while True:
            await self._fresh_wake.wait()
            self._fresh_wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        """Write what was offered into the queue."""
        name = topic(self._frame.gateway, FACT)
        while self._fresh:
            events = [self._fresh.popleft() for _ in range(min(CHUNK, len(self._fresh)))]
            facts = [fact(event, self._frame.gateway, self._frame.place, self._salt) for event in events]
            parcels = [
                (FACT, made.fact_id, name, made.encode(), event.received_ms)
                for made, event in zip(facts, events, strict=True)
            ]
            try:
                self._note_sheds(await self._queue.put(parcels))
            except NotDurable:
                for _ in parcels:
                    self._count("shed_fact")

    def _note_sheds(self, shed: int) -> None:
        for _ in range(shed):
            self._count("shed_queued")
        self._queued.set()

    # Sending

    async def _deliver(self) -> None:
        """Connect, send, reconnect; the wait grows, and is short again after a connection that worked."""
        wait_s = limits.LINK_BACKOFF_S_MIN
        while True:
            worked = False
            try:
                await self._once()
            except* (LinkError, NotDurable) as fault:
                # A broker that denies us will deny the next attempt too: there the wait grows.
                worked = self.connected and fault.subgroup(Denied) is None
                self._lost_link(fault)
            self.connected = False
            wait_s = limits.LINK_BACKOFF_S_MIN if worked else min(2 * wait_s, limits.LINK_BACKOFF_S_MAX)
            await self._clock.sleep(wait_s)

    def _lost_link(self, fault: BaseExceptionGroup[Exception]) -> None:
        """Count every loss; log it once, not at every attempt."""
        first: BaseException = fault
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        self._count("denied" if isinstance(first, Denied) else "unreachable")
        if not self._said_down:
            self._said_down = True
            log.warning("city link is down: %s (what is made is kept and sent later)", first)

    async def _once(self) -> None:
        session = MqttSession(
            tuple(self._broker.urls),
            client_id=f"linli-{self._frame.gateway}-city",
            username=self._broker.username,
            password=self._broker.password,
            count=self._count,
            ca=self._broker.ca,
            cert=self._broker.cert,
            key=self._broker.key,
            subscriptions=[(topic(self._frame.gateway, CASE), 1)],
        )
        try:
            await session.open()
            self.connected, self._said_down = True, False
            log.info("city link is up")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._drain(session), name="city-receive")
                tasks.create_task(self._send(session), name="city-publish")
        finally:
            await session.close()

    async def _drain(self, session: MqttSession) -> None:
        """Cases of the city; waiting for them is also how a lost connection is noticed."""
        while True:
            for received in await session.receive():
                self.take_case(received.payload)
                session.ack(received)

    def take_case(self, payload: bytes) -> None:
        """What the city says of an alarm is shown, and changes nothing here."""
        try:
            case = CaseMessage.model_validate_json(payload)
        except ValidationError:
            self._count("malformed")
            return
        if len(self._cases) >= CASES_MAX:
            self._cases.pop(next(iter(self._cases)))
        self._cases.pop(case.alarm, None)
        self._cases[case.alarm] = case

    def case_of(self, alarm_id: str) -> CaseMessage | None:
        """The city's case of an alarm, if it has told one since we started."""
        return self._cases.get(mark_of(self._frame.gateway, alarm_id, self._salt))

    async def _send(self, session: MqttSession) -> None:
        """A chunk at a time; a parcel leaves the file only after the broker took it."""
        old = (await self._queue.fill()).newest
        while True:
            letters = await self._next(old)
            async with asyncio.TaskGroup() as tasks:
                for letter in letters:
                    tasks.create_task(session.publish(letter.topic, letter.body))
            await self._queue.drop([number for letter in letters for number in letter.numbers])

    async def _next(self, old: int) -> list[Letter]:
        """What is to be sent next: facts before summaries, each oldest first; late summaries put together by the hour.

        old: the newest parcel that has waited for this connection; it and those before are marked as replay.
        """
        while True:
            self._queued.clear()
            facts = await self._queue.peek(CHUNK, lane=FACT)
            if facts:
                return [Letter((p.n,), p.topic, _body(p.body, replay=p.n <= old), p.body) for p in facts]
            summaries = await self._queue.peek(CHUNK, lane=SUMMARY)
            if summaries:
                return _by_hour(summaries, old)
            await self._idle()

    async def _idle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await self._queued.wait()


def _body(body: bytes, replay: bool) -> bytes:
    """The message as it was made, marked when it waited for the link."""
    if not replay:
        return body
    return json.dumps({**json.loads(body), "replay": True}, ensure_ascii=False).encode()


def _by_hour(parcels: Sequence[ParcelLike], old: int) -> list[Letter]:
    """Summaries that waited, one for each hour; the last group may go on behind the chunk and waits, unless alone."""
    groups: dict[str, list[ParcelLike]] = {}
    for parcel in parcels:
        late = parcel.n <= old
        hour = json.loads(parcel.body)["window_start"][:13] if late else str(parcel.n)
        groups.setdefault(hour, []).append(parcel)
    found = list(groups.values())
    if len(parcels) == CHUNK and len(found) > 1:
        found.pop()
    letters = []
    for group in found:
        whole = coalesce([SummaryMessage.model_validate_json(parcel.body) for parcel in group]).encode()
        body = _body(whole, replay=group[-1].n <= old)
        letters.append(Letter(tuple(parcel.n for parcel in group), group[0].topic, body, whole))
    return letters
