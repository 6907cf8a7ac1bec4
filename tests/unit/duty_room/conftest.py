"""A duty room without broker and without real time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine

from duty_room import access
from duty_room.desk import Desk, Heard
from duty_room.feed import Feed
from duty_room.metrics import Metrics
from duty_room.registry import Registry
from duty_room.store.store import Store
from duty_room.store.tables import metadata
from duty_room.watch import Watch
from duty_room.web import application
from duty_room.web.context import Context
from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    EventKind,
    Place,
)

T0 = 1_790_000_000_000
URL = "http://duty.test"


@dataclass(frozen=True)
class Row:
    """A person of people.csv."""

    id: str
    name: str
    role: str
    grid: str | None = None
    tell: tuple[str, ...] = ()


PEOPLE = (
    Row("li", "李四", "grid_worker", "XS-03-07", ("json://somewhere/li",)),
    Row("zhao", "赵六", "grid_worker", "XS-04", ("json://somewhere/zhao",)),
    Row("wang", "王五", "grid_chief", "XS-03"),
    Row("chen", "陈七", "duty_officer"),
)


@dataclass(frozen=True)
class Broker:
    """Nobody connects to it here."""

    urls: tuple[str, ...] = ("mqtt://127.0.0.1:1",)
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Settings:
    """A duty-room file."""

    data_dir: Path
    id: str = "dr1"
    timezone: str = "Asia/Shanghai"
    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = URL
    broker: Broker = Broker()
    gateways: tuple[str, ...] = ("b12",)
    people: tuple[Row, ...] = PEOPLE
    database: str | None = None


class FakeClock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def wall_ms(self) -> int:
        return T0 + round(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


def event(kind: EventKind = EventKind.RAISED, seq: int = 1, **changes: Any) -> AlarmEvent:
    """An event of a call button; state and condition fit the kind unless given."""
    states = {
        EventKind.ACKNOWLEDGED: AlarmState.ACKED,
        EventKind.CLEARED: AlarmState.LUNACK,
        EventKind.RESET: AlarmState.NORM,
        EventKind.SHELVED: AlarmState.SHLVD,
        EventKind.OUT_OF_SERVICE: AlarmState.OOSRV,
    }
    off = (EventKind.CLEARED, EventKind.RESET)
    base = AlarmEvent(
        event_id=f"e{seq}",
        alarm_id="c502/sos.call/1",
        kind=kind,
        alarm_class=AlarmClass.SOS_CALL,
        priority=1,
        state=states.get(kind, AlarmState.UNACK),
        condition=Condition.OFF if kind in off else Condition.ON,
        device="c502",
        point="press",
        place=Place(community="新盛", building="12", unit="2", floor=5, household="502"),
        value=True,
        unit=None,
        observed_ms=None,
        received_ms=T0,
        clock=Clock.SYNCED,
        seq=seq,
    )
    return replace(base, **changes)


class Room:
    """All rooms but the broker."""

    def __init__(self, data_dir: Path, database: str | None = None) -> None:
        self.clock = FakeClock()
        self.settings = Settings(data_dir)
        self.metrics = Metrics()
        self.store = Store(data_dir, database, wall_ms=self.clock.wall_ms)
        self.store.open()
        self.registry = Registry(PEOPLE)
        self.desk = Desk(self.store, self.registry)
        self.watch = Watch(("b12",), self.clock.monotonic, self.clock.wall_ms, "dr1")
        self.feed = Feed(self.store)
        self.context = Context(
            self.settings, self.store, self.desk, self.registry, self.watch, self.feed, self.metrics, self.clock,
            access.key_file(data_dir), lambda: {"journal": "ok"},
        )  # fmt: skip
        self.app = application.create(self.context)
        self.tokens: dict[str, str] = {}

    async def start(self) -> None:
        """Writer thread and tokens."""
        self.store.start(asyncio.get_running_loop())
        await self.feed.load()
        for role in access.ROLES:
            self.tokens[role] = await self.store.write(_grant(role))

    def client(self, role: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client with the bearer token of that role."""
        if role:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=URL, headers=headers)

    async def hear(self, *events: AlarmEvent) -> None:
        """Events of the gateway b12."""
        assert await self.desk.events([Heard("b12", e) for e in events]) == [None] * len(events)


def _grant(role: str) -> Callable[[Any], str]:
    return lambda tx: access.grant_token(tx, role, f"{role} Zhang", None)


def _empty(database: str) -> None:
    """Away with what the test before has left."""
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """A running room on a fresh database: SQLite, or the empty PostgreSQL database that LINLI_TEST_DATABASE names."""
    database = os.environ.get("LINLI_TEST_DATABASE")
    if database:
        _empty(database)
    made = Room(tmp_path, database)
    await made.start()
    yield made
    made.store.close()
