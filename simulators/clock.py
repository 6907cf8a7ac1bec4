"""A virtual-time event loop: hours pass in milliseconds, the same seed gives the same order of everything."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

START_MS = 1_790_000_000_000
"""Wall time at virtual zero: an arbitrary instant of September 2026."""


YEAR_MS = 365 * 86_400_000


class Deadlock(RuntimeError):
    """Everything waits and no timer will ever wake it."""


class _JumpSelector(selectors.BaseSelector):
    """Instead of waiting for I/O, lets virtual time jump to the next timer."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is scheduled: a task waits for something that will never come")
        self.now_s += max(0.0, timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """No threads, no sockets; ready callbacks run in an order drawn from the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._jump = _JumpSelector()
        self._rng = rng
        super().__init__(self._jump)
        self.failures: list[str] = []
        self.set_exception_handler(lambda _, context: self.failures.append(str(context)))

    def time(self) -> float:
        """Virtual seconds since the loop began."""
        return self._jump.now_s

    def draw(self) -> float:
        """A tiny random delay, to shuffle what would otherwise be simultaneous."""
        return self._rng.random() * 1e-4


class VirtualClock:
    """edge.ports.Clockwork over a virtual loop; the wall clock may be stepped."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.step_ms = 0

    def be_set(self, rng: random.Random) -> None:
        """Somebody or something sets the wall clock: by years, by minutes, or right."""
        self.step_ms = rng.choice((0, 10 * YEAR_MS, -10 * YEAR_MS, 3_600_000, -3_600_000, -61_000))

    def wall_ms(self) -> int:
        """Virtual wall time, milliseconds since 1970."""
        return START_MS + self.step_ms + round(self._loop.time() * 1000)

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait virtually."""
        await asyncio.sleep(max(0.0, seconds) + self._loop.draw())


def run_virtual(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run to the end under virtual time; whatever is left over is cancelled."""
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main)
        assert not loop.failures, loop.failures
        return result
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
