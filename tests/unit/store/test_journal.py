"""The journal: durable when it says so, rebuilt as it was, and no changed byte goes unseen."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TypeVar

import pytest

from edge.errors import DataDirLocked, JournalDamaged, LinliError, NotDurable
from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    CommandOutcome,
    Condition,
    EventKind,
    Notice,
    Person,
    Place,
    Result,
    Via,
)
from edge.ports import Entry, Ladder, Past
from edge.store import inspect
from edge.store.journal import SqliteJournal, open_journal
from edge.store.lock import DataDirLock
from edge.store.rows import read_event

T = TypeVar("T")


def event(seq: int, alarm: int = 1, kind: EventKind = EventKind.RAISED, cause: str | None = None) -> AlarmEvent:
    state = AlarmState.NORM if kind is EventKind.RESET else AlarmState.UNACK
    return AlarmEvent(
        event_id=f"g-s{alarm}-fire.smoke-1-{seq}",
        alarm_id=f"g-s{alarm}-fire.smoke-1",
        kind=kind,
        alarm_class=AlarmClass.FIRE_SMOKE,
        priority=1,
        state=state,
        condition=Condition.ON,
        device=f"s{alarm}",
        point="smoke",
        place=Place("新盛", "12", "1", 3, "301"),
        value=True,
        unit=None,
        observed_ms=None,
        received_ms=1_790_000_000_000 + seq,
        clock=Clock.SYNCED,
        by=Person("li", "李四", Via.PHONE) if kind is EventKind.ACKNOWLEDGED else None,
        cause=cause,
        seq=seq,
    )


def using(path: Path, work: Callable[[SqliteJournal, Past], Awaitable[T]]) -> T:
    async def main() -> T:
        journal = SqliteJournal(path)
        past = await journal.load()
        try:
            return await work(journal, past)
        finally:
            await journal.close()

    return asyncio.run(main())


async def past_of(_: SqliteJournal, past: Past) -> Past:
    return past


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "alarms.db"


def fill(path: Path, *entries: Entry) -> None:
    async def work(journal: SqliteJournal, _: Past) -> None:
        for entry in entries:
            await journal.append(entry)

    using(path, work)


def test_what_was_written_is_what_is_loaded(path: Path) -> None:
    acknowledged = event(2, kind=EventKind.ACKNOWLEDGED)
    notice = Notice("n1", "g-s1-fire.smoke-1", 0, "li", "messenger", "t", "b", 5)
    outcome = CommandOutcome("c1", Result.DONE, "done", "acknowledged", 7)
    fill(
        path,
        Entry(events=(event(1, cause="press:7"), acknowledged, event(3, alarm=2))),
        Entry(ladders=(Ladder("g-s2-fire.smoke-1", "no_receipt", 1, 99),), notices=(notice,), outcomes=(outcome,)),
        Entry(receipts=(event(1).event_id,)),
    )
    past = using(path, past_of)
    assert past.head == 3
    assert past.events == (event(1, cause="press:7"), acknowledged, event(3, alarm=2))
    assert past.generations == {("s1", "fire.smoke"): 1, ("s2", "fire.smoke"): 1}
    assert past.causes == (("s1", "press:7"),)
    assert past.pending == {acknowledged.event_id, event(3, alarm=2).event_id}
    assert past.ladders == (Ladder("g-s2-fire.smoke-1", "no_receipt", 1, 99),)
    assert (past.notices, past.outcomes) == ((notice,), {"c1": outcome})


def test_ended_alarms_and_settled_notices_are_not_loaded(path: Path) -> None:
    notice = Notice("n1", "g-s1-fire.smoke-1", 0, "li", "messenger", "t", "b", 5)
    ladder = Ladder("g-s1-fire.smoke-1", "unheard", 0, 1)
    fill(
        path,
        Entry(events=(event(1),), notices=(notice,), ladders=(ladder,)),
        Entry(events=(event(2, kind=EventKind.RESET),), settled={"n1": "delivered"}, ended=(ladder.alarm_id,)),
    )
    past = using(path, past_of)
    assert (past.events, past.notices, past.ladders) == ((), (), ())
    assert past.generations == {("s1", "fire.smoke"): 1}, "the next alarm needs a new id"


def test_unreceipted_events_come_in_order_and_bounded(path: Path) -> None:
    async def work(journal: SqliteJournal, _: Past) -> list[int]:
        await journal.append(Entry(events=tuple(event(seq, alarm=seq) for seq in range(1, 9))))
        await journal.append(Entry(receipts=(event(3, alarm=3).event_id,)))
        return [found.seq for found in await journal.unreceipted(1, 4)]

    assert using(path, work) == [2, 4, 5, 6]


def test_full_sync_is_set_and_read_back(path: Path) -> None:
    path.parent.mkdir()
    db = open_journal(path).db
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_a_second_event_under_one_id_is_a_mistake_of_ours(path: Path) -> None:
    async def work(journal: SqliteJournal, _: Past) -> int:
        await journal.append(Entry(events=(event(1),)))
        with pytest.raises(sqlite3.IntegrityError):
            await journal.append(Entry(events=(replace(event(1), seq=2),)))
        return await journal.append(Entry(events=(event(2, alarm=2),)))

    assert using(path, work) == 2


def test_a_full_disk_raises_and_ballast_helps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(journal: SqliteJournal, _: Past) -> None:
        opened = journal._opened()
        pages = opened.db.execute("PRAGMA page_count").fetchone()[0]
        opened.db.execute(f"PRAGMA max_page_count = {pages}")
        ballast = path.with_name("ballast")
        assert ballast.exists()
        with pytest.raises(NotDurable):
            await journal.append(Entry(events=tuple(event(seq, alarm=seq) for seq in range(1, 200))))
        assert not ballast.exists(), "its room is for alarms now"
        opened.db.execute("PRAGMA max_page_count = 1073741823")
        assert await journal.append(Entry(events=(event(1),))) == 1, "nothing of the failed entry was written"

    using(path, work)


def test_changed_byte_is_found_by_verify_and_set_aside_at_start(path: Path) -> None:
    fill(path, Entry(events=(event(1), event(2, alarm=2), event(3, alarm=3))))
    assert inspect.verify(path.parent) == []
    db = sqlite3.connect(path)
    db.execute("UPDATE events SET body = replace(body, '新盛', '旧盛') WHERE seq = 2")
    db.commit()
    db.close()
    assert inspect.verify(path.parent) == ["event 2 has been changed: it does not fit its hash chain"]

    async def work(journal: SqliteJournal, past: Past) -> tuple[int, str]:
        assert journal.set_aside is not None
        return past.head, journal.set_aside.name

    head, aside = using(path, work)
    assert head == 0 and aside.startswith("alarms.db.damaged-")
    assert (path.parent / aside).exists()


def test_missing_event_is_found(path: Path) -> None:
    fill(path, Entry(events=(event(1), event(2, alarm=2), event(3, alarm=3))))
    db = sqlite3.connect(path)
    db.execute("DELETE FROM events WHERE seq = 2")
    db.commit()
    db.close()
    assert "event 2 is missing" in inspect.verify(path.parent)


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look like a file" * 50, bytes(8192)])
def test_garbage_never_stops_a_start(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert using(path, past_of).head == 0


def test_newer_schema_is_set_aside_not_misread(path: Path) -> None:
    fill(path, Entry(events=(event(1),)))
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalDamaged, match="newer version"):
        open_journal(path)


def test_committed_events_survive_a_copy_taken_without_closing(path: Path, tmp_path: Path) -> None:
    """What append has returned is in the files at that moment: a killed process leaves just them."""

    async def work(journal: SqliteJournal, _: Past) -> Path:
        await journal.append(Entry(events=(event(1), event(2, alarm=2))))
        return Path(shutil.copytree(path.parent, tmp_path / "crashed"))

    crashed = using(path, work)
    assert [found.seq for found in inspect.show(crashed)] == [1, 2]


def test_rows_read_back_as_they_were(path: Path) -> None:
    fill(path, Entry(events=(event(1, kind=EventKind.RAISED),)))
    db = sqlite3.connect(path)
    (body,) = db.execute("SELECT body FROM events").fetchone()
    db.close()
    assert read_event(body) == event(1)


def test_one_process_per_data_dir(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    with pytest.raises(DataDirLocked, match="stop it"):
        DataDirLock(tmp_path)
    lock.release()
    DataDirLock(tmp_path).release()


@pytest.mark.parametrize(
    ("code", "kept"), [(sqlite3.SQLITE_FULL, True), (sqlite3.SQLITE_IOERR_WRITE, True), (sqlite3.SQLITE_CORRUPT, False)]
)
def test_a_disk_that_refuses_never_costs_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kept: bool
) -> None:
    async def write(journal: SqliteJournal) -> None:
        await journal.load()
        await journal.append(Entry(events=(event(1),)))
        await journal.close()

    asyncio.run(write(SqliteJournal(path)))
    open_really, refusals = open_journal, [code, code] if kept else [code]

    def refuse(which: Path) -> object:
        if not refusals:
            return open_really(which)
        fault = sqlite3.OperationalError("the disk says no")
        fault.sqlite_errorcode = refusals.pop()
        raise fault

    monkeypatch.setattr("edge.store.journal.open_journal", refuse)

    async def start(journal: SqliteJournal) -> None:
        past = await journal.load()
        assert past.events == () and past.base != 1
        assert (journal.refused is not None) is kept and (journal.set_aside is None) is kept
        if kept:
            with pytest.raises(NotDurable):
                await journal.append(Entry(events=(event(1),)))
            with pytest.raises(LinliError, match="start again"):
                await journal.append(Entry(events=(event(1),)))
        await journal.close()

    asyncio.run(start(SqliteJournal(path)))
    if kept:
        assert [one.event_id for one in inspect.show(path.parent)] == ["g-s1-fire.smoke-1-1"]


def test_a_journal_begun_anew_numbers_its_alarms_apart(path: Path) -> None:
    async def base() -> int:
        journal = SqliteJournal(path)
        past = await journal.load()
        await journal.close()
        return past.base

    first = asyncio.run(base())
    assert first >= 100_000_000 and asyncio.run(base()) == first, "the same journal goes on"
    path.unlink()
    assert asyncio.run(base()) != first


def test_a_journal_of_the_first_version_keeps_its_numbers(path: Path) -> None:
    steps = Path(str(resources.files("edge.store"))) / "schema"
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    db.executescript((steps / "0001.sql").read_text() + "PRAGMA user_version = 1;")
    db.execute("INSERT INTO alarms VALUES ('g-s1-fire.smoke-1', 's1', 'fire.smoke', 1, 0)")
    db.commit()
    db.close()

    async def load() -> Past:
        journal = SqliteJournal(path)
        past = await journal.load()
        await journal.close()
        return past

    past = asyncio.run(load())
    assert past.base == 0 and past.generations == {("s1", "fire.smoke"): 1}
    assert path.with_suffix(".v1.bak").exists()
