"""How long each slave is waited for: three times what it usually needs, from its own answers. Pure.

A fixed reply time is too short for one slave and far too long for the others; a dead slave should cost its bus little.
After a missing answer the slave gets the link's full time again, so that one which became slow is never lost for good.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

REPLY_S_MIN = 0.1
"""Shortest time a slave is given: schedulers of small devices stall for tens of milliseconds."""
SAMPLES = 100
"""Answers remembered; the slowest of them stands for the 99th percentile."""
SAMPLES_MIN = 20
"""Answers needed before anything is concluded."""
FACTOR = 3.0
FORGIVEN = 3
"""Answers in time after a missing one before the slave's own time counts again."""


@dataclass(slots=True)
class Patience:
    """One slave."""

    _taken_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _forgiving: int = 0

    def reply_s(self, most_s: float) -> float:
        """How long to wait for the beginning of its answer, at most the link's own time."""
        if self._forgiving or len(self._taken_s) < SAMPLES_MIN:
            return most_s
        return min(most_s, max(REPLY_S_MIN, FACTOR * max(self._taken_s)))

    def answered(self, taken_s: float) -> None:
        """It answered after this long, the wire's own time taken off."""
        self._taken_s.append(max(0.0, taken_s))
        self._forgiving = max(0, self._forgiving - 1)

    def silent(self) -> None:
        """No answer in time."""
        self._forgiving = FORGIVEN
