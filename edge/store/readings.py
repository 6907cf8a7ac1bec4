"""What was measured, for those who were away: changes beyond the deadband, and the least, mean and most of 5 minutes.

Everything waits in memory and is written every 5 minutes in one transaction: flash wears. Its own file and thread,
synchronous=NORMAL: a power cut may cost the last 5 minutes of readings, never an alarm. Presses, passages, doors and
locks are not kept: they tell how people live, and their alarms are in the journal.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from edge import limits
from edge.errors import NotDurable
from edge.model import Device, Quality, Value
from edge.ports import Clockwork

SAMPLE_S = 2.0
"""How often the newest values are looked at; what comes and goes in between is in the alarms."""
PENDING_MAX = 200_000
"""Changes in memory when the disk takes nothing; the oldest are shed."""
PRIVATE_KINDS = frozenset({"door", "access", "call_button"})
"""Kinds of devices whose readings are about people, not about the building."""
DAY_MS = 86_400_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, device TEXT NOT NULL, point TEXT NOT NULL,
    UNIQUE (device, point));
CREATE TABLE IF NOT EXISTS changes (
    n INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, at_ms INTEGER NOT NULL, value);
CREATE INDEX IF NOT EXISTS changes_by_time ON changes (at_ms);
CREATE TABLE IF NOT EXISTS spans (
    n INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    least REAL NOT NULL, mean REAL NOT NULL, most REAL NOT NULL, count INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS spans_by_time ON spans (at_ms);
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, change INTEGER NOT NULL, span INTEGER NOT NULL);
"""
T = TypeVar("T")


class PointLike(Protocol):
    """The newest reading of one point."""

    @property
    def device(self) -> str: ...
    @property
    def point(self) -> str: ...
    @property
    def value(self) -> Value | None: ...
    @property
    def quality(self) -> Quality: ...


class Change(NamedTuple):
    """A new value; None: it could not be trusted from then on."""

    n: int
    device: str
    point: str
    at_ms: int
    value: Value | None


class Span(NamedTuple):
    """Five minutes of a number; at_ms is their end."""

    n: int
    device: str
    point: str
    at_ms: int
    least: float
    mean: float
    most: float
    samples: int


