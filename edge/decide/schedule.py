"""Which request is next on a polled link: earliest deadline first, life-safety first, the dead within a budget.

Pure: the supervisor tells what happened and when; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from edge.model import PollItem

DEAD_AFTER = 3
"""Failed exchanges in a row before a device counts as dead."""
DEAD_SHARE = 0.1
"""Share of the bus that dead devices may take."""


NAP_S_MIN = 0.001
"""Shortest wait worth asking for: a rest below the clock's own step would spin."""


class Health(StrEnum):
    """How a device answers."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(slots=True)
class _Slot:
    item: PollItem
    due_s: float
    failures: int = 0

    @property
    def health(self) -> Health:
        if self.failures == 0:
            return Health.HEALTHY
        return Health.DEAD if self.failures >= DEAD_AFTER else Health.SUSPECT


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do next: make this request, or wait."""

    item: PollItem | None
    wait_s: float


@dataclass(slots=True)
class Schedule:
    """The polls of one link. All times monotonic seconds, passed in."""

    _slots: list[_Slot] = field(default_factory=list)
    _dead_credit_s: float = 0.0
    _credited_s: float = 0.0

    @classmethod
    def of(cls, items: Sequence[PollItem], now_s: float) -> Schedule:
        """Everything is due at once; life-safety goes first by its order."""
        return cls([_Slot(item, now_s) for item in items], 0.0, now_s)

    def next(self, now_s: float) -> Turn:
        """The due request with the earliest deadline, life-safety before the rest."""
        self._credit(now_s)
        best: _Slot | None = None
        soonest = float("inf")
        for slot in self._slots:
            if slot.due_s > now_s:
                soonest = min(soonest, slot.due_s)
            elif slot.health is Health.DEAD and self._dead_credit_s < slot.item.timeout_s:
                missing = slot.item.timeout_s - self._dead_credit_s
                soonest = min(soonest, now_s + missing / DEAD_SHARE)
            elif best is None or self._rank(slot) < self._rank(best):
                best = slot
        if best is not None:
            return Turn(best.item, 0.0)
        return Turn(None, max(NAP_S_MIN, soonest - now_s) if self._slots else float("inf"))

    def done(self, item: PollItem, answered: bool, started_s: float, now_s: float) -> None:
        """One exchange is over. The next is due one period after this one was, but never in a heap of arrears."""
        for slot in self._slots:
            if slot.item is not item:
                continue
            if slot.health is Health.DEAD:
                self._dead_credit_s -= now_s - started_s
            slot.failures = 0 if answered else slot.failures + 1
            slot.due_s = max(slot.due_s + item.period_s, now_s)
            return

    def health(self, device: str) -> Health:
        """The best health of the device's requests."""
        order = (Health.HEALTHY, Health.SUSPECT, Health.DEAD)
        found = [slot.health for slot in self._slots if slot.item.request.device == device]
        return min(found, key=order.index, default=Health.HEALTHY)

    def all_dead(self) -> bool:
        """Two devices or more, and not one answers: the link itself is cut, whatever the port says."""
        devices = {slot.item.request.device for slot in self._slots}
        return len(devices) >= 2 and all(slot.health is Health.DEAD for slot in self._slots)

    def _credit(self, now_s: float) -> None:
        longest = max((slot.item.timeout_s for slot in self._slots), default=0.0)
        self._dead_credit_s = min(self._dead_credit_s + (now_s - self._credited_s) * DEAD_SHARE, 2 * longest)
        self._credited_s = now_s

    @staticmethod
    def _rank(slot: _Slot) -> tuple[bool, bool, float]:
        return (slot.health is Health.DEAD, not slot.item.life_safety, slot.due_s)
