"""The engine behind a driver for the drivers' benchmarks: everything judged and kept, a journal that keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edge.clock import SystemClock
from edge.flow.engine import Engine
from edge.flow.settings import EngineSettings
from edge.model import AlarmEvent, Clock, Device, Place
from edge.ports import Entry, Past


class NoJournal:
    """Takes everything at once: the disk is another benchmark's."""

    def __init__(self) -> None:
        self.head = 0

    async def load(self) -> Past:
        """Nothing was before."""
        return Past(0, (), {}, (), frozenset(), {}, (), ())

    async def append(self, entry: Entry) -> int:
        """Committed."""
        self.head += len(entry.events)
        return self.head

    async def unreceipted(self, after_seq: int, limit: int) -> Sequence[AlarmEvent]:
        """None is owed."""
        return ()

    async def close(self) -> None:
        """Nothing to close."""


async def engine_of(link: str, devices: Sequence[Device]) -> tuple[Engine, asyncio.Task[None]]:
    """A started engine for one link, and its committing task."""
    settings = EngineSettings(
        gateway_id="bench",
        place=Place(),
        links=(link,),
        devices=tuple(devices),
        roster=(),
        ack_keys=(),
        has_duty_room=False,
        actors=frozenset(),
        text=lambda alarm, person: ("", ""),
    )
    engine = Engine(settings, NoJournal(), SystemClock(), lambda: Clock.SYNCED, lambda cause: None)
    await engine.start()
    return engine, asyncio.create_task(engine.commit.run())
