"""Everything that must reach people or actuators: the only retry loop.

Sounders and linkages follow the committed alarms; notices are duties from the journal, handed to their channel until
the service takes them or a named person has answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.decide.alarms import Alarm
from edge.decide.route import linked, sounding
from edge.flow.engine import Engine
from edge.flow.nap import nap
from edge.limits import NOTICE_CHILDREN_MAX, NOTICE_RETRY_GAPS_S, TICK_S
from edge.model import (
    Delivered,
    EventKind,
    Linkage,
    Notice,
    PointKey,
    Quality,
    Refused,
    Sounder,
    TryLater,
    Write,
    WriteFn,
)
from edge.ports import Channel, Clockwork, Entry

WRITE_RETRY_S = 2.0
"""Between attempts to set a sounder or a linkage that did not take."""
SETTLE_S = 3.0
"""A reading this long after a write shows what became of it; one before may still be older."""
SOUNDER_REFRESH_S = 10.0
"""A sounder that should be on is set again this often: a relay board that lost power forgets."""


@dataclass(slots=True)
class _Owed:
    """A notice on its way: attempts so far and when the next is due (monotonic)."""

    notice: Notice
    due_s: float
    attempt: int = 0
    busy: bool = False


@dataclass(slots=True)
class _Wanted:
    """An output: what it should be, whether it took, when it was set and when to look again (monotonic)."""

    value: bool | int | float | str
    took: bool = False
    due_s: float = 0.0
    busy: bool = False
    set_s: float = 0.0


class Dispatcher:
    """Owns notices, sounders and linkages. run() for ever; everything it starts is named and ends with it."""

    def __init__(
        self,
        engine: Engine,
        channels: Mapping[str, Channel],
        write: WriteFn,
        sounders: Sequence[Sounder],
        linkages: Sequence[Linkage],
        clock: Clockwork,
    ) -> None:
        self._engine = engine
        self._channels = channels
        self._write = write
        self._sounders = sounders
        self._linkages = linkages
        self._clock = clock
        self._owed: dict[str, _Owed] = {}
        self._outputs: dict[PointKey, _Wanted] = {s.point: _Wanted(False) for s in sounders}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.told = 0
        self.refused: dict[str, str] = {}
        for notice in engine.owed:
            self._owe(notice)
        for alarm in engine.alarms():
            self._link(alarm)
        engine.listeners.saved.append(self._heard)
        engine.listeners.unsaved.append(self._heard)

    async def run(self) -> None:
        """Until cancelled: sound, set, tell."""
        try:
            while True:
                self.step()
                await nap(self._wake, TICK_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def step(self) -> None:
        """One look at everything that is wanted."""
        now_s = self._clock.monotonic()
        book, laddered = self._engine.book, self._engine.ladders.running.keys()
        on: set[PointKey] = set()
        for alarm in book.by_id.values():
            on |= sounding((alarm,), self._sounders, laddered, book.now_ms(alarm, now_s))
        for sounder in self._sounders:
            self._want(sounder.point, sounder.point in on)
        for point, wanted in self._outputs.items():
            self._compare(point, wanted, now_s)
            if not wanted.busy and now_s >= wanted.due_s:
                wanted.busy = True
                self._spawn(self._set(point, wanted, wanted.value), f"set {point}")
        busy = Counter(owed.notice.channel for owed in self._owed.values() if owed.busy)
        for owed in sorted(self._owed.values(), key=self._urgency):
            channel = owed.notice.channel
            if owed.busy or now_s < owed.due_s or busy[channel] >= NOTICE_CHILDREN_MAX:
                continue
            owed.busy = True
            busy[channel] += 1
            self._spawn(self._tell(owed), f"tell {owed.notice.recipient}")

    def _compare(self, point: PointKey, wanted: _Wanted, now_s: float) -> None:
        """An output that reads as something else, long after it was set, is a fault of its device, and is set again."""
        state = self._engine.devices.points.get(point)
        reading = state.reading if state is not None else None
        if state is None or reading is None or wanted.busy or not wanted.took or reading.quality is not Quality.GOOD:
            return
        if reading.received_s < wanted.set_s + SETTLE_S:
            return
        if reading.value == wanted.value:
            state.device.disagree.discard(point.point)
        elif point.point not in state.device.disagree:
            state.device.disagree.add(point.point)
            wanted.took, wanted.due_s = False, now_s

    def sounding_now(self) -> frozenset[PointKey]:
        """Sounders that have been set on and have taken it."""
        return frozenset(point for point, wanted in self._outputs.items() if wanted.took and wanted.value is True)

    def _heard(self, entry: Entry) -> None:
        """Committed, or annunciated though not durable; the same twice changes nothing."""
        for notice in entry.notices:
            self._owe(notice)
        for event in entry.events:
            for write in linked(event, self._linkages, self._engine.alarms()):
                self._want(write.key, write.value, again=True)
        self._wake.set()

    def _link(self, alarm: Alarm) -> None:
        """After a start: what an open alarm has set is set again; closing a closed valve harms nobody."""
        if alarm.unanswered:
            event = replace(alarm.last, kind=EventKind.RAISED)
            for write in linked(event, self._linkages, self._engine.alarms()):
                self._want(write.key, write.value)

    def _want(self, point: PointKey, value: bool | int | float | str, again: bool = False) -> None:
        wanted = self._outputs.get(point)
        if wanted is None or wanted.value != value:
            self._outputs[point] = _Wanted(value, busy=wanted.busy if wanted else False)
        elif again:
            wanted.took, wanted.due_s = False, 0.0

    async def _set(self, point: PointKey, wanted: _Wanted, value: bool | int | float | str) -> None:
        try:
            outcome = await self._write(Write(point, value))
        finally:
            current = self._outputs[point]
            current.busy = False
        if current is not wanted:
            return
        wanted.took = isinstance(outcome, Delivered)
        now_s = wanted.set_s = self._clock.monotonic()
        state = self._engine.devices.points.get(point)
        if state is not None and isinstance(outcome, TryLater) and outcome.disagrees:
            state.device.disagree.add(point.point)
        if not wanted.took:
            wanted.due_s = now_s + WRITE_RETRY_S
        else:
            wanted.due_s = now_s + SOUNDER_REFRESH_S if value is True else float("inf")

    def _owe(self, notice: Notice) -> None:
        """A newer notice of the same alarm to the same person takes the place of one that still waits for its turn."""
        if notice.notice_id in self._owed:
            return
        for older in list(self._owed.values()):
            if _same_way(older.notice, notice) and not older.busy:
                self._settle(older.notice, f"replaced by {notice.notice_id}")
        self._owed[notice.notice_id] = _Owed(notice, self._clock.monotonic())

    def _urgency(self, owed: _Owed) -> tuple[int, float]:
        """The most urgent alarm first, then who waited longest: a flood of faults never holds up a call for help."""
        alarm = self._engine.book.by_id.get(owed.notice.alarm_id)
        return (alarm.priority if alarm is not None else 0, owed.due_s)

    async def _tell(self, owed: _Owed) -> None:
        notice = owed.notice
        alarm = self._engine.book.by_id.get(notice.alarm_id)
        if alarm is None or not alarm.unanswered:
            self._settle(notice, "answered before it was sent")
            return
        channel = self._channels.get(notice.channel)
        if channel is None:
            self._settle(notice, f"refused: this gateway has no {notice.channel}")
            return
        outcome = await channel.deliver(replace(notice, attempt=owed.attempt + 1))
        match outcome:
            case Delivered(reference):
                self.told += 1
                self._settle(notice, f"delivered: {reference}")
            case Refused(why):
                self.refused[notice.recipient] = why
                self._settle(notice, f"refused: {why}")
            case TryLater():
                gap_s = NOTICE_RETRY_GAPS_S[min(owed.attempt, len(NOTICE_RETRY_GAPS_S) - 1)]
                owed.attempt += 1
                owed.due_s = self._clock.monotonic() + gap_s
                owed.busy = False

    def _settle(self, notice: Notice, how: str) -> None:
        del self._owed[notice.notice_id]
        self._engine.commit.put(Entry(settled={notice.notice_id: how}))

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault


def _same_way(one: Notice, other: Notice) -> bool:
    """The same alarm to the same person by the same channel."""
    return (one.alarm_id, one.recipient, one.channel) == (other.alarm_id, other.recipient, other.channel)
