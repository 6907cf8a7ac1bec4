"""The truth on disk: one SQLite file, WAL with synchronous=FULL, one writer thread, every event hash-chained.

The only file with queries on alarms.db. WAL with synchronous=NORMAL loses acknowledged commits in a power cut
(273 of 300 simulated cuts), FULL in none, so FULL is set and read back at every start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge.errors import JournalDamaged, LinliError, NotDurable
from edge.model import AlarmEvent, AlarmState, CommandOutcome, EventKind, Result
from edge.ports import Entry, Ladder, Past
from edge.store.migrate import migrate
from edge.store.rows import FIRST_HASH, chain, event_body, notice_body, read_event, read_notice
from edge.store.upkeep import back_up, drop_old

CAUSES_KEPT = 10_000
"""Sender ids remembered at start: a redelivery comes within minutes, not after ten thousand alarms."""
TAIL_CHECKED = 1_000
"""Events whose chain is verified at every start; `linli journal verify` checks all of them."""
BALLAST_BYTES = 2 * 1024 * 1024
"""Given up when the disk is full: 4,000 further alarm commits were measured from it."""
DISK_REFUSES = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    )
)
"""The disk says no; that says nothing against the file, which is never moved aside for it."""
UNREADABLE = frozenset((sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ))
"""Of those: parts of the file itself are gone."""
CHECKPOINT_COMMITS = 100
"""The WAL is folded into the file beside the writer this often: a checkpoint is two syncs that no alarm waits for."""
WAL_PAGES_MAX = 4_000
"""Only a WAL of 16 MB, which grows when commits never pause, makes the writer itself stop and fold."""

T = TypeVar("T")


@dataclass(slots=True)
class Opened:
    """A journal file that passed its checks."""

    db: sqlite3.Connection
    head: int
    last_hash: bytes


class SqliteJournal:
    """ports.Journal over one file. Raises NotDurable from append when the commit failed; nothing is then written."""

    def __init__(self, path: Path, observe: Callable[[float], None] = lambda _: None) -> None:
        self._path = path
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._folding = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._commits = 0
        self._file: Opened | None = None
        self.set_aside: Path | None = None
        """Where a damaged file was moved at start; the caller reports it."""
        self.refused: str | None = None
        """Why the disk did not let the file be opened at start; alarms are then told but not kept."""

    async def load(self) -> Past:
        """Open, check, migrate and read the state to start from. A damaged file is moved aside and a new one begun.

        When the disk refuses, nothing is known and every append raises NotDurable, until the file opens: then
        append raises LinliError, because the process must start again with what is kept in it.
        """
        return await self._run(self._load)

    async def append(self, entry: Entry) -> int:
        """One transaction. Raises NotDurable when it could not be committed."""
        return await self._run(lambda: self._append(entry))

    async def unreceipted(self, after_seq: int, limit: int) -> Sequence[AlarmEvent]:
        """Events without a receipt after a seq, oldest first."""
        return await self._run(lambda: self._unreceipted(after_seq, limit))

    async def drop_old(self, before_ms: int) -> int:
        """One step of retention, see upkeep.drop_old; 0 when nothing is left to let go. Raises NotDurable."""
        return await self._run(lambda: self._drop_old(before_ms))

    async def back_up(self, stamp: str) -> Path:
        """A copy in the folder beside the journal, see upkeep.back_up. Raises OSError or sqlite3.Error."""
        return await asyncio.get_running_loop().run_in_executor(self._folding, back_up, self._path.parent, stamp)

    async def close(self) -> None:
        """Finish what waits, fold the WAL into the file, close. Safe twice."""
        if self._file is not None:
            self._folding.shutdown()
            await self._run(self._close)
        self._thread.shutdown()
        self._folding.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _load(self) -> Past:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = self._open()
        except NotDurable as fault:
            self.refused = str(fault)
            return Past(0, (), {}, (), frozenset(), {}, (), ())
        _lay_ballast(self._path)
        return _read_past(self._file)

    def _open(self) -> Opened:
        """The file as it is, or a new one in the place of a damaged one. Raises NotDurable when the disk refuses."""
        try:
            return open_journal(self._path)
        except JournalDamaged:
            self.set_aside = set_aside(self._path)
        except sqlite3.DatabaseError as fault:
            if _disk_refuses(fault):
                _drop_ballast(self._path)
                raise NotDurable(f"{self._path}: {fault} (free space on this disk, check its rights)") from fault
            self.set_aside = set_aside(self._path)
        return open_journal(self._path)

    def _append(self, entry: Entry) -> int:
        if self.refused is not None:
            self._open().db.close()
            raise LinliError(f"{self._path} can be opened again: start again with what is kept in it")
        file = self._opened()
        began = time.perf_counter()
        try:
            head, last_hash = _write(file, entry)
        except sqlite3.IntegrityError:
            file.db.rollback()  # two events under one id: our own mistake, never to be retried
            raise
        except sqlite3.DatabaseError as fault:
            file.db.rollback()
            _drop_ballast(self._path)
            raise NotDurable(f"{self._path}: {fault} (free space on this disk)") from fault
        file.head, file.last_hash = head, last_hash
        self._observe(time.perf_counter() - began)
        self._commits += 1
        if self._commits % CHECKPOINT_COMMITS == 0:
            self._folding.submit(_fold, self._path)
        return head

    def _unreceipted(self, after_seq: int, limit: int) -> list[AlarmEvent]:
        rows = self._opened().db.execute(
            "SELECT body FROM events WHERE receipted = 0 AND seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
        )
        return [read_event(body) for (body,) in rows]

    def _drop_old(self, before_ms: int) -> int:
        try:
            return drop_old(self._opened().db, before_ms)
        except sqlite3.DatabaseError as fault:
            raise NotDurable(f"{self._path}: {fault}") from fault

    def _close(self) -> None:
        if self._file is not None:
            self._file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._file.db.close()
            self._file = None

    def _opened(self) -> Opened:
        if self._file is None:
            raise NotDurable(f"{self._path} is not open")
        return self._file


def open_journal(path: Path) -> Opened:
    """Open and check one journal file. Raises JournalDamaged or sqlite3.DatabaseError."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 8388608")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")
        mode = db.execute("PRAGMA journal_mode").fetchone()[0]
        level = db.execute("PRAGMA synchronous").fetchone()[0]
        if (mode, level) != ("wal", 2):
            raise JournalDamaged(f"{path}: this SQLite build gives journal_mode={mode}, synchronous={level}")
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise JournalDamaged(f"{path} failed quick_check")
        migrate(db, path)
        head, last_hash = _check_tail(db, path)
    except BaseException:
        db.close()
        raise
    return Opened(db, head, last_hash)


