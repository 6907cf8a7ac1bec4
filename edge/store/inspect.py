"""Reading a journal from outside, for `linli journal show` and `linli journal verify`. Opens read-only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.model import AlarmEvent
from edge.store.rows import FIRST_HASH, chain, read_event

JOURNAL_NAME = "alarms.db"


def _open(data_dir: Path) -> sqlite3.Connection:
    path = data_dir / JOURNAL_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the data_dir of a gateway")
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _has_cut(db: sqlite3.Connection) -> bool:
    """A journal that an older version made has none yet."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'cut'").fetchone() is not None


def show(data_dir: Path, limit: int = 100) -> list[AlarmEvent]:
    """The newest events, oldest first. Raises FileNotFoundError when there is no journal."""
    db = _open(data_dir)
    try:
        rows = db.execute("SELECT body FROM events ORDER BY seq DESC LIMIT ?", (limit,)).fetchall()
    finally:
        db.close()
    return [read_event(body) for (body,) in reversed(rows)]


def verify(data_dir: Path) -> list[str]:
    """What is wrong with the journal, one line each; empty when every event fits the chain."""
    return _faults(_open(data_dir))


def check(path: Path) -> list[str]:
    """The same for one file, such as a copy."""
    return _faults(sqlite3.connect(f"file:{path}?mode=ro", uri=True))


def _faults(db: sqlite3.Connection) -> list[str]:
    faults: list[str] = []
    try:
        rows = db.execute("PRAGMA quick_check(5)").fetchall()
        faults += [f"quick_check: {row[0]}" for row in rows if row[0] != "ok"]
        cut = db.execute("SELECT seq, hash FROM cut").fetchone() if _has_cut(db) else None
        before, expected = (cut[1], cut[0] + 1) if cut is not None else (FIRST_HASH, 1)
        for seq, body, digest in db.execute("SELECT seq, body, hash FROM events ORDER BY seq"):
            if seq != expected:
                faults.append(f"event {expected} is missing")
            elif chain(before, body.encode()) != digest:
                faults.append(f"event {seq} has been changed: it does not fit its hash chain")
            before, expected = digest, seq + 1
    except sqlite3.DatabaseError as fault:
        faults.append(f"cannot be read: {fault}")
    finally:
        db.close()
    return faults
