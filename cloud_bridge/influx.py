"""InfluxDB 2: what was measured and what alarmed, batched, with everything that was missed filled in later.

Freshness comes from the newest values, completeness from the readings file: after an outage its rows are sent from
where the server has them, in order. The same point twice is the same point there, so an overlap costs nothing. The
client library is loaded with this module only and works in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from cloud_bridge.uplink import ChangeLike, EventQueue, History, Reconnect, SpanLike, UplinkKit
from edge.errors import Denied, LinkError, Unreachable
from edge.model import AlarmEvent, Device, Quality, Value

log = logging.getLogger(__name__)

FILL_ROWS = 5000
"""Rows of the readings file in one request."""
TIMEOUT_MS = 10_000
REFUSED_MAX = 4
"""A request that a server refuses as wrong is cut in halves this often before its rest is parked."""
RETRY_AFTER_S_MAX = 300.0
PRIVATE_KINDS = frozenset({"door", "access", "call_button"})
"""Devices whose readings tell how people live."""


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """One bucket."""

    urls: Sequence[str]
    org: str
    bucket: str
    token: str
    every_s: float = 10.0
    ca: Path | None = None


class Busy(Unreachable):
    """The server asks us to come again later."""

    def __init__(self, why: str, after_s: float) -> None:
        super().__init__(why)
        self.after_s = after_s


class Refused(LinkError):
    """The server takes the connection but not these lines."""


def tag(text: str) -> str:
    """A tag or measurement as line protocol wants it."""
    plain = text.replace("\\", "/").replace("\n", " ")
    return plain.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ") or "-"


def field(value: Value) -> str:
    """A value: whole numbers too are written as floats, for a field must never change its type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        return f'"{text}"'
    return repr(float(value))


def name_of(value: Value) -> str:
    """One field per type: a point that says a word today and a number tomorrow must not be refused."""
    return "state" if isinstance(value, bool) else "text" if isinstance(value, str) else "value"


class Lines:
    """Line protocol of this gateway. Tags: gateway, device, kind, point; no household, no name, no room."""

    def __init__(self, gateway: str, devices: Iterable[Device]) -> None:
        self._gateway = tag(gateway)
        self._tags = {
            device.id: f",gateway={self._gateway},device={tag(device.id)},kind={tag(device.kind)}"
            for device in devices
            if device.kind not in PRIVATE_KINDS
        }

    def reading(self, device: str, point: str, at_ms: int, value: Value | None) -> str | None:
        """A value, or the mark that from now on there is none; None for what is not told."""
        tags = self._tags.get(device)
        if tags is None:
            return None
        fields = "good=false" if value is None else f"{name_of(value)}={field(value)},good=true"
        return f"reading{tags},point={tag(point)} {fields} {at_ms}"

    def span(self, span: SpanLike) -> str | None:
        """Five minutes."""
        tags = self._tags.get(span.device)
        if tags is None:
            return None
        fields = f"least={span.least!r},mean={span.mean!r},most={span.most!r}"
        return f"span{tags},point={tag(span.point)} {fields} {span.at_ms}"

    def alarm(self, event: AlarmEvent) -> bytes:
        """An alarm event. Its seq makes it the same point when it is sent twice."""
        tags = f"alarm,gateway={self._gateway},class={tag(event.alarm_class)},kind={tag(event.kind)}"
        fields = f'seq={event.seq}i,priority={event.priority}i,state="{event.state}",test={field(event.test)}'
        return f"{tags} {fields} {event.received_ms}".encode()


class Bucket(Protocol):
    """Where lines go. Raises Unreachable, Busy, Denied, Refused."""

    async def write(self, lines: Sequence[str]) -> None:
        """All or, as far as one can know, nothing."""
        ...

    async def close(self) -> None:
        """Safe always."""
        ...


class InfluxBucket:
    """influxdb-client in one thread; several urls are asked in turn."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="influx")
        self._clients = [
            InfluxDBClient(
                url=url,
                token=settings.token,
                org=settings.org,
                timeout=TIMEOUT_MS,
                enable_gzip=True,
                ssl_ca_cert=None if settings.ca is None else str(settings.ca),
            )
            for url in settings.urls
        ]

    async def write(self, lines: Sequence[str]) -> None:
        """One request."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, "\n".join(lines).encode())

    def _write(self, body: bytes) -> None:
        try:
            api = self._clients[0].write_api(write_options=SYNCHRONOUS)
            # The library's type is a class of plain words.
            api.write(self._settings.bucket, record=body, write_precision=cast(WritePrecision, WritePrecision.MS))
        except ApiException as fault:
            self._judge(fault)
        except (HTTPError, OSError) as fault:
            self._clients.append(self._clients.pop(0))
            raise Unreachable(f"no answer: {type(fault).__name__}") from fault

    def _judge(self, fault: ApiException) -> NoReturn:
        status = int(fault.status or 0)
        if status in (401, 403, 404):
            raise Denied(f"the server refuses us ({status}): token, org or bucket is wrong") from fault
        if status == 429 or status >= 500:
            self._clients.append(self._clients.pop(0))
            raise Busy(f"the server is busy ({status})", _after_s(fault.headers)) from fault
        raise Refused(f"{status}: {(fault.body or b'')[:200]!r}") from fault

    async def close(self) -> None:
        """Let go; a request under way ends by its own timeout."""
        for client in self._clients:
            client.close()  # type: ignore[no-untyped-call]
        self._thread.shutdown(wait=False)


