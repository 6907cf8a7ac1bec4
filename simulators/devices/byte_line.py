"""A line of bytes as the building file says it, a pty or a TCP port, and the ways a device can fail on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from simulators.building import Health
from simulators.devices.pty_line import PtyLine

LATE_S = 1.5
"""How long a late device takes: after any timeout, so that its answer comes into the next exchange."""
AGAIN_S = 0.02
"""A doubled frame follows after this."""
BABBLE_BYTES = 40
RETRY_LISTEN_S = 1.0


def sends(frame: bytes, wrong: bytes, health: Health, noise: Random) -> list[tuple[float, bytes]]:
    """What a device in that health puts on the line instead of a frame, and when. wrong: the frame with another id."""
    if health is Health.DEAD:
        return []
    if health is Health.LATE:
        return [(LATE_S, frame)]
    if health is Health.TORN:
        return [(0.0, frame[: max(1, len(frame) * 2 // 3)])]
    if health is Health.DOUBLED:
        return [(0.0, frame), (AGAIN_S, frame)]
    if health is Health.OTHER_ID:
        return [(0.0, wrong)]
    if health is Health.BAD_CRC:
        return [(0.0, frame[:-2] + bytes((frame[-2] ^ 0x5A,)) + frame[-1:])]
    if health is Health.BABBLE:
        return [(0.0, noise.randbytes(BABBLE_BYTES))]
    return [(0.0, frame)]


class TcpPort:
    """The other end of a TCP converter: whoever connects gets all bytes, and all its bytes are received."""

    def __init__(self, host: str, port: int, received: Callable[[bytes], None]) -> None:
        self.host, self.port = host, port
        self.received = received
        self.masters: set[_Master] = set()
        self._server: asyncio.Server | None = None
        self._retry: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """True while the port exists."""
        return self._server is not None

    async def open(self) -> None:
        """Listen; while another process has the port, go on trying."""
        if self._server is None and self._retry is None and not await self._listen():
            self._retry = asyncio.create_task(self._listen_when_free(), name=f"listen on {self.host}:{self.port}")

    def write(self, data: bytes) -> None:
        """Put bytes on the line."""
        for master in self.masters:
            master.write(data)

    def close(self) -> None:
        """Stop listening and cut everybody. Safe twice."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for master in list(self.masters):
            master.drop()

    async def _listen(self) -> bool:
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Master(self), self.host, self.port)
        except OSError:
            return False
        self.port = self._server.sockets[0].getsockname()[1]
        return True

    async def _listen_when_free(self) -> None:
        while not await self._listen():
            await asyncio.sleep(RETRY_LISTEN_S)
        self._retry = None


class _Master(asyncio.Protocol):
    """One connection."""

    def __init__(self, port: TcpPort) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port.masters.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._port.masters.discard(self)

    def data_received(self, data: bytes) -> None:
        self._port.received(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class ByteLine:
    """A pty where the file says the port is, or a listening port where it says ``tcp``. ``where`` is for people."""

    def __init__(self, options: Mapping[str, Any], received: Callable[[bytes], None], seed: int) -> None:
        self.noise = Random(seed)
        self._far: PtyLine | TcpPort
        if options.get("tcp"):
            host, _, port = str(options["tcp"]).rpartition(":")
            self._far = TcpPort(host.strip("[]"), int(port), received)
        else:
            self._far = PtyLine(Path(str(options["port"])), received)

    @property
    def where(self) -> str:
        """What a person connects to."""
        far = self._far
        return f"{far.host}:{far.port}" if isinstance(far, TcpPort) else str(far.port)

    @property
    def is_open(self) -> bool:
        """True while the line exists."""
        return self._far.is_open

    async def open(self) -> None:
        """Put the line in place. Raises PortRefused."""
        if isinstance(self._far, TcpPort):
            await self._far.open()
        else:
            self._far.open()

    async def close(self) -> None:
        """Take the line away. Safe twice."""
        self._far.close()

    def say(self, frame: bytes, wrong: bytes, health: Health) -> None:
        """Send a frame as a device in that health does."""
        for after_s, data in sends(frame, wrong, health, self.noise):
            if after_s:
                asyncio.get_running_loop().call_later(after_s, self.write, data)
            else:
                self.write(data)

    def write(self, data: bytes) -> None:
        """Put bytes on the line, if it is there."""
        if self._far.is_open:
            self._far.write(data)
