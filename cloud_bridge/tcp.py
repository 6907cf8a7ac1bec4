"""TCP to one of several addresses, with or without TLS; what goes wrong is Unreachable or Denied, with its reason."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

from edge.errors import Denied, LinkError, Unreachable
from edge.mqtt.tls import plain

CONNECT_S = 5.0
"""Resolve, connect and TLS handshake."""
BUFFER_BYTES = 64 * 1024
"""What a peer may send ahead of our reading."""


class TcpLink:
    """One connection at a time to the first of the addresses that answers; the last good one is asked first.

    tls: makes the context of one connection (``Tls.context`` with the clock of that moment).
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        if not addresses:
            raise ValueError("at least one address is needed")
        self._addresses, self._tls = tuple(addresses), tls
        self._next = 0
        self._writer: asyncio.StreamWriter | None = None
        self.reader = asyncio.StreamReader()

    async def open(self) -> None:
        """Connect. Raises Unreachable, or Denied when no address trusts us or is to be trusted."""
        self.close()
        faults: list[LinkError] = []
        for _ in self._addresses:
            host, port = self._addresses[self._next]
            try:
                await self._open_one(host, port)
            except LinkError as fault:
                faults.append(type(fault)(f"{host}:{port}: {fault}"))
                self.turn()
            else:
                return
        text = "; ".join(str(fault) for fault in faults)
        raise Denied(text) if all(isinstance(fault, Denied) for fault in faults) else Unreachable(text)

    async def _open_one(self, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                self.reader, self._writer = await asyncio.open_connection(
                    host, port, ssl=self._tls() if self._tls else None, limit=BUFFER_BYTES
                )
        except TimeoutError as late:
            raise Unreachable(f"no connection in {CONNECT_S:.0f} s") from late
        except ssl.SSLError as fault:
            raise Denied(plain(fault)) from fault
        except OSError as fault:
            raise Unreachable(fault.strerror or str(fault)) from fault
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def turn(self) -> None:
        """Ask the next address first from now on."""
        self._next = (self._next + 1) % len(self._addresses)

    async def send(self, data: bytes) -> None:
        """Write all. Raises Unreachable."""
        if self._writer is None:
            raise Unreachable("not open")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as fault:
            raise Unreachable(fault.strerror or str(fault)) from fault

    async def some(self) -> bytes:
        """Whatever is there, at least one byte. Raises Unreachable."""
        try:
            data = await self.reader.read(4096)
        except ssl.SSLError as fault:
            # With TLS 1.3 the other side looks at our certificate only after the handshake.
            raise Denied(plain(fault)) from fault
        except OSError as fault:
            raise Unreachable(fault.strerror or str(fault)) from fault
        if not data:
            raise Unreachable("the other side closed the connection")
        return data

    def close(self) -> None:
        """Let go. Safe always."""
        if self._writer is not None:
            with suppress(OSError, RuntimeError):
                self._writer.close()
            self._writer = None
