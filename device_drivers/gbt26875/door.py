"""The listening socket: transmission devices call, their frames wait in a bounded queue until the driver takes them."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from device_drivers.gbt26875 import codec
from device_drivers.gbt26875.codec import Frame
from device_drivers.lines import TCP_DEAD_MS
from edge.errors import Denied, Unreachable

CALLERS_MAX = 32
"""Connections at once; a building has one transmission device, a community a few."""
FRAMES_WAITING_MAX = 512
"""Frames not yet taken; beyond, the sockets are not read."""

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A device whose cable was pulled is missed after a minute, however seldom it sends its state."""


class Caller(asyncio.Protocol):
    """One connection. sources: addresses that spoke on it."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.sources: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: somebody called."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_DEAD_MS)
        self._door.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is over."""
        self._transport = None
        self._door.went(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        frames, self._rest, faults = codec.split(self._rest + data)
        for _ in range(faults):
            self._door.count("garbled")
        for frame in frames:
            self._door.heard(self, frame)

    def send(self, data: bytes) -> bool:
        """False when the connection is over."""
        if self._transport is None:
            return False
        self._transport.write(data)
        return True

    def pause(self, paused: bool) -> None:
        """Read on or not."""
        if self._transport is not None:
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    def drop(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()


class Door:
    """All connections of one listening address. replied gets confirmations and denials the moment they arrive."""

    def __init__(self, count: Callable[[str], None], replied: Callable[[Caller, Frame], None]) -> None:
        self.count = count
        self.callers: set[Caller] = set()
        self.inbox: deque[tuple[Caller, Frame]] = deque()
        self.changed = asyncio.Event()
        self.port = 0
        self._replied = replied
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises Unreachable, Denied."""
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: Caller(self), host, port)
        except PermissionError as fault:
            raise Denied(f"{host}:{port}: {fault} (ports below 1024 need a right)") from fault
        except OSError as fault:
            raise Unreachable(f"cannot listen at {host}:{port}: {fault}") from fault
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening and end every connection. Safe twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for caller in list(self.callers):
            caller.drop()
        self.callers.clear()
        self.changed.set()

    @property
    def is_open(self) -> bool:
        """True while we listen."""
        return self._server is not None

    def came(self, caller: Caller) -> None:
        """A connection is there."""
        if self._server is None or len(self.callers) >= CALLERS_MAX:
            self.count("too_many_callers")
            caller.drop()
            return
        self.callers.add(caller)
        self.changed.set()

    def went(self, caller: Caller) -> None:
        """A connection is over."""
        self.callers.discard(caller)
        self.changed.set()

    def heard(self, caller: Caller, frame: Frame) -> None:
        """A frame arrived."""
        if not frame.why and frame.command in (codec.CONFIRM, codec.DENY):
            self._replied(caller, frame)
            return
        self.inbox.append((caller, frame))
        self.changed.set()
        if len(self.inbox) == FRAMES_WAITING_MAX:
            self._pause(True)

    def take(self) -> tuple[Caller, Frame]:
        """The oldest frame."""
        taken = self.inbox.popleft()
        if len(self.inbox) == FRAMES_WAITING_MAX - 1:
            self._pause(False)
        return taken

    def _pause(self, paused: bool) -> None:
        for caller in self.callers:
            caller.pause(paused)
