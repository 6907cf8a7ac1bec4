"""The commit point: entries wait here, all that wait go into one transaction, and only then is anybody told.

When the journal cannot commit, the alarms are annunciated all the same, flagged not durable, nothing is
acknowledged, and the same entries are tried again until the disk takes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.errors import NotDurable
from edge.model import AlarmEvent
from edge.ports import Clockwork, Entry, Journal, Ladder

RETRY_S = 1.0
"""Wait between attempts to commit on a disk that refuses."""


@dataclass(slots=True)
class Listeners:
    """Who hears of what was committed. saved: after the commit. unsaved: annunciate, though not durable."""

    saved: list[Callable[[Entry], None]] = field(default_factory=list)
    unsaved: list[Callable[[Entry], None]] = field(default_factory=list)


class CommitPoint:
    """Owns the order of commits. put() is synchronous so that decisions and their order are one thing."""

    def __init__(self, journal: Journal, clock: Clockwork, listeners: Listeners) -> None:
        self._journal = journal
        self._clock = clock
        self._listeners = listeners
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self.durable = True
        self.committed_s = clock.monotonic()
        self.head = 0

    def put(self, entry: Entry) -> asyncio.Future[None]:
        """Queue an entry; the future resolves when it is on disk."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        self._wake.set()
        return future

    @property
    def idle(self) -> bool:
        """Nothing waits for the disk."""
        return not self._waiting

    async def run(self) -> None:
        """Commit for ever; cancelled at shutdown once idle."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._commit(len(self._waiting))

    async def _commit(self, count: int) -> None:
        group = self._waiting[:count]
        entry = merge([entry for entry, _ in group])
        told = False
        while True:
            try:
                self.head = await self._journal.append(entry)
                break
            except NotDurable:
                self.durable = False
                if not told:
                    told = True
                    self._tell(self._listeners.unsaved, entry)
                await self._clock.sleep(RETRY_S)
                group = self._waiting[:]
                fresh = merge([entry for entry, _ in group[count:]])
                if fresh.events:
                    self._tell(self._listeners.unsaved, fresh)
                count = len(group)
                entry = merge([entry for entry, _ in group])
        del self._waiting[:count]
        self.durable = True
        self.committed_s = self._clock.monotonic()
        self._tell(self._listeners.saved, entry)
        for _, future in group:
            if not future.done():
                future.set_result(None)

    @staticmethod
    def _tell(listeners: list[Callable[[Entry], None]], entry: Entry) -> None:
        for listener in listeners:
            listener(entry)


def merge(entries: list[Entry]) -> Entry:
    """Several entries as one transaction, in their order; of one ladder the newest row counts."""
    if len(entries) == 1:
        return entries[0]
    events: list[AlarmEvent] = []
    settled: dict[str, str] = {}
    for entry in entries:
        events += entry.events
        settled |= entry.settled
    ended = tuple(ident for entry in entries for ident in entry.ended)
    ladders: dict[str, Ladder] = {}
    for entry in entries:
        for ident in entry.ended:
            ladders.pop(ident, None)
        ladders |= {row.alarm_id: row for row in entry.ladders}
    return Entry(
        events=tuple(events),
        receipts=tuple(ident for entry in entries for ident in entry.receipts),
        outcomes=tuple(outcome for entry in entries for outcome in entry.outcomes),
        ladders=tuple(ladders.values()),
        ended=tuple(ident for ident in ended if ident not in ladders),
        notices=tuple(notice for entry in entries for notice in entry.notices),
        settled=settled,
        canary_ms=max((entry.canary_ms for entry in entries if entry.canary_ms is not None), default=None),
    )