def _after_s(headers: Mapping[str, str] | None) -> float:
    """Retry-After in seconds, bounded; 0 without one."""
    text = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after", "")
    return min(float(text), RETRY_AFTER_S_MAX) if text.isdigit() else 0.0


class InfluxLink:
    """Runs until cancelled. Event loop thread only."""

    def __init__(
        self,
        settings: InfluxSettings,
        kit: UplinkKit,
        history: History,
        bucket: Bucket,
        lines: Lines,
        alarms: EventQueue,
    ) -> None:
        self._settings, self._kit, self._history = settings, kit, history
        self._bucket, self._lines, self._alarms = bucket, lines, alarms
        self._reconnect = Reconnect("InfluxDB", kit.clock, kit.count)
        self._said: dict[tuple[str, str], Value | None] = {}

    @property
    def connected(self) -> bool:
        """The server has taken something since the last fault."""
        return self._reconnect.connected

    @property
    def why(self) -> str:
        """Why it is not connected."""
        return self._reconnect.why

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events."""
        self._alarms.offer(events)

    async def run(self) -> None:
        """Queue and send, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._alarms.run(), name="influx-queue")
                tasks.create_task(self._reconnect.keep(self._once), name="influx-send")
        finally:
            await self._bucket.close()

    async def _once(self) -> None:
        try:
            while True:
                await self._newest()
                while (parcel := await self._alarms.next(0)) is not None:
                    await self._write([parcel.body.decode()])
                    await self._alarms.done(parcel)
                while await self.fill():
                    pass
                self._reconnect.up()
                await self._kit.clock.sleep(self._settings.every_s)
        except Busy as busy:
            await self._kit.clock.sleep(busy.after_s)
            raise

    async def _newest(self) -> None:
        """What has changed since the last time."""
        at_ms = self._kit.clock.wall_ms()
        fresh: list[tuple[tuple[str, str], Value | None]] = []
        lines: list[str] = []
        for point in self._kit.points():
            value = point.value if point.quality is not Quality.BAD else None
            key = (point.device, point.point)
            if key in self._said and self._said[key] == value:
                continue
            line = self._lines.reading(point.device, point.point, at_ms, value)
            fresh.append((key, value))
            lines += [line] if line is not None else []
        if lines:
            await self._write(lines)
        self._said.update(fresh)

    async def fill(self) -> bool:
        """The next rows of the readings file; False when the server has all of them."""
        changes, spans = await self._history.after("influx", FILL_ROWS)
        if not changes and not spans:
            return False
        lines = [self._change(change) for change in changes] + [self._lines.span(span) for span in spans]
        await self._write([line for line in lines if line is not None])
        await self._history.had(
            "influx", changes[-1].n if changes else 0, spans[-1].n if spans else 0
        )
        return True

    def _change(self, change: ChangeLike) -> str | None:
        return self._lines.reading(change.device, change.point, change.at_ms, change.value)

    async def _write(self, lines: Sequence[str], halvings: int = 0) -> None:
        """What the server calls wrong is found by halves and parked, so that the rest is not held up."""
        if not lines:
            return
        try:
            await self._bucket.write(lines)
        except Refused as fault:
            if len(lines) == 1 or halvings == REFUSED_MAX:
                self._kit.count("refused")
                log.error("InfluxDB refuses %d lines for ever, the first is %s: %s", len(lines), lines[0], fault)
                return
            middle = len(lines) // 2
            await self._write(lines[:middle], halvings + 1)
            await self._write(lines[middle:], halvings + 1)


async def make(options: Mapping[str, Any], kit: UplinkKit) -> InfluxLink:
    """From the building file."""
    assert kit.history is not None, "edge/app opens the readings file for this kind"
    token = "".join(options["token"])
    settings = InfluxSettings(
        options["urls"], options["org"], options["bucket"], token, options["every_s"], options["ca"]
    )
    lines = Lines(kit.gateway, kit.devices)
    alarms = EventQueue(await kit.queue("influx"), lines.alarm, kit.count)
    return InfluxLink(settings, kit, kit.history, InfluxBucket(settings), lines, alarms)
