"""MQTT devices: takes what they publish, acknowledges it after our commit, publishes what is to be set."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from device_drivers.lines import TAP
from device_drivers.mqtt import decode
from device_drivers.mqtt.decode import Absent, Unreadable
from device_drivers.mqtt.topics import Topic, topic_of, topics_of
from edge.errors import Denied, Unreachable
from edge.limits import BATCH_READINGS_MAX
from edge.model import (
    BadCause,
    Batch,
    Delivered,
    Device,
    Outcome,
    Point,
    PointKey,
    PollItem,
    Quality,
    Reading,
    ReadRequest,
    Refused,
    TryLater,
    Value,
    Write,
)
from edge.mqtt import MqttSession, Received
from edge.ports import Driver, Kit, LinkSettings

LOST_FRAMES_MAX = 100
"""Most that one gap counts: a counter that jumps by thousands was set anew."""


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one broker. No I/O. Raises ValueError."""
    return MqttDriver(settings, devices, kit)


class _Intake:
    """One session with the broker, and its messages in the order in which they must be acknowledged."""

    def __init__(self, settings: LinkSettings, prefix: str, devices: Sequence[Device], kit: Kit) -> None:
        options = settings.options
        username = options.get(f"{prefix}username")
        client_id = str(username or f"linli-{settings.id}{'-' + prefix.strip('_') if prefix else ''}")
        self.topics = topics_of(devices)
        self._marker = Path(kit.data_dir) / f"mqtt-{settings.id}-{prefix or 'alarm_'}session" if kit.data_dir else None
        self.session = MqttSession(
            options.get("urls") or [options["url"]],
            client_id=client_id,
            username=None if username is None else str(username),
            # Handed on as it is: a secret prints as stars, and str() of it would be the stars.
            password=options.get(f"{prefix}password"),
            subscriptions=[(topic, 1) for topic in self.topics],
            count=kit.count,
            ca=options.get("ca"),
            cert=options.get("cert"),
            key=options.get("key"),
            session_expected=self._marker is not None and self._marker.exists(),
        )
        self.receiving: asyncio.Task[list[Received]] | None = None
        self._count = kit.count
        self._order: deque[tuple[Received, list[bool]]] = deque()

    async def open(self) -> None:
        """Connect and subscribe. Raises Unreachable, Denied."""
        self._order.clear()
        await self.session.open()
        if self.session.session_lost:
            self._count("session_lost")
        if self._marker is not None:
            try:
                self._marker.touch()
            except OSError:
                # Without the mark a session lost while we are away goes unnoticed; nothing else depends on it.
                self._count("session_mark_not_kept")

    def expect(self, received: Received) -> Callable[[], None]:
        """Note that a message arrived; what is returned says that it is done with. PUBACKs go in order of arrival."""
        done = [False]
        self._order.append((received, done))

        def settle() -> None:
            done[0] = True
            while self._order and self._order[0][1][0]:
                self.session.ack(self._order.popleft()[0])

        return settle

    async def close(self) -> None:
        """Safe always."""
        await self.session.close()
        if self.receiving is not None:
            receiving, self.receiving = self.receiving, None
            receiving.cancel()
            # Its end, whatever it is, belongs to the connection that is closed.
            await asyncio.gather(receiving, return_exceptions=True)


