"""Nightly copies, the way back from one, retention, and files of an older version."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import DataDirLocked, JournalDamaged
from edge.model import AlarmClass, AlarmEvent, AlarmState, Clock, Condition, EventKind, Person, Place, Via
from edge.ports import Entry, Past
from edge.store import inspect, upkeep
from edge.store.journal import SqliteJournal
from edge.store.lock import DataDirLock

DAY_MS = 86_400_000
START_MS = 1_790_000_000_000


def story(alarms: int, first_ms: int, step_ms: int, clock: Clock = Clock.SYNCED, receipted: bool = True) -> Entry:
    """So many alarms of one detector, each raised and closed."""
    events: list[AlarmEvent] = []
    for number in range(1, alarms + 1):
        ident = f"g-s1-fire.smoke-{number}"
        at_ms = first_ms + number * step_ms
        raised = AlarmEvent(
            f"{ident}-1", ident, EventKind.RAISED, AlarmClass.FIRE_SMOKE, 1, AlarmState.UNACK, Condition.ON, "s1",
            "smoke", Place("新盛"), True, None, None, at_ms, clock, seq=len(events) + 1,
        )  # fmt: skip
        closed = replace(
            raised, event_id=f"{ident}-2", kind=EventKind.RESET, state=AlarmState.NORM, seq=len(events) + 2,
            by=Person("li", "李四", Via.PHONE),
        )  # fmt: skip
        events += [raised, closed]
    return Entry(events=tuple(events), receipts=tuple(e.event_id for e in events) if receipted else ())


def fill(data_dir: Path, *entries: Entry) -> None:
    async def main() -> None:
        journal = SqliteJournal(data_dir / "alarms.db")
        await journal.load()
        for entry in entries:
            await journal.append(entry)
        await journal.close()

    asyncio.run(main())


def copy(data_dir: Path, stamp: str) -> Path:
    async def main() -> Path:
        journal = SqliteJournal(data_dir / "alarms.db")
        await journal.load()
        try:
            return await journal.back_up(stamp)
        finally:
            await journal.close()

    return asyncio.run(main())


def load(data_dir: Path) -> Past:
    async def main() -> Past:
        journal = SqliteJournal(data_dir / "alarms.db")
        try:
            return await journal.load()
        finally:
            await journal.close()

    return asyncio.run(main())


def drop(data_dir: Path, before_ms: int) -> list[int]:
    async def main() -> list[int]:
        journal = SqliteJournal(data_dir / "alarms.db")
        await journal.load()
        steps = []
        while step := await journal.drop_old(before_ms):
            steps.append(step)
        await journal.close()
        return steps

    return asyncio.run(main())


def test_a_copy_is_whole_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    fill(tmp_path, story(5, START_MS, 1000))
    for night in range(1, 10):
        copy(tmp_path, f"202609{night:02d}-030000")
    kept = upkeep.copies(tmp_path)
    assert [path.name[7:15] for path in kept] == [f"202609{night:02d}" for night in range(3, 10)]
    assert all(inspect.check(path) == [] for path in kept)
    assert kept[0].stat().st_mode & 0o077 == 0


def test_the_way_back_keeps_what_stood_there_and_never_reuses_a_number(tmp_path: Path) -> None:
    fill(tmp_path, story(3, START_MS, 1000))
    copy(tmp_path, "20260901-030000")
    before = load(tmp_path)
    (tmp_path / "alarms.db").write_bytes(b"not a database" * 1000)
    done = upkeep.restore(tmp_path, None, "now")
    assert done.events == 6 and done.replaced is not None and done.replaced.read_bytes().startswith(b"not a")
    past = load(tmp_path)
    assert past.head == before.head and past.base > max(before.base, *before.generations.values())
    assert inspect.verify(tmp_path) == []


def test_an_open_alarm_that_the_duty_room_does_not_know_stays_open_over_the_way_back(tmp_path: Path) -> None:
    known, unknown = story(1, START_MS, 1), story(2, START_MS, 1, receipted=False)
    fill(tmp_path, Entry(known.events[:1], receipts=(known.events[0].event_id,)))
    fill(tmp_path, Entry((replace(unknown.events[2], seq=2, device="s2", alarm_id="g-s2-fire.smoke-1"),)))
    copy(tmp_path, "20260901-030000")
    upkeep.restore(tmp_path, None, "now")
    assert [event.device for event in load(tmp_path).events] == ["s2"]


def test_a_damaged_copy_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    fill(tmp_path, story(3, START_MS, 1000))
    made = copy(tmp_path, "20260901-030000")
    with sqlite3.connect(made) as db:
        db.execute("UPDATE events SET body = replace(body, '新盛', '旧盛') WHERE seq = 3")
    with pytest.raises(JournalDamaged, match="event 3"):
        upkeep.restore(tmp_path, made, "now")
    assert load(tmp_path).head == 6
    with pytest.raises(FileNotFoundError):
        upkeep.restore(tmp_path / "elsewhere", None, "now")


def test_the_way_back_is_for_a_stopped_gateway(tmp_path: Path) -> None:
    from edge.app.upkeep import restore

    fill(tmp_path, story(1, START_MS, 1))
    copy(tmp_path, "20260901-030000")
    lock = DataDirLock(tmp_path)
    with pytest.raises(DataDirLocked):
        restore(tmp_path, None)
    lock.release()
    assert "2 events" in restore(tmp_path, None)


def test_old_alarms_go_in_steps_and_the_chain_still_holds(tmp_path: Path) -> None:
    fill(tmp_path, story(2000, START_MS, DAY_MS // 10))
    assert drop(tmp_path, START_MS + 160 * DAY_MS) == [1000, 1000, 1000]
    assert inspect.verify(tmp_path) == []
    assert len(inspect.show(tmp_path, 5000)) == 1000
    past = load(tmp_path)
    assert past.head == 4000 and past.generations == {("s1", "fire.smoke"): 2000}
    fill(tmp_path, Entry((replace(story(1, START_MS, 1).events[0], seq=4001, event_id="x", alarm_id="g-s1-x-2001"),)))
    with sqlite3.connect(tmp_path / "alarms.db") as db:
        db.execute("UPDATE events SET body = replace(body, '新盛', '旧盛') WHERE seq = 3500")
    assert any("3500" in fault for fault in inspect.verify(tmp_path))


def test_what_is_young_open_unreceipted_or_of_an_unset_clock_stays(tmp_path: Path) -> None:
    fill(tmp_path / "a", story(1000, START_MS, 1000))
    assert drop(tmp_path / "a", START_MS) == []
    fill(tmp_path / "b", story(1000, 0, 1000, Clock.UNSYNCED))
    assert drop(tmp_path / "b", START_MS) == []
    fill(tmp_path / "c", story(1000, START_MS, 1000, receipted=False))
    assert drop(tmp_path / "c", START_MS + DAY_MS) == []
    fill(tmp_path / "d", story(1000, START_MS, 1000))
    with sqlite3.connect(tmp_path / "d" / "alarms.db") as db:
        db.execute("UPDATE alarms SET open = 1 WHERE generation = 1")
    assert drop(tmp_path / "d", START_MS + DAY_MS) == []


def test_a_file_of_the_first_version_is_copied_and_then_carried_over(tmp_path: Path) -> None:
    from importlib import resources

    path = tmp_path / "alarms.db"
    with sqlite3.connect(path) as db:
        db.executescript(resources.files("edge.store").joinpath("schema/0001.sql").read_text())
        db.execute("PRAGMA user_version = 1")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("INSERT INTO alarms VALUES ('g-s1-fire.smoke-1', 's1', 'fire.smoke', 1, 0)")
    past = load(tmp_path)
    assert past.generations == {("s1", "fire.smoke"): 1} and past.base == 0
    with sqlite3.connect(tmp_path / "alarms.v1.bak") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT alarm_id FROM alarms").fetchall() == [("g-s1-fire.smoke-1",)]
