"""``linli capture`` records what passes on a link, with times; ``linli replay`` feeds it to the driver again.

So that a site's fault becomes a test case. A recording is a line of JSON about the link, then one for each piece of
bytes: ``{"t": seconds, "dir": "in" | "out", "hex": …}``. It holds what devices say: keep it as you keep the journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device_drivers.lines import TAP, TAPE, Line
from device_drivers.mqtt.driver import MqttDriver, message_of
from device_drivers.registry import create
from edge.clock import SystemClock
from edge.config import Building, load_building
from edge.decide.schedule import Schedule
from edge.errors import Garbled, LinkError, Unreachable
from edge.model import SILENT_CAUSES, Quality, Reading, rfc3339
from edge.ports import Driver, Kit, LinkSettings
from edge.tools import GatewayApi, Row, link_of, row_of

VERSION = 1
RECORDING_BYTES_MAX = 256 * 1024 * 1024
TCP_NUMBER_BYTES = 2
"""A Modbus TCP frame begins with a number of its own: not part of what was asked."""
SPARE_S = 2.0
"""How much longer a replay may take than the recording."""
TakeFn = Callable[[tuple[Reading, ...]], None]


def capture(config: Path, link: str, file: Path, seconds: float | None) -> int:
    """Run the link as the gateway would and record it; the number of pieces. Raises ConfigError, LinkError, ValueError.

    seconds None: until interrupted. The gateway must not run: it owns the link.
    """
    building = load_building(config)
    settings = link_of(building, link)
    if GatewayApi(building).runs():
        raise ValueError(f"the gateway is running and owns {link}: stop it before a capture")
    head = {"v": VERSION, "link": link, "kind": settings.kind, "at": rfc3339(SystemClock().wall_ms())}
    count = 0
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(json.dumps(head) + "\n")
        began_s = time.monotonic()

        def tap(way: str, data: bytes) -> None:
            nonlocal count
            count += 1
            out.write(json.dumps({"t": round(time.monotonic() - began_s, 6), "dir": way, "hex": data.hex()}) + "\n")

        async def run() -> None:
            TAP.set(tap)
            await _live(building, settings, seconds, lambda readings: None)

        try:
            asyncio.run(run())
        except KeyboardInterrupt:
            return count
    return count


def replay(config: Path, file: Path) -> list[Row]:
    """What the drivers of this building file make of a recording: every reading, in order. Raises as capture."""
    building = load_building(config)
    settings, pieces = read_recording(building, file)
    rows: list[Row] = []
    units = {(d.id, p.key): p.unit for d in building.devices for p in d.points}

    def take(readings: tuple[Reading, ...]) -> None:
        rows.extend(row_of(each, units.get(each.key)) for each in readings)

    asyncio.run(_again(building, settings, pieces, take))
    return rows


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that passed. t: seconds since the beginning."""

    t: float
    way: str
    data: bytes


