"""``python -m benchmarks.durability``: accepted → durable on a slow disk, with readings flowing, and a burst.

The real engine and journal in a child process whose every sync is slowed by 0, 5 and 20 ms (simulators/disk_shim.c).
1,000 readings a second pass while an alarm comes every 20 ms; half-way 500 alarms come within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edge.clock import SystemClock
from edge.flow.engine import Engine
from edge.flow.settings import EngineSettings
from edge.model import AlarmClass, Batch, Clock, Device, Place, Point, PointKey, Quality, Reading, Rule, RuleKind
from edge.store.journal import SqliteJournal
from simulators.disk_shim import build, environment

DEVICES, READINGS_PER_S, ALARM_EVERY_S, BURST = 500, 1000, 0.02, 500
STEP_S = 0.005
BARS_MS = {0: 10.0, 5: 10.0, 20: 50.0}
"""p99 of accepted → durable that is promised for each added sync time (promise 4)."""
BURST_BAR_S = 1.0
PLACE = Place("新盛", "12", "1", 3, "301")


def device(number: int) -> Device:
    """A gas detector with a call button: the button alarms, the level only changes."""
    rules = (
        Rule("press", "press", AlarmClass.SOS_CALL, RuleKind.PRESS),
        Rule("gas", "lel", AlarmClass.GAS_COMBUSTIBLE, RuleKind.THRESHOLD, limit=25, deadband=1),
    )
    points = (Point("lel", "%LEL"), Point("press", momentary=True))
    return Device(f"d{number}", "bench/device", "link", str(number), PLACE, points, rules, 60.0)


class Run:
    """One child: everything that flows, and how long each alarm took."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._clock = SystemClock()
        self.took_ms: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._presses = 0
        self._readings = 0

    def press(self) -> None:
        """An alarm comes; its way to the disk is timed."""
        self._presses += 1
        self._tasks.append(asyncio.create_task(self._timed(f"d{self._presses % DEVICES}", str(self._presses))))

    async def _timed(self, device_id: str, sequence: str) -> None:
        began = time.perf_counter()
        now = (self._clock.wall_ms(), self._clock.monotonic())
        key = PointKey(device_id, "press")
        reading = Reading(key, "press", Quality.GOOD, None, *now, sequence=sequence, momentary=True)
        done = self._engine.admit(Batch("link", (reading,), lambda: None))
        assert done is not None
        await done
        self.took_ms.append((time.perf_counter() - began) * 1000)

    def read(self, count: int) -> None:
        """Ordinary readings: judged, never written."""
        now = (self._clock.wall_ms(), self._clock.monotonic())
        readings = []
        for _ in range(count):
            self._readings += 1
            key = PointKey(f"d{self._readings % DEVICES}", "lel")
            readings.append(Reading(key, float(self._readings % 9), Quality.GOOD, None, *now))
        self._engine.admit(Batch("link", tuple(readings), lambda: None))

    async def flow(self, seconds: float) -> None:
        """Readings and alarms at their rates."""
        began = self._clock.monotonic()
        alarms = steps = 0
        while (passed := self._clock.monotonic() - began) < seconds:
            due = int(passed * READINGS_PER_S) - steps
            if due > 0:
                self.read(due)
                steps += due
            while alarms < passed / ALARM_EVERY_S:
                self.press()
                alarms += 1
            await asyncio.sleep(STEP_S)
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def burst(self) -> float:
        """500 alarms within a second, evenly; seconds until all are durable, beyond that second."""
        began = time.perf_counter()
        for number in range(BURST):
            self.press()
            ahead_s = (number + 1) / BURST - (time.perf_counter() - began)
            if ahead_s > 0 and number % 10 == 9:
                self.read(20)
                await asyncio.sleep(ahead_s)
        left = time.perf_counter()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()
        return time.perf_counter() - left


async def measure(folder: Path, seconds: float) -> dict[str, float]:
    """The figures of one child."""
    devices = tuple(device(number) for number in range(DEVICES))
    settings = EngineSettings(
        "bench", PLACE, ("link",), devices, (), (), False, frozenset(), lambda alarm, _: (alarm.alarm_class, "")
    )
    journal = SqliteJournal(folder / "alarms.db")
    engine = Engine(settings, journal, SystemClock(), lambda: Clock.SYNCED, lambda _: None)
    await engine.start()
    engine.link("link", True)
    committing = asyncio.create_task(engine.commit.run())
    run = Run(engine)
    await run.flow(1.0)
    run.took_ms.clear()
    await run.flow(seconds)
    steady = sorted(run.took_ms)
    run.took_ms.clear()
    burst_s = await run.burst()
    storm = sorted(run.took_ms)
    committing.cancel()
    await journal.close()
    return {
        "alarms": len(steady),
        "p50_ms": round(_at(steady, 50), 2),
        "p99_ms": round(_at(steady, 99), 2),
        "max_ms": round(steady[-1], 2),
        "burst_slowest_ms": round(storm[-1], 2),
        "burst_after_s": round(burst_s, 3),
    }


def _at(values: Sequence[float], percentile: int) -> float:
    return values[min(len(values) - 1, len(values) * percentile // 100)]


def measure_all(seconds: float, syncs_ms: Sequence[int] = tuple(BARS_MS)) -> dict[int, dict[str, float]]:
    """The figures per added sync time. Raises FileNotFoundError without a C compiler."""
    figures: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shim = build(Path(folder))
        for sync_ms in syncs_ms:
            data = Path(folder) / str(sync_ms)
            data.mkdir()
            command = [sys.executable, "-m", "benchmarks.durability", "--child", str(data), "--seconds", str(seconds)]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, env=environment(shim, sync_ms=sync_ms), timeout=120
            )
            figures[sync_ms] = json.loads(done.stdout)
    return figures


def missed(figures: dict[int, dict[str, float]]) -> list[str]:
    """The bars that were not held."""
    faults = [
        f"sync +{sync_ms} ms: p99 {row['p99_ms']} ms, promised {BARS_MS[sync_ms]} ms"
        for sync_ms, row in figures.items()
        if row["p99_ms"] >= BARS_MS[sync_ms]
    ]
    return faults + [
        f"sync +{sync_ms} ms: the burst was durable {row['burst_after_s']} s after its second"
        for sync_ms, row in figures.items()
        if row["burst_after_s"] >= BURST_BAR_S
    ]


def main() -> int:
    """Print a line per sync time; 1 when a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--child", type=Path)
    chosen = parser.parse_args()
    if chosen.child is not None:
        print(json.dumps(asyncio.run(measure(chosen.child, chosen.seconds))))
        return 0
    figures = measure_all(chosen.seconds)
    for sync_ms, row in figures.items():
        words = "  ".join(f"{name} {value:g}" for name, value in row.items())
        print(f"sync +{sync_ms:>2} ms  {words}")
    faults = missed(figures)
    print("\n".join(faults) if faults else "every bar is held")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
