"""The example driver: polls stations behind one TCP connection, one value each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from device_drivers.example import codec
from device_drivers.lines import Line, TcpLine
from edge.errors import Unreachable
from edge.model import BadCause, Batch, Device, PointKey, PollItem, Quality, Reading, ReadRequest
from edge.ports import Driver, Kit, LinkSettings

REPLY_S = 0.5
"""How long a station may take to answer."""


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """No I/O. Raises ValueError for an address that is no number."""
    return ExampleDriver(settings, devices, kit)


class ExampleDriver:
    """One TCP connection with its stations."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._settings, self._kit = settings, kit
        self._stations = {device.id: (int(device.address), device) for device in devices}
        self._plan = tuple(
            PollItem(ReadRequest(device.id), float(device.wire.get("poll_s") or 2.0), device.life_safety, REPLY_S)
            for device in devices
        )
        self._line: Line | None = None

    @property
    def plan(self) -> Sequence[PollItem]:
        """One item for each station."""
        return self._plan

    async def open(self) -> None:
        """Connect. Raises Unreachable."""
        await self.close()
        self._line = await TcpLine.open(str(self._settings.options["host"]), int(self._settings.options["port"]))

    async def read(self, request: ReadRequest | None) -> Batch:
        """Ask one station. Its silence is a bad reading; only the end of the connection raises Unreachable."""
        if self._line is None or request is None:
            raise Unreachable("not open")
        station, device = self._stations[request.device]
        found = await self._ask(self._line, station)
        good = not isinstance(found, BadCause)
        if isinstance(found, BadCause):
            self._kit.count(found.value)
        readings = tuple(
            Reading(
                PointKey(device.id, point.key),
                found if good else None,
                Quality.GOOD if good else Quality.BAD,
                found if isinstance(found, BadCause) else None,
                self._kit.clock.wall_ms(),
                self._kit.clock.monotonic(),
            )
            for point in device.points
        )
        return Batch(self._settings.id, readings, lambda: None)

    async def close(self) -> None:
        """Safe always."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _ask(self, line: Line, station: int) -> float | BadCause:
        # An answer that came too late belongs to a question of before.
        line.drain()
        line.write(codec.request(station))
        until_s = asyncio.get_running_loop().time() + REPLY_S
        received = b""
        while b"\n" not in received and len(received) < codec.LINE_BYTES_MAX:
            more = await line.read(until_s)
            if not more:
                return BadCause.GARBLED if received else BadCause.TIMEOUT
            received += more
        return codec.answer(station, received.split(b"\n")[0])
