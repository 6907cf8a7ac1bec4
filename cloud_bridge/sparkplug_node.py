"""A Sparkplug B 3.0 edge node: births, deaths, data, rebirth, primary host. Own state machine over the MQTT session.

Read-only: of all commands only Rebirth is obeyed. Alarms do not ride on this QoS 0 data; here are the states of devices
for systems that speak nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_bridge.settings import BrokerLike
from cloud_bridge.sparkplug import (
    BD_SEQ,
    REBIRTH,
    Datatype,
    HostState,
    Metric,
    datatype_of,
    parse_state,
    payload,
    wants_rebirth,
)
from cloud_bridge.uplink import Reconnect, UplinkKit
from edge.errors import Garbled, LinkError, Unreachable
from edge.model import AlarmEvent, Quality, Value
from edge.mqtt import MqttSession, Will

log = logging.getLogger(__name__)

SAMPLE_S = 1.0
"""How often changes are looked for."""
ROOT = "spBv1.0"


@dataclass(frozen=True, slots=True)
class Where:
    """A broker."""

    urls: Sequence[str]
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class SparkplugSettings:
    """Who this node is. host: the primary host whose STATE must be online before anything is born."""

    broker: BrokerLike
    group: str
    node: str
    host: str | None = None


class HostGone(Unreachable):
    """The primary host went offline: this node dies and tries the next server."""


class BirthCount:
    """bdSeq: one more at every CONNECT, 255 → 0; in a file, so that no death is taken for that of a later life."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def next(self) -> int:
        """Raises OSError."""
        last = -1
        with suppress(FileNotFoundError, ValueError):
            last = int(self._path.read_text(encoding="ascii"))
        number = (last + 1) % 256
        draft = self._path.with_suffix(".tmp")
        draft.write_text(str(number), encoding="ascii")
        draft.replace(self._path)
        return number


