"""Composition root of the duty room: ``run_duty_room(config)``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn

from duty_room import access, retention, watch
from duty_room.desk import Desk
from duty_room.feed import Feed
from duty_room.intake import SUBSCRIPTIONS, Intake
from duty_room.limits import WARN_RATE_S
from duty_room.lock import DataDirLock
from duty_room.metrics import Metrics
from duty_room.registry import Registry
from duty_room.settings import Settings
from duty_room.store import rows
from duty_room.store.store import Store, Tx
from duty_room.telling import Teller
from duty_room.watch import Watch
from duty_room.web import application
from duty_room.web.context import Context
from edge.channels.messenger import Messenger
from edge.errors import LinliError, NotDurable
from edge.limits import HEARTBEAT_S, TICK_S
from edge.mqtt import MqttSession

log = structlog.get_logger("duty_room")
CLOSE_S = 4.0
"""SIGTERM to exit: the contract says 5 s."""


class SystemClock:
    """Real time."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never step."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class DutyRoom:
    """All rooms of one process, started from the truth outward and stopped in reverse."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.metrics = Metrics()
        self.store = Store(
            settings.data_dir,
            settings.database,
            wall_ms=self.clock.wall_ms,
            observe_s=self.metrics.commit_s.observe,
        )
        self.registry = Registry(settings.people)
        self.desk = Desk(self.store, self.registry)
        self.watch = Watch(settings.gateways, self.clock.monotonic, self.clock.wall_ms, settings.id)
        self.feed = Feed(self.store)
        self.intake = Intake(
            self._session(), self.desk, self.watch, self.registry, self.metrics, self.clock, settings.id
        )
        self._work = asyncio.Event()
        self._said: dict[str, float] = {}

    def _session(self) -> MqttSession:
        broker = self.settings.broker
        return MqttSession(
            broker.urls,
            client_id=broker.username or f"linli-duty-{self.settings.id}",
            username=broker.username,
            password=broker.password,
            subscriptions=SUBSCRIPTIONS,
            count=self.metrics.reject,
            ca=broker.ca,
            cert=broker.cert,
            key=broker.key,
        )

    def open(self) -> str | None:
        """Open the database and the key; at the very first start returns a sign-in link."""
        self.store.open()
        self.key = access.key_file(self.settings.data_dir)
        messenger = Messenger(self.registry.tell)
        self.teller = Teller(
            self.desk, self.registry, messenger, self.clock, self.metrics, self.settings.public_url, self.key
        )
        secret = self.store.write_now(
            lambda tx: access.grant_sign_in(tx, "administrator", "administrator")
            if access.never_signed_in(tx.conn)
            else None
        )
        self.store.write_now(lambda tx: self.registry.load(tx.conn))
        return access.sign_in_url(self.settings.public_url, secret) if secret else None

    def context(self) -> Context:
        """What the routes need."""
        return Context(
            self.settings, self.store, self.desk, self.registry, self.watch, self.feed, self.metrics, self.clock,
            self.key, self.checks,
        )  # fmt: skip

    def checks(self) -> dict[str, str]:
        """For /readyz."""
        return {
            "journal": "ok" if self.store.durable else "the database does not take commits",
            "broker": "ok" if self.intake.connected else self.intake.fault,
        }

    # ------------------------------------------------------------------ the loops
    async def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start everything that runs beside the web."""
        self.store.start(asyncio.get_running_loop())
        await self.feed.load()
        self.desk.on_work = self._work.set
        self.intake.on_connected = self._work.set
        loops: list[Callable[[], Coroutine[None, None, None]]] = [
            self.intake.run, self._ticks, self._beats, self._orders, self._notices, self._housekeeping
        ]  # fmt: skip
        return [group.create_task(loop(), name=loop.__name__) for loop in loops]

    def _warn(self, what: str, fault: Exception) -> None:
        """Trouble that will be tried again: one line a minute."""
        now = self.clock.monotonic()
        if now - self._said.get(what, -WARN_RATE_S) >= WARN_RATE_S:
            self._said[what] = now
            log.warning(what, why=str(fault))

    async def _ticks(self) -> None:
        while True:
            await self.clock.sleep(TICK_S)
            try:
                await self.desk.tick(self.clock.wall_ms())
                for view, lost in self.watch.moved():
                    await self._lost(view.id, lost)
                    view.lost_told = lost
                if self.settings.database is not None:
                    await self.feed.refresh()
            except NotDurable as fault:
                self._warn("due steps wait: the database does not take commits", fault)

    async def _lost(self, gateway: str, lost: bool) -> None:
        def job(tx: Tx) -> None:
            event = watch.lost_event(tx, gateway, lost, self.registry)
            if event is not None:
                self.desk.take_event(tx, gateway, event, local=True)

        await self.desk.run(job)

    async def _beats(self) -> None:
        while True:
            await self.intake.say_duty()
            await self.clock.sleep(HEARTBEAT_S)

    async def _orders(self) -> None:
        """Commands: at once when there is work, else once a second for the repeats."""
        while True:
            try:
                await self.intake.send_commands()
            except NotDurable as fault:
                self._warn("commands wait: the database cannot be read", fault)
            await self._until_work(1.0)

    async def _until_work(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._work.wait()
            self._work.clear()
        except TimeoutError:
            pass  # Nothing new: look at what must be repeated.

    async def _notices(self) -> None:
        while True:
            try:
                await self.teller.round()
            except NotDurable as fault:
                self._warn("notices wait: the database does not take commits", fault)
            await self.clock.sleep(TICK_S)

    async def _housekeeping(self) -> None:
        while True:
            try:
                while await self.store.write(retention.sweep) >= retention.BITE:
                    await self.clock.sleep(0.05)
                await self._count()
            except NotDurable as fault:
                self._warn("old rows stay: the database does not take commits", fault)
            await self.clock.sleep(60.0)

    async def _count(self) -> None:
        found = await self.store.read(rows.open_by_state)
        self.metrics.incidents.clear()
        for state, priority, number in found:
            self.metrics.incidents.labels(state, str(priority)).set(number)


class _Server(uvicorn.Server):
    """Signals are ours: the streams must hear of the end before uvicorn waits for them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture."""
        yield


async def _serve(room: DutyRoom, sock: socket.socket, url: str) -> None:
    context = room.context()
    config = uvicorn.Config(
        application.create(context),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        server_header=False,
        lifespan="off",
    )
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with asyncio.TaskGroup() as group:
        tasks = await room.start(group)
        serving = group.create_task(server.serve([sock]), name="web")
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        print(f"ready {url}", flush=True)
        await stop.wait()
        context.stopping.set()
        server.should_exit = True
        await serving
        for task in tasks:
            task.cancel()
        await room.teller.close()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
    except OSError as fault:
        sock.close()
        where = f"{settings.host}:{settings.port}"
        raise LinliError(f"{where} is not free ({fault.strerror}): set another listen") from fault
    return sock


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code."""
    # Plain tracebacks: the default prints local variables, and some of them are secrets, names and places of people.
    lines = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper("iso"), lines],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    lock: DataDirLock | None = None
    room: DutyRoom | None = None
    try:
        lock = DataDirLock(settings.data_dir)
        sock = _listen(settings)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        room = DutyRoom(settings)
        link = room.open()
        if link is not None:
            print(f"sign-in {link}", flush=True)
        asyncio.run(_serve(room, sock, f"http://{host}:{sock.getsockname()[1]}"))
    except LinliError as fault:
        print(f"linli duty-room: {fault}", file=sys.stderr, flush=True)
        return 1
    finally:
        if room is not None:
            room.store.close()
        if lock is not None:
            lock.release()
    return 0


def run_duty_room(config: Path) -> int:
    """The command ``linli duty-room --config FILE``. Raises ConfigError with every finding."""
    from edge.config import load_duty_room

    os.umask(0o077)
    return run(load_duty_room(config))
