"""GB/T 26875.3 over TCP to a fire monitoring centre: component states up, its requests, clock and duty checks down.

Every sending is confirmed by its serial within 10 s, else sent again, three times in all; a denial is treated alike,
and then the message is parked in count and log. The heartbeat is the transmission device's own state. A duty check
(查岗) becomes a test alarm, which reaches the duty room as every alarm does; whoever acknowledges it has answered.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cloud_bridge.fire_board import Board, place_text
from cloud_bridge.gbt26875 import (
    COMPONENT_TYPES,
    DUTY_ANSWER_BIT,
    Action,
    Broken,
    Deframer,
    Frame,
    Kind,
    component_state,
    parse_stamp,
    requested_components,
    stamp,
    unit_of,
)
from cloud_bridge.tcp import TcpLink
from cloud_bridge.uplink import EventQueue, Reconnect, UplinkKit, tls_of
from edge.errors import Garbled, NotDurable, Unreachable
from edge.model import AlarmClass, AlarmEvent, Command, CommandKind, EventKind, Person, Via

log = logging.getLogger(__name__)

CONFIRM_S = 10.0
TRIES = 3
CENTRE = Person("fire-centre", "消防监控中心", Via.API)
SAME_TIME = timedelta(seconds=2)
"""The time tags have whole seconds and come over a line."""


@dataclass(frozen=True, slots=True)
class FireCentreSettings:
    """One monitoring centre. source: our address there, centre: its own. system: 系统类型 of the building's devices.

    types: 部件类型 by device kind, beyond the standard's own. operators: number of a person by their id.
    """

    addresses: Sequence[tuple[str, int]]
    source: int
    centre: int
    user_version: int = 0
    system: int = 1
    heartbeat_s: float = 60.0
    types: Mapping[str, int] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    tls: Callable[[], ssl.SSLContext] | None = None


class FireCentreLink:
    """Runs until cancelled. Event loop thread only."""

    def __init__(self, settings: FireCentreSettings, kit: UplinkKit, board: Board, events: EventQueue) -> None:
        self._settings, self._kit, self._board, self._events = settings, kit, board, events
        self._tcp = TcpLink(settings.addresses, settings.tls)
        self._reconnect = Reconnect("fire monitoring centre (GB/T 26875.3)", kit.clock, kit.count)
        self._zone = ZoneInfo(kit.timezone)
        self._types = {**COMPONENT_TYPES, **settings.types}
        self._serial = -1
        self._ahead = timedelta()
        self._turn = asyncio.Lock()
        self._confirmed: dict[int, asyncio.Future[int]] = {}
        self._checked_s: float | None = None
        self._answered: list[Person] = []
        self._answer = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def connected(self) -> bool:
        """The centre has confirmed something on this connection."""
        return self._reconnect.connected

    @property
    def why(self) -> str:
        """Why it is not connected."""
        return self._reconnect.why

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events; an acknowledged test alarm answers a duty check."""
        self._events.offer(events)
        for event in events:
            if event.alarm_class is AlarmClass.TEST and event.kind is EventKind.ACKNOWLEDGED:
                self._duty_answered(event)

    async def run(self) -> None:
        """Queue and send, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._events.run(), name="gbt26875-queue")
            tasks.create_task(self._reconnect.keep(self._once), name="gbt26875-send")

    # One connection

    async def _once(self) -> None:
        try:
            await self._tcp.open()
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._listen(), name="gbt26875-listen")
                tasks.create_task(self._beat(), name="gbt26875-heartbeat")
                tasks.create_task(self._send_events(), name="gbt26875-events")
                tasks.create_task(self._send_answers(), name="gbt26875-answers")
        finally:
            self._tasks = None
            self._tcp.close()
            for waiting in self._confirmed.values():
                waiting.cancel()
            self._confirmed.clear()

    async def _beat(self) -> None:
        while True:
            bits = self._board.device_bits(self._kit.links())
            unit = unit_of(Kind.DEVICE_STATE, [bytes((bits,)) + stamp(self._now())])
            await self._say(unit)
            self._reconnect.up()
            await self._kit.clock.sleep(self._settings.heartbeat_s)

    async def _send_events(self) -> None:
        while True:
            parcel = await self._events.next(self._settings.heartbeat_s)
            if parcel is not None:
                told = json.loads(parcel.body)
                at = self._local(told["at_ms"])
                await self._say(unit_of(Kind.COMPONENT_STATE, [self._component(told["device"], told["state"], at)]))
                await self._events.done(parcel)

    async def _send_answers(self) -> None:
        while True:
            await self._answer.wait()
            self._answer.clear()
            while self._answered:
                number = self._settings.operators.get(self._answered[0].id, 0)
                operation = bytes((DUTY_ANSWER_BIT, number)) + stamp(self._now())
                await self._say(unit_of(Kind.DEVICE_OPERATION, [operation]))
                self._answered.pop(0)

    def _component(self, device_id: str, state: int, at: datetime) -> bytes:
        device = self._board.devices.get(device_id)
        kind = self._types.get(device.kind, 0) if device is not None else 0
        text = place_text(device) if device is not None else ""
        return component_state(self._settings.system, kind, self._kit.numbers.get(device_id, 0), state, text, at)

    async def _say(self, unit: bytes) -> None:
        """Send data until confirmed. Raises Unreachable when nobody confirms."""
        async with self._turn:
            self._serial = (self._serial + 1) & 0xFFFF
            answer = None
            for _ in range(TRIES):
                answer = await self._say_once(unit)
                if answer == Action.CONFIRM:
                    return
                self._kit.count("denied_frame" if answer == Action.DENY else "no_answer")
            if answer == Action.DENY:
                self._kit.count("refused")
                log.error("the fire monitoring centre denies %s; it is not sent again", unit[:12].hex(" "))
                return
        self._tcp.turn()
        raise Unreachable(f"no confirmation after {TRIES} sendings")

    async def _say_once(self, unit: bytes) -> int | None:
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._confirmed[self._serial] = waiting
        s = self._settings
        frame = Frame(self._serial, Action.SEND, s.source, s.centre, self._now(), unit, s.user_version)
        try:
            await self._tcp.send(frame.encode())
            async with asyncio.timeout(CONFIRM_S):
                return await waiting
        except TimeoutError:
            return None
        finally:
            self._confirmed.pop(self._serial, None)

    # What the centre says

    async def _listen(self) -> None:
        deframer = Deframer()
        while True:
            for found in deframer.feed(await self._tcp.some()):
                if isinstance(found, Broken):
                    self._kit.count("garbled")
                    if found.head is not None and found.head.action not in (Action.CONFIRM, Action.DENY):
                        await self._reply(found.head, Action.DENY)
                elif found.action in (Action.CONFIRM, Action.DENY):
                    waiting = self._confirmed.get(found.serial)
                    if waiting is None or waiting.done():
                        self._kit.count("late_answer")
                    else:
                        waiting.set_result(found.action)
                else:
                    await self._asked(found)

    async def _asked(self, frame: Frame) -> None:
        """A control, or a request; whatever is not known here is denied."""
        self._kit.count("asked")
        match frame.action, frame.kind:
            case Action.CONTROL | Action.SEND, Kind.SET_CLOCK if len(frame.unit) >= 8:
                await self._set_clock(frame)
            case Action.CONTROL | Action.REQUEST | Action.SEND, Kind.DUTY_CHECK if len(frame.unit) == 3:
                await self._reply(frame, Action.CONFIRM)
                assert self._tasks is not None
                self._tasks.create_task(self._duty_check(frame.unit[2]), name="gbt26875-duty-check")
            case Action.REQUEST, Kind.READ_COMPONENT_STATE:
                await self._tell_components(frame)
            case Action.REQUEST, Kind.READ_DEVICE_STATE:
                bits = self._board.device_bits(self._kit.links())
                await self._reply(frame, Action.ANSWER, unit_of(Kind.DEVICE_STATE, [bytes((bits,)) + self._stamp()]))
            case Action.REQUEST, Kind.READ_DEVICE_TIME:
                await self._reply(frame, Action.ANSWER, unit_of(Kind.DEVICE_TIME, [self._stamp()]))
            case _:
                self._kit.count("unknown_request")
                await self._reply(frame, Action.DENY)

    async def _set_clock(self, frame: Frame) -> None:
        """The centre's time tags are used towards the centre from now on; the box keeps its own clock (NTP)."""
        theirs = parse_stamp(frame.unit[2:8])
        if theirs is None:
            await self._reply(frame, Action.DENY)
            return
        ours = self._local(self._kit.clock.wall_ms()).replace(tzinfo=None, microsecond=0)
        if abs(theirs - ours - self._ahead) > SAME_TIME:
            self._kit.count("clock_corrected")
            self._ahead = theirs - ours
        await self._reply(frame, Action.CONFIRM)

    async def _tell_components(self, frame: Frame) -> None:
        try:
            wanted = requested_components(frame.unit)
        except Garbled:
            await self._reply(frame, Action.DENY)
            return
        by_number = {self._kit.numbers.get(device_id, 0): device_id for device_id in self._board.devices}
        known = [by_number[address] for _, _, address in wanted if address in by_number]
        if not known:
            await self._reply(frame, Action.DENY)
            return
        objects = [self._component(device_id, self._board.bits(device_id), self._now()) for device_id in known]
        await self._reply(frame, Action.ANSWER, unit_of(Kind.COMPONENT_STATE, objects))

    async def _reply(self, frame: Frame, action: Action, unit: bytes = b"") -> None:
        await self._tcp.send(frame.reply(action, self._now(), unit).encode())

    # 查岗

    async def _duty_check(self, minutes: int) -> None:
        """Ask the people of the duty room by a test alarm. One that is answered but open is ended first."""
        self._checked_s = self._kit.clock.monotonic() + 60.0 * minutes
        why = f"查岗：请在 {minutes} 分钟内确认。Duty check: acknowledge within {minutes} min."
        try:
            outcome = await self._kit.command(self._wish(CommandKind.TEST, self._kit.gateway, why))
            if outcome.code == "already":
                for alarm in self._kit.alarms():
                    if alarm.last.alarm_class is AlarmClass.TEST and alarm.last.kind is EventKind.ACKNOWLEDGED:
                        await self._kit.command(self._wish(CommandKind.RESET, alarm.alarm_id, why))
                        await self._kit.command(self._wish(CommandKind.TEST, self._kit.gateway, why))
        except NotDurable:
            self._kit.count("duty_check_not_durable")

    def _wish(self, kind: CommandKind, alarm_id: str, why: str) -> Command:
        return Command(f"gbt26875-{uuid.uuid4().hex}", kind, alarm_id, CENTRE, self._kit.clock.wall_ms(), reason=why)

    def _duty_answered(self, event: AlarmEvent) -> None:
        if self._checked_s is None or event.by is None or event.by == CENTRE:
            return
        if self._kit.clock.monotonic() > self._checked_s:
            # Too late is not an answer, and saying otherwise would be a lie.
            self._kit.count("duty_check_late")
        else:
            self._answered.append(event.by)
            self._answer.set()
        self._checked_s = None

    # Time

    def _now(self) -> datetime:
        return self._local(self._kit.clock.wall_ms()).replace(tzinfo=None) + self._ahead

    def _stamp(self) -> bytes:
        return stamp(self._now())

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._zone)


async def create(settings: FireCentreSettings, kit: UplinkKit) -> FireCentreLink:
    """The link with its queue ``gbt26875.db``."""
    types = {**COMPONENT_TYPES, **settings.types}
    board = Board([device for device in kit.devices if device.kind in types], kit.alarms())
    return FireCentreLink(settings, kit, board, EventQueue(await kit.queue("gbt26875"), board.take, kit.count))


async def make(options: Mapping[str, Any], kit: UplinkKit) -> FireCentreLink:
    """From the building file."""
    names = ("addresses", "source", "centre", "user_version", "system", "heartbeat_s", "types", "operators")
    settings = FireCentreSettings(**{name: options[name] for name in names}, tls=tls_of(options, kit.clock))
    return await create(settings, kit)
