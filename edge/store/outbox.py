"""A durable queue to somewhere that may be away for days: first in, first out, bounded in bytes, its own file.

What does not fit is shed lane by lane in a fixed order, the oldest of a lane first, and every shed is counted
on disk. Never shares a file, a thread or a queue with alarms.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from edge import limits
from edge.errors import NotDurable

ROW_BYTES = 128
"""What a row costs beside its body."""
PARKED_MAX = 200
"""Refused messages that are kept to be looked at; the oldest go."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS parcels (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, lane TEXT NOT NULL,
    topic TEXT NOT NULL, body BLOB NOT NULL, made_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS parcels_by_lane ON parcels (lane, n);
CREATE TABLE IF NOT EXISTS lost (
    lane TEXT PRIMARY KEY, count INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS parked (id TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL, why TEXT NOT NULL);
"""

T = TypeVar("T")


class Parcel(NamedTuple):
    """One queued message. n: rises with every put."""

    n: int
    id: str
    lane: str
    topic: str
    body: bytes
    made_ms: int


@dataclass(frozen=True, slots=True)
class Shed:
    """What a lane has ever lost: how many, and when the first and the last of them were made."""

    count: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Fill:
    """How full the queue is. newest: the n of the last parcel put."""

    rows: int
    bytes: int
    newest: int
    lost: dict[str, Shed]


class Outbox:
    """The queue over one SQLite file with one thread. Every method raises NotDurable when the disk refuses.

    lanes: what parcels may be, in the order in which they are shed.
    """

    def __init__(self, path: Path, lanes: Sequence[str], bytes_max: int = limits.CITY_QUEUE_BYTES) -> None:
        self._path = path
        self._lanes = tuple(lanes)
        self._bytes_max = bytes_max
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._db: sqlite3.Connection | None = None
        self._bytes = 0
        self._closed = False
        self.set_aside = False
        """A damaged file was moved aside at open; what it held is lost."""

    async def open(self) -> None:
        """Open or make the file; a damaged one is moved aside, since nothing in it is the only copy of an alarm."""
        await self._run(self._open)

    async def put(self, parcels: Sequence[tuple[str, str, str, bytes, int]]) -> int:
        """Queue (lane, id, topic, body, made_ms) in order; returns how many were shed to make room.

        A parcel whose id still waits takes the place of the old one's content.
        """
        return await self._run(lambda: self._put(parcels))

    async def peek(self, limit: int, after: int = 0, lane: str | None = None) -> list[Parcel]:
        """The oldest parcels (of a lane) with n > after; they stay until dropped."""
        return await self._run(lambda: self._peek(limit, after, lane))

    async def park(self, number: int, why: str) -> None:
        """The other side will never take this one: out of the way, kept to be looked at."""
        await self._run(lambda: self._park(number, why))

    async def parked(self) -> list[tuple[str, str]]:
        """(id, why) of what was parked, newest last."""
        return await self._run(lambda: list(self._opened().execute("SELECT id, why FROM parked ORDER BY rowid")))

    async def drop(self, numbers: Sequence[int]) -> None:
        """These were taken by the other side."""
        await self._run(lambda: self._drop(numbers))

    async def fill(self) -> Fill:
        """Rows, bytes and losses."""
        return await self._run(self._fill)

    async def close(self) -> None:
        """Finish what waits and close. Safe twice and without open."""
        self._closed = True
        if self._db is not None:
            db, self._db = self._db, None
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise NotDurable(f"{self._path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as fault:
            raise NotDurable(f"{self._path}: {fault} (free space on this disk)") from fault

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _connect(self._path)
        except sqlite3.DatabaseError as fault:
            if isinstance(fault, sqlite3.OperationalError):
                raise  # A disk that refuses is no damaged file.
            self.set_aside = True
            for suffix in ("", "-wal", "-shm"):
                file = self._path.with_name(self._path.name + suffix)
                if file.exists():
                    file.replace(file.with_name(file.name + ".damaged"))
            self._db = _connect(self._path)
        (self._bytes,) = self._db.execute(
            f"SELECT coalesce(sum(length(body) + {ROW_BYTES}), 0) FROM parcels"
        ).fetchone()

    def _put(self, parcels: Sequence[tuple[str, str, str, bytes, int]]) -> int:
        assert all(lane in self._lanes for lane, *_ in parcels), "a parcel of no lane could never be shed"
        db, before = self._opened(), self._bytes
        shed = 0
        try:
            with db:
                for lane, ident, topic, body, made_ms in parcels:
                    self._bytes -= self._remove("id = ?", (ident,))
                    db.execute(
                        "INSERT INTO parcels (id, lane, topic, body, made_ms) VALUES (?, ?, ?, ?, ?)",
                        (ident, lane, topic, body, made_ms),
                    )
                    self._bytes += len(body) + ROW_BYTES
                while self._bytes > self._bytes_max:
                    shed += self._shed_one()
        except sqlite3.Error:
            self._bytes = before
            raise
        return shed

    def _shed_one(self) -> int:
        """Give up the oldest parcel of the least important lane."""
        db = self._opened()
        for lane in self._lanes:
            row = db.execute("SELECT n, made_ms FROM parcels WHERE lane = ? ORDER BY n LIMIT 1", (lane,)).fetchone()
            if row is not None:
                self._bytes -= self._remove("n = ?", (row[0],))
                db.execute(
                    "INSERT INTO lost VALUES (?1, 1, ?2, ?2) ON CONFLICT (lane) DO UPDATE SET count = count + 1,"
                    " first_ms = min(first_ms, ?2), last_ms = max(last_ms, ?2)",
                    (lane, row[1]),
                )
                return 1
        raise AssertionError("over the bound with no parcel left")

    def _remove(self, where: str, values: tuple[object, ...]) -> int:
        """Delete; returns the bytes set free."""
        rows = self._opened().execute(f"DELETE FROM parcels WHERE {where} RETURNING length(body)", values).fetchall()
        return sum(int(length) + ROW_BYTES for (length,) in rows)

    def _peek(self, limit: int, after: int, lane: str | None) -> list[Parcel]:
        rows = self._opened().execute(
            "SELECT n, id, lane, topic, body, made_ms FROM parcels WHERE n > ?1 AND (?2 IS NULL OR lane = ?2)"
            " ORDER BY n LIMIT ?3",
            (after, lane, limit),
        )
        return [Parcel(*row) for row in rows]

    def _park(self, number: int, why: str) -> None:
        with self._opened() as db:
            db.execute("INSERT INTO parked SELECT id, topic, body, ? FROM parcels WHERE n = ?", (why[:500], number))
            db.execute("DELETE FROM parked WHERE rowid <= (SELECT max(rowid) FROM parked) - ?", (PARKED_MAX,))
            freed = self._remove("n = ?", (number,))
        self._bytes -= freed

    def _drop(self, numbers: Sequence[int]) -> None:
        with self._opened():
            freed = sum(self._remove("n = ?", (number,)) for number in numbers)
        self._bytes -= freed

    def _fill(self) -> Fill:
        db = self._opened()
        (rows,) = db.execute("SELECT count(*) FROM parcels").fetchone()
        (newest,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'parcels'").fetchone()
        lost = db.execute("SELECT lane, count, first_ms, last_ms FROM lost")
        return Fill(rows, self._bytes, newest, {lane: Shed(n, first, last) for lane, n, first, last in lost})

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise NotDurable(f"{self._path} is not open")
        return self._db


def _connect(path: Path) -> sqlite3.Connection:
    """WAL with NORMAL: a power cut may cost the last moments of this queue, never its consistency."""
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 1048576")
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError(f"{path} failed quick_check")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
