"""Wall clocks step. Durations do not, and the step is journaled."""

from __future__ import annotations

import pytest

from edge.limits import CLOCK_UNTRUSTED_S, RE_ALARM_S, SILENCE_S
from edge.model import Clock, Command, CommandKind, PointKey, Result
from tests.unit.flow.house import LI, House, live

YEARS_MS = 10 * 365 * 86_400_000
HORN = PointKey("relay", "horn")


def rings(house: House, alarm_id: str) -> int:
    return next(alarm.rings for alarm in house.engine.alarms() if alarm.alarm_id == f"h1-{alarm_id}")


def clock_alarms(house: House) -> dict[str, str]:
    return {name: state for name, state in house.states().items() if "clock" in name}


@pytest.mark.parametrize("step_ms", [YEARS_MS, -3_600_000])
def test_an_acknowledged_alarm_rings_again_after_its_time_and_no_clock_changes_that(step_ms: int) -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(1)
        await house.engine.command(house.wish(CommandKind.ACKNOWLEDGE, "h1-s1-fire.smoke-1"))
        await house.wait(RE_ALARM_S[1] / 2)
        house.clock.step_ms = step_ms
        await house.wait(RE_ALARM_S[1] / 2 - 10)
        assert rings(house, "s1-fire.smoke-1") == 1
        await house.wait(20)
        assert rings(house, "s1-fire.smoke-1") == 2
        last = next(event for event in house.platter.events if event.kind == "re_alarmed")
        assert abs(last.received_ms - house.clock.wall_ms()) < 30_000

    live(story)


@pytest.mark.parametrize("step_ms", [YEARS_MS, -YEARS_MS])
def test_a_silence_lasts_its_minute(step_ms: int) -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(5)
        assert house.outputs[HORN] is True
        await house.engine.command(house.wish(CommandKind.SILENCE, "h1-s1-fire.smoke-1"))
        await house.wait(5)
        house.clock.step_ms = step_ms
        await house.wait(SILENCE_S - 15)
        assert house.outputs[HORN] is False
        await house.wait(15)
        assert house.outputs[HORN] is True

    live(story)


@pytest.mark.parametrize("step_ms", [YEARS_MS, -YEARS_MS])
def test_a_shelving_ends_after_its_time(step_ms: int) -> None:
    async def story(house: House) -> None:
        house.says("g1", "lel", 12.0)
        await house.wait(1)
        wish = house.wish(CommandKind.SHELVE, "h1-g1-gas.combustible-1")
        until_ms = house.clock.wall_ms() + 600_000
        await house.engine.command(
            Command(wish.command_id, wish.kind, wish.alarm_id, LI, wish.at_ms, None, "x", until_ms)
        )
        await house.wait(300)
        house.clock.step_ms = step_ms
        await house.wait(280)
        assert house.states()["g1-gas.combustible-1"] == "SHLVD"
        await house.wait(40)
        assert house.states()["g1-gas.combustible-1"] == "UNACK"

    live(story)


def test_a_step_is_journaled_with_what_the_clock_said_before() -> None:
    async def story(house: House) -> None:
        await house.wait(5)
        house.clock.step_ms = YEARS_MS
        await house.wait(5)
        house.clock.step_ms = 0
        await house.wait(5)
        steps = [event for event in house.platter.events if event.alarm_class == "gateway.clock" and event.value]
        assert [round(float(event.value or 0) / 1000) for event in steps if event.kind != "cleared"] == [
            YEARS_MS // 1_000_000,
            -YEARS_MS // 1_000_000,
        ]
        assert steps[0].reason is not None and "2026-09" in steps[0].reason
        assert clock_alarms(house) == {"h1-gateway.clock-1": "RTNUN"}

    live(story)


def test_small_corrections_are_no_step() -> None:
    async def story(house: House) -> None:
        for _ in range(100):
            house.clock.step_ms += 500
            await house.wait(2)
        assert clock_alarms(house) == {}

    live(story)


def test_a_clock_that_nothing_sets_is_said_after_an_hour_and_over_once_it_is_set() -> None:
    async def story(house: House) -> None:
        house.engine._trust = lambda: Clock.UNSYNCED
        await house.wait(CLOCK_UNTRUSTED_S - 10)
        assert clock_alarms(house) == {}
        await house.wait(20)
        assert clock_alarms(house) == {"h1-gateway.clock-1": "UNACK"}
        house.engine._trust = lambda: Clock.SYNCED
        await house.wait(5)
        assert clock_alarms(house) == {"h1-gateway.clock-1": "RTNUN"}

    live(story)


def test_a_clock_that_was_never_set_calls_no_wish_too_old() -> None:
    async def story(house: House) -> None:
        house.says("s1", "smoke", True)
        await house.wait(1)
        wish = house.wish(CommandKind.ACKNOWLEDGE, "h1-s1-fire.smoke-1")
        old = Command(wish.command_id, wish.kind, wish.alarm_id, LI, wish.at_ms, expires_ms=wish.at_ms)
        await house.wait(1)
        assert (await house.engine.command(old)).result is Result.EXPIRED
        house.engine._trust = lambda: Clock.UNSYNCED
        again = Command("c-other", wish.kind, wish.alarm_id, LI, wish.at_ms, expires_ms=wish.at_ms)
        assert (await house.engine.command(again)).result is Result.DONE

    live(story)
