"""Waiting that can be cut short. Uses the loop's own timers, which a virtual loop controls too."""

from __future__ import annotations

import asyncio


async def nap(wake: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so many seconds (infinity: for ever), and clear it."""
    try:
        async with asyncio.timeout(None if seconds == float("inf") else seconds):
            await wake.wait()
    except TimeoutError:
        return
    wake.clear()
