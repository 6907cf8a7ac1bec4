"""PURE: which unreceipted events must be published now. Time is passed in, monotonic seconds.

An event stays in the window until its receipt. It is due at once when it is new, then after gaps of 2, 4, 8, 16,
30, 30 … s counted from the broker's acknowledgement, and all over again at every reconnect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge import limits
from edge.model import AlarmEvent


@dataclass(slots=True)
class _Waiting:
    """One event without a receipt. due_s None: a publication is under way. sent: publications that ended well."""

    event: AlarmEvent
    due_s: float | None
    sent: int
    replay: bool


class Publication(NamedTuple):
    """Publish this now. replay: it is not the first time, or it waited for the link."""

    event: AlarmEvent
    replay: bool


class Window:
    """At most ``size`` unreceipted events in memory, in seq order; the journal holds the rest."""

    def __init__(self, size: int = limits.OUTBOX_WINDOW, gaps_s: Sequence[float] = limits.RESEND_GAPS_S) -> None:
        self._size = size
        self._gaps_s = tuple(gaps_s)
        self._waiting: dict[str, _Waiting] = {}
        self.cursor = 0
        """Highest seq ever admitted; the journal is asked for what comes after it."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more events fit."""
        return self._size - len(self._waiting)

    def admit(self, event: AlarmEvent, now_s: float, replay: bool) -> bool:
        """Take an event in, due at once. False when there is no room or it was admitted before."""
        if self.room <= 0 or event.seq <= self.cursor:
            return False
        assert event.seq > 0, "an event without a seq was never committed"
        self.cursor = event.seq
        self._waiting[event.event_id] = _Waiting(event, now_s, 0, replay)
        return True

    def take_due(self, now_s: float) -> list[Publication]:
        """The events to publish now, in seq order; each is under way until ``landed`` or ``reconnected``."""
        found = []
        for waiting in self._waiting.values():
            if waiting.due_s is not None and waiting.due_s <= now_s:
                waiting.due_s = None
                found.append(Publication(waiting.event, waiting.replay or waiting.sent > 0))
        return found

    def landed(self, event_id: str, now_s: float) -> None:
        """The broker has answered this publication; the next is due after the next gap."""
        waiting = self._waiting.get(event_id)
        if waiting is not None and waiting.due_s is None:
            waiting.due_s = now_s + self._gaps_s[min(waiting.sent, len(self._gaps_s) - 1)]
            waiting.sent += 1

    def receipted(self, event_ids: Iterable[str]) -> None:
        """The duty room has committed these; unknown ids are of an earlier life and mean nothing."""
        for event_id in event_ids:
            self._waiting.pop(event_id, None)

    def reconnected(self, now_s: float) -> None:
        """The link is new: everything is due again, as a replay."""
        for waiting in self._waiting.values():
            waiting.due_s, waiting.replay = now_s, True

    def next_due_s(self) -> float | None:
        """When ``take_due`` will have something; None while nothing waits for a gap."""
        return min((waiting.due_s for waiting in self._waiting.values() if waiting.due_s is not None), default=None)


class Echo:
    """Whether the duty room hears us right now: it echoes our boot id with a seq that moves."""

    def __init__(self, boot_id: str, still_s: float = 2.5 * limits.HEARTBEAT_S) -> None:
        self._boot_id = boot_id
        self._still_s = still_s
        self._seq = -1
        self.moved_s = float("-inf")
        """When the seq last moved: so long ago it is that the duty room is known to have heard us."""

    def moving(self, boot_id: str, seq: int, now_s: float) -> bool:
        """One echo. The same seq twice is jitter of two clocks for a while, then a stuck duty room."""
        if boot_id != self._boot_id:
            return False
        if seq > self._seq:
            self._seq, self.moved_s = seq, now_s
        return seq == self._seq and now_s - self.moved_s <= self._still_s
