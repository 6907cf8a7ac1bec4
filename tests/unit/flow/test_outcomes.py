"""Nobody is told of an outcome before it is on disk. Found by the kill loop: the repetition of a command was faster."""

from __future__ import annotations

import asyncio

from edge.model import CommandKind
from tests.unit.flow.house import House, live


def test_the_repetition_of_a_command_waits_for_the_commit_of_the_first() -> None:
    async def story(house: House) -> None:
        pressed = house.says("b1", "press", True)
        assert pressed is not None
        await pressed
        wish = house.wish(CommandKind.ACKNOWLEDGE, house.engine.alarms()[0].alarm_id)
        both = [asyncio.create_task(house.engine.command(wish)) for _ in range(2)]
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        assert wish.command_id in house.platter.outcomes, "told before the commit"
        first, second = await asyncio.gather(*both)
        assert first == second == done.pop().result()

    live(story)
