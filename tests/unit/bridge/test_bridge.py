"""The bridge lives as long as the gateway, with any number of uplinks."""

from __future__ import annotations

import asyncio

from cloud_bridge.bridge import Bridge


async def test_a_building_without_uplinks_keeps_its_bridge() -> None:
    """A gateway takes the end of any part for a fault; nothing to send is none."""
    task = asyncio.create_task(Bridge([]).run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
