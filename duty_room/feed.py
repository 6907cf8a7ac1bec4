"""The live feed: newest stream rows in memory, and a bell for everyone who waits. Each stream is a cursor, no queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from sqlalchemy import func, select

from duty_room.limits import FEED_ROWS, STREAM_PAGE_ROWS
from duty_room.store import tables as t
from duty_room.store.store import Store, Tx

Row = tuple[int, int, bytes]
"""seq, priority, the incident's JSON."""


class Feed:
    """Follows the store's commits on the loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: deque[Row] = deque(maxlen=FEED_ROWS)
        self._bell = asyncio.Event()
        self.head = 0
        store.on_commit = self.committed

    async def load(self) -> None:
        """Where the stream stands after a start."""
        self.head = await self._store.write(_head)

    def committed(self, rows: Sequence[Row]) -> None:
        """New rows are on the disk: ring for everybody at once."""
        if self._rows and rows[0][0] != self._rows[-1][0] + 1:
            # Another duty room on the same database has written in between: the memory would have a hole.
            self._rows.clear()
        self._rows.extend(rows)
        self.head = rows[-1][0]
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def refresh(self) -> None:
        """Look what other duty rooms on the same database have written."""
        found = await self._store.read(lambda conn: conn.execute(select(func.max(t.stream.c.seq))).scalar())
        if found is not None and int(found) > self.head:
            self.head = int(found)
            bell, self._bell = self._bell, asyncio.Event()
            bell.set()

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is something after that seq. False: not within the time."""
        if self.head > after:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return False
        return self.head > after

    async def page(self, after: int) -> list[Row]:
        """Rows after that seq, oldest first, without holes."""
        if self._rows and self._rows[0][0] <= after + 1:
            first = after + 1 - self._rows[0][0]
            return [self._rows[i] for i in range(first, min(first + STREAM_PAGE_ROWS, len(self._rows)))]
        query = select(t.stream.c.seq, t.stream.c.priority, t.stream.c.body)
        query = query.where(t.stream.c.seq > after).order_by(t.stream.c.seq).limit(STREAM_PAGE_ROWS)
        return await self._store.read(lambda conn: [(r.seq, r.priority, r.body.encode()) for r in conn.execute(query)])

    async def oldest(self) -> int:
        """The oldest seq still kept; head + 1 when nothing is."""
        found = await self._store.read(lambda conn: conn.execute(select(func.min(t.stream.c.seq))).scalar())
        return int(found) if found is not None else self.head + 1


def _head(tx: Tx) -> int:
    return tx.head
