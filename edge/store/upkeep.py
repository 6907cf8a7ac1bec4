"""What keeps a journal for years: nightly copies, the way back from one, and letting old alarms go in small steps."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from edge.errors import JournalDamaged
from edge.store.inspect import JOURNAL_NAME, check

FOLDER = "backup"
COPIES_KEPT = 7
"""A week of nights: a fault that nobody saw for days can still be gone back behind."""
CHUNK_EVENTS = 1_000
"""Events dropped in one transaction: an alarm that comes meanwhile waits below 50 ms."""
EVENTS_KEPT_MIN = 1_000
"""The newest events stay whatever their age: the start verifies them, and numbers go on from the last."""
OUTCOMES_KEPT = 100_000
"""Answers to commands; a repetition comes within minutes."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a way back has done. replaced: where the journal that stood there is now; None when there was none."""

    copy: Path
    replaced: Path | None
    events: int


def back_up(data_dir: Path, stamp: str, keep: int = COPIES_KEPT) -> Path:
    """A whole copy in data_dir/backup, on disk before it gets its name. Raises OSError or sqlite3.Error.

    stamp: sorts by age, such as 20260922-0300. Runs beside the writer: it reads one moment and holds nobody up.
    """
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    target, beside = folder / f"alarms-{stamp}.db", folder / ".unfinished.db"
    beside.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(data_dir / JOURNAL_NAME)) as db:
        db.execute("VACUUM INTO ?", (str(beside),))
    _sync(beside)
    beside.chmod(0o600)
    beside.replace(target)
    _sync(folder)
    for old in copies(data_dir)[:-keep]:
        old.unlink()
    return target


def copies(data_dir: Path) -> Sequence[Path]:
    """The copies, oldest first."""
    return sorted((data_dir / FOLDER).glob("alarms-*.db"))


def restore(data_dir: Path, chosen: Path | None, stamp: str) -> Restored:
    """Put a copy (the newest when none is chosen) in the place of the journal; the caller holds the lock.

    The journal that stood there is kept under another name. Numbers of alarms begin anew above all that may have been
    given out, and what the duty room has already receipted is its own to close: still on, it is raised again.
    Raises FileNotFoundError without a copy, JournalDamaged when the copy fails its checks.
    """
    found = chosen if chosen is not None else next(reversed(copies(data_dir)), None)
    if found is None or not found.is_file():
        raise FileNotFoundError(f"{found or data_dir / FOLDER}: no copy there (they are made every night)")
    faults = check(found)
    if faults:
        raise JournalDamaged(f"{found}: {faults[0]} (choose an older copy with --from)")
    beside = data_dir / f".{JOURNAL_NAME}.restored"
    beside.write_bytes(found.read_bytes())
    events = _renumber(beside)
    _sync(beside)
    journal, replaced = data_dir / JOURNAL_NAME, None
    for suffix in ("", "-wal", "-shm"):
        part = journal.with_name(JOURNAL_NAME + suffix)
        if part.exists():
            replaced = journal.with_name(f"{JOURNAL_NAME}.replaced-{stamp}")
            part.rename(replaced.with_name(replaced.name + suffix))
    beside.rename(journal)
    _sync(data_dir)
    return Restored(found, replaced, events)


def drop_old(db: sqlite3.Connection, before_ms: int) -> int:
    """Let go the oldest events of alarms that are closed and receipted, at most CHUNK_EVENTS; how many went.

    Age is believed only from an event with a synchronised clock; everything before it is at least as old. Call again
    until 0. Raises sqlite3.Error; then nothing is gone.
    """
    rows = db.execute("SELECT seq, alarm_id, body, hash FROM events ORDER BY seq LIMIT ?", (CHUNK_EVENTS,)).fetchall()
    (head,) = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    (held,) = db.execute(
        "SELECT min(seq) FROM events WHERE receipted = 0 OR alarm_id IN (SELECT alarm_id FROM alarms WHERE open = 1)"
    ).fetchone()
    end = min(head - EVENTS_KEPT_MIN, held - 1 if held is not None else head)
    last = max((row for row in rows if row[0] <= end and _old(row[2], before_ms)), default=None)
    if last is None:
        return 0
    gone = [(row[1],) for row in rows if row[0] <= last[0]]
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("DELETE FROM events WHERE seq <= ?", (last[0],))
        db.execute("INSERT OR REPLACE INTO cut VALUES (1, ?, ?)", (last[0], last[3]))
        db.executemany("DELETE FROM notices WHERE alarm_id = ?", gone)
        db.executemany(
            "DELETE FROM alarms WHERE alarm_id = ? AND generation < "
            "(SELECT max(b.generation) FROM alarms b WHERE b.device = alarms.device AND b.class = alarms.class)",
            gone,
        )
        db.execute("DELETE FROM outcomes WHERE rowid <= (SELECT max(rowid) FROM outcomes) - ?", (OUTCOMES_KEPT,))
        db.execute("COMMIT")
    except sqlite3.Error:
        db.rollback()
        raise
    return len(gone)


def _old(body: str, before_ms: int) -> bool:
    event = orjson.loads(body)
    return bool(event["clock"] == "synced" and event["received_ms"] < before_ms)


def _renumber(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(
            "UPDATE birth SET base = (SELECT max(coalesce(max(generation), 0), birth.base) FROM alarms)"
            " + (abs(random() % 900000) + 100000) * 1000"
        )
        db.execute(
            "UPDATE alarms SET open = 0 WHERE open = 1 AND NOT EXISTS"
            " (SELECT 1 FROM events e WHERE e.alarm_id = alarms.alarm_id AND e.receipted = 0)"
        )
        db.execute("DELETE FROM ladders WHERE alarm_id NOT IN (SELECT alarm_id FROM alarms WHERE open = 1)")
        db.commit()
        return int(db.execute("SELECT count(*) FROM events").fetchone()[0])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