def _disk_refuses(fault: sqlite3.DatabaseError) -> bool:
    code = getattr(fault, "sqlite_errorcode", 0)
    return code & 0xFF in DISK_REFUSES and code not in UNREADABLE


def _fold(path: Path) -> None:
    """A passive checkpoint over a connection of its own: it never makes the writer wait. A full disk shows there."""
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")


def set_aside(path: Path) -> Path:
    """Move a damaged journal and its WAL out of the way, keeping them for inspection."""
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _check_tail(db: sqlite3.Connection, path: Path) -> tuple[int, bytes]:
    """Head and its hash, after verifying the chain of the newest events. Raises JournalDamaged."""
    rows = list(db.execute("SELECT seq, body, hash FROM events ORDER BY seq DESC LIMIT ?", (TAIL_CHECKED + 1,)))
    rows.reverse()
    if not rows:
        return 0, FIRST_HASH
    first = rows[0]
    before = FIRST_HASH if first[0] == 1 else None
    for seq, body, digest in rows:
        if before is not None and chain(before, body.encode()) != digest:
            raise JournalDamaged(f"{path}: event {seq} does not fit its hash chain")
        before = digest
    if rows[-1][0] - first[0] != len(rows) - 1:
        raise JournalDamaged(f"{path}: events are missing between {first[0]} and {rows[-1][0]}")
    return rows[-1][0], rows[-1][2]


