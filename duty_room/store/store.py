"""One writer thread with group commit, readers beside it, and the promise: a write that returned is on the disk."""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import QueuePool

from duty_room.limits import GROUP_COMMIT_MAX
from duty_room.store import migrate
from duty_room.store import tables as t
from duty_room.store.chain import Chain
from edge.errors import JournalDamaged, NotDurable

T = TypeVar("T")
Committed = Callable[[list[tuple[int, int, bytes]]], None]
_LOCK = 0x6C696E6C69
"""PostgreSQL advisory lock: several duty rooms write one after another, so that seq has no holes."""


class Tx:
    """What a write job works with: the connection, the heads of stream and log, and what it has put on the stream."""

    def __init__(self, conn: Connection, now_ms: int) -> None:
        self.conn = conn
        self.now_ms = now_ms
        self.head = int(conn.execute(select(func.max(t.stream.c.seq))).scalar() or _stored_head(conn))
        self.chain = Chain.at_end(conn)
        self.published: list[tuple[int, int, bytes]] = []

    def publish(self, priority: int, wire: bytes) -> None:
        """One more item on the stream, with the next seq, in this transaction."""
        self.head += 1
        row = {"seq": self.head, "at_ms": self.now_ms, "priority": priority, "body": wire.decode()}
        self.conn.execute(t.stream.insert(), row)
        self.published.append((self.head, priority, wire))


def _stored_head(conn: Connection) -> int:
    """Head of a stream whose rows have all been let go by retention: seq never starts again."""
    row = conn.execute(select(t.meta.c.value).where(t.meta.c.key == "stream_head")).scalar()
    return int(row) if row else 0


class _Wait(Protocol):
    def __call__(self, result: Any, error: BaseException | None) -> None: ...


@dataclass(slots=True)
class _Job:
    work: Callable[[Tx], Any]
    done: _Wait


