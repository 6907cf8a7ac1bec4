"""Seven virtual days without the duty room: every alarm is kept, in order, told by the gateway itself, and drained."""

from __future__ import annotations

import asyncio
import random

import pytest

from edge.flow import dispatch
from edge.limits import LADDER_REPEAT_S, OUTBOX_WINDOW
from edge.model import RINGING_KINDS, CommandKind
from simulators.checker import check_journal
from simulators.clock import VirtualLoop, run_virtual
from simulators.disk import Platter
from tests.unit.flow.house import House

DAYS = 7
STEP_S = 20.0
"""Time goes in steps of this size: a week of quarter seconds would prove nothing more."""


class Week(House):
    """A house whose time goes in coarse steps."""

    async def _tick(self) -> None:
        while True:
            self.engine.tick()
            await self.clock.sleep(STEP_S)


async def live_through(house: Week, rng: random.Random) -> int:
    """A week in which something happens every forty minutes and people answer most of it hours later; presses."""
    presses = 0
    end_s = house.clock.monotonic() + DAYS * 86_400
    while house.clock.monotonic() < end_s:
        await house.clock.sleep(rng.expovariate(1 / 2400))
        what = rng.random()
        if what < 0.4:
            presses += 1
            house.says("b1", "press", "press", sequence=str(presses))
        elif what < 0.7:
            house.says("z1", "smoke", rng.random() < 0.5)
        else:
            for alarm in house.engine.alarms():
                for kind in (CommandKind.ACKNOWLEDGE, CommandKind.RESET):
                    await house.engine.command(house.wish(kind, alarm.alarm_id))
    return presses


def waited_for(platter: Platter, longer_ms: int) -> set[str]:
    """Calls for help that nobody answered for so long."""
    found: set[str] = set()
    since: dict[str, int] = {}
    for event in platter.events:
        if event.device != "b1":
            continue
        if event.kind in RINGING_KINDS:
            since.setdefault(event.alarm_id, event.received_ms)
        elif event.kind == "acknowledged" and event.received_ms - since.pop(event.alarm_id) > longer_ms:
            found.add(event.alarm_id)
    return found | since.keys()


async def drain(house: Week) -> int:
    """The duty room is back: it takes what is unreceipted, window by window. Returns how many events came."""
    taken: list[int] = []
    while events := await house.disk.unreceipted(0, OUTBOX_WINDOW):
        taken += [event.seq for event in events]
        await house.engine.receipted([event.event_id for event in events])
    assert taken == list(range(1, len(taken) + 1)), "events came out of their order"
    return len(taken)


def test_a_week_without_the_duty_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "TICK_S", STEP_S)
    loop, rng, platter = VirtualLoop(random.Random(1)), random.Random(7), Platter()

    async def main() -> None:
        house = Week(loop, platter)
        await house.start()
        presses = await live_through(house, rng)
        assert "h1 duty_room.unheard raised" in house.kinds()
        rang = [event for event in platter.events if event.reason == "press" and event.device == "b1"]
        assert len(rang) == presses > 50
        told = {notice.alarm_id for _, notice in house.phone.told}
        assert waited_for(platter, 90_000) <= told, "somebody called for help and nobody was told"
        before = len(platter.events)
        assert len(house.engine.unreceipted) == before
        began_s = house.clock.monotonic()
        assert await drain(house) >= before
        took_s = house.clock.monotonic() - began_s
        assert not house.engine.unreceipted and before / max(took_s, 0.001) > 200
        assert check_journal(platter.events) == []
        print(f"{DAYS} days: {before} events, {len(house.phone.told)} notices, drained at {before / took_s:.0f}/s")
        await asyncio.sleep(LADDER_REPEAT_S)
        await house.die()

    run_virtual(main(), loop)
