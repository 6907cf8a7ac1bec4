"""Links that flap, a duty room that only seems to hear, devices that are gone: trouble that must not hide itself."""

from __future__ import annotations

import pytest

from edge.model import CommandKind
from simulators.disk import Platter
from simulators.drill_world import DEVICES
from tests.unit.flow.house import House, live


def test_a_link_that_opens_and_falls_again_and_again_is_down() -> None:
    async def story(house: House) -> None:
        for _ in range(10):
            house.engine.link("bus", False, "closed by the other side")
            await house.wait(1.5)
            house.engine.link("bus", True)
            await house.wait(0.5)
        assert house.states() == {"bus-link.down-1": "UNACK"}
        await house.wait(6)
        assert house.states() == {"bus-link.down-1": "RTNUN"}
        house.engine.link("bus", False, "a blip")
        await house.wait(3)
        house.engine.link("bus", True)
        await house.wait(10)
        assert house.kinds().count("bus link.down repeated") == 0

    live(story)


def test_a_still_echo_does_not_put_off_that_the_duty_room_is_unheard() -> None:
    async def story(house: House) -> None:
        began_s = house.clock.monotonic()
        for _ in range(18):
            house.engine.duty_heard(True, began_s)
            await house.wait(5, hearing=False)
        assert "h1-duty_room.unheard-1" not in house.states()
        await house.wait(3, hearing=False)
        assert house.states()["h1-duty_room.unheard-1"] == "UNACK"

    live(story)


def test_an_alarm_of_a_removed_device_can_be_ended_by_a_person() -> None:
    platter = Platter()

    async def before(house: House) -> None:
        house.says("s1", "smoke", True)
        house.says("b1", "press", True)
        await house.wait(1)

    async def after(house: House) -> None:
        await house.wait(2)
        assert house.states() == {"s1-fire.smoke-1": "LUNACK", "b1-sos.call-1": "UNACK"}, "neither is forgotten"
        for kind in (CommandKind.ACKNOWLEDGE, CommandKind.RESET):
            for name in ("h1-s1-fire.smoke-1", "h1-b1-sos.call-1"):
                assert (await house.engine.command(house.wish(kind, name))).code == "done"
        assert house.states() == {}

    live(before, platter)
    kept = [device for device in DEVICES if device.id not in ("s1", "b1")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.flow.house.DEVICES", tuple(kept))
        live(after, platter)
