"""Who is told when."""

from __future__ import annotations

from duty_room import ladder
from duty_room.incidents import fold_event
from edge.model import AlarmClass
from tests.unit.duty_room.conftest import PEOPLE, T0, event

GRIDS = ("XS-03-07", "XS-03")


def ids(steps: tuple[tuple[ladder.Someone, ...], ...]) -> list[list[str]]:
    return [[p.id for p in step] for step in steps]


def test_the_grid_worker_of_the_place_comes_first() -> None:
    assert ids(ladder.steps_for(PEOPLE, GRIDS)) == [["li"], ["wang"], ["chen"], ["li", "zhao", "wang", "chen"]]


def test_an_unknown_grid_tells_every_grid_worker() -> None:
    assert ids(ladder.steps_for(PEOPLE, ()))[0] == ["li", "zhao"]
    assert ids(ladder.steps_for(PEOPLE, ("XS-99",)))[0] == ["li", "zhao"]


def test_without_roles_everybody_is_told() -> None:
    assert ids(ladder.steps_for(PEOPLE[3:], GRIDS)) == [["chen"]]
    assert ladder.steps_for((), GRIDS) == ()


def test_priority_1_at_once_priority_2_later_priority_3_never() -> None:
    def due(priority: int) -> int | None:
        raised = event(priority=priority, alarm_class=AlarmClass.WATER_LEAK)
        rung = ladder.started(fold_event(None, "b12", raised, T0).incident, T0)
        return rung.due_ms - T0 if rung else None

    assert (due(1), due(2), due(3)) == (0, 180_000, None)


def test_a_test_tells_nobody() -> None:
    assert ladder.started(fold_event(None, "b12", event(test=True), T0).incident, T0) is None


def test_the_last_step_repeats_every_two_minutes() -> None:
    rung = ladder.Rung(0, T0)
    seen = []
    now = T0
    for _ in range(6):
        after = ladder.climbed(rung, 3, 1, now)
        seen.append((rung.step, (after.due_ms - now) // 1000))
        rung, now = after, after.due_ms
    assert seen == [(0, 60), (1, 60), (2, 120), (2, 120), (2, 120), (2, 120)]
