"""All links out of the building behind one hook: what was committed is offered to each, and each looks after itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from edge.model import AlarmEvent
from edge.ports import Entry


class Uplink(Protocol):
    """One link out of the building."""

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events, in seq order; never waits."""
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...


class Bridge:
    """Zero or more uplinks. A fault of one is no business of another; only a mistake of ours ends them all."""

    def __init__(self, uplinks: Sequence[Uplink]) -> None:
        self._uplinks = tuple(uplinks)

    def saved(self, entry: Entry) -> None:
        """Listener of the commit point: hand on what has become true."""
        if entry.events:
            for uplink in self._uplinks:
                uplink.offer(entry.events)

    async def run(self) -> None:
        """Run every uplink until cancelled, also when there is none: a building may stand alone."""
        if not self._uplinks:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as tasks:
            for uplink in self._uplinks:
                tasks.create_task(uplink.run(), name=type(uplink).__name__)
