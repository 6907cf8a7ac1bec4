"""All simulated sensors of one MQTT link behind one client, as a Zigbee bridge or a vendor's hub has it."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiomqtt

from edge.model import Device, PointKey, Value
from simulators.building import LINK, Fact, GroundTruth, Health
from simulators.devices.mqtt_sensor import Message, MqttSensor

RECONNECT_S = 1.0
FAREWELL_S = 1.0
"""How long leaving a broker may take."""
WAITING_MAX = 5_000
"""Publications kept while the broker is away; the oldest are lost first, as in a real hub."""
MQTT_PORT, MQTTS_PORT = 1883, 8883


class Account(NamedTuple):
    """As whom the sensors sign in."""

    username: str | None
    password: str | None


class Broker(NamedTuple):
    """Where the sensors publish, and as whom. ca: file of the certificate authority for mqtts."""

    url: str
    account: Account
    ca: str | None = None


def told(payload: str, write: Mapping[str, Any], now: Value) -> Value | None:
    """The value a write's payload means; None when it means nothing. Understands words, numbers and toggling."""
    template = write.get("payload")
    for value, own in ((True, write.get("true_as")), (False, write.get("false_as"))):
        if own is not None and payload == str(template).replace("{value}", str(own)):
            return value
    if isinstance(template, str):
        for value, words in ((True, ("true", "ON", "on", "1")), (False, ("false", "OFF", "off", "0"))):
            for word in words:
                if payload in (template.replace("{value}", word), template.replace("{{value}}", word)):
                    return value
    for word, value in (("on", True), ("true", True), ("off", False), ("false", False), ("toggle", not now)):
        if payload.lower() == word:
            return value
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    if isinstance(body, dict) and len(body) == 1:
        return told(str(next(iter(body.values()))), {}, now)
    return body if isinstance(body, (bool, int, float)) else None


class MqttFleet:
    """Keeps one connection, publishes what the sensors say, and repeats their states with one timer for all."""

    def __init__(self, link: str, broker: Broker, devices: Sequence[Device], truth: GroundTruth, seed: int) -> None:
        parts = urlsplit(broker.url)
        self.host, self.port = (
            parts.hostname or "127.0.0.1",
            parts.port or (MQTTS_PORT if parts.scheme == "mqtts" else MQTT_PORT),
        )
        self.connected = False
        self.sent = 0
        self._link = link
        self._account = broker.account
        self._tls = aiomqtt.TLSParameters(ca_certs=broker.ca) if parts.scheme == "mqtts" else None
        self._truth = truth
        self._random = Random(seed)
        self._sensors = {d.id: MqttSensor(d, truth, seed) for d in devices}
        self._commands: dict[str, list[tuple[PointKey, Mapping[str, Any]]]] = {}
        for sensor in self._sensors.values():
            for topic, points in sensor.command_topics().items():
                self._commands.setdefault(topic, []).extend(points)
        self._bridges = sorted({s.bridge_topic for s in self._sensors.values() if s.bridge_topic})
        self._waiting: deque[Message] = deque(maxlen=WAITING_MAX)
        self._wake = asyncio.Event()
        self._reports: list[tuple[float, str]] = []
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        truth.watch(self._happened)

    @property
    def where(self) -> str:
        """What a person connects to."""
        return f"{self.host}:{self.port} ({len(self._sensors)} sensors)"

    async def open(self) -> None:
        """Start to keep a connection; comes back by itself when the broker does."""
        if self._task is None:
            self._leaving.clear()
            self._task = asyncio.create_task(self._keep_connected(), name=f"sensors of {self._link}")

    async def close(self) -> None:
        """Say that the bridge is offline, and go. Safe twice."""
        if self._task is not None:
            self._leaving.set()
            self._wake.set()
            # The library takes a cancellation badly, so it is the last resort: for a broker that does not answer.
            _, hanging = await asyncio.wait((self._task,), timeout=FAREWELL_S)
            if hanging:
                self._task.cancel()
                await asyncio.wait((self._task,), timeout=FAREWELL_S)
            self._task = None
        self.connected = False

    def _happened(self, fact: Fact) -> None:
        if fact.device in self._sensors and fact.point != LINK:
            self._waiting.extend(self._sensors[fact.device].on_fact(fact))
            self._wake.set()

    async def _keep_connected(self) -> None:
        while not self._leaving.is_set():
            try:
                await self._session()
            except* (aiomqtt.MqttError, OSError):
                self.connected = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT_S):
                    await self._leaving.wait()

    async def _session(self) -> None:
        will = aiomqtt.Will(self._bridges[0], b'{"state":"offline"}', 1, True) if self._bridges else None
        client = aiomqtt.Client(
            self.host,
            self.port,
            username=self._account.username,
            password=self._account.password,
            identifier=f"devices-{self._link}",
            protocol=aiomqtt.ProtocolVersion.V311,
            will=will,
            tls_params=self._tls,
        )
        async with client, asyncio.TaskGroup() as tasks:
            self.connected = True
            listening = tasks.create_task(self._listen(client), name=f"commands of {self._link}")
            try:
                await self._announce(client)
                await self._speak(client)
            finally:
                self.connected = False
                listening.cancel()
                with contextlib.suppress(aiomqtt.MqttError):
                    for topic in self._bridges:
                        await client.publish(topic, b'{"state":"offline"}', 1, True, timeout=1)

    async def _announce(self, client: aiomqtt.Client) -> None:
        """After connecting: the bridge is online, then every sensor's state. What waited meanwhile goes after it."""
        waited = list(self._waiting)
        self._waiting.clear()
        self._waiting.extend(Message(topic, b'{"state":"online"}', True) for topic in self._bridges)
        now_s = time.monotonic()
        for device, sensor in self._sensors.items():
            self._waiting.extend(sensor.availability(self._truth.health(device) is not Health.DEAD))
            self._waiting.extend(sensor.states())
        self._waiting.extend(m for m in waited if not m.retain)
        self._reports = [(now_s + self._random.uniform(0.3, 1.0) * s.report_s, d) for d, s in self._sensors.items()]
        heapq.heapify(self._reports)
        for topic in self._commands:
            await client.subscribe(topic, 1)

    async def _speak(self, client: aiomqtt.Client) -> None:
        while not self._leaving.is_set():
            self._wake.clear()
            while self._waiting and not self._leaving.is_set():
                message = self._waiting[0]
                await client.publish(message.topic, message.payload, 1, message.retain)
                self.sent += 1
                if self._waiting and self._waiting[0] is message:
                    self._waiting.popleft()
            until_s = self._reports[0][0] - time.monotonic() if self._reports else None
            if not self._leaving.is_set() and (until_s is None or until_s > 0):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(until_s):
                        await self._wake.wait()
            self._report_due(time.monotonic())

    def _report_due(self, now_s: float) -> None:
        while self._reports and self._reports[0][0] <= now_s:
            _, device = self._reports[0]
            sensor = self._sensors[device]
            self._waiting.extend(sensor.states())
            heapq.heapreplace(self._reports, (now_s + sensor.report_s, device))

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Set points as told. Ends with the connection, which ends the session."""
        async for message in client.messages:
            payload = bytes(message.payload) if isinstance(message.payload, (bytes, bytearray)) else b""
            for key, write in self._commands.get(str(message.topic), ()):
                value = told(payload.decode("utf-8", "replace"), write, self._truth.value(key))
                if value is not None and isinstance(value, bool) is isinstance(self._truth.rest(key), bool):
                    self._truth.set(key, value)
