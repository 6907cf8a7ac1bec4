"""An installer's hands: scan a link, read, watch and write points.

While the gateway runs it owns its links, so its local API answers; only without it are the drivers opened here.
Nothing here acknowledges a message: what was queued for the gateway stays queued.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from cloud_bridge.messages import EventMessage
from device_drivers.registry import create
from edge.clock import SystemClock
from edge.config import Building, load_building
from edge.errors import LinkError
from edge.model import (
    AlarmEvent,
    BadCause,
    Delivered,
    Device,
    PointKey,
    Quality,
    Reading,
    Value,
    Write,
    rfc3339,
)
from edge.ports import Driver, Kit, LinkSettings, Writer
from edge.words import CLASS_WORDS, place_words

LISTEN_S = 10.0
"""How long a pushing link is heard for one `read`: retained states come at once, the rest may be hours away."""
WATCH_S = 1.0
"""How often the running gateway is asked."""
API_S = 5.0
"""The gateway answers within milliseconds or not at all."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Points of the largest building are 4 MB of JSON."""
Row = dict[str, Any]
T = TypeVar("T")


class GatewayApi:
    """The running gateway's local API, with the token it keeps in its data directory."""

    def __init__(self, building: Building) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(building.gateway.host, building.gateway.host)
        self._port = building.gateway.port
        self._token = building.gateway.data_dir / "secrets" / "api.token"

    def runs(self) -> bool:
        """True when a gateway answers at the address of the file."""
        try:
            return self._port != 0 and self._ask("GET", "/healthz", None, "")[0] == 200
        except (OSError, HTTPException):
            return False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one request. Raises OSError with what to do when the token cannot be read."""
        try:
            token = self._token.read_text(encoding="ascii").strip()
        except OSError as error:
            raise OSError(f"the gateway runs, but its token cannot be read: {error} (run as its user)") from error
        try:
            return self._ask(method, path, body, token)
        except HTTPException as error:
            raise OSError(f"the gateway at {self._host}:{self._port} answers no HTTP: {error!r}") from error

    def points(self) -> list[Row]:
        """Every point's newest reading. Raises OSError."""
        status, rows = self.ask("GET", "/api/v1/points")
        if status != 200 or not isinstance(rows, list):
            raise OSError(f"the gateway answers {status}: is it another building's?")
        return rows

    def _ask(self, method: str, path: str, body: object, token: str) -> tuple[int, Any]:
        connection = HTTPConnection(self._host, self._port, timeout=API_S)
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            data = response.read(ANSWER_BYTES_MAX)
            return response.status, json.loads(data) if data[:1] in (b"{", b"[") else data.decode("utf-8", "replace")
        finally:
            connection.close()


def read(config: Path, device: str) -> list[Row]:
    """Every point of a device, as /api/v1/points gives it. Raises ConfigError, LinkError, ValueError, OSError."""
    building = load_building(config)
    found = _device(building, device)
    api = GatewayApi(building)
    if api.runs():
        return [row for row in api.points() if row["device"] == device]
    readings = asyncio.run(with_driver(building, link_of(building, found.link), lambda d: _read(d, found)))
    units = {p.key: p.unit for p in found.points}
    return [row_of(readings[p.key], units[p.key]) for p in found.points if p.key in readings]


def watch(config: Path, say: Callable[[Row], None]) -> None:
    """Say every point, then every change, until interrupted. Raises ConfigError, OSError."""
    api = GatewayApi(load_building(config))
    if not api.runs():
        raise OSError("no gateway answers at the address in this file: start it with `linli gateway`")
    last: dict[str, tuple[Any, ...]] = {}
    while True:
        for row in api.points():
            state = (row["value"], row["quality"], row["cause"])
            if last.get(row["id"]) != state:
                last[row["id"]] = state
                say(row)
        time.sleep(WATCH_S)


def nap(seconds: float) -> None:
    """Wait between two questions to the running gateway."""
    time.sleep(seconds)


def write(config: Path, device: str, point: str, value: str) -> str:
    """Set a point; what happened as one sentence. Raises ConfigError, LinkError, ValueError, OSError."""
    building = load_building(config)
    found = _device(building, device)
    target = next((p for p in found.points if p.key == point), None)
    if target is None or not target.writable:
        known = ", ".join(p.key for p in found.points if p.writable) or "none"
        raise ValueError(f"{device}/{point} cannot be set (points that can: {known})")
    wanted = _value(value)
    how = found.wire["points"][point]["write"]
    if "off" in how and how["off"] is None and wanted is not True:
        raise ValueError(f"{device}/{point} is only ever switched on: a person undoes it by hand, on site")
    api = GatewayApi(building)
    if api.runs():
        return _write_through(api, device, point, wanted)

    async def act(driver: Driver) -> str:
        if not isinstance(driver, Writer):
            raise ValueError(f"link {found.link} cannot set anything")
        outcome = await driver.write(Write(PointKey(device, point), wanted))
        if isinstance(outcome, Delivered):
            return f"{device}/{point} = {json.dumps(wanted)}"
        raise ValueError(outcome.why)

    return asyncio.run(with_driver(building, link_of(building, found.link), act))


