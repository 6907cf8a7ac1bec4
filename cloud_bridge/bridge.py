"""All links out of the building behind one hook: what was committed is offered to each, and each looks after itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from edge.model import AlarmEvent
from edge.ports import Clockwork, Entry

log = logging.getLogger(__name__)
AGAIN_S = 30.0
"""Pause after a mistake of ours: it will most likely happen again."""


class Uplink(Protocol):
    """One link out of the building."""

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events, in seq order; never waits."""
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...


class Guarded:
    """An uplink to strangers: a mistake of ours there is said, counted and tried again, and never ends the gateway."""

    def __init__(self, uplink: Uplink, name: str, clock: Clockwork, count: Callable[[str], None]) -> None:
        self._uplink, self._name, self._clock, self._count = uplink, name, clock, count

    @property
    def connected(self) -> bool:
        """As the uplink says."""
        return bool(getattr(self._uplink, "connected", False))

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Hand on."""
        self._uplink.offer(events)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            task = asyncio.create_task(self._uplink.run(), name=self._name)
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            self._count("broken")
            fault = None if task.cancelled() else task.exception()
            log.error("uplink %s broke; it begins anew in %.0f s", self._name, AGAIN_S, exc_info=fault)
            await self._clock.sleep(AGAIN_S)


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
