"""Who is told first when many must be told, and that a newer message takes the place of one that waits."""

from __future__ import annotations

from edge.model import Notice, Outcome, TryLater
from simulators.drill_world import Phone
from tests.unit.flow.house import House, live


class SlowPhone(Phone):
    """A service that takes ten seconds per message, or never takes one."""

    works = True

    async def deliver(self, notice: Notice) -> Outcome:
        """Slowly."""
        await self.clock.sleep(10)
        return await super().deliver(notice) if self.works else TryLater("no network")


def slow(house: House) -> SlowPhone:
    """Put a slow phone into the house."""
    phone = SlowPhone(house.phone.rng, house.clock, faults=False)
    house.phone = phone
    house.dispatcher._channels = {"messenger": phone}
    return phone


def notice(house: House, name: str, alarm: str, recipient: str) -> Notice:
    return Notice(name, alarm, 0, recipient, "messenger", "title", "body", house.clock.wall_ms())


def test_a_call_for_help_is_told_before_a_flood_of_faults() -> None:
    async def story(house: House) -> None:
        phone = slow(house)
        house.engine.link("bus", False, "cable")
        await house.wait(10)
        house.says("b1", "press", True, sequence="1")
        await house.wait(1)
        link, call = "h1-bus-link.down-1", "h1-b1-sos.call-1"
        assert {link, call} <= {alarm.alarm_id for alarm in house.engine.alarms()}
        for number in range(20):
            house.dispatcher._owe(notice(house, f"{link}/{number}", link, f"neighbour {number}"))
        house.dispatcher._owe(notice(house, f"{call}/1", call, "li"))
        await house.wait(12)
        assert any(told.alarm_id == call for _, told in phone.told), "it did not wait behind the flood"

    live(story)


def test_a_newer_message_replaces_one_that_still_waits() -> None:
    async def story(house: House) -> None:
        phone = slow(house)
        phone.works = False
        for number in range(30):
            house.says("b2", "press", True)
            await house.wait(4, hearing=False)
            assert len(house.dispatcher._owed) <= 8, f"after {number} presses"
        phone.works = True
        await house.wait(90, hearing=False)
        assert house.told("b2-sos.call-1")[-1]

    live(story)
