"""One TCP connection to an MQTT broker: an asyncio protocol over the packets of packets.py.

A connection is made once, used, lost and thrown away: nothing of an old one can leak into the next.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from edge import limits
from edge.errors import Denied, Unreachable
from edge.mqtt import dial, packets
from edge.mqtt.backlog import Backlog
from edge.mqtt.dial import Identity, Received
from edge.mqtt.packets import PUBACK, SUBACK, Ack, ConnAck, Control, Hello, Malformed, Parser, Publish, reason_words
from edge.mqtt.tls import plain

HANDSHAKE_S = 5.0
"""CONNACK, and then SUBACK: a broker that needs longer is no use for alarms."""
PUBACK_S = 30.0
"""A broker that answers pings but no publication is sick: the connection is given up."""
TRIAL_S = 2.0
"""CONNACK of a broker never heard to speak MQTT 5: old ones may wait for ever for the rest of what they misread."""
MISC_S = 1.0
"""How often the keepalive is looked at."""
FILTERS_PER_SUBSCRIBE = 100
"""Topic filters in one SUBSCRIBE: stays far below a broker's packet limit of 64 kB."""
WINDOW_DEFAULT, WINDOW_MAX = 20, limits.OUTBOX_WINDOW
"""Publications in flight: what mosquitto takes from a client unless it says more."""

BUSY = frozenset({0x80, 0x83, 0x97})
"""Reasons of a PUBACK that may pass: unspecified, implementation specific, quota."""
_DENIED = frozenset({0x85, 0x86, 0x87, 0x8A, 0x8C})
_UNSUPPORTED_PROTOCOL = 0x84
FAILURE = 0x80


class OldProtocol(Exception):
    """The broker speaks no MQTT 5."""


