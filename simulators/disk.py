"""A journal on a simulated disk: slow, full at times, and cut off before or after a commit.

What was committed survives the process; everything else is gone with it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.errors import NotDurable
from edge.model import AlarmEvent, AlarmState, CommandOutcome, Notice
from edge.ports import Clockwork, Entry, Ladder, Past


@dataclass(slots=True)
class Platter:
    """What a crash does not take away. full: no commit is taken. slow_s: what every commit takes more."""

    events: list[AlarmEvent] = field(default_factory=list)
    receipted: set[str] = field(default_factory=set)
    outcomes: dict[str, CommandOutcome] = field(default_factory=dict)
    ladders: dict[str, Ladder] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    full: bool = False
    slow_s: float = 0.0

    def ail(self, rng: random.Random) -> None:
        """Full until something frees it, slow, or as it should be."""
        self.full = rng.random() < 0.3
        self.slow_s = rng.choice((0.0, 0.0, 0.5, 3.0))


class SimulatedDisk:
    """edge.ports.Journal over a platter. crash() is called when the process is to die in the middle of a commit."""

    def __init__(
        self, platter: Platter, rng: random.Random, clock: Clockwork, crash: Callable[[], None], faults: bool
    ) -> None:
        self._platter = platter
        self._rng = rng
        self._clock = clock
        self._crash = crash
        self.faults = faults

    async def load(self) -> Past:
        """The state to start from."""
        events = self._platter.events
        states = {event.alarm_id: event.state for event in events}
        generations: dict[tuple[str, str], int] = {}
        for event in events:
            key = (event.device, event.alarm_class)
            generations[key] = max(generations.get(key, 0), int(event.alarm_id.rsplit("-", 1)[1]))
        return Past(
            head=len(events),
            events=tuple(e for e in events if states[e.alarm_id] is not AlarmState.NORM),
            generations=generations,
            causes=tuple((e.device, e.cause) for e in events if e.cause is not None),
            pending=frozenset(e.event_id for e in events if e.event_id not in self._platter.receipted),
            outcomes=dict(self._platter.outcomes),
            ladders=tuple(self._platter.ladders.values()),
            notices=tuple(n for n in self._platter.notices.values() if n.notice_id not in self._platter.settled),
        )

    async def append(self, entry: Entry) -> int:
        """One transaction, or NotDurable, or the process dies before or right after it."""
        await self._clock.sleep(self._rng.uniform(0.001, 0.03) + self._platter.slow_s)
        if self._platter.full:
            raise NotDurable("simulated disk is full")
        if self.faults:
            luck = self._rng.random()
            if luck < 0.01:
                await self._die()
            if luck < 0.03:
                raise NotDurable("simulated disk is full")
        self._write(entry)
        if self.faults and self._rng.random() < 0.01:
            await self._die()
        return len(self._platter.events)

    async def unreceipted(self, after_seq: int, limit: int) -> Sequence[AlarmEvent]:
        """Oldest first."""
        found = [e for e in self._platter.events[after_seq:] if e.event_id not in self._platter.receipted]
        return found[:limit]

    async def close(self) -> None:
        """Nothing to do: a crash gives no warning either."""

    def _write(self, entry: Entry) -> None:
        platter = self._platter
        for event in entry.events:
            assert event.seq == len(platter.events) + 1, f"{event.event_id} leaves a gap"
            platter.events.append(event)
        platter.receipted.update(entry.receipts)
        for outcome in entry.outcomes:
            platter.outcomes.setdefault(outcome.command_id, outcome)
        platter.ladders |= {row.alarm_id: row for row in entry.ladders}
        for ident in entry.ended:
            platter.ladders.pop(ident, None)
        for notice in entry.notices:
            platter.notices.setdefault(notice.notice_id, notice)
        platter.settled |= entry.settled

    async def _die(self) -> None:
        self._crash()
        await asyncio.get_running_loop().create_future()
