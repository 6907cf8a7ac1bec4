"""MQTT 5 and 3.1.1 packets as a client needs them: pure bytes, no I/O.

OASIS MQTT 5.0 §2–3 and MQTT 3.1.1 §2–3. QoS 2 is never asked for; a broker that sends it breaks the protocol.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 11, 13, 14
PINGREQ = b"\xc0\x00"
FAREWELL = b"\xe0\x00"
"""DISCONNECT with reason normal: the broker publishes no will."""
PACKET_BYTES_MAX = 4 * 1024 * 1024
"""What a broker may send us at all; larger is refused in CONNECT and ends the connection."""
TOPICS_REMEMBERED = 4096
"""Topic bytes → text; a building has fewer, a flood of new ones must not grow memory."""

_SESSION_EXPIRY, _RECEIVE_MAXIMUM, _MAXIMUM_PACKET_SIZE = 0x11, 0x21, 0x27
_SIZES = {
    0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1,
    0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
"""Property id → size of its value; the others are texts, binaries, pairs of texts (0x26) or a varint (0x0B)."""


class Malformed(Exception):
    """Bytes that MQTT does not allow; the connection cannot go on."""


class ConnAck(NamedTuple):
    """Answer to CONNECT. reason: MQTT 5 reason code, 3.1.1 return codes translated. window: its receive maximum."""

    session_present: bool
    reason: int
    window: int | None


class Publish(NamedTuple):
    """A message. mid is 0 for QoS 0; topic is None when it is no valid UTF-8."""

    topic: str | None
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int


class Ack(NamedTuple):
    """PUBACK (one reason) or SUBACK (one per filter)."""

    kind: int
    mid: int
    reasons: tuple[int, ...]


class Control(NamedTuple):
    """PINGRESP or DISCONNECT with its reason."""

    kind: int
    reason: int


Packet = ConnAck | Publish | Ack | Control

RETURN_CODES = {0: 0x00, 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}
"""CONNACK return codes of 3.1.1 as MQTT 5 reasons."""
REASONS = {
    0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x83: "implementation specific error",
    0x84: "protocol version not supported", 0x85: "client id not valid", 0x86: "bad user name or password",
    0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy", 0x8A: "banned",
    0x8B: "server shutting down", 0x8C: "bad authentication method", 0x8D: "keep alive timeout",
    0x8E: "session taken over", 0x8F: "topic filter invalid", 0x90: "topic name invalid",
    0x93: "receive maximum exceeded", 0x95: "packet too large", 0x97: "quota exceeded", 0x98: "administrative action",
}  # fmt: skip


def reason_words(reason: int) -> str:
    """A reason code for people."""
    return REASONS.get(reason, f"reason 0x{reason:02x}")


def text(value: str) -> bytes:
    """UTF-8 with its length before it. Raises ValueError when too long."""
    body = value.encode()
    if len(body) > 0xFFFF:
        raise ValueError(f"{len(body)} bytes of text where MQTT takes 65535")
    return len(body).to_bytes(2, "big") + body


def varint(number: int) -> bytes:
    """Variable byte integer, seven bits a byte, the lowest first."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    """A whole packet."""
    return bytes((first,)) + varint(len(body)) + body


class Hello(NamedTuple):
    """What CONNECT says of us. will: topic, payload, qos, retain. window: our receive maximum."""

    client_id: str
    username: str | None
    password: str | None
    will: tuple[str, bytes, int, bool] | None
    keepalive_s: int
    session_expiry_s: int
    window: int


def connect(hello: Hello, *, mqtt5: bool) -> bytes:
    """CONNECT that goes on with the old session, if the broker has it (clean start false)."""
    flags = 0
    payload = text(hello.client_id)
    if hello.will is not None:
        topic, message, qos, retain = hello.will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        payload += (b"\x00" if mqtt5 else b"") + text(topic) + len(message).to_bytes(2, "big") + message
    if hello.username is not None:
        flags |= 0x80
        payload += text(hello.username)
    if hello.password is not None:
        flags |= 0x40
        payload += text(hello.password)
    head = text("MQTT") + bytes((5 if mqtt5 else 4, flags)) + hello.keepalive_s.to_bytes(2, "big")
    if mqtt5:
        properties = bytes((_SESSION_EXPIRY,)) + hello.session_expiry_s.to_bytes(4, "big")
        properties += bytes((_RECEIVE_MAXIMUM,)) + hello.window.to_bytes(2, "big")
        properties += bytes((_MAXIMUM_PACKET_SIZE,)) + PACKET_BYTES_MAX.to_bytes(4, "big")
        head += varint(len(properties)) + properties
    return packet(0x10, head + payload)


def subscribe(mid: int, filters: Sequence[tuple[str, int]], *, mqtt5: bool) -> bytes:
    """SUBSCRIBE to (filter, QoS) pairs."""
    body = mid.to_bytes(2, "big") + (b"\x00" if mqtt5 else b"")
    return packet(0x82, body + b"".join(text(name) + bytes((qos,)) for name, qos in filters))


def unsubscribe(mid: int, filters: Sequence[str], *, mqtt5: bool) -> bytes:
    """UNSUBSCRIBE from filters."""
    return packet(0xA2, mid.to_bytes(2, "big") + (b"\x00" if mqtt5 else b"") + b"".join(text(name) for name in filters))


def publish(topic: str, payload: bytes, qos: int, retain: bool, mid: int, *, mqtt5: bool) -> bytes:
    """PUBLISH; mid only counts for QoS 1."""
    body = text(topic) + (mid.to_bytes(2, "big") if qos else b"") + (b"\x00" if mqtt5 else b"") + payload
    return packet(0x30 | qos << 1 | retain, body)


def puback(mid: int) -> bytes:
    """PUBACK with reason success."""
    return b"\x40\x02" + mid.to_bytes(2, "big")


class Parser:
    """Cuts a stream of bytes into packets; keeps what is not whole yet."""

    def __init__(self, *, mqtt5: bool) -> None:
        self._mqtt5 = mqtt5
        self._rest = b""
        self._topics: dict[bytes, str | None] = {}

    def feed(self, data: bytes) -> Generator[Packet, None, None]:
        """The packets that are whole now; closed early, the rest is kept. Raises Malformed: nothing after it counts."""
        buffer = self._rest + data if self._rest else data
        self._rest = b""
        at, end = 0, len(buffer)
        try:
            while end - at >= 2:
                first, size, body = buffer[at], buffer[at + 1], at + 2
                if size & 0x80:
                    size, body = _long(buffer, at + 1, end)
                    if body == 0:
                        break
                stop = body + size
                if stop > end:
                    break
                at = stop
                if first >> 4 == PUBLISH:
                    yield self._publish(first, buffer, body, stop)
                else:
                    yield self._other(first >> 4, buffer[body:stop])
        except (IndexError, ValueError) as fault:
            raise Malformed(f"packet cannot be read: {fault}") from fault
        finally:
            self._rest = buffer[at:]

    def _publish(self, first: int, buffer: bytes, at: int, stop: int) -> Publish:
        size = buffer[at] << 8 | buffer[at + 1]
        name = buffer[at + 2 : at + 2 + size]
        at += 2 + size
        qos, mid = first >> 1 & 3, 0
        if qos > 1:
            raise Malformed(f"a message of QoS {qos}, which was never asked for")
        if qos:
            mid = buffer[at] << 8 | buffer[at + 1]
            at += 2
        if self._mqtt5:
            size = buffer[at]
            if size & 0x80:
                size, at = _long(buffer, at, stop)
                at += size
            else:
                at += 1 + size
        if at > stop or (qos and mid == 0):
            raise Malformed("a message that is longer than its packet or without its id")
        topic = self._topics.get(name, "")
        if topic == "":
            topic = self._topic(name)
        return Publish(topic, buffer[at:stop], qos, bool(first & 1), bool(first & 8), mid)

    def _topic(self, name: bytes) -> str | None:
        try:
            topic: str | None = name.decode()
        except UnicodeDecodeError:
            topic = None
        if len(self._topics) >= TOPICS_REMEMBERED:
            self._topics.clear()
        self._topics[name] = topic
        return topic

    def _other(self, kind: int, body: bytes) -> Packet:
        if kind == CONNACK:
            window = _properties(body, 2).get(_RECEIVE_MAXIMUM) if self._mqtt5 else None
            # MQTT 5 always has properties; without them it is an old broker that answers what it did not understand.
            reason = body[1] if self._mqtt5 and len(body) > 2 else RETURN_CODES.get(body[1], 0x80)
            return ConnAck(bool(body[0] & 1), reason, window)
        if kind == PUBACK:
            return Ack(kind, body[0] << 8 | body[1], (body[2] if len(body) > 2 else 0,))
        if kind == SUBACK:
            at = 2
            if self._mqtt5:
                size, start = _varint(body, 2)
                at = start + size
            return Ack(kind, body[0] << 8 | body[1], tuple(body[at:]))
        if kind == UNSUBACK:
            return Ack(kind, body[0] << 8 | body[1], ())
        if kind == PINGRESP and not body:
            return Control(kind, 0)
        if kind == DISCONNECT and self._mqtt5:
            return Control(kind, body[0] if body else 0)
        raise Malformed(f"packet type {kind}, which a broker never sends us")


def _long(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer of up to four bytes at ``at``: value and what follows it; (0, 0) when not whole yet."""
    value = 0
    for index in range(4):
        if at + index >= end:
            return 0, 0
        byte = buffer[at + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            if value > PACKET_BYTES_MAX:
                raise Malformed(f"a packet of {value} bytes")
            return value, at + index + 1
    raise Malformed("a length of more than four bytes")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value, after = _long(body, at, len(body))
    if after == 0:
        raise Malformed("a length that ends in the middle")
    return value, after


def _properties(body: bytes, at: int) -> dict[int, int]:
    """The properties with a number as value; texts and binaries are passed over."""
    if len(body) <= at:
        return {}
    size, at = _varint(body, at)
    stop, found = at + size, {}
    while at < stop:
        ident, at = body[at], at + 1
        if ident in _SIZES:
            found[ident] = int.from_bytes(body[at : at + _SIZES[ident]], "big")
            at += _SIZES[ident]
        elif ident == 0x0B:
            found[ident], at = _varint(body, at)
        else:
            for _ in range(2 if ident == 0x26 else 1):
                at += 2 + (body[at] << 8 | body[at + 1])
    return found