class SparkplugNode:
    """Runs until cancelled. Event loop thread only."""

    def __init__(self, settings: SparkplugSettings, kit: UplinkKit) -> None:
        self._settings, self._kit = settings, kit
        self._count = BirthCount(kit.data_dir / "sparkplug.bdseq")
        self._reconnect = Reconnect("Sparkplug", kit.clock, kit.count)
        self._aliases: dict[tuple[str, str], int] = {}
        self._types: dict[tuple[str, str], Datatype] = {}
        self._said: dict[tuple[str, str], Value | None] = {}
        self._dead: set[str] = set()
        self._seq = 0
        self._bd_seq = 0
        self._born = False
        self._host: HostState | None = None
        self._turn = 0
        self._speaking = asyncio.Lock()
        """Births are not mixed with data."""

    @property
    def connected(self) -> bool:
        """Born on a live connection."""
        return self._reconnect.connected

    @property
    def why(self) -> str:
        """Why it is not connected."""
        return self._reconnect.why

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Alarms have their own ways."""

    async def run(self) -> None:
        """Connect, be born, tell; for ever."""
        await self._reconnect.keep(self._once)

    def _topic(self, kind: str, device: str | None = None) -> str:
        tail = f"/{device}" if device is not None else ""
        return f"{ROOT}/{self._settings.group}/{kind}/{self._settings.node}{tail}"

    async def _once(self) -> None:
        s, broker = self._settings, self._settings.broker
        self._bd_seq, self._born, self._host = self._count.next(), False, None
        listens = [(self._topic("NCMD"), 1)] + ([(f"{ROOT}/STATE/{s.host}", 1)] if s.host else [])
        urls = [*broker.urls[self._turn :], *broker.urls[: self._turn]]
        session = MqttSession(
            urls,
            client_id=f"linli-{s.group}-{s.node}",
            username=broker.username,
            password=broker.password,
            subscriptions=listens,
            will=Will(self._topic("NDEATH"), self._death(), 1, False),
            count=self._kit.count,
            session_expiry_s=0,
            ca=broker.ca,
            cert=broker.cert,
            key=broker.key,
        )
        try:
            await session.open()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(session), name="sparkplug-listen")
                tasks.create_task(self._tell(session), name="sparkplug-tell")
        finally:
            with suppress(LinkError):
                # On purpose: a death that a normal DISCONNECT would hide is told before it.
                await session.publish(self._topic("NDEATH"), self._death(), 1)
            await session.close()

    def _death(self) -> bytes:
        return payload([Metric(Datatype.INT64, self._bd_seq, BD_SEQ)], None, None)

    async def _listen(self, session: MqttSession) -> None:
        while True:
            for received in await session.receive():
                session.ack(received)
                try:
                    if received.topic.startswith(f"{ROOT}/STATE/"):
                        self._state(parse_state(received.payload))
                    elif wants_rebirth(received.payload):
                        async with self._speaking:
                            await self._birth(session)
                except Garbled:
                    self._kit.count("garbled")

    def _state(self, state: HostState) -> None:
        """Only a STATE that is not older than the last counts. Raises HostGone."""
        if self._host is not None and state.at_ms < self._host.at_ms:
            return
        self._host = state
        if not state.online and self._born:
            self._turn = (self._turn + 1) % len(self._settings.broker.urls)
            raise HostGone(f"the primary host {self._settings.host} is offline")

    async def _tell(self, session: MqttSession) -> None:
        while True:
            if not self._born and (self._settings.host is None or (self._host is not None and self._host.online)):
                async with self._speaking:
                    await self._birth(session)
                self._reconnect.up()
            elif self._born:
                async with self._speaking:
                    await self._data(session)
            await self._kit.clock.sleep(SAMPLE_S)

    async def _birth(self, session: MqttSession) -> None:
        """NBIRTH with seq 0, then a DBIRTH for each device; until then no data."""
        self._born, self._seq = False, 0
        now_ms = self._kit.clock.wall_ms()
        node = [
            Metric(Datatype.INT64, self._bd_seq, BD_SEQ, at_ms=now_ms),
            Metric(Datatype.BOOLEAN, False, REBIRTH, at_ms=now_ms),
        ]
        await self._publish(session, "NBIRTH", None, node, now_ms)
        by_device: dict[str, list[Metric]] = {}
        self._said.clear()
        self._dead = self._lost()
        for key, value in self._now().items():
            kind = self._types.get(key) or (datatype_of(value) if value is not None else Datatype.DOUBLE)
            self._types[key] = kind
            alias = self._aliases.setdefault(key, len(self._aliases) + 1)
            fits = value if value is None or datatype_of(value) is kind else None
            by_device.setdefault(key[0], []).append(Metric(kind, fits, key[1], alias, now_ms))
            self._said[key] = value
        for device, metrics in by_device.items():
            if device not in self._dead:
                await self._publish(session, "DBIRTH", device, metrics, now_ms)
        self._born = True

    async def _data(self, session: MqttSession) -> None:
        """What has changed. A device that is lost dies; one that is back is born with all others."""
        lost = self._lost()
        now = self._now()
        anew = any(
            value is not None and self._said.get(key) is None and datatype_of(value) is not self._types.get(key)
            for key, value in now.items()
        )
        if self._dead - lost or anew or now.keys() - self._aliases.keys():
            self._types = {key: kind for key, kind in self._types.items() if now.get(key) is None}
            await self._birth(session)
            return
        for device in sorted(lost - self._dead):
            await self._publish(session, "DDEATH", device, [], self._kit.clock.wall_ms())
        self._dead = lost
        now_ms = self._kit.clock.wall_ms()
        changed: dict[str, list[Metric]] = {}
        for key, value in now.items():
            if key[0] not in lost and self._said.get(key) != value:
                self._said[key] = value
                fits = value if value is None or datatype_of(value) is self._types[key] else None
                changed.setdefault(key[0], []).append(Metric(self._types[key], fits, None, self._aliases[key], now_ms))
        for device, metrics in changed.items():
            await self._publish(session, "DDATA", device, metrics, now_ms)

    async def _publish(
        self, session: MqttSession, kind: str, device: str | None, metrics: Sequence[Metric], at_ms: int
    ) -> None:
        raw = payload(metrics, at_ms, self._seq)
        self._seq = (self._seq + 1) % 256
        await session.publish(self._topic(kind, device), raw, 0)

    def _now(self) -> dict[tuple[str, str], Value | None]:
        """Newest values; None where they cannot be trusted."""
        momentary = {(d.id, p.key) for d in self._kit.devices for p in d.points if p.momentary}
        return {
            key: point.value if point.quality is not Quality.BAD else None
            for point in self._kit.points()
            if (key := (point.device, point.point)) not in momentary
        }

    def _lost(self) -> set[str]:
        """Devices on a link that is down."""
        links = self._kit.links()
        return {device.id for device in self._kit.devices if links.get(device.link) == "down"}


async def make(options: Mapping[str, Any], kit: UplinkKit) -> SparkplugNode:
    """From the building file."""
    names: Callable[[str], Any] = options.get
    where = Where(*(names(name) for name in ("urls", "username", "password", "ca", "cert", "key")))
    node = options["node"] or kit.gateway
    return SparkplugNode(SparkplugSettings(where, options["group"], node, options["host"]), kit)