class _Series:
    """One point in memory."""

    def __init__(self, deadband: float) -> None:
        self.deadband = deadband
        self.known = False
        self.last: Value | None = None
        self.restart()

    def restart(self) -> None:
        """Begin the next span."""
        self.least, self.most, self.total, self.count = float("inf"), float("-inf"), 0.0, 0

    def take(self, value: Value | None) -> bool:
        """True when the value is worth a row."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number:
            figure = float(value)  # type: ignore[arg-type]
            self.least, self.most = min(self.least, figure), max(self.most, figure)
            self.total += figure
            self.count += 1
        if self.known and value == self.last:
            return False
        if self.known and number and isinstance(self.last, int | float) and not isinstance(self.last, bool):
            if abs(figure - self.last) <= self.deadband:
                return False
        self.known, self.last = True, value
        return True


class Readings:
    """The file. ``run`` samples and writes until cancelled. Event loop thread only; SQL runs in a thread of its own."""

    def __init__(
        self, path: Path, devices: Iterable[Device], points: Callable[[], Sequence[PointLike]], clock: Clockwork
    ) -> None:
        self._path, self._points, self._clock = path, points, clock
        self._series = {
            (device.id, point.key): _Series(point.deadband)
            for device in devices
            if device.kind not in PRIVATE_KINDS
            for point in device.points
            if not point.momentary
        }
        self._pending: deque[tuple[str, str, int, Value | None]] = deque(maxlen=PENDING_MAX)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readings")
        self._db: sqlite3.Connection | None = None
        self._ids: dict[tuple[str, str], int] = {}
        self._closed = False
        self.shed = 0

    async def open(self) -> None:
        """Open or make the file. A damaged one is moved aside: nothing in it is the only copy of an alarm."""
        await self._run(self._open)

    async def run(self) -> None:
        """Sample, and write every READINGS_FLUSH_S."""
        written_s = self._clock.monotonic()
        while True:
            self.sample()
            now_s = self._clock.monotonic()
            if now_s - written_s >= limits.READINGS_FLUSH_S:
                written_s = now_s
                await self.flush()
            await self._clock.sleep(SAMPLE_S)

    def sample(self) -> None:
        """Look at the newest values once."""
        at_ms = self._clock.wall_ms()
        for point in self._points():
            series = self._series.get((point.device, point.point))
            if series is None:
                continue
            value = point.value if point.quality is not Quality.BAD else None
            if series.take(value):
                self.shed += len(self._pending) == PENDING_MAX
                self._pending.append((point.device, point.point, at_ms, value))

    async def flush(self) -> None:
        """Write what is in memory; when the disk refuses it stays there, bounded."""
        at_ms = self._clock.wall_ms()
        changes = list(self._pending)
        spans = [
            (key, at_ms, s.least, s.total / s.count, s.most, s.count) for key, s in self._series.items() if s.count
        ]
        try:
            await self._run(lambda: self._write(changes, spans, at_ms - limits.READINGS_KEEP_DAYS * DAY_MS))
        except NotDurable:
            return
        for _ in changes:
            self._pending.popleft()
        for series in self._series.values():
            series.restart()

    async def after(self, name: str, limit: int) -> tuple[list[Change], list[Span]]:
        """The oldest rows that the reader of this name has not had. Raises NotDurable."""
        return await self._run(lambda: self._after(name, limit))

    async def had(self, name: str, change: int, span: int) -> None:
        """The reader of this name has everything up to these n (0: as before). Raises NotDurable."""
        await self._run(lambda: self._had(name, change, span))

    async def close(self) -> None:
        """Write what is in memory and close. Safe twice and without open."""
        if not self._closed and self._db is not None:
            await self.flush()
            db, self._db = self._db, None
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
        self._closed = True
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise NotDurable(f"{self._path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as fault:
            raise NotDurable(f"{self._path}: {fault} (free space on this disk)") from fault

    def _open(self) -> None:
        try:
            self._db = _connect(self._path)
        except sqlite3.DatabaseError as fault:
            if isinstance(fault, sqlite3.OperationalError):
                raise  # A disk that refuses is no damaged file.
            for suffix in ("", "-wal", "-shm"):
                file = self._path.with_name(self._path.name + suffix)
                if file.exists():
                    file.replace(file.with_name(file.name + ".damaged"))
            self._db = _connect(self._path)
        self._ids = {(device, point): n for n, device, point in self._db.execute("SELECT * FROM series")}

    def _write(
        self,
        changes: Sequence[tuple[str, str, int, Value | None]],
        spans: Sequence[tuple[tuple[str, str], int, float, float, float, int]],
        oldest_ms: int,
    ) -> None:
        db = self._opened()
        with db:
            rows = [(self._id(db, (device, point)), at_ms, value) for device, point, at_ms, value in changes]
            db.executemany("INSERT INTO changes (series, at_ms, value) VALUES (?, ?, ?)", rows)
            db.executemany(
                "INSERT INTO spans (series, at_ms, least, mean, most, count) VALUES (?, ?, ?, ?, ?, ?)",
                [(self._id(db, key), *rest) for key, *rest in spans],
            )
            for table in ("changes", "spans"):
                db.execute(f"DELETE FROM {table} WHERE at_ms < ?", (oldest_ms,))

    def _id(self, db: sqlite3.Connection, key: tuple[str, str]) -> int:
        if key not in self._ids:
            found = db.execute("INSERT INTO series (device, point) VALUES (?, ?)", key).lastrowid
            assert found is not None
            self._ids[key] = found
        return self._ids[key]

    def _after(self, name: str, limit: int) -> tuple[list[Change], list[Span]]:
        db = self._opened()
        row = db.execute("SELECT change, span FROM cursors WHERE name = ?", (name,)).fetchone() or (0, 0)
        changes = db.execute(
            "SELECT c.n, s.device, s.point, c.at_ms, c.value FROM changes c JOIN series s ON s.id = c.series"
            " WHERE c.n > ? ORDER BY c.n LIMIT ?",
            (row[0], limit),
        )
        spans = db.execute(
            "SELECT c.n, s.device, s.point, c.at_ms, c.least, c.mean, c.most, c.count"
            " FROM spans c JOIN series s ON s.id = c.series WHERE c.n > ? ORDER BY c.n LIMIT ?",
            (row[1], limit),
        )
        return [Change(*r) for r in changes], [Span(*r) for r in spans]

    def _had(self, name: str, change: int, span: int) -> None:
        with self._opened() as db:
            db.execute(
                "INSERT INTO cursors VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET"
                " change = max(change, ?2), span = max(span, ?3)",
                (name, change, span),
            )

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise NotDurable(f"{self._path} is not open")
        return self._db


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 4194304")
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError(f"{path} failed quick_check")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
