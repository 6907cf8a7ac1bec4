"""The seeded drill of the whole core, and proof that it can fail.

LINLI_SEEDS gives the number of seeds (CI: 1,000). A failing seed prints itself and replays exactly.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from edge.flow.alarm_book import AlarmBook
from edge.flow.supervise import Supervisor
from edge.model import Batch
from simulators.drill import Report, run_seed

SEEDS = int(os.environ.get("LINLI_SEEDS", "1000"))


@pytest.mark.timeout(900)  # a thousand seeds take minutes, and more on a busy machine
def test_every_seed_converges() -> None:
    with ProcessPoolExecutor() as pool:
        reports = list(pool.map(run_seed, range(1, SEEDS + 1), chunksize=10))
    failed = [report for report in reports if report.faults]
    assert not failed, "\n".join(f"seed {r.seed} (linli drill --seeds {r.seed}..{r.seed}): {r.faults}" for r in failed)
    crashes, events = sum(r.crashes for r in reports), sum(r.events for r in reports)
    print(f"{SEEDS} seeds, {events} events, {crashes} crashes")
    assert crashes > SEEDS and events > 10 * SEEDS, "a drill in which nothing happens proves nothing"


def test_a_seed_replays_exactly() -> None:
    assert run_seed(11) == run_seed(11)


def _first_failure(seeds: range) -> Report | None:
    for seed in seeds:
        try:
            report = run_seed(seed)
        except AssertionError as fault:
            return Report(seed, [str(fault)], 0, 0)
        if report.faults:
            return report
    return None


def test_the_drill_finds_an_acknowledgement_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Any, batch: Batch) -> None:
        batch.ack()
        self._engine.admit(batch)

    monkeypatch.setattr(Supervisor, "_submit", hasty)
    report = _first_failure(range(1, 200))
    assert report is not None and any("acknowledged" in fault for fault in report.faults), report


def test_the_drill_finds_a_swallowed_press(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.decide import alarms
    from edge.flow import engine

    honest = alarms.press

    def deaf(alarm: alarms.Alarm, stamp: alarms.Stamp) -> Any:
        event = honest(alarm, stamp)
        return event if alarm.unanswered else alarms.on_condition(alarm, event.condition, 1, stamp)

    def take(self: Any, state: Any, reading: Any) -> list[Any]:
        events = momentary(self, state, reading)
        return [event for event in events if event is not None]

    momentary = engine.Engine._momentary
    apply = engine.Engine._apply
    monkeypatch.setattr(engine, "press", deaf)
    monkeypatch.setattr(engine.Engine, "_apply", lambda self, event: event and apply(self, event))
    monkeypatch.setattr(engine.Engine, "_momentary", take)
    report = _first_failure(range(1, 100))
    assert report is not None and any("rang" in fault for fault in report.faults), report


def test_the_drill_finds_state_that_is_not_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: AlarmBook, past: Any, now_s: float, now_ms: int) -> None:
        self._generations = {}

    monkeypatch.setattr(AlarmBook, "load", forgetful)
    assert _first_failure(range(1, 30)) is not None