class MqttDriver:
    """One broker with its devices, over one session or two (alarms apart from the rest)."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._link, self._kit = settings.id, kit
        self._devices = {device.id: device for device in devices}
        if settings.options.get("readings_username"):
            alarm = [device for device in devices if device.life_safety]
            rest = [device for device in devices if not device.life_safety]
            self._intakes = [_Intake(settings, "", alarm, kit), _Intake(settings, "readings_", rest, kit)]
        else:
            self._intakes = [_Intake(settings, "", devices, kit)]
        self._waiting: deque[tuple[Reading | None, Callable[[], None] | None]] = deque()
        self._counters: dict[str, int] = {}
        self._tap = TAP.get()

    @property
    def plan(self) -> Sequence[PollItem]:
        """Empty: devices speak when they have something to say."""
        return ()

    @property
    def session_lost(self) -> bool:
        """The broker forgot a session: what it held for us is gone."""
        return any(intake.session.session_lost for intake in self._intakes)

    async def open(self) -> None:
        """Connect and subscribe. Raises Unreachable, Denied. Devices we may not hear get bad readings."""
        self._waiting.clear()
        try:
            for intake in self._intakes:
                await intake.open()
        except BaseException:
            await self.close()
            raise
        for intake in self._intakes:
            for topic in intake.session.denied:
                self._kit.count("subscription_denied")
                for device, point in intake.topics[topic].points:
                    self._waiting.append((self._reading(device, point, BadCause.NOT_HEARD), None))

    async def read(self, request: ReadRequest | None) -> Batch:
        """Wait for messages, then all that are there. Raises Unreachable when a session is lost."""
        while not any(reading is not None for reading, _ in self._waiting):
            self._settle_leading()
            await self._receive()
        readings: list[Reading] = []
        settles: list[Callable[[], None]] = []
        while self._waiting and len(readings) < BATCH_READINGS_MAX:
            reading, settle = self._waiting.popleft()
            if reading is not None:
                readings.append(reading)
            if settle is not None:
                settles.append(settle)

        def ack() -> None:
            for settle in settles:
                settle()

        return Batch(self._link, tuple(readings), ack)

    async def write(self, write: Write) -> Outcome:
        """Publish at the device's topic for setting; PUBACK means that the broker has it, not the device."""
        device = self._devices.get(write.key.device)
        how = None if device is None else device.wire.get("points", {}).get(write.key.point, {}).get("write")
        if device is None or not how:
            return Refused(f"{write.key} cannot be set")
        if how.get("off", False) is None and write.value is not True:
            return Refused(f"{write.key} is never set to {write.value} by the gateway")
        word = how.get("true_as" if write.value is True else "false_as") if isinstance(write.value, bool) else None
        payload = str(how["payload"]).replace("{value}", json.dumps(write.value) if word is None else str(word))
        try:
            await self._intakes[0].session.publish(topic_of(device.address, str(how["topic"])), payload.encode())
        except Unreachable as fault:
            return TryLater(str(fault))
        except Denied as fault:
            return Refused(str(fault))
        return Delivered("the broker has it")

    async def close(self) -> None:
        """Safe always; a reader that waits gets Unreachable."""
        for intake in self._intakes:
            await intake.close()

    async def _receive(self) -> None:
        """Wait until a session has messages. What one session has is never lost because the other fails."""
        for intake in self._intakes:
            if intake.receiving is None:
                intake.receiving = asyncio.ensure_future(intake.session.receive(BATCH_READINGS_MAX))
        tasks = [intake.receiving for intake in self._intakes if intake.receiving is not None]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        fault: BaseException | None = None
        for intake in self._intakes:
            task = intake.receiving
            if task is None or not task.done():
                continue
            intake.receiving = None
            ended = Unreachable("closed") if task.cancelled() else task.exception()
            fault = fault or ended
            for received in task.result() if ended is None else ():
                self._take(intake, received)
        if fault is not None and not self._waiting:
            raise fault

    def _settle_leading(self) -> None:
        """Messages that hold no reading need no commit."""
        while self._waiting and self._waiting[0][0] is None:
            _, settle = self._waiting.popleft()
            if settle is not None:
                settle()

    def feed(self, received: Received) -> tuple[Reading, ...]:
        """What one message means, whoever brought it: the broker, or a recording."""
        topic = next((found for each in self._intakes if (found := each.topics.get(received.topic)) is not None), None)
        if topic is None:
            self._kit.count("unknown_topic")
            return ()
        return (*self._offline(topic, received), *self._values(topic, received))

    def _take(self, intake: _Intake, received: Received) -> None:
        """Put a message's readings in the queue; the last carries the message's acknowledgement."""
        settle = intake.expect(received)
        if self._tap is not None:
            self._tap("in", line_of(received))
        readings = self.feed(received)
        self._waiting.extend((reading, None) for reading in readings[:-1])
        self._waiting.append((readings[-1] if readings else None, settle))

    def _offline(self, topic: Topic, received: Received) -> Iterator[Reading]:
        for device in topic.available:
            how = device.wire["availability"]
            online = decode.says_online(received.payload, str(how.get("path", "")), how.get("online", "online"))
            if online is None:
                self._kit.count("bad_availability")
            elif not online:
                for point in device.points:
                    if point.read and not point.momentary:
                        yield self._reading(device, point, BadCause.OFFLINE, late=_late(received))

    def _values(self, topic: Topic, received: Received) -> Iterator[Reading]:
        """A reading for each point the message speaks of."""
        if not topic.points:
            return
        try:
            plain = decode.text_of(received.payload)
            body = decode.body_of(received.payload) if any(p.read.get("path") for _, p in topic.points) else plain
            bodies = {device.id: self._unpacked(body, device) for device in {d.id: d for d, _ in topic.points}.values()}
        except Unreadable:
            self._kit.count(BadCause.GARBLED.value)
            for device, point in topic.points:
                if not point.momentary:
                    yield self._reading(device, point, BadCause.GARBLED, late=_late(received))
            return
        heard = False
        for device, point in topic.points:
            path = str(point.read.get("path", ""))
            mine = bodies[device.id]
            value = decode.value_of(point, decode.at(mine, path) if path else plain, device.address.rpartition("/")[2])
            if isinstance(value, Absent):
                continue
            heard = True
            if point.momentary and received.retain:
                self._kit.count("retained_action")
                continue
            if isinstance(value, BadCause):
                self._kit.count(value.value)
            observed_ms = decode.observed_of(mine, device.wire)
            sequence = decode.sequence_of(mine, device.wire, observed_ms)
            yield self._reading(device, point, value, observed_ms, sequence, _late(received))
        if not heard:
            self._kit.count("nothing_for_us")

    def _unpacked(self, body: Any, device: Device) -> Any:
        """The body with what its bytes hold. Counts what the device sent and we never got. Raises Unreadable."""
        mine, whole = decode.unpacked(body, device.wire.get("decode"))
        if not whole:
            self._kit.count("unknown_channel")
        counter = decode.counter_of(mine, device.wire)
        if counter is not None:
            before = self._counters.get(device.id)
            self._counters[device.id] = counter
            # A counter that falls was set back (a join), the same again is a redelivery: neither is a loss.
            for _ in range(min(counter - before - 1, LOST_FRAMES_MAX) if before is not None else 0):
                self._kit.count("lost_frame")
        return mine

    def _reading(
        self,
        device: Device,
        point: Point,
        value: Value | BadCause,
        observed_ms: int | None = None,
        sequence: str | None = None,
        late: bool = False,
    ) -> Reading:
        bad = value if isinstance(value, BadCause) else None
        return Reading(
            PointKey(device.id, point.key),
            None if isinstance(value, BadCause) else value,
            Quality.GOOD if bad is None else Quality.BAD,
            bad,
            self._kit.clock.wall_ms(),
            self._kit.clock.monotonic(),
            observed_ms,
            sequence,
            point.momentary,
            late,
        )


def line_of(received: Received) -> bytes:
    """A message as a line of a recording."""
    marks = {"qos": received.qos, "retain": received.retain, "dup": received.dup, "queued": received.queued}
    return json.dumps({"topic": received.topic, "payload": received.payload.hex(), **marks}).encode()


def message_of(line: bytes) -> Received:
    """A line of a recording as the message. Raises ValueError."""
    try:
        said = json.loads(line)
        marks = (int(said["qos"]), bool(said["retain"]), bool(said["dup"]), bool(said["queued"]))
        return Received(str(said["topic"]), bytes.fromhex(said["payload"]), *marks, 0, 0)
    except (KeyError, TypeError) as fault:
        raise ValueError(f"no recorded message: {fault}") from fault


def _late(received: Received) -> bool:
    """Not live: from the retained store, a redelivery, or out of the queue that grew while we were away."""
    return received.retain or received.dup or received.queued
