"""Who we are to a broker, where it listens, and the one connected socket with a paho client on it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge import limits
from edge.errors import Denied, Unreachable

KEEPALIVE_S = 20
"""A half-open connection is found after at most twice this."""
DIAL_S = 4.0
"""Resolve, connect and TLS handshake; below the 5 s a shutdown may take."""
PACKET_BYTES_MAX = 4 * 1024 * 1024
"""What an MQTT 5 broker may send us at all; between this and PAYLOAD_BYTES_MAX a payload is counted and dropped."""
WINDOW_DEFAULT, WINDOW_MAX = 20, limits.OUTBOX_WINDOW
"""Publications in flight: what mosquitto takes from a client unless it says more."""


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
    ca: Path | None


def parse_url(url: str) -> Broker:
    """``mqtt://host[:1883]`` or ``mqtts://host[:8883]``. Raises ValueError for anything else."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is no broker (write mqtt://HOST:PORT or mqtts://HOST:PORT)")
    tls = parts.scheme == "mqtts"
    return Broker(url, parts.hostname, parts.port or (8883 if tls else 1883), tls)


async def dial(broker: Broker, identity: Identity, *, mqtt5: bool) -> paho.Client:
    """Resolve, connect and TLS handshake, in a thread of its own: they block. Raises Unreachable, Denied.

    The thread is a daemon outside of asyncio's pool: a name server that hangs must not hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    dialled: asyncio.Future[paho.Client] = loop.create_future()

    def settle(client: paho.Client | None, fault: Exception | None) -> None:
        if dialled.done():
            drop(client)
        elif client is None:
            dialled.set_exception(fault or RuntimeError("neither connection nor fault"))
        else:
            dialled.set_result(client)

    def work() -> None:
        client: paho.Client | None = None
        fault: Exception | None = None
        try:
            client = _connect(broker, identity, mqtt5)
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is raised again in the event loop.
            fault = error
        try:
            loop.call_soon_threadsafe(settle, client, fault)
        except RuntimeError:
            # The event loop is closed, nobody waits any more.
            drop(client)

    threading.Thread(target=work, name="mqtt-dial", daemon=True).start()
    try:
        async with asyncio.timeout(DIAL_S):
            return await dialled
    except TimeoutError as late:
        raise Unreachable(f"no connection in {DIAL_S:.0f} s") from late
    except ssl.SSLCertVerificationError as fault:
        raise Denied(f"the broker's certificate is not trusted: {fault}") from fault
    except OSError as fault:
        raise Unreachable(str(fault)) from fault


def _connect(broker: Broker, identity: Identity, mqtt5: bool) -> paho.Client:
    """A client with a connected socket and CONNECT waiting to be written. Blocks."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=identity.client_id,
        clean_session=None if mqtt5 else False,
        protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    # With this callback set paho leaves writing to us; CONNECT waits until the event loop has the socket.
    client.on_socket_register_write = lambda *_: None
    client.max_inflight_messages_set(WINDOW_MAX)
    client.connect_timeout = DIAL_S
    client.username_pw_set(identity.username, identity.password)
    if identity.will is not None:
        client.will_set(identity.will.topic, identity.will.payload, identity.will.qos, identity.will.retain)
    if broker.tls:
        client.tls_set_context(ssl.create_default_context(cafile=None if identity.ca is None else str(identity.ca)))
    if mqtt5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = identity.session_expiry_s
        properties.ReceiveMaximum = limits.RECEIVE_MAXIMUM
        properties.MaximumPacketSize = PACKET_BYTES_MAX
        client.connect(broker.host, broker.port, KEEPALIVE_S, clean_start=False, properties=properties)
    else:
        client.connect(broker.host, broker.port, KEEPALIVE_S)
    sock = client.socket()
    if sock is None:
        raise ConnectionError("the connection was lost at once")
    if isinstance(sock, socket.socket):
        # Without it alarms wait for the acknowledgement of the packet before: 42 ms instead of 1.6.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def drop(client: paho.Client | None) -> None:
    """Close the socket under a client, without a farewell. Safe twice."""
    if client is not None and (sock := client.socket()) is not None:
        sock.close()
