"""Outputs: an output that reads as something else is a fault, and linkages that ask for two devices wait for them."""

from __future__ import annotations

from dataclasses import replace

from edge.decide.alarms import Alarm
from edge.decide.route import linked
from edge.model import (
    AlarmClass,
    Condition,
    Delivered,
    EventKind,
    Linkage,
    Outcome,
    PointKey,
    TryLater,
    Write,
)
from tests.unit.decide.test_time import alarm_of
from tests.unit.flow.house import House, live

HORN = PointKey("relay", "horn")
FAN = PointKey("relay", "fan")


def alarm(device: str, alarm_class: AlarmClass = AlarmClass.FIRE_SMOKE, condition: Condition = Condition.ON) -> Alarm:
    made = alarm_of(alarm_class, 1)
    last = replace(made.last, device=device, condition=condition)
    return replace(made, subject=replace(made.subject, device=device), last=last, condition=condition)


def test_two_independent_triggers() -> None:
    fan = Linkage(FAN, True, (AlarmClass.FIRE_SMOKE, AlarmClass.FIRE_HEAT), 1, triggers=2)
    one, two = alarm("s1"), alarm("s2", AlarmClass.FIRE_HEAT)
    wanted = (Write(FAN, True),)
    assert linked(one.last, [fan], [one]) == ()
    assert linked(one.last, [fan], [one, alarm("s1", AlarmClass.FIRE_HEAT)]) == (), "one device is one trigger"
    assert linked(two.last, [fan], [one, two]) == wanted
    assert linked(two.last, [fan], [alarm("s1", condition=Condition.OFF), two]) == (), "the first is over"
    assert linked(two.last, [fan], [alarm("g1", AlarmClass.GAS_COMBUSTIBLE), two]) == ()
    assert linked(one.last, [replace(fan, triggers=1)]) == wanted


def test_an_output_that_reads_as_something_else_is_a_fault_and_is_set_again() -> None:
    async def story(house: House) -> None:
        writes: list[Write] = []
        house.dispatcher._write = lambda write: _note(writes, write)
        house.says("relay", "horn", False)
        house.says("s1", "smoke", True)
        await house.wait(2)
        assert writes[-1] == Write(HORN, True)
        await house.wait(4)
        house.says("relay", "horn", True)
        await house.wait(2)
        assert "relay-device.fault-1" not in house.states()
        count = len(writes)
        house.says("relay", "horn", False)
        await house.wait(2)
        assert "relay-device.fault-1" in house.states()
        assert len(writes) > count and writes[-1] == Write(HORN, True)
        await house.wait(4)
        house.says("relay", "horn", True)
        await house.wait(3)
        assert "relay device.fault cleared" in house.kinds() or house.states().get("relay-device.fault-1") != "unack"

    live(story)


def test_a_read_back_that_disagrees_is_a_fault_at_once() -> None:
    async def story(house: House) -> None:
        house.says("relay", "horn", False)
        house.dispatcher._write = lambda write: _disagree()
        house.says("s1", "smoke", True)
        await house.wait(3)
        assert "relay-device.fault-1" in house.states()
        (fault,) = [e for e in house.platter.events if e.alarm_class is AlarmClass.DEVICE_FAULT]
        assert fault.kind is EventKind.RAISED and fault.point == "horn"

    live(story)


async def _note(writes: list[Write], write: Write) -> Outcome:
    writes.append(write)
    return Delivered("read back")


async def _disagree() -> Outcome:
    return TryLater("written, but not read back as written", disagrees=True)
