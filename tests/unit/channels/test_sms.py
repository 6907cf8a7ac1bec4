"""Short messages over a modem stand-in on a pseudo terminal, with everything that modems do wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from edge.channels import modem as modem_file
from edge.channels import sms as sms_file
from edge.channels.sms import Sms, Wiring
from edge.clock import SystemClock
from edge.model import Delivered, Notice, Recipient, Refused, TryLater
from edge.ports import ModemSettings
from simulators.modem import ModemStandIn

LI = "+8613800138000"
ROSTER = (Recipient("li", "李四", "grid_worker", (f"sms:{LI}", "json://127.0.0.1")), Recipient("wu", "吴", "chief", ()))
NOTICE = Notice("n1", "a1", 0, "li", "sms", "烟感火警", "12 号楼 3 层 烟感火警，请立即查看。", 0)


class Rig:
    """A channel on a stand-in, and what the gateway heard from it."""

    def __init__(self) -> None:
        self.modem = ModemStandIn()
        self.answers: list[tuple[str, str]] = []
        self.states: list[tuple[bool, str]] = []
        self.counted: list[str] = []
        self.code: str | None = "4711"

    async def answered(self, number: str, text: str) -> str | None:
        self.answers.append((number, text))
        return "已确认"

    def start(self, pin: str | None = None) -> None:
        wiring = Wiring(
            lambda _: self.code, self.answered, lambda up, why: self.states.append((up, why)), self.counted.append
        )
        self.sms = Sms(ModemSettings(self.modem.start(), pin=pin), ROSTER, wiring, SystemClock())
        self.task = asyncio.create_task(self.sms.run())


async def until(true: Callable[[], bool], what: str) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"not within 5 s: {what}")


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(modem_file, "COMMAND_S", 0.3)
    monkeypatch.setattr(sms_file, "CHECK_S", 0.2)
    rig = Rig()
    yield rig
    rig.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rig.task
    rig.modem.unplug()


async def up(rig: Rig) -> None:
    await until(lambda: (True, "") in rig.states, "the modem works")


async def test_a_notice_becomes_a_short_message_with_its_code(rig: Rig) -> None:
    rig.start()
    await up(rig)
    assert isinstance(await rig.sms.deliver(NOTICE), Delivered)
    (text,) = rig.modem.texts
    assert text.number == LI and text.report_wanted
    assert text.text.startswith(NOTICE.body) and "回复 4711" in text.text


async def test_a_long_text_arrives_whole(rig: Rig) -> None:
    rig.start()
    rig.code = None
    await up(rig)
    body = "十二号楼三层烟感火警🔥，" * 20
    await rig.sms.deliver(Notice("n", "a", 0, "li", "sms", "", body, 0))
    assert [text.text for text in rig.modem.texts] == [body]


async def test_an_answer_is_heard_confirmed_and_deleted(rig: Rig) -> None:
    rig.start()
    await up(rig)
    rig.modem.receive(LI, "4711 好的")
    await until(lambda: bool(rig.modem.texts) and not rig.modem.stored, "the answer is confirmed")
    assert rig.answers == [(LI, "4711 好的")]
    assert rig.modem.texts[0].text == "已确认"


async def test_answers_that_came_while_nobody_listened_are_heard_at_the_start(rig: Rig) -> None:
    rig.modem.stored[3] = "00040D91683108108300F0000862112202140023080034003700310031"
    rig.modem.stored[4] = "zz"
    rig.start()
    await up(rig)
    await until(lambda: not rig.modem.stored, "the store is empty")
    assert rig.answers == [(LI, "4711")] and rig.counted == ["sms_garbled"]


async def test_a_delivery_report_that_fails_is_remembered_until_one_arrives(rig: Rig) -> None:
    rig.start()
    await up(rig)
    await rig.sms.deliver(NOTICE)
    rig.modem.report(LI, 1, 0x30)
    rig.modem.report(LI, 1, 0x41)
    await until(lambda: "li" in rig.sms.undelivered, "the network could not deliver")
    await rig.sms.deliver(NOTICE)
    rig.modem.report(LI, 2, 0)
    await until(lambda: not rig.sms.undelivered, "it arrived")


@pytest.mark.parametrize(("error", "outcome"), [(38, TryLater), (500, TryLater), (1, Refused), (28, Refused)])
async def test_an_error_of_the_network(rig: Rig, error: int, outcome: type) -> None:
    rig.start()
    await up(rig)
    rig.modem.errors.append(error)
    assert isinstance(await rig.sms.deliver(NOTICE), outcome)
    assert isinstance(await rig.sms.deliver(NOTICE), Delivered)


async def test_no_network(rig: Rig) -> None:
    rig.modem.registered = False
    rig.start()
    await until(lambda: any("network" in why for _, why in rig.states), "no network is a state")
    assert isinstance(await rig.sms.deliver(NOTICE), TryLater)
    rig.modem.registered = True
    await up(rig)
    assert isinstance(await rig.sms.deliver(NOTICE), Delivered)


async def test_registration_lost_while_it_runs(rig: Rig) -> None:
    rig.start()
    await up(rig)
    rig.modem.registered = False
    assert isinstance(await rig.sms.deliver(NOTICE), TryLater)
    await until(lambda: not rig.states[-1][0], "the gateway hears of it")


async def test_no_prompt(rig: Rig) -> None:
    rig.start()
    await up(rig)
    rig.modem.no_prompt = True
    assert isinstance(await rig.sms.deliver(NOTICE), TryLater)
    rig.modem.no_prompt = False
    rig.states.clear()
    await up(rig)
    assert isinstance(await rig.sms.deliver(NOTICE), Delivered)


async def test_a_mute_modem_and_one_that_is_pulled(rig: Rig) -> None:
    rig.modem.mute = True
    rig.start()
    assert isinstance(await rig.sms.deliver(NOTICE), TryLater)
    rig.modem.mute = False
    await up(rig)
    rig.modem.unplug()
    await until(lambda: not rig.states[-1][0], "the gateway hears of it")
    outcome = await rig.sms.deliver(NOTICE)
    assert isinstance(outcome, TryLater) and "gone" in outcome.why


async def test_a_locked_card(rig: Rig) -> None:
    rig.modem.pin = "1234"
    rig.start(pin="1234")
    await up(rig)
    assert rig.modem.commands.count('AT+CPIN="1234"') == 1


async def test_a_wrong_pin_is_tried_once(rig: Rig) -> None:
    rig.modem.pin = "1234"
    rig.start(pin="9999")
    await until(lambda: any("PIN" in why for _, why in rig.states), "people hear of it")
    await until(lambda: rig.modem.commands.count("AT+CPIN?") > 1, "the card is looked at again")
    assert rig.modem.commands.count('AT+CPIN="9999"') == 1


async def test_somebody_without_a_number(rig: Rig) -> None:
    rig.start()
    outcome = await rig.sms.deliver(Notice("n", "a", 0, "wu", "sms", "", "x", 0))
    assert isinstance(outcome, Refused)
