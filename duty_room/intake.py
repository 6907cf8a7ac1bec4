"""MQTT in and out: message → commit → receipt published → acknowledged to the broker. Never another order.

One session for all gateways. What cannot be read is buried in ``dead_letters``, counted and acknowledged; what cannot
be committed is not acknowledged, and comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import structlog
from pydantic import ValidationError

from cloud_bridge.messages import (
    ROOT,
    CommandMessage,
    EventMessage,
    HeartbeatMessage,
    Message,
    OutcomeMessage,
    PersonBody,
    ReceiptMessage,
    SiteMessage,
    StatusMessage,
    topic,
)
from duty_room.desk import Desk, Heard
from duty_room.limits import COMMAND_GAPS_S
from duty_room.metrics import Metrics
from duty_room.registry import Registry
from duty_room.store import rows
from duty_room.store.rows import Waiting
from duty_room.watch import Watch
from edge.errors import Denied, LinkError, NotDurable, Unreachable
from edge.limits import LINK_BACKOFF_S_MAX, LINK_BACKOFF_S_MIN, PAYLOAD_BYTES_MAX
from edge.model import AlarmEvent, CommandOutcome, parse_rfc3339, rfc3339
from edge.mqtt import Received
from edge.ports import Clockwork

log = structlog.get_logger("duty_room.intake")
M = TypeVar("M", bound=Message)
KINDS = ("event", "outcome", "status", "site")
SUBSCRIPTIONS = [*((f"{ROOT}/+/{kind}", 1) for kind in KINDS), (f"{ROOT}/+/heartbeat", 0)]


class Session(Protocol):
    """What is used of ``edge.mqtt.MqttSession``."""

    async def open(self) -> bool: ...
    async def receive(self, limit: int = 256) -> list[Received]: ...
    def ack(self, received: Received) -> None: ...
    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None: ...
    async def close(self) -> None: ...


def to_event(message: EventMessage) -> AlarmEvent:
    """The noun behind the wire form."""
    return AlarmEvent(
        event_id=message.event_id,
        alarm_id=message.alarm_id,
        kind=message.kind,
        alarm_class=message.alarm_class,
        priority=message.priority,
        state=message.state,
        condition=message.condition,
        device=message.device,
        point=message.point,
        place=message.place.place(),
        value=message.value,
        unit=message.unit,
        observed_ms=parse_rfc3339(message.observed_at) if message.observed_at else None,
        received_ms=parse_rfc3339(message.received_at),
        clock=message.clock,
        by=message.by.person() if message.by else None,
        reason=message.reason,
        late=message.late,
        test=message.test,
        seq=message.seq,
    )


class Intake:
    """The connection to the duty broker, for ever: opened again with back-off, never the reason to stop the house."""

    def __init__(
        self,
        session: Session,
        desk: Desk,
        watch: Watch,
        registry: Registry,
        metrics: Metrics,
        clock: Clockwork,
        duty_room: str,
    ) -> None:
        self._session = session
        self._desk = desk
        self._watch = watch
        self._registry = registry
        self._metrics = metrics
        self._clock = clock
        self._duty_room = duty_room
        self.connected = False
        self.fault = "not yet connected"
        self._sent: dict[str, tuple[int, float]] = {}
        self.on_connected: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Until cancelled."""
        wait_s = LINK_BACKOFF_S_MIN
        try:
            while True:
                try:
                    await self._session.open()
                    self._up(True, "")
                    wait_s = LINK_BACKOFF_S_MIN
                    while True:
                        await self._take(await self._session.receive(256))
                except LinkError as fault:
                    self._up(False, str(fault))
                except NotDurable as fault:
                    # Nothing was acknowledged: closing the connection makes the broker send it again.
                    self._up(False, str(fault))
                    await self._session.close()
                await self._clock.sleep(wait_s)
                wait_s = min(wait_s * 2, LINK_BACKOFF_S_MAX)
        finally:
            await self._session.close()

    def _up(self, up: bool, why: str) -> None:
        if up != self.connected or why != self.fault:
            log.info("broker connected") if up else log.warning("broker away", why=why)
        self.connected, self.fault = up, why
        self._metrics.broker_up.labels("duty").set(1 if up else 0)
        self._sent.clear()
        if up:
            self.on_connected()

    # ------------------------------------------------------------------ in
    async def _take(self, batch: Sequence[Received]) -> None:
        """All of a batch: commit first, then the receipts, then the acknowledgements, in order."""
        heard: list[Heard] = []
        others: list[Received] = []
        for received in batch:
            event = self._event(received)
            if event is not None:
                heard.append(event)
            elif not await self._other(received):
                others.append(received)
        for received in others:
            await self._bury(received)
        if heard:
            faults = await self._desk.events(heard)
            good = [one for one, fault in zip(heard, faults, strict=True) if fault is None]
            for one, fault in zip(heard, faults, strict=True):
                if fault is not None:
                    # No receipt: the gateway sends it again, and its own ladder tells people meanwhile.
                    which = {"gateway": one.gateway, "event_id": one.event.event_id}
                    log.error("event cannot be folded", why=repr(fault), **which)
                    self._metrics.reject("not_folded")
            await self._receipts(good)
        for received in batch:
            self._session.ack(received)

    async def _receipts(self, heard: Sequence[Heard]) -> None:
        at = str(rfc3339(self._clock.wall_ms()))
        for one in heard:
            self._metrics.took(one.gateway, one.event)
        receipts = (
            self._session.publish(
                topic(one.gateway, "receipt"),
                ReceiptMessage(event_id=one.event.event_id, duty_room=self._duty_room, at=at).encode(),
            )
            for one in heard
        )
        await asyncio.gather(*receipts)

    def _event(self, received: Received) -> Heard | None:
        gateway, kind = self._split(received)
        if kind != "event" or gateway not in self._watch.gateways:
            return None
        message = self._parse(EventMessage, received)
        if message is None:
            return None
        return Heard(gateway, to_event(message))

    @staticmethod
    def _split(received: Received) -> tuple[str, str]:
        """Gateway and kind; MQTT's own filters make sure of the shape."""
        parts = received.topic.split("/")
        return (parts[2], parts[3]) if len(parts) == 4 else ("", "")

    @staticmethod
    def _parse(model: type[M], received: Received) -> M | None:
        if len(received.payload) > PAYLOAD_BYTES_MAX:
            return None
        try:
            return model.model_validate_json(received.payload)
        except (ValidationError, RecursionError):
            return None

    async def _other(self, received: Received) -> bool:
        """Everything but events. False: it could not be used."""
        gateway, kind = self._split(received)
        if gateway not in self._watch.gateways:
            return False
        if kind == "heartbeat" and (beat := self._parse(HeartbeatMessage, received)) is not None:
            self._watch.beat(gateway, beat)
        elif kind == "status" and (status := self._parse(StatusMessage, received)) is not None:
            self._watch.gateways[gateway].online = status.online
        elif kind == "site" and (site := self._parse(SiteMessage, received)) is not None:
            await self._site(gateway, site)
        elif kind == "outcome" and (outcome := self._parse(OutcomeMessage, received)) is not None:
            return await self._outcome(gateway, outcome)
        else:
            return False
        return True

    async def _site(self, gateway: str, site: SiteMessage) -> None:
        if self._registry.sites.get(gateway) != site:
            await self._desk.store.write(lambda tx: self._registry.save(tx, gateway, site))
            self._registry.sites[gateway] = site

    async def _outcome(self, gateway: str, message: OutcomeMessage) -> bool:
        at_ms = parse_rfc3339(message.at)
        outcome = CommandOutcome(message.command_id, message.result, message.code, message.message, at_ms)
        return await self._desk.outcome(gateway, outcome)

    async def _bury(self, received: Received) -> None:
        gateway, kind = self._split(received)
        if gateway not in self._watch.gateways:
            cause = "unknown_gateway"
        elif len(received.payload) > PAYLOAD_BYTES_MAX:
            cause = "too_large"
        elif kind == "outcome" and self._parse(OutcomeMessage, received) is not None:
            cause = "unknown_command"
        else:
            cause = "garbled"
        self._metrics.reject(cause)
        await self._desk.store.write(lambda tx: rows.bury(tx, received.topic, cause, received.payload))

    # ------------------------------------------------------------------ out
    async def say_duty(self) -> None:
        """The ``duty`` message to every gateway. Without a broker nothing is said: that silence is itself a message."""
        for gateway in self._watch.gateways:
            await self._publish(topic(gateway, "duty"), self._watch.duty(gateway).encode(), qos=0)

    async def send_commands(self) -> None:
        """Publish every command without an outcome whose gap has passed; the id stays, so it has one effect."""
        if not self.connected:
            return
        now_s, now_ms = self._clock.monotonic(), self._clock.wall_ms()
        waiting = await self._desk.store.read(rows.waiting)
        for command in waiting:
            times, next_s = self._sent.get(command.command_id, (0, 0.0))
            if now_s < next_s or now_ms >= command.expires_ms:
                continue
            gap_s = COMMAND_GAPS_S[min(times, len(COMMAND_GAPS_S) - 1)]
            self._sent[command.command_id] = (times + 1, now_s + gap_s)
            await self._publish(topic(command.gateway, "command"), command_message(command).encode(), qos=1)
        ids = {command.command_id for command in waiting}
        self._sent = {cid: sent for cid, sent in self._sent.items() if cid in ids}

    async def _publish(self, name: str, payload: bytes, qos: int) -> None:
        try:
            await self._session.publish(name, payload, qos)
        except Unreachable:
            self._metrics.reject("not_published")
        except Denied as fault:
            self._metrics.reject("publish_denied")
            log.error("the broker refuses our message", topic=name, why=str(fault))


def command_message(command: Waiting) -> CommandMessage:
    """The wire form of a command."""
    order = command.order
    by = PersonBody(id=order.by.id, name=order.by.name, via=order.by.via) if order.by else None
    return CommandMessage(
        command_id=command.command_id,
        kind=order.kind,
        alarm_id=order.alarm_id,
        by=by,
        at=str(rfc3339(command.at_ms)),
        expires_at=rfc3339(command.expires_ms),
        reason=order.reason,
        until=rfc3339(order.until_ms),
        seen=order.seen,
    )
