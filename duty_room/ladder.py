"""Pure: who is told when. Telling people cannot end unanswered: the last step repeats until a person answers.

Priority 1 tells the grid workers of the place at once, in parallel with the screen; priority 2 when nobody at the
screen has acknowledged in time. Lower priorities stay on the screen. Doubt about the grid means more people, not fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from duty_room.incident import ACKNOWLEDGE_S, Incident
from edge.limits import LADDER_REPEAT_S, LADDER_STEP_S


class Someone(Protocol):
    """A row of people.csv."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def grid(self) -> str | None: ...
    @property
    def tell(self) -> tuple[str, ...]: ...


WORKERS = ("grid_worker", "micro_grid_worker")
ORDER: tuple[tuple[str, ...], ...] = (WORKERS, ("grid_chief",), ("duty_officer",))
"""Roles told one step after another; the step after them is everybody."""
TOLD_PRIORITIES = frozenset({1, 2})


@dataclass(frozen=True, slots=True)
class Rung:
    """The ladder of one incident as a row: which step comes next, when, and how many steps were taken since it rang."""

    step: int
    due_ms: int
    taken: int = 0


def steps_for(people: Sequence[Someone], grids: Sequence[str]) -> tuple[tuple[Someone, ...], ...]:
    """The steps for a place in these grids (smallest first; empty: unknown). Steps without anybody are left out."""
    steps: list[tuple[Someone, ...]] = []
    for roles in ORDER:
        having = tuple(p for p in people if p.role in roles)
        near = tuple(p for p in having if p.grid and p.grid in grids)
        step = near or having
        if step:
            steps.append(step)
    everybody = tuple(people)
    if everybody and (not steps or len(steps[-1]) != len(everybody)):
        steps.append(everybody)
    return tuple(steps)


def started(incident: Incident, now_ms: int) -> Rung | None:
    """The ladder of an incident that has just rung; None when nobody but the screen is told."""
    if incident.test or not incident.ringing or incident.priority not in TOLD_PRIORITIES:
        return None
    wait_s = 0.0 if incident.priority == 1 else ACKNOWLEDGE_S[incident.priority]
    return Rung(0, now_ms + round(wait_s * 1000))


def climbed(rung: Rung, steps: int, priority: int, now_ms: int) -> Rung:
    """The row after the due step was told. The last step stays, every two minutes."""
    last = rung.step >= steps - 1
    wait_s = LADDER_REPEAT_S if last else LADDER_STEP_S.get(priority, LADDER_REPEAT_S)
    return Rung(min(rung.step + 1, max(steps - 1, 0)), now_ms + round(wait_s * 1000), rung.taken + 1)
