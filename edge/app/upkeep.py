"""What a gateway does at night: copy its journal, let go what is older than it must keep; and the way back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from edge.clock import SystemClock
from edge.errors import NotDurable
from edge.flow.engine import Engine
from edge.limits import ALARMS_KEEP_DAYS
from edge.model import Clock
from edge.ports import Clockwork
from edge.store.journal import SqliteJournal
from edge.store.lock import DataDirLock
from edge.store.upkeep import restore as put_back

log = structlog.get_logger("upkeep")

NIGHT_HOUR = 3
LOOK_S = 60.0
BETWEEN_STEPS_S = 0.2
"""Alarms come between two steps of retention, not after all of them."""
_COPY_FAILED = "last night's copy of the journal failed: "


def restore(data_dir: Path, chosen: Path | None) -> str:
    """``linli restore``: what was done, in one line. Raises DataDirLocked, FileNotFoundError, JournalDamaged."""
    lock = DataDirLock(data_dir)
    try:
        done = put_back(data_dir, chosen, _stamp(SystemClock().wall_ms()))
    finally:
        lock.release()
    kept = f"; the journal that stood there is now {done.replaced.name}" if done.replaced is not None else ""
    return f"{done.copy.name} is the journal again, with {done.events} events{kept}"


def _stamp(now_ms: int) -> str:
    """A moment as part of a file's name, UTC."""
    return f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%d-%H%M%S}"


class Upkeep:
    """The nightly work of one gateway. run() for ever."""

    def __init__(
        self, journal: SqliteJournal, engine: Engine, trust: Callable[[], Clock], clock: Clockwork, timezone: str
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._trust = trust
        self._clock = clock
        self._zone = ZoneInfo(timezone)

    async def run(self) -> None:
        """Every night once; a clock that is set over the hour makes one night more or less, nothing worse."""
        night = self._night()
        while True:
            await self._clock.sleep(LOOK_S)
            if self._night() != night:
                night = self._night()
                await self.work()

    async def work(self) -> None:
        """One night's work. A copy that fails is a fault that people see; the gateway runs on."""
        try:
            made = await self._journal.back_up(f"{self._now():%Y%m%d-%H%M%S}")
        except (OSError, sqlite3.Error) as fault:
            self._engine.damage = f"{_COPY_FAILED}{fault}"
            log.error("copy", why=str(fault))
        else:
            if self._engine.damage is not None and self._engine.damage.startswith(_COPY_FAILED):
                self._engine.damage = None
            log.info("copy", file=made.name)
        if self._trust() is Clock.SYNCED:
            await self._let_go()

    async def _let_go(self) -> None:
        before_ms = self._clock.wall_ms() - ALARMS_KEEP_DAYS * 86_400_000
        try:
            while await self._journal.drop_old(before_ms):
                await self._clock.sleep(BETWEEN_STEPS_S)
        except NotDurable as fault:
            log.warning("retention", why=str(fault))  # the next alarm's commit says it to people

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ms() / 1000, self._zone)

    def _night(self) -> int:
        """Number of the night: it changes at NIGHT_HOUR local time."""
        now = self._now()
        return now.toordinal() if now.hour >= NIGHT_HOUR else now.toordinal() - 1
