"""The machine's clocks, and how far the wall clock may be trusted. The only product file that reads them."""

from __future__ import annotations

import asyncio
import ctypes
import time
from pathlib import Path

from edge.model import Clock

BUILD_FLOOR_MS = 1_767_225_600_000
"""2026-01-01: a wall clock before this has never been set."""
_STA_UNSYNC = 0x0040
_TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")


class SystemClock:
    """ports.Clockwork over the machine."""

    def wall_ms(self) -> int:
        """Wall time, milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never step."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class ClockTrust:
    """Says unsynced, synced or holdover (was synced in this run, is no longer)."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._was_synced = False
        self._checked_s = float("-inf")
        self._state = Clock.UNSYNCED

    def __call__(self) -> Clock:
        """The present trust; the kernel is asked at most every 10 s."""
        now_s = self._clock.monotonic()
        if now_s - self._checked_s >= 10:
            self._checked_s = now_s
            self._state = self._look()
        return self._state

    def _look(self) -> Clock:
        if self._clock.wall_ms() >= BUILD_FLOOR_MS and (_TIMESYNC_MARK.exists() or _kernel_synced()):
            self._was_synced = True
            return Clock.SYNCED
        return Clock.HOLDOVER if self._was_synced else Clock.UNSYNCED


def _kernel_synced() -> bool:
    """adjtimex(2) read-only: the kernel's own word whether something disciplines its clock."""
    buffer = (ctypes.c_long * 64)()  # larger than struct timex on every Linux ABI; modes = 0 changes nothing
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex") or libc.adjtimex(ctypes.byref(buffer)) < 0:
        return False
    status = ctypes.c_int.from_buffer(buffer, 5 * ctypes.sizeof(ctypes.c_long)).value
    return not status & _STA_UNSYNC
