"""Start from the truth outward: journal, state, channels, links, bridge, door. Stop in reverse, within 5 s."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from cloud_bridge.bridge import Bridge, Uplink
from cloud_bridge.duty_room_link import DutyRoomLink
from cloud_bridge.messages import DutyMessage
from device_drivers import registry
from edge.app.sms_answers import SmsAnswers
from edge.app.upkeep import Upkeep
from edge.app.uplinks import Outside
from edge.app.views import Counters, Views
from edge.app.watchdog import Watchdog
from edge.channels.messenger import Messenger
from edge.channels.sms import Sms, Wiring
from edge.clock import ClockTrust, SystemClock
from edge.config import Building, finding_line, load_building
from edge.config.modem import LINK as MODEM
from edge.decide.alarms import Alarm
from edge.errors import ConfigError, DataDirLocked
from edge.flow.dispatch import Dispatcher
from edge.flow.engine import Engine
from edge.flow.settings import EngineSettings
from edge.flow.supervise import Supervisor
from edge.limits import TICK_S
from edge.model import Outcome, Place, Recipient, Refused, Write
from edge.ports import Channel, Kit
from edge.store.inspect import JOURNAL_NAME
from edge.store.journal import SqliteJournal
from edge.store.lock import DataDirLock
from edge.web import Durations, LocalPage, create_app, load_or_create_secret, load_or_create_token
from edge.words import detail_words, message

log = structlog.get_logger("gateway")

STOP_S = 3.0
"""Reads in flight are waited out this long at a stop; the whole stop stays below 5 s."""


def run_gateway(config: Path) -> int:
    """Run one gateway until SIGTERM or SIGINT. 0: ended as asked. 1: config fault, data dir locked, port taken."""
    try:
        building = load_building(config)
    except ConfigError as fault:
        for finding in fault.findings:
            print(finding_line(finding))
        return 1
    os.umask(0o077)  # Whatever is written from here on may hold names and places of people.
    try:
        lock = DataDirLock(building.gateway.data_dir)
    except DataDirLocked as fault:
        print(f"{config}: error: {fault}", file=sys.stderr)
        return 1
    _logging()
    try:
        return asyncio.run(_serve(building))
    finally:
        lock.release()


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: the gateway stops in its own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the gateway."""
        yield


async def _serve(building: Building) -> int:
    try:
        door = _listen(building)
    except OSError as fault:
        address = f"{building.gateway.host}:{building.gateway.port}"
        print(f"{building.path}: error: cannot listen on {address}: {fault.strerror} (change listen)", file=sys.stderr)
        return 1
    gateway = GatewayProcess(building, door)
    await gateway.start()
    host, port = door.getsockname()[:2]
    print(f"ready http://{host}:{port}", flush=True)
    failed = await gateway.wait()
    await gateway.stop()
    return 1 if failed else 0


def _listen(building: Building) -> socket.socket:
    door = socket.socket(socket.AF_INET6 if ":" in building.gateway.host else socket.AF_INET)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((building.gateway.host, building.gateway.port))
    return door


