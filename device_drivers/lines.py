"""A byte line on asyncio, serial or TCP: what arrives waits in a bounded buffer until a driver takes it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import termios
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import serial

from edge.errors import Denied, Unreachable

BUFFER_BYTES_MAX = 64 * 1024
"""A line that says more than this unread is cut: no device of a building does."""
CONNECT_S = 4.0
"""TCP connect; below the 5 s a shutdown may take."""
TCP_DEAD_MS = 10_000
"""Bytes that the far end does not acknowledge for this long end the connection (TCP_USER_TIMEOUT)."""
PORT_WORDS: Mapping[object, str] = {
    errno.EACCES: "this user may not use the port (add the user to the group that owns it, often dialout)",
    errno.ENOENT: "there is no such port (is the adapter plugged in? `linli doctor` lists the ports there are)",
    errno.EBUSY: "another program has the port",
    errno.EAGAIN: "another program has the port",
    errno.ENOTTY: "this is no serial port",
    errno.EINVAL: "the port does not take these settings (baud rate, parity or stop bits)",
    errno.ENXIO: "the adapter is gone",
    errno.ENODEV: "the adapter is gone",
    errno.EIO: "the adapter does not answer (unplug it and plug it in again)",
}
"""What a port's errors mean to the person who stands beside it."""
_READ_BYTES = 4096


Tap = Callable[[str, bytes], None]
"""Gets ``in`` or ``out`` and the bytes, as they pass."""
TAP: ContextVar[Tap | None] = ContextVar("tap", default=None)
"""Set by ``linli capture``: every line that is opened after it tells what passes."""
TAPE: ContextVar[Callable[[], Line] | None] = ContextVar("tape", default=None)
"""Set by ``linli replay``: lines are not opened but made by this."""


class Line:
    """What an open serial port and a TCP connection have in common.

    lost says why it is over, None while it is not. last_byte_s: event loop time when bytes last arrived.
    """

    def __init__(self) -> None:
        self.lost: str | None = None
        self.last_byte_s = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._tap = TAP.get()
        self._buffer = bytearray()
        self._arrived = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Send. Raises Unreachable when the line is over."""
        if self.lost is None:
            if self._tap is not None:
                self._tap("out", data)
            self._send(data)
        if self.lost is not None:
            raise Unreachable(self.lost)

    async def read(self, until_s: float | None) -> bytes:
        """All that has arrived, waiting for at least a byte until this event loop time (None: for ever).

        Returns b"" when the time is over. Raises Unreachable when the line is over and everything was taken.
        """
        while not self._buffer:
            if self.lost is not None:
                raise Unreachable(self.lost)
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(until_s):
                    await self._arrived.wait()
            except TimeoutError:
                return b""
        return self.drain()

    def drain(self) -> bytes:
        """All that has arrived, without waiting."""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def close(self, why: str = "closed") -> None:
        """Let go of the port, at once. Whoever reads learns why. Safe twice."""
        if self.lost is None:
            self.lost = why
            self._shut()
        self._arrived.set()

    def _take(self, data: bytes) -> None:
        """Bytes arrived."""
        self.last_byte_s = self._loop.time()
        if self._tap is not None:
            self._tap("in", data)
        self._buffer += data
        self._arrived.set()
        if len(self._buffer) > BUFFER_BYTES_MAX:
            self.close(f"more than {BUFFER_BYTES_MAX} bytes unread")

    def _send(self, data: bytes) -> None:
        raise NotImplementedError

    def _shut(self) -> None:
        raise NotImplementedError


class SerialLine(Line):
    """A serial port, 8 data bits, ours alone. pyserial sets it up, the event loop moves the bytes.

    Not through pyserial-asyncio: that closes a port some time later in a thread, and we must open it anew at once.
    """

    def __init__(self, port: serial.Serial) -> None:
        super().__init__()
        self._port = port
        self._fd: int = port.fileno()
        self._unsent = b""
        self._loop.add_reader(self._fd, self._readable)

    @classmethod
    async def open(cls, port: str, baudrate: int, parity: str = "N", stopbits: float = 1) -> Line:
        """Raises Unreachable, or Denied when the rights are missing."""
        if (tape := TAPE.get()) is not None:
            return tape()

        def work() -> serial.Serial:
            return serial.Serial(
                port, baudrate, parity=parity, stopbits=stopbits, timeout=0, write_timeout=0, exclusive=True
            )

        opening = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return cls(await asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: None if done.exception() else done.result().close())
            raise
        except (OSError, ValueError, termios.error) as fault:
            code = _code(fault)
            if code in (errno.EACCES, errno.EPERM):
                raise Denied(f"{port}: {PORT_WORDS[errno.EACCES]}") from fault
            raise Unreachable(f"{port}: {PORT_WORDS.get(code, fault)}") from fault

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as fault:
            self.close(f"the port is gone: {fault}")
            return
        if data:
            self._take(data)
        else:
            self.close("the port is gone")

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        self._unsent = data
        self._writable()

    def _writable(self) -> None:
        try:
            sent = os.write(self._fd, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as fault:
            self.close(f"the port is gone: {fault}")
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)

    def _shut(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        try:
            # Without it close(2) waits up to 30 s for bytes that a stuck adapter never sends.
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        except (OSError, termios.error):
            # The port is gone already; closing is all that is left.
            pass
        self._port.close()


def _code(fault: BaseException) -> object:
    """The number behind an error. pyserial wraps some in words and keeps the number only as what came before."""
    cause = fault.__context__
    if isinstance(fault, OSError) and fault.errno is not None:
        return fault.errno
    return cause.args[0] if isinstance(cause, OSError | termios.error) and cause.args else None


class TcpLine(Line, asyncio.Protocol):
    """A TCP connection."""

    def __init__(self) -> None:
        super().__init__()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Line:
        """Raises Unreachable."""
        if (tape := TAPE.get()) is not None:
            return tape()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                transport, line = await loop.create_connection(cls, host, port)
        except TimeoutError as late:
            raise Unreachable(f"{host}:{port}: no connection in {CONNECT_S:.0f} s") from late
        except OSError as fault:
            raise Unreachable(f"{host}:{port}: {fault}") from fault
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_DEAD_MS)
        line._transport = transport
        return line

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is over."""
        self.close(f"the connection is lost: {exc}" if exc else "the far end closed the connection")

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _shut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def open_line(options: Mapping[str, Any], baudrate: int, parity: str = "N") -> Line:
    """The serial port of a link's options, or its TCP converter (``tcp: HOST:PORT``). Raises Unreachable, Denied."""
    if options.get("tcp"):
        host, _, port = str(options["tcp"]).rpartition(":")
        return await TcpLine.open(host.strip("[]"), int(port))
    speed = int(options.get("baudrate", baudrate))
    return await SerialLine.open(
        str(options["port"]), speed, str(options.get("parity", parity)), float(options.get("stopbits", 1))
    )