def point_line(row: Row) -> str:
    """One point for a terminal."""
    value = "—" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False)
    unit = f" {row['unit']}" if row["unit"] and row["value"] is not None else ""
    cause = f" ({row['cause']})" if row["cause"] else ""
    return f"{row['id']:<28} {value}{unit}  {row['quality']}{cause}"


def event_body(event: AlarmEvent) -> Row:
    """One event of the journal as the wire has it."""
    body: Row = json.loads(EventMessage.of(event).encode())
    return body


def event_line(event: AlarmEvent) -> str:
    """One event of the journal for a terminal."""
    zh, _ = CLASS_WORDS[event.alarm_class]
    where, _ = place_words(event.place)
    who = f" by {event.by.name}" if event.by is not None else ""
    return (
        f"{event.seq:>6} {rfc3339(event.received_ms)} P{event.priority} {event.alarm_class.value} {zh} "
        f"{event.kind.value} {event.state.value} {event.device} {where}{who}"
    )


def _write_through(api: GatewayApi, device: str, point: str, value: Value) -> str:
    """The gateway owns the link, so it does the writing. Raises ValueError with its reason."""
    path = f"/api/v1/points/{quote(device, safe='')}/{quote(point, safe='')}"
    status, answer = api.ask("POST", path, {"value": value, "by": {"id": "cli", "name": "linli write", "via": "api"}})
    if status == 200:
        return f"{device}/{point} = {json.dumps(value)}"
    if status in (404, 405):
        raise ValueError("the gateway is running and owns the link: stop it before a write")
    detail = answer.get("detail") or answer.get("message") if isinstance(answer, dict) else answer
    raise ValueError(f"the gateway refuses: {detail}")


async def with_driver(building: Building, settings: LinkSettings, use: Callable[[Driver], Awaitable[T]]) -> T:
    """Open the link, use it, close it whatever happens."""
    devices = [d for d in building.devices if d.link == settings.id]
    kit = Kit(SystemClock(), lambda cause: None, str(building.gateway.data_dir))
    driver = create(settings, devices, kit)
    try:
        await driver.open()
        return await use(driver)
    finally:
        await driver.close()


async def _read(driver: Driver, device: Device) -> dict[str, Reading]:
    """One reading per point. On a pushing link what does not come within LISTEN_S is bad: not heard."""
    found: dict[str, Reading] = {}
    mine = [item.request for item in driver.plan if item.request.device == device.id]
    for request in mine:
        _take(found, device.id, (await driver.read(request)).readings)
    if not driver.plan:
        await _listen(driver, device, found)
    clock = SystemClock()
    for point in device.points:
        silent = Reading(
            PointKey(device.id, point.key), None, Quality.BAD, BadCause.NOT_HEARD, clock.wall_ms(), clock.monotonic()
        )
        if not device.is_command(point.key):
            found.setdefault(point.key, silent)
    return found


async def _listen(driver: Driver, device: Device, found: dict[str, Reading]) -> None:
    """Take what a pushing link brings; of a button, a press. Closing the driver ends a read; nothing is cancelled."""
    wanted = {p.key for p in device.points if not p.momentary} or {p.key for p in device.points}

    async def hear() -> None:
        while not wanted <= found.keys():
            _take(found, device.id, (await driver.read(None)).readings)

    hearing = asyncio.create_task(hear())
    done, _ = await asyncio.wait({hearing}, timeout=LISTEN_S)
    if not done:
        await driver.close()
    try:
        await hearing
    except LinkError:
        if done:
            raise


def _take(found: dict[str, Reading], device: str, readings: tuple[Reading, ...]) -> None:
    for reading in readings:
        if reading.key.device == device:
            found[reading.key.point] = reading


def row_of(reading: Reading, unit: str | None) -> Row:
    """A reading as /api/v1/points gives it."""
    return {
        "id": str(reading.key),
        "device": reading.key.device,
        "value": reading.value,
        "unit": unit,
        "quality": reading.quality.value,
        "cause": reading.cause.value if reading.cause else None,
        "observed_at": rfc3339(reading.observed_ms),
        "age_s": round(max(0.0, SystemClock().monotonic() - reading.received_s), 3),
    }


def _value(text: str) -> Value:
    """true, on, 1 … as the point takes them; anything else is text."""
    constants: dict[str, Value] = {"true": True, "on": True, "false": False, "off": False}
    if text.lower() in constants:
        return constants[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _device(building: Building, name: str) -> Device:
    found = next((d for d in building.devices if d.id == name), None)
    if found is None:
        raise ValueError(f"no device is called {name!r} in this file")
    return found


def link_of(building: Building, name: str) -> LinkSettings:
    """The link of that name. Raises ValueError with the names there are."""
    found = next((link for link in building.links if link.id == name), None)
    if found is None:
        raise ValueError(f"no link is called {name!r} (links: {', '.join(link.id for link in building.links)})")
    return found