class GatewayProcess:
    """Every part of one gateway, with an owner and a name for each task."""

    def __init__(self, building: Building, door: socket.socket) -> None:
        self._building = building
        self._door = door
        self._clock = SystemClock()
        self._trust = ClockTrust(self._clock)
        self._tasks: list[asyncio.Task[Any]] = []
        self._stop = asyncio.Event()
        self._failed: BaseException | None = None
        self._supervisors: dict[str, Supervisor] = {}
        self._counters = Counters(self._clock.monotonic)
        self._commits = Durations()
        self._link_of = {device.id: device.link for device in building.devices}

    async def start(self) -> None:
        """Build and start everything; links may still be down afterwards."""
        building, clock = self._building, self._clock
        data_dir = building.gateway.data_dir
        self._page = LocalPage(load_or_create_secret(data_dir, "page.key"), building.roster, building.gateway.timezone)
        self._journal = SqliteJournal(data_dir / JOURNAL_NAME, self._commits.observe)
        self.engine = engine = Engine(
            self._engine_settings(), self._journal, clock, self._trust, lambda cause: self._reject("engine", cause)
        )
        await engine.start()
        if self._journal.set_aside is not None:
            engine.damage = f"the journal was damaged and set aside as {self._journal.set_aside.name}"
            log.error("journal", why=engine.damage)
        if self._journal.refused is not None:
            engine.damage = f"the journal cannot be opened, what it holds is not known: {self._journal.refused}"
            log.error("journal", why=engine.damage)
        self._views = Views(building, engine, clock, self._trust(), self._counters, self._commits)
        self._views.write = self._write
        engine.listeners.saved.append(self._counters.saved)
        dispatcher = Dispatcher(
            engine, self._channels(data_dir), self._write, building.sounders, building.linkages, clock
        )
        self._outside = Outside(building, engine, self._views, clock, self._reject)
        bridge = Bridge(await self._uplinks())
        engine.listeners.saved.append(bridge.saved)
        asyncio.get_running_loop().set_exception_handler(self._broken)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        self._spawn(engine.commit.run(), "commit")
        self._spawn(self._tick(), "tick")
        self._spawn(dispatcher.run(), "dispatch")
        for link in building.links:
            self._supervise(link.id)
        self._spawn(bridge.run(), "bridge")
        self._spawn(Upkeep(self._journal, engine, self._trust, clock, building.gateway.timezone).run(), "upkeep")
        if self._outside.readings is not None:
            self._spawn(self._outside.readings.run(), "readings")
        self._watchdog = Watchdog(engine.commit, clock)
        self._spawn(self._watchdog.run(), "watchdog")
        await self._open_door(load_or_create_token(data_dir))
        self._watchdog.say("READY=1")

    async def wait(self) -> bool:
        """Until asked to stop, or until a part fails; True when one failed."""
        await self._stop.wait()
        if self._failed is not None:
            log.critical("a part failed; the process ends so that it is started anew", exc_info=self._failed)
        return self._failed is not None

    async def stop(self) -> None:
        """Links first stop reading, the last batch commits, then everything else."""
        self._watchdog.say("STOPPING=1")
        self._server.should_exit = True
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors.values()))
        links = [task for task in self._tasks if task.get_name().startswith("link ")]
        if links:
            await asyncio.wait(links, timeout=STOP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while not self.engine.commit.idle:
                    await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._outside.close()
        await self._journal.close()

    def _engine_settings(self) -> EngineSettings:
        building = self._building
        return EngineSettings(
            gateway_id=building.gateway.id,
            place=Place(community=building.site.community, building=building.site.building),
            links=(*(link.id for link in building.links), *((MODEM,) if building.modem is not None else ())),
            devices=building.devices,
            roster=building.roster,
            ack_keys=building.ack_keys,
            has_duty_room=building.duty_room is not None,
            actors=frozenset(
                point.device for point in (*(s.point for s in building.sounders), *(k.point for k in building.linkages))
            ),
            text=self._text,
        )

    def _text(self, alarm: Alarm, person: Recipient) -> tuple[str, str]:
        """What a person of the roster reads, with a page on this box to answer on."""
        host, port = self._door.getsockname()[:2]
        host = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104  comparing, not binding
        base = self._building.gateway.public_url or f"http://{host}:{port}"
        link = f"{base}{self._page.path(alarm.alarm_id, person.id)}"
        subject = alarm.subject
        detail = detail_words(alarm.alarm_class, subject.device, alarm.last.value, subject.unit)
        return message(alarm.alarm_class, alarm.priority, subject.place, alarm.count, link, detail)

    def _channels(self, data_dir: Path) -> dict[str, Channel]:
        """Every way to people that this building has; the modem is shown as a line, so that its loss is an alarm."""
        building, engine = self._building, self.engine
        channels: dict[str, Channel] = {"messenger": Messenger.of(building.roster)}
        if building.modem is not None:
            secret = load_or_create_secret(data_dir, "sms.key")
            answers = SmsAnswers(secret, building.roster, engine.alarms, engine.command, self._clock)
            wiring = Wiring(
                answers.code,
                answers.answered,
                lambda up, why: engine.link(MODEM, up, why),
                lambda cause: self._reject(MODEM, cause),
            )
            modem = Sms(building.modem, building.roster, wiring, self._clock)
            self._spawn(modem.run(), "modem")
            channels["sms"] = modem
        return channels

    async def _uplinks(self) -> list[Uplink]:
        building, engine = self._building, self.engine
        uplinks: list[Uplink] = []
        if building.duty_room is not None:
            link = DutyRoomLink(
                building.gateway.id,
                building.duty_room,
                self._clock,
                str(uuid.uuid4()),
                pending=self._journal.unreceipted,
                command=engine.command,
                receipted=engine.receipted,
                vitals=self._views.vitals,
                site=self._views.site,
                on_duty=self._on_duty,
                count=lambda cause: self._reject("duty_room", cause),
            )
            self._views.duty_room = link
            uplinks.append(link)
        return uplinks + await self._outside.make()

    def _on_duty(self, duty: DutyMessage) -> None:
        link = self._views.duty_room
        self.engine.duty_heard(duty.audible, link.echoed_s if link is not None else None)

    def _supervise(self, ident: str) -> None:
        building = self._building
        settings = next(link for link in building.links if link.id == ident)
        devices = [device for device in building.devices if device.link == ident]

        def count(cause: str) -> None:
            self._reject(settings.kind, cause)

        kit = Kit(self._clock, count, str(building.gateway.data_dir))
        supervisor = Supervisor(ident, lambda: registry.create(settings, devices, kit), self.engine, self._clock, count)
        self._supervisors[ident] = supervisor
        self._spawn(supervisor.run(), f"link {ident}")

    async def _write(self, write: Write) -> Outcome:
        supervisor = self._supervisors.get(self._link_of.get(write.key.device, ""))
        if supervisor is None:
            return Refused(f"no device {write.key.device}")
        return await supervisor.write(write)

    async def _tick(self) -> None:
        while True:
            self._views.trust = self._trust()
            self.engine.tick()
            await self._clock.sleep(TICK_S)

    async def _open_door(self, token: str) -> None:
        app = create_app(self._views, token, self._page)
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = Server(config)
        self._spawn(self._server.serve(sockets=[self._door]), "door")
        while not self._server.started and not self._stop.is_set():
            await asyncio.sleep(0.01)

    def _reject(self, driver: str, cause: str) -> None:
        self._counters.reject(driver, cause)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """No part may end on its own: a gateway with a dead part is a gateway that lies."""
        if task.cancelled() or self._stop.is_set():
            return
        self._fail(task.exception() or RuntimeError(f"{task.get_name()} ended"))

    def _broken(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or RuntimeError(str(context.get("message"))))

    def _fail(self, fault: BaseException) -> None:
        self._failed = self._failed or fault
        self._stop.set()


def _logging() -> None:
    """Short lines on standard error, for people and for the system's journal."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Plain tracebacks: the default prints local variables, and some of them are secrets.
    lines = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper("iso"), lines],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