def sqlite_engine(path: Path, writer: bool) -> Engine:
    """An engine for the file. The writer begins IMMEDIATE; readers may not write at all."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1 if writer else 4,
        max_overflow=0 if writer else 4,
        connect_args={"check_same_thread": False, "timeout": 10.0},
    )

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _record: Any) -> None:
        # SQLAlchemy's recipe for SQLite: the driver must not begin transactions behind our back.
        raw.isolation_level = None
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA query_only={'OFF' if writer else 'ON'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


class Store:
    """The database of one duty room. ``open`` first; ``write`` and ``read`` from the loop; ``close`` safe twice."""

    def __init__(
        self,
        data_dir: Path,
        database: str | None,
        *,
        wall_ms: Callable[[], int],
        observe_s: Callable[[float], None] = lambda _s: None,
    ) -> None:
        self._wall_ms = wall_ms
        self._observe_s = observe_s
        self._sqlite = database is None
        if database is None:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path: Path | None = data_dir / "duty.db"
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            self._writer = sqlite_engine(self._path, writer=True)
            self._reader = sqlite_engine(self._path, writer=False)
        else:
            self._path = None
            url = database.replace("postgresql://", "postgresql+psycopg://", 1)
            self._writer = create_engine(url, pool_size=1, max_overflow=1)
            self._reader = create_engine(url, pool_size=4, max_overflow=4, isolation_level="REPEATABLE READ")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="duty-read")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_commit: Committed = lambda _items: None
        self.epoch = ""
        self.durable = True

    # ------------------------------------------------------------------ opening and closing
    def open(self) -> None:
        """Make or check the file. Raises JournalDamaged when it is newer, damaged, or does not keep what it is told."""
        try:
            with self._writer.begin() as conn:
                if self._sqlite:
                    self._check_sqlite(conn)
                t.metadata.create_all(conn)
                self._check_schema(conn)
        except DBAPIError as fault:
            where = self._path or "the database"
            raise JournalDamaged(f"{where}: {fault.orig}. Put the last backup in its place and start again.") from fault

    def _check_sqlite(self, conn: Connection) -> None:
        sync = conn.exec_driver_sql("PRAGMA synchronous").scalar()
        mode = conn.exec_driver_sql("PRAGMA journal_mode").scalar()
        if (sync, mode) != (2, "wal"):
            raise JournalDamaged(f"{self._path}: SQLite has synchronous={sync} journal_mode={mode}, not FULL in WAL.")
        found = conn.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise JournalDamaged(f"{self._path}: {found}. Put the last backup in its place and start again.")

    def _check_schema(self, conn: Connection) -> None:
        have = {r.key: r.value for r in conn.execute(select(t.meta.c.key, t.meta.c.value))}
        schema = int(have.get("schema", t.SCHEMA))
        if schema > t.SCHEMA:
            raise JournalDamaged(f"The database has schema {schema}, this program knows {t.SCHEMA}: update it.")
        if "schema" not in have:
            epoch = os.urandom(5).hex()
            conn.execute(t.meta.insert(), [{"key": "schema", "value": str(t.SCHEMA)}, {"key": "epoch", "value": epoch}])
            have["epoch"] = epoch
        elif schema < t.SCHEMA:
            self._copy(schema)
            migrate.forward(conn, schema)
            conn.execute(t.meta.update().where(t.meta.c.key == "schema").values(value=str(t.SCHEMA)))
        self.epoch = have["epoch"]

    def _copy(self, schema: int) -> None:
        """A copy beside the file before its shape changes; PostgreSQL has its own backups."""
        if self._path is None:
            return
        target = self._path.with_suffix(f".schema{schema}.db")
        if not target.exists():
            with sqlite3.connect(self._path) as source, sqlite3.connect(target) as copy:
                source.backup(copy)
            source.close()
            copy.close()
            target.chmod(0o600)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer thread; commits are announced on this loop."""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="duty-write", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, then close."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout=5.0)
            self._thread = None
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._reader.dispose()
        self._writer.dispose()

    # ------------------------------------------------------------------ use from the loop
    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run the job in the next transaction; when this returns it is on the disk.

        What the job raises is raised here and nothing of the job is kept. Raises NotDurable when the commit failed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(_settle, future, result, error)

        self._jobs.put(_Job(work, done))
        return await future

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run the job in one read transaction, beside the writer. Raises NotDurable when it cannot be read."""

        def run() -> T:
            try:
                with self._reader.begin() as conn:
                    return work(conn)
            except (OperationalError, InterfaceError, InternalError) as fault:
                raise NotDurable(f"the database cannot be read: {fault.orig}") from fault

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def write_now(self, work: Callable[[Tx], T]) -> T:
        """One transaction in this thread: for the command line, before ``start``."""
        with self._writer.begin() as conn:
            self._lock(conn)
            return work(Tx(conn, self._wall_ms()))

    # ------------------------------------------------------------------ the writer thread
    def _lock(self, conn: Connection) -> None:
        if not self._sqlite:
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            stop = False
            while len(jobs) < GROUP_COMMIT_MAX and not self._jobs.empty():
                more = self._jobs.get()
                if more is None:
                    stop = True
                    break
                jobs.append(more)
            self._group(jobs)
            if stop:
                return

    def _group(self, jobs: list[_Job]) -> None:
        results: list[tuple[_Job, Any, BaseException | None]] = []
        begun = time.monotonic()
        try:
            with self._writer.begin() as conn:
                self._lock(conn)
                tx = Tx(conn, self._wall_ms())
                for job in jobs:
                    results.append(self._one(tx, job))
            self.durable = True
        except DBAPIError as fault:
            self.durable = False
            for job in jobs:
                job.done(None, NotDurable(f"commit failed: {fault.orig}"))
            return
        self._observe_s(time.monotonic() - begun)
        if tx.published and self._loop is not None:
            self._loop.call_soon_threadsafe(self.on_commit, tx.published)
        for job, result, error in results:
            job.done(result, error)

    def _one(self, tx: Tx, job: _Job) -> tuple[_Job, Any, BaseException | None]:
        """One job in its own savepoint: what it raises belongs to its caller, not to its neighbours."""
        head, chain, count = tx.head, tx.chain.mark(), len(tx.published)
        point = tx.conn.begin_nested()
        try:
            result = job.work(tx)
        except (OperationalError, InterfaceError, InternalError):
            raise
        except Exception as error:  # noqa: BLE001 - raised again where the caller awaits write()
            point.rollback()
            tx.head = head
            tx.chain.back_to(chain)
            del tx.published[count:]
            return job, None, error
        point.commit()
        return job, result, None


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
