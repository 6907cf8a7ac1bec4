"""Answers by short message: the code of one ring, from the number it went to, is that person's acknowledgement."""

from __future__ import annotations

from edge.app.sms_answers import SmsAnswers
from edge.model import Notice, Recipient, Via
from tests.unit.flow.house import House, live

LI = "+8613800138000"
ROSTER = (Recipient("li", "李四", "grid_worker", (f"sms:{LI}",)), Recipient("wu", "吴", "chief", ("sms:13900139000",)))


def answers(house: House) -> SmsAnswers:
    return SmsAnswers("secret", ROSTER, house.engine.alarms, house.engine.command, house.clock)


def notice(alarm_id: str, person: str = "li") -> Notice:
    return Notice("n", alarm_id, 0, person, "sms", "t", "b", 0)


def test_the_code_acknowledges_by_name_whatever_stands_around_it() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(1)
        sms = answers(house)
        code = sms.code(notice("h1-s1-fire.smoke-1"))
        wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code or "")
        reply = await sms.answered("13800138000", f"收到，{wide} 马上去")
        assert reply is not None and "烟感火警" in reply and "李四" not in reply
        (alarm,) = house.engine.alarms()
        assert alarm.acknowledged is not None
        assert (alarm.acknowledged.id, alarm.acknowledged.via) == ("li", Via.PHONE)
        assert sms.code(notice("h1-s1-fire.smoke-1")) is None

    live(story)


def test_strangers_wrong_codes_and_codes_of_others_change_nothing() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(1)
        sms = answers(house)
        code = sms.code(notice("h1-s1-fire.smoke-1")) or ""
        assert await sms.answered("+8615000000000", code) is None
        assert "没有" in (await sms.answered("+8613900139000", code) or "")
        assert "没有" in (await sms.answered(LI, f"1{code}") or "")
        assert "没有" in (await sms.answered(LI, "好的") or "")
        assert all(alarm.unanswered for alarm in house.engine.alarms())

    live(story)


def test_the_code_of_an_earlier_ring_is_no_answer_to_a_newer_one() -> None:
    async def story(house: House) -> None:
        house.says("b1", "press", "press", sequence="1")
        await house.wait(1)
        sms = answers(house)
        old = sms.code(notice("h1-b1-sos.call-1")) or ""
        house.says("b1", "press", "press", sequence="2")
        await house.wait(1)
        await sms.answered(LI, old)
        assert all(alarm.unanswered for alarm in house.engine.alarms())
        await sms.answered(LI, sms.code(notice("h1-b1-sos.call-1")) or "")
        assert not any(alarm.unanswered for alarm in house.engine.alarms())

    live(story)


def test_several_codes_in_one_message_answer_several_alarms() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        house.says("z1", "smoke", True)
        await house.wait(1)
        sms = answers(house)
        codes = [sms.code(notice(alarm.alarm_id)) for alarm in house.engine.alarms()]
        await sms.answered(LI, " ".join(code or "" for code in codes))
        assert not any(alarm.unanswered for alarm in house.engine.alarms())

    live(story)