def read_recording(building: Building, file: Path) -> tuple[LinkSettings, list[Piece]]:
    """The link and the pieces of a recording. Raises ValueError naming the line, OSError."""
    if file.stat().st_size > RECORDING_BYTES_MAX:
        raise ValueError(f"{file}: larger than {RECORDING_BYTES_MAX} bytes")
    pieces: list[Piece] = []
    settings: LinkSettings | None = None
    with file.open(encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            try:
                said = json.loads(line)
                if settings is None:
                    if said["v"] != VERSION:
                        raise ValueError(f"version {said['v']} is not known")
                    settings = link_of(building, str(said["link"]))
                    if settings.kind != said["kind"]:
                        raise ValueError(f"recorded on a {said['kind']} link, but {settings.id} is {settings.kind}")
                else:
                    pieces.append(Piece(float(said["t"]), str(said["dir"]), bytes.fromhex(said["hex"])))
            except (ValueError, KeyError, TypeError) as fault:
                raise ValueError(f"{file}:{number}: {fault}") from fault
    if settings is None:
        raise ValueError(f"{file}: the file is empty")
    return settings, pieces


class Tape:
    """The far end of a replayed line: answers each request with what it was answered then, as late as it was then.

    Without requests (devices that speak by themselves) everything comes at its own time.
    """

    def __init__(self, pieces: list[Piece], skip: int) -> None:
        self._skip = skip
        self._answers: defaultdict[bytes, deque[list[tuple[float, bytes]]]] = defaultdict(deque)
        self._alone: list[tuple[float, bytes]] = []
        self._line: TapeLine | None = None
        self._started = False
        asked: tuple[float, list[tuple[float, bytes]]] | None = None
        for piece in pieces:
            if piece.way == "out":
                asked = (piece.t, [])
                self._answers[piece.data[skip:]].append(asked[1])
            elif asked is None:
                self._alone.append((piece.t, piece.data))
            else:
                asked[1].append((piece.t - asked[0], piece.data))

    @property
    def over(self) -> bool:
        """Everything was asked again."""
        return not any(self._answers.values())

    def line(self) -> Line:
        """A line to this far end; the one before it is closed."""
        self._line = TapeLine(self)
        if not self._started:
            self._started = True
            self._play(self._alone, b"")
        return self._line

    def asked(self, request: bytes) -> None:
        """Answer as then; what was never asked then gets no answer."""
        waiting = self._answers.get(request[self._skip :])
        if waiting:
            self._play(waiting.popleft(), request[: self._skip])

    def _play(self, pieces: list[tuple[float, bytes]], number: bytes) -> None:
        loop = asyncio.get_running_loop()
        for after_s, data in pieces:
            loop.call_later(after_s, self._arrive, number + data[len(number) :])

    def _arrive(self, data: bytes) -> None:
        if self._line is not None and self._line.lost is None:
            self._line.arrive(data)


class TapeLine(Line):
    """A line whose far end is a recording."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    def arrive(self, data: bytes) -> None:
        """Bytes of the recording."""
        self._take(data)

    def _send(self, data: bytes) -> None:
        self._tape.asked(data)

    def _shut(self) -> None:
        """Nothing is held."""


async def _again(building: Building, settings: LinkSettings, pieces: list[Piece], take: TakeFn) -> None:
    if settings.kind == "mqtt":
        driver = _driver(building, settings)
        assert isinstance(driver, MqttDriver)
        for piece in pieces:
            take(driver.feed(message_of(piece.data)))
        return
    tape = Tape(pieces, TCP_NUMBER_BYTES if settings.kind == "modbus-tcp" else 0)
    TAPE.set(tape.line)
    lasted_s = (pieces[-1].t if pieces else 0.0) + SPARE_S
    await _live(building, settings, lasted_s, take, lambda: bool(pieces) and tape.over)


async def _live(
    building: Building, settings: LinkSettings, seconds: float | None, take: TakeFn, over: Callable[[], bool] = bool
) -> None:
    """Open the link and read it as a supervisor does, without journal or engine. bool() is False: never over."""
    driver = _driver(building, settings)
    until_s = float("inf") if seconds is None else time.monotonic() + seconds
    await driver.open()
    try:
        if driver.plan:
            await _poll(driver, until_s, take, over)
        else:
            await _hear(driver, until_s, take)
    finally:
        await driver.close()


async def _poll(driver: Driver, until_s: float, take: TakeFn, over: Callable[[], bool]) -> None:
    schedule = Schedule.of(driver.plan, time.monotonic())
    while time.monotonic() < until_s and not over():
        turn = schedule.next(time.monotonic())
        if turn.item is None:
            await asyncio.sleep(min(turn.wait_s, max(0.0, until_s - time.monotonic())))
            continue
        began_s = time.monotonic()
        try:
            readings = (await driver.read(turn.item.request)).readings
        except Garbled:
            readings = ()
        answered = any(each.quality is not Quality.BAD or each.cause not in SILENT_CAUSES for each in readings)
        schedule.done(turn.item, answered, began_s, time.monotonic())
        take(readings)


async def _hear(driver: Driver, until_s: float, take: TakeFn) -> None:
    async def hear() -> None:
        while True:
            try:
                take((await driver.read(None)).readings)
            except Garbled:
                continue

    hearing = asyncio.create_task(hear())
    left_s = None if until_s == float("inf") else max(0.0, until_s - time.monotonic())
    done, _ = await asyncio.wait({hearing}, timeout=left_s)
    if not done:
        await driver.close()
    try:
        await hearing
    except LinkError as fault:
        if done and not isinstance(fault, Unreachable):
            raise


def _driver(building: Building, settings: LinkSettings) -> Driver:
    devices = [device for device in building.devices if device.link == settings.id]
    return create(settings, devices, Kit(SystemClock(), lambda cause: None, str(building.gateway.data_dir)))