class Connection(asyncio.Protocol):
    """From CONNECT until it is lost, never reused. Event loop thread only."""

    def __init__(
        self,
        epoch: int,
        *,
        mqtt5: bool,
        deliver: Callable[[Received], None],
        count: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        self.epoch = epoch
        self.lost: str | None = None
        self.answered = False
        self.session_present = False
        self.denied: list[str] = []
        self.unacked: set[int] = set()
        self.backlog = Backlog(False)
        self.ready = asyncio.Event()
        self._mqtt5 = mqtt5
        self._parser = Parser(mqtt5=mqtt5)
        self._deliver, self._count, self._ended = deliver, count, ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._window = asyncio.Semaphore(WINDOW_DEFAULT)
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._published: dict[int, asyncio.Future[int]] = {}
        self._subscribing: dict[int, Sequence[str]] = {}
        self._out = bytearray()
        self._flushing = False
        self._paused = False
        self._mid = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s = self._sent_s = self._loop.time()

    async def handshake(self, identity: Identity, patience_s: float) -> None:
        """Send CONNECT on the dialled transport and wait for CONNACK. Raises Unreachable, Denied, OldProtocol."""
        will = identity.will
        hello = Hello(
            identity.client_id,
            identity.username,
            identity.password,
            None if will is None else (will.topic, will.payload, will.qos, will.retain),
            dial.KEEPALIVE_S,
            identity.session_expiry_s,
            limits.RECEIVE_MAXIMUM,
        )
        self._send(packets.connect(hello, mqtt5=self._mqtt5))
        self._timer = self._loop.call_later(MISC_S, self._misc)
        try:
            async with asyncio.timeout(patience_s):
                await self._connected
        except TimeoutError as late:
            raise Unreachable(f"no CONNACK in {patience_s:.0f} s") from late

    def subscribe(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        """Send SUBSCRIBE in portions; ``ready`` is set when all are answered."""
        for at in range(0, len(subscriptions), FILTERS_PER_SUBSCRIBE):
            portion = list(subscriptions[at : at + FILTERS_PER_SUBSCRIBE])
            mid = self._next_mid()
            self._subscribing[mid] = [name for name, _ in portion]
            self._send(packets.subscribe(mid, portion, mqtt5=self._mqtt5))
        self._check_subscribed()

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Send UNSUBSCRIBE; nobody waits for its answer."""
        self._send(packets.unsubscribe(self._next_mid(), filters, mqtt5=self._mqtt5))

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int:
        """One publication; returns the broker's reason (QoS 0: when it was handed over). Raises Unreachable."""
        async with self._window:
            if self.lost is not None:
                raise Unreachable(self.lost)
            mid = self._next_mid() if qos else 0
            self._send(packets.publish(topic, payload, qos, retain, mid, mqtt5=self._mqtt5))
            if not qos:
                return 0
            answer: asyncio.Future[int] = self._loop.create_future()
            self._published[mid] = answer
            try:
                async with asyncio.timeout(PUBACK_S):
                    return await answer
            except TimeoutError as late:
                self.end(f"no PUBACK in {PUBACK_S:.0f} s")
                raise Unreachable(f"no PUBACK in {PUBACK_S:.0f} s") from late
            finally:
                self._published.pop(mid, None)

    def ack(self, mid: int) -> None:
        """PUBACK, once."""
        if mid in self.unacked and self.lost is None:
            self.unacked.discard(mid)
            self._send(packets.puback(mid))
            if self.backlog.on:
                self.backlog.acked(len(self.unacked), self._loop.time())

    def pause(self) -> None:
        """Stop reading the socket; the broker keeps the rest."""
        if not self._paused and self.lost is None and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
            # Whoever waits for SUBACK must first take what waited in the broker.
            self.ready.set()

    def resume(self) -> None:
        """Read the socket again."""
        if self._paused and self.lost is None and self._transport is not None:
            self._paused = False
            self._heard_s = self._loop.time()
            self._transport.resume_reading()
            # What was read but not looked at comes first.
            self._loop.call_soon(self.data_received, b"")

    def farewell(self) -> None:
        """DISCONNECT, as far as the socket takes it at once; the broker then publishes no will."""
        if self.lost is None and self._transport is not None:
            self._send(packets.FAREWELL)
            self._flush()

    def end(self, why: str) -> None:
        """The connection is over; everybody who waits for it learns why. Safe twice."""
        if self.lost is not None:
            return
        self.lost = why
        if self._timer is not None:
            self._timer.cancel()
        for answer in self._published.values():
            if not answer.done():
                answer.set_exception(Unreachable(why))
        if not self._connected.done():
            self._connected.set_exception(Unreachable(why))
            # Nobody may be waiting for it any more; then it must not complain when it is collected.
            self._connected.exception()
        self.ready.set()
        if self._transport is not None:
            # What is written is still sent (a farewell); a peer that takes nothing is cut off.
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()
        self._ended()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self.lost is not None:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone. With TLS 1.3 a broker looks at our certificate only after the handshake."""
        if isinstance(exc, ssl.SSLError) and not self._connected.done():
            self._connected.set_exception(Denied(plain(exc)))
        self.end(f"connection lost: {exc}" if exc is not None else "the broker closed the connection")

    def data_received(self, data: bytes) -> None:
        """Bytes of the broker; what MQTT does not allow ends the connection, visibly. The rest waits at a pause."""
        self._heard_s = self._loop.time()
        stream = self._parser.feed(data)
        try:
            while not self._paused and self.lost is None and (packet := next(stream, None)) is not None:
                if type(packet) is Publish:
                    self._message(packet)
                else:
                    self._answer(packet)
        except Malformed as fault:
            self.end(f"the broker sent what MQTT does not allow: {fault}")
        finally:
            stream.close()

    # Inside

    def _message(self, message: Publish) -> None:
        mid = message.mid
        if mid:
            self.unacked.add(mid)
        queued = self.backlog.on and self.backlog.arrived(len(self.unacked), self._heard_s)
        topic, payload = message.topic, message.payload
        if not topic or len(payload) > limits.PAYLOAD_BYTES_MAX:
            self._count("oversize" if topic else "bad_topic")
            self.ack(mid)
            return
        self._deliver(Received(topic, payload, message.qos, message.retain, message.dup, queued, mid, self.epoch))

    def _answer(self, packet: packets.Packet) -> None:
        if isinstance(packet, ConnAck):
            self._greeted(packet)
        elif isinstance(packet, Ack) and packet.kind == PUBACK:
            answer = self._published.get(packet.mid)
            if answer is not None and not answer.done():
                answer.set_result(packet.reasons[0])
        elif isinstance(packet, Ack) and packet.kind == SUBACK:
            names = self._subscribing.pop(packet.mid, ())
            pairs = zip(names, packet.reasons, strict=False)
            self.denied += [name for name, reason in pairs if reason >= FAILURE]
            self._check_subscribed()
        elif isinstance(packet, Control) and packet.kind == packets.DISCONNECT:
            self.end(f"the broker ended the connection: {reason_words(packet.reason)}")

    def _greeted(self, packet: ConnAck) -> None:
        self.answered = True
        if self._connected.done():
            return
        if packet.reason == _UNSUPPORTED_PROTOCOL:
            self._connected.set_exception(OldProtocol())
        elif packet.reason in _DENIED:
            self._connected.set_exception(Denied(f"the broker refuses us: {reason_words(packet.reason)}"))
        elif packet.reason >= FAILURE:
            words = reason_words(packet.reason)
            self._connected.set_exception(Unreachable(f"the broker refuses the connection: {words}"))
        else:
            self.session_present = packet.session_present
            self.backlog = Backlog(packet.session_present)
            self._window = asyncio.Semaphore(min(WINDOW_MAX, packet.window or WINDOW_DEFAULT))
            self._connected.set_result(None)

    def _check_subscribed(self) -> None:
        if not self._subscribing and self.lost is None:
            self.backlog.subscribed(len(self.unacked))
            self.ready.set()

    def _next_mid(self) -> int:
        while True:
            self._mid = self._mid % 0xFFFF + 1
            if self._mid not in self._published and self._mid not in self._subscribing:
                return self._mid

    def _send(self, packet: bytes) -> None:
        """Gather what one turn of the loop wants to say: one system call instead of one per acknowledgement."""
        self._out += packet
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(self._out))
            self._sent_s = self._loop.time()
        self._out.clear()

    def _misc(self) -> None:
        """Keepalive: ping when we were quiet, give up when the broker was. A pause is our own silence, not its."""
        now_s = self._loop.time()
        if not self._paused and now_s - self._heard_s > 2 * dial.KEEPALIVE_S:
            self.end(f"nothing heard for {2 * dial.KEEPALIVE_S} s (keepalive)")
            return
        if now_s - min(self._sent_s, self._heard_s) >= dial.KEEPALIVE_S - 2 * MISC_S:
            self._send(packets.PINGREQ)
        self._timer = self._loop.call_later(MISC_S, self._misc)
