"""The gateway's link to the duty room: events until receipted, commands, heartbeats both ways.

The truth stays in the journal. This link holds a bounded window of what the duty room has not receipted, asks the
journal for the rest, and may be thrown away and rebuilt at any moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from cloud_bridge.duty_inbox import DutyInbox, InboxCalls
from cloud_bridge.messages import (
    DutyMessage,
    EventMessage,
    HeartbeatMessage,
    Message,
    SiteMessage,
    StatusMessage,
    topic,
)
from cloud_bridge.resend import Echo, Publication, Window
from cloud_bridge.settings import BrokerLike
from edge import limits
from edge.errors import Denied, LinkError, NotDurable
from edge.model import AlarmEvent, Clock, rfc3339
from edge.mqtt import MqttSession, Will
from edge.ports import Clockwork, CommandFn

log = logging.getLogger(__name__)

SITE_S = 5.0
"""The building's counts are looked at this often."""
POLL_S = 1.0
"""Longest wait of the sender, so that a gap that ends is never missed by more."""
FAREWELL_S = 1.0
"""A clean end says ``online: false``, but does not wait longer for it."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a heartbeat tells. head: highest committed event seq. outbox: events without a receipt.

    links: link id → up, down or unknown.
    """

    head: int
    clock: Clock
    links: Mapping[str, str]
    open: int
    outbox: int
    durable: bool


@dataclass(frozen=True, slots=True)
class DutyRoomCalls:
    """The gateway as this link sees it.

    pending(after_seq, limit): unreceipted events of the journal, oldest first. receipted: commits receipts.
    on_duty: a duty message that proves the duty room hears us right now. count: one cause, e.g. ``malformed``.
    """

    pending: Callable[[int, int], Awaitable[Sequence[AlarmEvent]]]
    command: CommandFn
    receipted: Callable[[Sequence[str]], Awaitable[None]]
    vitals: Callable[[], Vitals]
    site: Callable[[], SiteMessage]
    on_duty: Callable[[DutyMessage], None]
    count: Callable[[str], None]


