"""Who we are to a broker, where it listens, and the one connected socket to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from edge.errors import Denied, Unreachable
from edge.mqtt.tls import Tls, plain

KEEPALIVE_S = 20
"""A half-open connection is found after at most twice this."""
DIAL_S = 4.0
"""Resolve, connect and TLS handshake; below the 5 s a shutdown may take."""

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]


class Received(NamedTuple):
    """One message. queued: waited in the broker while we were away. epoch: the connection its ack belongs to."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    queued: bool
    mid: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us when we vanish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker listens, and the URL it was written as."""

    url: str
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to a broker, and what it keeps for us."""

    client_id: str
    username: str | None
    password: str | None = field(repr=False)
    will: Will | None
    session_expiry_s: int
    tls: Tls


def parse_url(url: str) -> Broker:
    """``mqtt://host[:1883]`` or ``mqtts://host[:8883]``. Raises ValueError for anything else."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is no broker (write mqtt://HOST:PORT or mqtts://HOST:PORT)")
    tls = parts.scheme == "mqtts"
    return Broker(url, parts.hostname, parts.port or (8883 if tls else 1883), tls)


async def dial(broker: Broker, identity: Identity, protocol: asyncio.Protocol) -> None:
    """Resolve, connect and TLS handshake; the protocol then has its transport. Raises Unreachable, Denied."""
    context = identity.tls.context(round(time.time() * 1000)) if broker.tls else None
    try:
        async with asyncio.timeout(DIAL_S):
            sock = await _connected(await _resolve(broker))
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: protocol, sock=sock, ssl=context, server_hostname=broker.host if context else None
                )
            except BaseException:
                sock.close()
                raise
    except TimeoutError as late:
        raise Unreachable(f"no connection in {DIAL_S:.0f} s") from late
    except ssl.SSLError as fault:
        raise Denied(plain(fault)) from fault
    except OSError as fault:
        raise Unreachable(fault.strerror or str(fault)) from fault


async def _connected(addresses: list[Address]) -> socket.socket:
    """A socket connected to the first address that answers. Raises OSError of the last."""
    last: OSError = OSError("the name has no address")
    for family, kind, number, _, address in addresses:
        sock = socket.socket(family, kind, number)
        try:
            sock.setblocking(False)
            # Without it alarms wait for the acknowledgement of the packet before: 42 ms instead of 1.6.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as fault:
            sock.close()
            last = fault
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last


async def _resolve(broker: Broker) -> list[Address]:
    """The broker's addresses. Raises OSError.

    The thread is a daemon outside of asyncio's pool: a name server that hangs must not hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    resolved: asyncio.Future[list[Address]] = loop.create_future()

    def settle(found: list[Address] | OSError) -> None:
        if resolved.done():
            return
        if isinstance(found, OSError):
            resolved.set_exception(found)
        else:
            resolved.set_result(found)

    def work() -> None:
        found: list[Address] | OSError
        try:
            found = socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)  # type: ignore[assignment]
        except OSError as fault:
            found = fault
        try:
            loop.call_soon_threadsafe(settle, found)
        except RuntimeError:
            return  # The event loop is closed, nobody waits any more.

    threading.Thread(target=work, name="mqtt-resolve", daemon=True).start()
    return await resolved
