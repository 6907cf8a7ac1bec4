"""Raw encoders of the load: MQTT 3.1.1 packets and a Modbus TCP host. Our own: no library's pace counts."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable

GAS_REGISTERS = 2


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    length, size = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        size += bytes((digit | (0x80 if length else 0),))
        if not length:
            return bytes((kind,)) + size + body


def connect(client: str, user: str, password: str) -> bytes:
    """CONNECT with a clean session and no keepalive."""
    return _packet(0x10, _text("MQTT") + b"\x04\xc2\0\0" + _text(client) + _text(user) + _text(password))


def publish(topic: str, payload: bytes, mid: int = 0) -> bytes:
    """PUBLISH: QoS 1 with a packet id, QoS 0 without."""
    return _packet(0x32 if mid else 0x30, _text(topic) + (struct.pack(">H", mid) if mid else b"") + payload)


def subscribe(topic: str) -> bytes:
    """SUBSCRIBE at QoS 0."""
    return _packet(0x82, b"\0\1" + _text(topic) + b"\0")


class Peer:
    """One MQTT connection without Nagle's delay. on_packet(kind, body) runs in a thread of its own."""

    def __init__(
        self, port: int, user: str, password: str, name: str, on_packet: Callable[[int, bytes], None] | None = None
    ) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_packet = on_packet or (lambda _kind, _body: None)
        self._there = threading.Event()
        self.send(connect(name, user, password))
        threading.Thread(target=self._read, daemon=True).start()
        if not self._there.wait(10):
            raise ConnectionError(f"the broker at {port} does not take {user}")

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._sock.sendall(data)

    def close(self) -> None:
        """Without a farewell."""
        self._sock.close()

    def _read(self) -> None:
        buffer = b""
        while True:
            try:
                more = self._sock.recv(65536)
            except OSError:
                return
            if not more:
                return
            buffer += more
            while (found := _split(buffer)) is not None:
                kind, body, buffer = found
                if kind == 0x20 and body[1] == 0:
                    self._there.set()
                self._on_packet(kind, body)


def _split(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """The first packet: kind with its flags, body, and what is behind it."""
    length = shift = 0
    for at in range(1, min(5, len(buffer))):
        length |= (buffer[at] & 0x7F) << shift
        shift += 7
        if not buffer[at] & 0x80:
            end = at + 1 + length
            return (buffer[0], buffer[at + 1 : end], buffer[end:]) if len(buffer) >= end else None
    return None


def payload_of(body: bytes) -> bytes:
    """What a QoS 0 PUBLISH carries."""
    return body[2 + struct.unpack_from(">H", body)[0] :]


class GasHost(asyncio.Protocol):
    """A Modbus TCP host: every unit is a gas detector that smells a little."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a master is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """asyncio: answer each read of holding registers."""
        self._buffer += data
        while len(self._buffer) >= 12:
            number, _, _, unit, function, _, count = struct.unpack(">HHHBBHH", self._buffer[:12])
            self._buffer = self._buffer[12:]
            values = struct.pack(f">{count}H", *(10 + unit % 7 if n == 0 else 0 for n in range(count)))
            head = struct.pack(">HHHBBB", number, 0, 3 + len(values), unit, function, len(values))
            self._transport.write(head + values)
