"""The readings file: what is written, what is not, and that it is bounded."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge import limits
from edge.errors import NotDurable
from edge.model import Device, Place, Point, Quality, Value
from edge.store import readings
from edge.store.readings import Readings

DAY_MS = 86_400_000


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        await asyncio.sleep(0)


def device(ident: str, kind: str, *points: Point) -> Device:
    return Device(ident, "x/y", "bus", "1", Place(), points, (), 60.0, kind=kind)


DEVICES = (
    device("m1", "meter", Point("volt", deadband=1.0), Point("on")),
    device("c1", "call_button", Point("battery")),
    device("b1", "relay", Point("press", momentary=True)),
)


class House:
    """A file and the newest values."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.now = Clock(), {}  # type: Clock, dict[tuple[str, str], tuple[Value | None, Quality]]
        self.file = Readings(folder / "readings.db", DEVICES, self.points, self.clock)

    def points(self) -> Sequence[Any]:
        return [
            SimpleNamespace(device=d, point=p, value=value, quality=quality)
            for (d, p), (value, quality) in self.now.items()
        ]

    def say(self, key: str, value: Value | None, quality: Quality = Quality.GOOD) -> None:
        ident, _, point = key.partition("/")
        self.now[ident, point] = (value, quality)
        self.clock.now_ms += 2000
        self.file.sample()

    async def changes(self, name: str = "test") -> list[tuple[str, Value | None]]:
        found, _ = await self.file.after(name, 1000)
        return [(change.point, change.value) for change in found]


async def test_only_changes_beyond_the_deadband_and_five_minute_figures(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.file.open()
    for value in (230.0, 230.9, 229.1, 231.5, 231.0, 231.5):
        house.say("m1/volt", value)
    house.say("m1/on", True)
    house.say("m1/on", True)
    house.say("c1/battery", 90)
    house.say("b1/press", "x")
    await house.file.flush()
    assert await house.changes() == [("volt", 230.0), ("volt", 231.5), ("on", True)]
    _, (span,) = await house.file.after("test", 10)
    assert (span.least, span.most, span.samples) == (229.1, 231.5, 10)
    await house.file.close()


async def test_a_value_that_cannot_be_trusted_is_a_gap_not_a_number(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.file.open()
    house.say("m1/volt", 230.0)
    house.say("m1/volt", 999.0, Quality.BAD)
    house.say("m1/volt", 230.1)
    await house.file.flush()
    assert await house.changes() == [("volt", 230.0), ("volt", None), ("volt", 230.1)]
    await house.file.close()


async def test_a_reader_gets_every_row_once_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.file.open()
    for value in range(0, 100, 10):
        house.say("m1/volt", float(value))
    await house.file.flush()
    found, spans = await house.file.after("influx", 4)
    await house.file.had("influx", found[-1].n, spans[-1].n)
    await house.file.close()
    again = House(tmp_path)
    await again.file.open()
    assert [value for _, value in await again.changes("influx")] == [40.0, 50.0, 60.0, 70.0, 80.0, 90.0]
    assert len(await again.changes("another")) == 10, "readers do not take from each other"
    await again.file.had("influx", 1, 0)
    assert len(await again.changes("influx")) == 6, "a cursor never goes back"
    await again.file.close()


async def test_it_writes_every_five_minutes_and_forgets_after_the_retention(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.file.open()
    house.say("m1/volt", 230.0)
    task = asyncio.create_task(house.file.run())
    begun_ms = house.clock.now_ms
    while not await house.changes():
        await asyncio.sleep(0)
    assert house.clock.now_ms - begun_ms >= limits.READINGS_FLUSH_S * 1000
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    house.clock.now_ms += (limits.READINGS_KEEP_DAYS + 1) * DAY_MS
    await house.file.flush()
    assert await house.changes() == []
    await house.file.close()


async def test_a_disk_that_refuses_keeps_memory_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "PENDING_MAX", 5)
    house = House(tmp_path)
    await house.file.open()

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(house.file, "_write", refuse)
    for value in range(0, 80, 10):
        house.say("m1/volt", float(value))
    await house.file.flush()
    assert len(house.file._pending) == 5 and house.file.shed == 3
    monkeypatch.undo()
    await house.file.flush()
    assert [value for _, value in await house.changes()] == [30.0, 40.0, 50.0, 60.0, 70.0]
    await house.file.close()


async def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "readings.db").write_bytes(b"not a database" * 100)
    house = House(tmp_path)
    await house.file.open()
    house.say("m1/volt", 1.0)
    await house.file.flush()
    assert await house.changes() == [("volt", 1.0)]
    assert (tmp_path / "readings.db.damaged").exists()
    await house.file.close()
    await house.file.close()
    with pytest.raises(NotDurable):
        await house.file.after("x", 1)
