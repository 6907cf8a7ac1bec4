"""Freshness, the ladder's triggers and the poll schedule: time is an argument everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.decide import alarms, freshness
from edge.decide.alarms import Alarm, Stamp, Subject
from edge.decide.route import linked, notices, sounding
from edge.decide.schedule import Health, Schedule
from edge.decide.timing import LadderReason, ladder_reason, step_gap_s
from edge.model import (
    AlarmClass,
    AlarmEvent,
    Clock,
    Condition,
    Linkage,
    Person,
    Place,
    PointKey,
    PollItem,
    ReadRequest,
    Recipient,
    Sounder,
    SounderStart,
    Via,
    Write,
)

LI = Person("li", "李四", Via.PHONE)
ROSTER = (Recipient("li", "李四", "grid_worker", ("x://1",)), Recipient("wang", "王芳", "chief", ("x://2",)))


def alarm_of(alarm_class: AlarmClass, priority: int, acked: bool = False) -> Alarm:
    subject = Subject("d", None, Place())
    alarm = alarms.fold(None, alarms.begin("g-d-x-1", alarm_class, priority, subject, Stamp(0, Clock.SYNCED)))
    if acked:
        event = alarms.acknowledge(alarm, Stamp(1, Clock.SYNCED, by=LI))
        assert isinstance(event, AlarmEvent)
        alarm = alarms.fold(alarm, event)
    return alarm


def test_silence_of_a_device() -> None:
    assert freshness.offline(60, None, 0, False, 60) is Condition.UNKNOWN
    assert freshness.offline(60, None, 0, False, 60.1) is Condition.ON
    assert freshness.offline(60, 50, 0, False, 110) is Condition.OFF
    assert freshness.offline(60, 50, 0, False, 110.1) is Condition.ON
    assert freshness.offline(60, 50, 100, False, 150) is Condition.UNKNOWN, "its link came back after it was heard"
    assert freshness.offline(None, None, 0, False, 1e9) is Condition.UNKNOWN, "one-way radio cannot be supervised"
    assert freshness.offline(86400, 50, 0, True, 51) is Condition.ON, "its own network says that it is gone"


def test_nonsense_of_a_device() -> None:
    assert freshness.fault(60, None, 100) is Condition.OFF
    assert freshness.fault(60, 50, 110) is Condition.UNKNOWN
    assert freshness.fault(60, 50, 110.1) is Condition.ON
    assert freshness.fault(86400, 0, 200.1) is Condition.ON, "a slow device's nonsense is told after 200 s"


def test_a_blip_of_a_link_is_not_an_event() -> None:
    assert freshness.link_down(False, 10, 14.9) is Condition.UNKNOWN
    assert freshness.link_down(False, 10, 15) is Condition.ON
    assert freshness.link_down(None, 0, 4) is Condition.UNKNOWN
    assert freshness.link_down(None, 0, 5) is Condition.ON
    assert freshness.link_down(True, 10, 10) is Condition.OFF


def test_a_link_that_keeps_falling_is_down() -> None:
    assert freshness.trouble_since(True, 0, None, 100) == 100
    assert freshness.trouble_since(True, 103, 100, 104) == 100, "it was up for a second only"
    assert freshness.trouble_since(True, 103, 100, 108) == 108, "it had recovered"
    assert freshness.trouble_since(None, 0, None, 3) == 0, "it never was up"
    assert freshness.link_down(True, 104, 106, 100) is Condition.UNKNOWN
    assert freshness.link_down(False, 104, 105, 100) is Condition.ON
    assert freshness.link_down(True, 104, 109, 100) is Condition.OFF


@pytest.mark.parametrize(
    ("rang_for_s", "receipted", "unheard_for_s", "reason"),
    [
        (27, False, None, None),
        (28, False, None, LadderReason.NO_RECEIPT),
        (59, True, None, None),
        (60, True, None, LadderReason.NO_ACKNOWLEDGE),
        (0, True, 29, None),
        (0, True, 30, LadderReason.UNHEARD),
    ],
)
def test_three_triggers(
    rang_for_s: float, receipted: bool, unheard_for_s: float | None, reason: LadderReason | None
) -> None:
    alarm = alarm_of(AlarmClass.FIRE_SMOKE, 1)
    found = ladder_reason(
        alarm, rang_for_s=rang_for_s, has_duty_room=True, receipted=receipted, unheard_for_s=unheard_for_s
    )
    assert found is reason


def test_who_is_never_told_by_the_gateway() -> None:
    for alarm in (alarm_of(AlarmClass.BIN_FULL, 3), alarm_of(AlarmClass.FIRE_SMOKE, 1, acked=True)):
        assert ladder_reason(alarm, rang_for_s=1e6, has_duty_room=False, receipted=False, unheard_for_s=1e6) is None


def test_priority_2_waits_three_minutes() -> None:
    alarm = alarm_of(AlarmClass.DOOR_FORCED, 2)
    for rang_for_s, reason in ((179, None), (180, LadderReason.NO_ACKNOWLEDGE)):
        found = ladder_reason(alarm, rang_for_s=rang_for_s, has_duty_room=True, receipted=True, unheard_for_s=None)
        assert found is reason


def test_last_step_repeats_for_ever() -> None:
    alarm = alarm_of(AlarmClass.FIRE_SMOKE, 1)
    told = [notices(alarm, step, ROSTER, lambda *_: ("t", "b"), 0)[0] for step in range(6)]
    assert [notice.recipient for notice in told] == ["li", "wang", "wang", "wang", "wang", "wang"]
    assert len({notice.notice_id for notice in told}) == 6
    assert [step_gap_s(1, step, 2) for step in range(3)] == [60.0, 120.0, 120.0]
    assert step_gap_s(2, 0, 2) == 180.0


def test_a_new_ring_tells_everyone_told_so_far() -> None:
    alarm = alarm_of(AlarmClass.SOS_CALL, 1)
    again = notices(alarm, 2, ROSTER, lambda *_: ("t", "b"), 0, again=True)
    assert [notice.recipient for notice in again] == ["li", "wang"]
    assert notices(alarm, 0, (), lambda *_: ("t", "b"), 0) == ()


def test_sounders_by_class_and_start() -> None:
    horn = PointKey("relay", "horn")
    sounders = [
        Sounder(horn, (AlarmClass.FIRE_SMOKE,)),
        Sounder(horn, (AlarmClass.SOS_CALL,), SounderStart.LADDER),
    ]
    call = replace(alarm_of(AlarmClass.SOS_CALL, 1), alarm_id="call")
    assert sounding([alarm_of(AlarmClass.FIRE_SMOKE, 1)], sounders, set(), 0) == {horn}
    assert sounding([alarm_of(AlarmClass.FIRE_SMOKE, 1, acked=True)], sounders, set(), 0) == set()
    assert sounding([call], sounders, set(), 0) == set()
    assert sounding([call], sounders, {"call"}, 0) == {horn}


def test_valve_closes_at_the_high_level_only() -> None:
    valve = Linkage(PointKey("relay", "gas_valve"), True, (AlarmClass.GAS_COMBUSTIBLE,), 1)
    assert linked(alarm_of(AlarmClass.GAS_COMBUSTIBLE, 2).last, [valve]) == ()
    assert linked(alarm_of(AlarmClass.GAS_COMBUSTIBLE, 1).last, [valve]) == (Write(valve.point, True),)
    assert linked(alarm_of(AlarmClass.FIRE_SMOKE, 1).last, [valve]) == ()


def item(device: str, life_safety: bool = False, period_s: float = 1.0) -> PollItem:
    return PollItem(ReadRequest(device), period_s, life_safety, timeout_s=0.5)


def test_life_safety_goes_first_then_the_earliest_deadline() -> None:
    bin_item, smoke = item("bin"), item("smoke", life_safety=True, period_s=3)
    schedule = Schedule.of([bin_item, smoke], 0.0)
    assert schedule.next(0.0).item is smoke
    schedule.done(smoke, True, 0.0, 0.1)
    assert schedule.next(0.1).item is bin_item
    schedule.done(bin_item, True, 0.1, 0.2)
    turn = schedule.next(0.2)
    assert turn.item is None and turn.wait_s == pytest.approx(0.8)


def test_dead_slaves_take_a_tenth_of_the_bus_at_most() -> None:
    items = [item(f"d{number}") for number in range(4)] + [item("ok", period_s=0.2)]
    schedule = Schedule.of(items, 0.0)
    now_s, dead_s, healthy = 0.0, 0.0, 0
    while now_s < 200:
        turn = schedule.next(now_s)
        if turn.item is None:
            now_s += turn.wait_s
            continue
        alive = turn.item.request.device == "ok"
        started_s, now_s = now_s, now_s + (0.02 if alive else 0.5)
        schedule.done(turn.item, alive, started_s, now_s)
        healthy += alive
        dead_s += 0.0 if alive or now_s < 20 else now_s - started_s
    assert dead_s <= 0.1 * 180 + 0.5
    assert healthy >= 200 / 0.2 / 1.2, "healthy polls stay within 1.2 of their period"
    assert schedule.health("d1") is Health.DEAD and schedule.health("ok") is Health.HEALTHY
    assert not schedule.all_dead()


def test_a_bus_on_which_nobody_answers_is_cut() -> None:
    items = [item("a"), item("b")]
    schedule = Schedule.of(items, 0.0)
    for step in range(6):
        schedule.done(items[step % 2], False, step, step + 0.5)
    assert schedule.all_dead()
    alone = Schedule.of(items[:1], 0.0)
    for step in range(3):
        alone.done(items[0], False, step, step + 0.5)
    assert not alone.all_dead(), "one silent device is a silent device"


def test_an_empty_link_waits_for_ever() -> None:
    assert Schedule.of([], 0.0).next(0.0).wait_s == float("inf")
