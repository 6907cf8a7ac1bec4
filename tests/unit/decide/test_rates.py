"""The figures of EEMUA 191 and ISA-18.2 from a stream of events."""

from __future__ import annotations

from dataclasses import replace

from edge.decide import alarms
from edge.decide.alarms import Alarm, Stamp, Subject, fold
from edge.decide.rates import HELD_MAX, Rates
from edge.model import CLASSES, AlarmClass, AlarmEvent, AlarmState, Clock, EventKind, Place

DAY_MS = 86_400_000


def alarm(device: str, now_ms: int = 0, alarm_class: AlarmClass = AlarmClass.FIRE_SMOKE) -> Alarm:
    subject = Subject(device, "p", Place())
    stamp = Stamp(now_ms, Clock.SYNCED)
    return fold(None, alarms.begin(f"g-{device}-1", alarm_class, CLASSES[alarm_class].priority, subject, stamp))


def ring(device: str, kind: EventKind = EventKind.RAISED) -> AlarmEvent:
    return replace(alarm(device).last, kind=kind)


def test_a_flood_begins_at_ten_in_ten_minutes_and_ends_below_five() -> None:
    rates = Rates(0.0)
    for n in range(9):
        rates.note([ring(f"d{n}")], n * 10.0)
    assert not rates.figures((), 90.0, 0).flood
    rates.note([ring("d9")], 95.0)
    assert rates.figures((), 95.0, 0).flood
    assert rates.figures((), 640.0, 0).flood, "five are left"
    over = rates.figures((), 655.0, 0)
    assert (over.flood, over.current, over.maximum, over.floods, over.rings) == (False, 4, 10, 1, 10)


def test_only_what_asks_for_a_person_counts() -> None:
    rates = Rates(0.0)
    rates.note([ring("a", kind) for kind in EventKind], 1.0)
    rates.note([replace(ring("b"), test=True)], 1.0)
    found = rates.figures((), 2.0, 0)
    assert found.rings == 4 and found.re_alarms == 1 and found.by_priority == {1: 4}


def test_chattering_is_one_alarm_often_not_many_once() -> None:
    rates = Rates(0.0)
    rates.note([ring(f"d{n}") for n in range(5)], 1.0)
    assert rates.figures((), 2.0, 0).chattering == 0
    rates.note([ring("d1", EventKind.REPEATED)] * 2, 30.0)
    assert rates.figures((), 31.0, 0).chattering == 1
    assert rates.figures((), 95.0, 0).chattering == 0


def test_open_alarms_have_ages() -> None:
    old, young = alarm("a", 0), alarm("b", DAY_MS)
    taken = fold(old, replace(old.last, kind=EventKind.ACKNOWLEDGED, state=AlarmState.ACKED))
    found = Rates(0.0).figures([taken, young], 0.0, DAY_MS + 5000)
    assert (found.stale, found.longest_active_s, found.longest_unacknowledged_s) == (1, 86405.0, 5.0)


def test_a_storm_is_bounded_in_memory() -> None:
    rates = Rates(0.0)
    rates.note([ring("a")] * (HELD_MAX + 5), 1.0)
    assert rates.figures((), 1.0, 0).current == HELD_MAX