def _write(file: Opened, entry: Entry) -> tuple[int, bytes]:
    """All of the entry or nothing; returns the new head and its hash."""
    db, head, last_hash = file.db, file.head, file.last_hash
    db.execute("BEGIN IMMEDIATE")
    for event in entry.events:
        assert event.seq == head + 1, f"event {event.event_id} has seq {event.seq} after head {head}"
        body = event_body(event)
        head, last_hash = event.seq, chain(last_hash, body)
        db.execute(
            "INSERT INTO events (seq, event_id, alarm_id, device, cause, body, hash) VALUES (?,?,?,?,?,?,?)",
            (head, event.event_id, event.alarm_id, event.device, event.cause, body.decode(), last_hash),
        )
        _keep_alarm(db, event)
    db.executemany("UPDATE events SET receipted = 1 WHERE event_id = ?", [(event,) for event in entry.receipts])
    db.executemany(
        "INSERT OR IGNORE INTO outcomes VALUES (?,?,?,?,?)",
        [(o.command_id, o.result, o.code, o.message, o.at_ms) for o in entry.outcomes],
    )
    db.executemany(
        "INSERT OR REPLACE INTO ladders VALUES (?,?,?,?)",
        [(row.alarm_id, row.reason, row.step, row.due_ms) for row in entry.ladders],
    )
    db.executemany("DELETE FROM ladders WHERE alarm_id = ?", [(ident,) for ident in entry.ended])
    db.executemany(
        "INSERT OR IGNORE INTO notices (notice_id, alarm_id, body) VALUES (?,?,?)",
        [(n.notice_id, n.alarm_id, notice_body(n)) for n in entry.notices],
    )
    db.executemany(
        "UPDATE notices SET settled = ? WHERE notice_id = ?", [(how, ident) for ident, how in entry.settled.items()]
    )
    if entry.canary_ms is not None:
        db.execute("INSERT OR REPLACE INTO canary VALUES (1, ?)", (entry.canary_ms,))
    db.execute("COMMIT")
    return head, last_hash


def _keep_alarm(db: sqlite3.Connection, event: AlarmEvent) -> None:
    if event.kind is EventKind.RAISED:
        generation = int(event.alarm_id.rsplit("-", 1)[1])
        db.execute(
            "INSERT INTO alarms VALUES (?,?,?,?,1)", (event.alarm_id, event.device, event.alarm_class, generation)
        )
    elif event.state is AlarmState.NORM:
        db.execute("UPDATE alarms SET open = 0 WHERE alarm_id = ?", (event.alarm_id,))


def _read_past(file: Opened) -> Past:
    db = file.db
    return Past(
        head=file.head,
        events=tuple(
            read_event(body)
            for (body,) in db.execute(
                "SELECT e.body FROM events e JOIN alarms a USING (alarm_id) WHERE a.open = 1 ORDER BY e.seq"
            )
        ),
        generations={
            (device, name): generation
            for device, name, generation in db.execute(
                "SELECT device, class, MAX(generation) FROM alarms GROUP BY device, class"
            )
        },
        causes=tuple(
            db.execute(
                "SELECT device, cause FROM events WHERE cause IS NOT NULL ORDER BY seq DESC LIMIT ?", (CAUSES_KEPT,)
            ).fetchall()[::-1]
        ),
        pending=frozenset(ident for (ident,) in db.execute("SELECT event_id FROM events WHERE receipted = 0")),
        outcomes={
            row[0]: CommandOutcome(row[0], Result(row[1]), row[2], row[3], row[4])
            for row in db.execute("SELECT * FROM outcomes ORDER BY rowid DESC LIMIT ?", (CAUSES_KEPT,))
        },
        ladders=tuple(Ladder(*row) for row in db.execute("SELECT alarm_id, reason, step, due_ms FROM ladders")),
        notices=tuple(read_notice(body) for (body,) in db.execute("SELECT body FROM notices WHERE settled IS NULL")),
        base=int(db.execute("SELECT base FROM birth").fetchone()[0]),
    )


def _ballast(path: Path) -> Path:
    return path.with_name("ballast")


def _lay_ballast(path: Path) -> None:
    """Reserve room that alarms get back when the disk is full. On a disk already full there is none to reserve."""
    ballast = _ballast(path)
    if ballast.exists() or os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize < 4 * BALLAST_BYTES:
        return
    try:
        with ballast.open("wb") as file:
            file.write(os.urandom(BALLAST_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _drop_ballast(path)  # A quota or a disk filled meanwhile: none to reserve either.


def _drop_ballast(path: Path) -> None:
    _ballast(path).unlink(missing_ok=True)
