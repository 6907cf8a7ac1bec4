"""A person is told by every channel that one of their ways belongs to, each with its own outcome."""

from __future__ import annotations

from edge.decide.route import channels
from edge.limits import NOTICE_CHILDREN_MAX
from edge.model import Delivered, Notice, Outcome, Recipient
from simulators.disk import Platter
from tests.unit.flow.house import House, live


def person(*tell: str) -> Recipient:
    return Recipient("p", "某", "chief", tell)


def test_channels_follow_from_the_ways() -> None:
    assert channels(person("sms:+8613800138000", "wecombot://x")) == ("messenger", "sms")
    assert channels(person("sms:+8613800138000")) == ("sms",)
    assert channels(person("dingtalk://x", "mailto://y")) == ("messenger",)
    assert channels(person()) == ("messenger",)


def test_each_channel_has_its_own_notice_and_outcome() -> None:
    async def story(house: House) -> None:
        house.engine.ladders._roster = (person("sms:+8613800138000", "wecombot://x"),)
        house.says("s1", "smoke", True)
        await house.wait(40, hearing=False)
        ways = {notice.channel: notice.notice_id for _, notice in house.phone.told}
        assert set(ways) == {"messenger", "sms"} and ways["sms"] == f"{ways['messenger']}/sms"
        settled = house.platter.settled
        assert all(settled[ident].startswith("delivered") for ident in ways.values())

    live(story)


def test_a_channel_that_is_not_there_is_refused_and_the_other_told() -> None:
    async def story(house: House) -> None:
        house.engine.ladders._roster = (person("sms:+8613800138000", "wecombot://x"),)
        house.dispatcher._channels = {"messenger": house.phone}
        house.says("s1", "smoke", True)
        await house.wait(40, hearing=False)
        assert [notice.channel for _, notice in house.phone.told] == ["messenger"]
        assert any(how == "refused: this gateway has no sms" for how in house.platter.settled.values())

    live(story, Platter())


def test_one_channel_that_hangs_holds_up_no_other() -> None:
    async def story(house: House) -> None:
        class Hanging:
            async def deliver(self, notice: Notice) -> Outcome:
                await house.clock.sleep(10_000)
                return Delivered("at last")

        house.engine.ladders._roster = (person("sms:+8613800138000", "wecombot://x"),)
        house.dispatcher._channels = {"messenger": house.phone, "sms": Hanging()}
        for device in ("s1", "s2", "z1"):
            house.says(device, "smoke", True)
        for button in ("b1", "b2"):
            house.says(button, "press", "press")
        await house.wait(60, hearing=False)
        assert len({notice.alarm_id for _, notice in house.phone.told}) > NOTICE_CHILDREN_MAX

    live(story)
