"""From a device's word to the journal, and back out to horn, valve and phone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge.model import LOCAL_KEY, CommandKind, Condition, PointKey, Result
from simulators.disk import Platter
from simulators.drill_world import HORN, KEY
from tests.unit.flow.house import LI, VALVE, House, live

SMOKE = "s1-fire.smoke-1"


def test_nothing_new_is_acknowledged_without_a_write() -> None:
    async def story(house: House) -> None:
        assert house.says("s1", "smoke", False) is None
        assert house.says("s1", "smoke", False) is None
        assert house.platter.events == []

    live(story)


def test_smoke_is_committed_then_sounds_until_a_person_answers() -> None:
    async def story(house: House) -> None:
        future = house.says("s1", "smoke", True)
        assert future is not None and not future.done(), "acknowledge only after the commit"
        await future
        assert house.kinds() == ["s1 fire.smoke raised"]
        await house.wait(1)
        assert house.outputs[HORN] is True
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, f"h1-{SMOKE}"))
        await house.wait(1)
        assert house.outputs[HORN] is False

    live(story)


def test_silence_is_a_minute_and_no_answer() -> None:
    async def story(house: House) -> None:
        await (house.says("s1", "smoke", True) or asyncio.sleep(0))
        await house.wait(1)
        outcome = await house.engine.command(house.wish(CommandKind.SILENCE, f"h1-{SMOKE}"))
        await house.wait(2)
        assert outcome.result is Result.DONE and house.outputs[HORN] is False
        assert house.states() == {SMOKE: "UNACK"}
        await house.wait(60)
        assert house.outputs[HORN] is True

    live(story)


def test_a_press_on_an_answered_call_rings_again() -> None:
    async def story(house: House) -> None:
        house.says("b2", "press", "x")
        await house.wait(1)
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, "h1-b2-sos.call-1"))
        house.says("b2", "press", "x")
        await house.wait(1)
        assert house.states() == {"b2-sos.call-1": "UNACK"}
        assert house.engine.alarms()[0].count == 2
        assert house.kinds()[-1] == "b2 sos.call repeated"

    live(story)


def test_one_senders_id_is_one_cause_also_after_a_crash() -> None:
    platter = Platter()

    async def before(house: House) -> None:
        house.says("b1", "press", "x", sequence="7")
        await house.wait(1)
        assert house.says("b1", "press", "x", sequence="7") is None

    async def after(house: House) -> None:
        assert house.says("b1", "press", "x", sequence="7", late=True) is None
        assert house.counted == ["redelivered"]
        house.says("b1", "press", "x", sequence="8")
        await house.wait(1)
        assert house.engine.alarms()[0].count == 2

    live(before, platter)
    live(after, platter)


def test_state_after_a_crash_is_the_state_before() -> None:
    platter = Platter()
    seen: dict[str, str] = {}

    async def before(house: House) -> None:
        house.says("s1", "smoke", True)
        house.says("g1", "lel", 12.0)
        house.says("b1", "press", "x")
        await house.wait(1)
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, "h1-g1-gas.combustible-1"))
        seen.update(house.states())

    async def after(house: House) -> None:
        assert house.states() == seen
        await house.wait(1)
        assert house.outputs[HORN] is True, "an open alarm sounds again after a start"
        alarm = next(a for a in house.engine.alarms() if a.subject.device == "s1")
        assert house.engine.live(alarm) is Condition.UNKNOWN
        house.says("s1", "smoke", False)
        assert len(house.states()) == 3, "one good reading does not clear"

    live(before, platter)
    live(after, platter)


def test_gas_rises_from_low_to_high() -> None:
    async def story(house: House) -> None:
        house.says("g1", "lel", 12.0)
        await house.wait(1)
        assert [a.priority for a in house.engine.alarms()] == [2] and VALVE not in house.outputs
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, "h1-g1-gas.combustible-1"))
        house.says("g1", "lel", 30.0)
        await house.wait(4)
        assert [a.priority for a in house.engine.alarms()] == [1], "the on-delay of 3 s runs without a reading"
        assert house.kinds()[-1] == "g1 gas.combustible priority_raised"
        assert house.states() == {"g1-gas.combustible-1": "UNACK"} and house.outputs[VALVE] is True

    live(story)


def test_a_dead_device_is_unknown_then_offline_and_never_normal() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", False)
        for _ in range(25):
            house.silent("s1", "smoke")
            for other in ("s2", "g1"):
                house.says(other, "smoke" if other == "s2" else "lel", 0.0)
            await house.wait(1)
        assert house.states() == {"s1-device.offline-1": "UNACK"}
        assert house.engine.alarms()[0].priority == 2, "a life-safety device"
        house.says("s1", "smoke", False)
        await house.wait(2)
        assert house.states() == {"s1-device.offline-1": "RTNUN"}

    live(story)


def test_values_of_no_use_become_a_fault_of_the_device() -> None:
    async def story(house: House) -> None:
        for _ in range(30):
            house.says("g1", "lel", None)
            house.says("s1", "smoke", False)
            house.says("s2", "smoke", False)
            await house.wait(1)
        assert house.states() == {"g1-device.fault-1": "UNACK"}

    live(story)


def test_a_link_that_is_down_folds_its_devices() -> None:
    async def story(house: House) -> None:
        house.engine.link("bus", False, "no such port")
        await house.wait(40)
        assert house.states() == {"bus-link.down-1": "UNACK"}
        event = house.platter.events[0]
        assert (event.value, event.reason) == (3, "no such port"), "it names how many are unprotected"
        house.engine.link("bus", True)
        await house.wait(15)
        assert house.states() == {"bus-link.down-1": "RTNUN"}
        await house.wait(10)
        offline = {"s1-device.offline-1", "s2-device.offline-1", "g1-device.offline-1"}
        assert offline < house.states().keys(), "children alarm on their own only if silent after the link is back"

    live(story)


def test_smoke_that_is_on_while_its_link_goes_down_stays_an_alarm() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(1)
        house.engine.link("bus", False, "cut")
        await house.wait(1)
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, f"h1-{SMOKE}"))
        refused = await house.engine.command(house.wish(CommandKind.RESET, f"h1-{SMOKE}"))
        assert (refused.result, refused.code) == (Result.REFUSED, "condition_unknown")

    live(story)


def test_the_key_at_the_guards_post_answers_as_local_key() -> None:
    async def story(house: House) -> None:
        house.says("relay", KEY.point, True)
        house.says("s1", "smoke", True)
        await house.wait(1)
        assert house.states() == {SMOKE: "UNACK"}, "a key left turned answers nothing"
        house.says("relay", KEY.point, False)
        house.says("relay", KEY.point, True)
        await house.wait(1)
        assert house.states() == {SMOKE: "ACKED"} and house.engine.alarms()[0].acknowledged == LOCAL_KEY

    live(story)


def test_commands_are_answered_once_and_for_all() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(1)
        wish = house.wish(CommandKind.ACKNOWLEDGE, f"h1-{SMOKE}")
        first = await house.engine.command(wish)
        events = len(house.platter.events)
        assert await house.engine.command(wish) == first and len(house.platter.events) == events
        nobody = await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, f"h1-{SMOKE}", by=None))
        assert nobody.code == "person_missing"
        late = replace(house.wish(CommandKind.RESET, f"h1-{SMOKE}"), expires_ms=house.clock.wall_ms() - 1)
        assert (await house.engine.command(late)).result is Result.EXPIRED
        assert (await house.engine.command(house.wish(CommandKind.RESET, "h1-x-fire.smoke-1"))).code == "unknown_alarm"
        on = await house.engine.command(house.wish(CommandKind.RESET, f"h1-{SMOKE}"))
        assert (on.result, on.code) == (Result.REFUSED, "condition_on")
        house.says("s1", "smoke", False)
        house.says("s1", "smoke", False)
        assert (await house.engine.command(house.wish(CommandKind.RESET, f"h1-{SMOKE}"))).result is Result.DONE
        again = await house.engine.command(house.wish(CommandKind.RESET, f"h1-{SMOKE}"))
        assert (again.result, again.code) == (Result.DONE, "already")

    live(story)


@pytest.mark.parametrize(
    ("hearing", "audible", "first_s"), [(False, True, 30), (True, True, 60), (True, False, 30)], ids=str
)
def test_the_roster_is_told_by_each_trigger(hearing: bool, audible: bool, first_s: float) -> None:
    async def story(house: House) -> None:
        await house.wait(1, hearing, audible)
        house.says("s1", "smoke", True)
        await house.wait(first_s - 2, hearing, audible)
        assert house.told(SMOKE) == []
        await house.wait(4, hearing, audible)
        assert house.told(SMOKE) == ["li"]
        await house.wait(60 + 3 * 120, hearing, audible)
        assert house.told(SMOKE) == ["li", "wang", "wang", "wang", "wang"], "the last step repeats"
        await house.engine.command(house.wish(CommandKind.SILENCE, f"h1-{SMOKE}"))
        await house.wait(120, hearing, audible)
        assert len(house.told(SMOKE)) == 6, "silence ends nothing"
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, f"h1-{SMOKE}"))
        await house.wait(300, hearing, audible)
        assert len(house.told(SMOKE)) == 6
        assert f"h1-{SMOKE}" not in house.platter.ladders

    live(story)


def test_a_building_without_a_duty_room_tells_its_people_at_once() -> None:
    async def story(house: House) -> None:
        house.says("b1", "press", "x")
        await house.wait(2, hearing=False)
        assert house.told("b1-sos.call-1") == ["li"]
        assert house.outputs[HORN] is True, "a call sounds when the gateway's own ladder runs"

    live(story, has_duty_room=False)


def test_an_overdue_step_fires_at_boot_once() -> None:
    platter = Platter()

    async def before(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(32, hearing=False)
        assert house.told(SMOKE) == ["li"]

    async def after(house: House) -> None:
        await house.wait(5, hearing=False)
        assert house.told(SMOKE) == ["wang"]
        await house.wait(100, hearing=False)
        assert house.told(SMOKE) == ["wang"], "once, then the step's own time"

    live(before, platter)
    live(after, platter, later_s=3600)


def test_duty_room_that_is_not_heard_is_an_alarm_of_its_own() -> None:
    async def story(house: House) -> None:
        await house.wait(89, hearing=False)
        assert "h1-duty_room.unheard-1" not in house.states()
        await house.wait(4, hearing=False)
        assert house.states()["h1-duty_room.unheard-1"] == "UNACK"
        await house.wait(3)
        assert house.states()["h1-duty_room.unheard-1"] == "RTNUN"

    live(story)


def test_a_disk_that_refuses_is_told_and_acknowledges_nothing() -> None:
    async def story(house: House) -> None:
        honest = house.disk.append

        async def full(entry: object) -> int:
            from edge.errors import NotDurable

            raise NotDurable("disk is full")

        house.disk.append = full  # type: ignore[method-assign]
        future = house.says("s1", "smoke", True)
        await house.clock.sleep(5)
        assert house.outputs[HORN] is True and future is not None and not future.done()
        assert not house.engine.commit.durable and "h1-gateway.storage-1" in house.states()
        house.disk.append = honest  # type: ignore[method-assign]
        await house.wait(3)
        assert future.done() and house.kinds()[0] == "s1 fire.smoke raised" and house.engine.commit.durable

    live(story)


def test_a_horn_that_does_not_answer_is_tried_again() -> None:
    async def story(house: House) -> None:
        house.relay_answers = False
        house.says("s1", "smoke", True)
        await house.wait(5)
        assert HORN not in house.outputs
        house.relay_answers = True
        await house.wait(3)
        assert house.outputs[HORN] is True

    live(story)


def test_unknown_points_are_counted() -> None:
    async def story(house: House) -> None:
        assert house.says("nobody", "smoke", True) is None
        assert house.counted == ["unknown_point"]
        assert PointKey("nobody", "smoke") not in {PointKey(p.device, p.point) for p in house.engine.points()}

    live(story)


def test_a_test_alarm_is_labelled_and_ends_like_any_other() -> None:
    async def story(house: House) -> None:
        await house.engine.command(house.wish(CommandKind.TEST, ""))
        assert house.platter.events[0].test and house.platter.events[0].by == LI
        assert (await house.engine.command(house.wish(CommandKind.TEST, ""))).code == "already"

    live(story)


def test_a_lost_session_is_a_fault_that_must_be_seen() -> None:
    async def story(house: House) -> None:
        house.engine.session_lost("radio")
        await house.wait(1)
        assert house.states() == {"radio-device.fault-1": "RTNUN"}
        house.engine.session_lost("radio")
        await house.wait(1)
        assert house.engine.alarms()[0].count == 2

    live(story)


def test_a_silent_relay_board_is_as_grave_as_a_silent_detector() -> None:
    async def story(house: House) -> None:
        await house.wait(62)
        grave = {a.alarm_id: a.priority for a in house.engine.alarms()}
        assert grave["h1-relay-device.offline-1"] == 2

    live(story)


def test_an_acknowledge_on_its_way_during_a_press_does_not_answer_the_press() -> None:
    async def story(house: House) -> None:
        house.says("b2", "press", "x")
        await house.wait(1)
        wish = replace(house.wish(CommandKind.ACKNOWLEDGE, "h1-b2-sos.call-1"), seen="h1-b2-sos.call-1-1")
        house.says("b2", "press", "x")
        await house.wait(1)
        outcome = await house.engine.command(wish)
        assert (outcome.result, outcome.code) == (Result.REFUSED, "rang_again")
        assert house.states() == {"b2-sos.call-1": "UNACK"}
        assert await house.engine.command(wish) == outcome, "the same command has the same outcome"
        seen = replace(house.wish(CommandKind.ACKNOWLEDGE, "h1-b2-sos.call-1"), seen="h1-b2-sos.call-1-2")
        assert (await house.engine.command(seen)).result is Result.DONE

    live(story)