class DutyRoomLink:
    """Runs until cancelled; reconnects by itself with a growing wait. Event loop thread only."""

    def __init__(
        self,
        gateway_id: str,
        broker: BrokerLike,
        clock: Clockwork,
        boot_id: str,
        *,
        pending: Callable[[int, int], Awaitable[Sequence[AlarmEvent]]],
        command: CommandFn,
        receipted: Callable[[Sequence[str]], Awaitable[None]],
        vitals: Callable[[], Vitals],
        site: Callable[[], SiteMessage],
        on_duty: Callable[[DutyMessage], None],
        count: Callable[[str], None],
    ) -> None:
        self._id, self._broker, self._clock, self._boot_id = gateway_id, broker, clock, boot_id
        self._calls = DutyRoomCalls(pending, command, receipted, vitals, site, on_duty, count)
        self._window = Window()
        self._echo = Echo(boot_id)
        self._behind = True
        self._wake = asyncio.Event()
        self._beats = 0
        self._fresh_after = 0
        self._said_down = False
        self._had_session = False
        self.connected = False

    @property
    def echoed_s(self) -> float:
        """Monotonic instant when an echo last moved, which proves that the duty room heard us."""
        return self._echo.moved_s

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events, in seq order. Never waits; what does not fit is read from the journal later."""
        now_s = self._clock.monotonic()
        for event in events:
            if self._behind or not self.connected or not self._window.admit(event, now_s, replay=False):
                self._behind = True
        self._wake.set()

    async def run(self) -> None:
        """Connect, serve, reconnect; for ever."""
        wait_s = limits.LINK_BACKOFF_S_MIN
        while True:
            was_connected = False
            try:
                await self._once()
            except* LinkError as fault:
                was_connected = self.connected
                self._lost(fault)
            self.connected = False
            wait_s = limits.LINK_BACKOFF_S_MIN if was_connected else min(2 * wait_s, limits.LINK_BACKOFF_S_MAX)
            await self._clock.sleep(wait_s)

    def _lost(self, fault: BaseExceptionGroup[LinkError]) -> None:
        """Count every loss; log it once, not at every attempt."""
        first = fault.exceptions[0]
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        self._calls.count("denied" if isinstance(first, Denied) else "unreachable")
        level = logging.DEBUG if self._said_down else logging.WARNING
        self._said_down = True
        log.log(level, "duty room link of %s is down: %s (it is tried again by itself)", self._id, first)

    async def _once(self) -> None:
        """One connection from its opening to its loss. Raises LinkError, alone or in a group."""
        session = self._session()
        try:
            await session.open()
            self._had_session = True
            if session.session_lost:
                # Receipts and commands that waited in the broker are gone; both are sent again by rule.
                self._calls.count("session_lost")
            for _ in session.denied:
                self._calls.count("denied_subscription")
            await self._serve(session)
        finally:
            if self.connected:
                with suppress(LinkError, TimeoutError):
                    async with asyncio.timeout(FAREWELL_S):
                        await self._say(session, "status", self._status(False), retain=True)
            await session.close()

    def _session(self) -> MqttSession:
        subscriptions = [(topic(self._id, name), qos) for name, qos in (("receipt", 1), ("command", 1), ("duty", 0))]
        return MqttSession(
            tuple(self._broker.urls),
            client_id=f"linli-{self._id}",
            username=self._broker.username,
            password=self._broker.password,
            subscriptions=subscriptions,
            will=Will(topic(self._id, "status"), self._status(False).encode()),
            count=self._calls.count,
            ca=self._broker.ca,
            cert=self._broker.cert,
            key=self._broker.key,
            session_expected=self._had_session,
        )

    async def _serve(self, session: MqttSession) -> None:
        await self._say(session, "status", self._status(True), retain=True)
        # Whatever was committed before now waited for this connection, or was published on an earlier one.
        self._fresh_after = self._calls.vitals().head
        self._window.reconnected(self._clock.monotonic())
        self._behind = self.connected = True
        self._said_down = False
        log.info("duty room link of %s is up", self._id)
        calls = InboxCalls(self._calls.command, self._receipted, self._heed, self._calls.count)
        async with asyncio.TaskGroup() as tasks:
            inbox = DutyInbox(self._id, session, self._clock, calls, tasks)
            tasks.create_task(inbox.receive(), name="duty-receive")
            tasks.create_task(inbox.commit_receipts(), name="duty-receipts")
            tasks.create_task(self._send(session, tasks), name="duty-send")
            tasks.create_task(self._beat(session), name="duty-heartbeat")
            tasks.create_task(self._show_site(session), name="duty-site")

    # To the duty room

    async def _send(self, session: MqttSession, tasks: asyncio.TaskGroup) -> None:
        """Publish what is due, in order, several at once; the session's own window keeps the order."""
        while True:
            await self._refill()
            now_s = self._clock.monotonic()
            for publication in self._window.take_due(now_s):
                tasks.create_task(self._publish(session, publication))
            due_s = self._window.next_due_s()
            await self._idle(POLL_S if due_s is None else min(POLL_S, max(0.0, due_s - now_s)))

    async def _refill(self) -> None:
        """Take from the journal what was not offered or did not fit."""
        while self._behind and (room := self._window.room) > 0:
            self._behind = False  # An offer during the read below sets it again.
            try:
                events = await self._calls.pending(self._window.cursor, room)
            except NotDurable:
                self._behind = True
                self._calls.count("journal_unreadable")
                return
            now_s = self._clock.monotonic()
            for event in events:
                self._window.admit(event, now_s, replay=event.seq <= self._fresh_after)
            self._behind = self._behind or len(events) >= room

    async def _publish(self, session: MqttSession, publication: Publication) -> None:
        event, replay = publication
        await self._say(session, "event", EventMessage.of(event, replay))
        self._window.landed(event.event_id, self._clock.monotonic())
        self._wake.set()

    async def _idle(self, seconds: float) -> None:
        """Wait until somebody wakes the sender, or that long."""
        waits = {asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(seconds))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._wake.clear()

    async def _beat(self, session: MqttSession) -> None:
        while True:
            self._beats += 1
            vitals = self._calls.vitals()
            body = {"boot_id": self._boot_id, "seq": self._beats, **asdict(vitals)}
            beat = HeartbeatMessage.model_validate(body)
            await self._say(session, "heartbeat", beat, qos=0)
            await self._clock.sleep(limits.HEARTBEAT_S)

    async def _show_site(self, session: MqttSession) -> None:
        shown: SiteMessage | None = None
        while True:
            site = self._calls.site()
            if site != shown:
                await self._say(session, "site", site, retain=True)
                shown = site
            await self._clock.sleep(SITE_S)

    def _status(self, online: bool) -> StatusMessage:
        return StatusMessage(online=online, boot_id=self._boot_id, at=self._now())

    def _now(self) -> str:
        return rfc3339(self._clock.wall_ms()) or ""

    async def _say(self, session: MqttSession, name: str, message: Message, qos: int = 1, retain: bool = False) -> None:
        try:
            await session.publish(topic(self._id, name), message.encode(), qos, retain)
        except Denied:
            # One missing right at the broker must not cost the other topics; events go on being sent after their
            # gaps, and without receipts the gateway's own ladder tells people.
            self._calls.count(f"denied_{name}")

    def _heed(self, duty: DutyMessage) -> None:
        """Only a message that proves the duty room hears us counts as hearing it."""
        heard = duty.heard
        if heard is not None and self._echo.moving(heard.boot_id, heard.seq, self._clock.monotonic()):
            self._calls.on_duty(duty)
        else:
            self._calls.count("no_echo")

    async def _receipted(self, event_ids: Sequence[str]) -> None:
        await self._calls.receipted(event_ids)
        self._window.receipted(event_ids)
        self._wake.set()
