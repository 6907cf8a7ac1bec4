"""One TCP connection to an MQTT broker on asyncio, by paho-mqtt without its thread.

A connection is made once, used, lost and thrown away: nothing of an old one can leak into the next.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge import limits
from edge.errors import Denied, Unreachable
from edge.mqtt.dial import WINDOW_DEFAULT, WINDOW_MAX, Received, drop

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
BACKLOG_QUIET_S = 0.25
"""A backlog refills the window within a round trip; when it did not for this long, it is over."""
BACKLOG_WINDOW_MIN = 10
"""Fewer messages than this before SUBACK were the whole backlog: no broker has a smaller window."""

BUSY = frozenset({0x80, 0x83, 0x97})
"""Reasons of a PUBACK that may pass: unspecified, implementation specific, quota."""
_DENIED = frozenset({0x85, 0x86, 0x87, 0x8A, 0x8C})
_UNSUPPORTED_PROTOCOL = 0x84


class OldProtocol(Exception):
    """The broker speaks no MQTT 5."""


class Backlog:
    """Tells messages that waited in the broker's queue from live ones.

    All before SUBACK waited. After it the backlog goes on for as long as the broker keeps its window towards us full.
    """

    def __init__(self, resumed: bool) -> None:
        self._on = resumed
        self._window: int | None = None
        self._below_since: float | None = None

    def arrived(self, outstanding: int, now_s: float) -> bool:
        """True when the message that makes ``outstanding`` unacknowledged ones came out of the queue."""
        if not self._on or self._window is None:
            return self._on
        if self._below_since is not None and now_s - self._below_since > BACKLOG_QUIET_S:
            self._on = False
        elif outstanding >= self._window:
            self._below_since = None
        return self._on

    def acked(self, outstanding: int, now_s: float) -> None:
        """``outstanding`` messages are left unacknowledged."""
        if self._window is not None and self._below_since is None and outstanding < self._window:
            self._below_since = now_s

    def subscribed(self, outstanding: int) -> None:
        """SUBACK is here."""
        self._window = outstanding
        self._on = self._on and outstanding >= BACKLOG_WINDOW_MIN


class Connection:
    """One TCP connection to a broker: from CONNECT until it is lost, never reused."""

    def __init__(
        self,
        client: paho.Client,
        epoch: int,
        *,
        deliver: Callable[[Received], None],
        count: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        self.client = client
        self.epoch = epoch
        self.lost: str | None = None
        self.answered = False
        self.session_present = False
        self.unacked: set[int] = set()
        self.backlog = Backlog(False)
        self.window = asyncio.Semaphore(WINDOW_DEFAULT)
        self._loop = asyncio.get_running_loop()
        self._deliver, self._count, self._ended = deliver, count, ended
        self._sock: Any = client.socket()
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._published: dict[int, asyncio.Future[ReasonCode]] = {}
        self._subscribing: dict[int, Sequence[str]] = {}
        self.denied: list[str] = []
        self._answers = 0
        self.ready = asyncio.Event()
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_written
        client.on_socket_close = self._on_socket_close

    async def handshake(self, patience_s: float) -> None:
        """Send CONNECT on the dialled socket and wait for CONNACK. Raises Unreachable, Denied, OldProtocol."""
        self._loop.add_reader(self._sock, self._readable)
        self._loop.add_writer(self._sock, self._writable)
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
            code, mid = self.client.subscribe(portion)
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
                raise Unreachable("the broker closed the connection at SUBSCRIBE")
            self._subscribing[mid] = [topic for topic, _ in portion]
        self._check_subscribed()

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> ReasonCode:
        """One publication; returns the broker's reason (QoS 0: when it was written). Raises Unreachable."""
        async with self.window:
            if self.lost is not None:
                raise Unreachable(self.lost)
            info = self.client.publish(topic, payload, qos, retain)
            if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise Unreachable(f"not sent: {paho.error_string(info.rc)}")
            answer: asyncio.Future[ReasonCode] = self._loop.create_future()
            self._published[info.mid] = answer
            try:
                async with asyncio.timeout(PUBACK_S):
                    return await answer
            except TimeoutError as late:
                self.end(f"no PUBACK in {PUBACK_S:.0f} s")
                raise Unreachable(f"no PUBACK in {PUBACK_S:.0f} s") from late
            finally:
                self._published.pop(info.mid, None)

    def pause(self) -> None:
        """Stop reading the socket. A pause beyond the keepalive ends the connection; the broker keeps the rest."""
        if not self._paused and self.lost is None:
            self._paused = True
            self._loop.remove_reader(self._sock)
            # Whoever waits for SUBACK must first take what waited in the broker.
            self.ready.set()

    def resume(self) -> None:
        """Read the socket again."""
        if self._paused and self.lost is None:
            self._paused = False
            self._loop.add_reader(self._sock, self._readable)
            self._loop.call_soon(self._readable)

    def farewell(self) -> None:
        """DISCONNECT, as far as the socket takes it at once; the broker then publishes no will."""
        if self.lost is None:
            self.client.on_disconnect = None
            self.client.disconnect()
            self._guard(self.client.loop_write)

    def end(self, why: str) -> None:
        """The connection is over; everybody who waits for it learns why. Safe twice."""
        if self.lost is not None:
            return
        self.lost = why
        if self._timer is not None:
            self._timer.cancel()
        self.client.on_socket_register_write = self.client.on_socket_unregister_write = None
        self.client.on_socket_close = None
        self._forget_socket()
        for answer in self._published.values():
            if not answer.done():
                answer.set_exception(Unreachable(why))
        if not self._connected.done():
            self._connected.set_exception(Unreachable(why))
            # Nobody may be waiting for it any more; then it must not complain when it is collected.
            self._connected.exception()
        self.ready.set()
        drop(self.client)
        self._ended()

    def _forget_socket(self) -> None:
        if self._sock is not None and self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        """Let paho take packets until the socket is empty, the queue full or 64 are done (others want the loop too)."""
        for _ in range(64):
            if self._paused or self.lost is not None:
                return
            before = self._answers
            self._guard(self.client.loop_read)
            if self._answers == before and not self._tls_pending():
                return
        self._loop.call_soon(self._readable)

    def _tls_pending(self) -> bool:
        """Decrypted bytes inside the TLS layer do not make the socket readable."""
        return self.lost is None and isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def _writable(self) -> None:
        self._guard(self.client.loop_write)

    def _misc(self) -> None:
        self._guard(self.client.loop_misc)
        if self.lost is None:
            self._timer = self._loop.call_later(MISC_S, self._misc)

    def _guard(self, step: Callable[[], MQTTErrorCode]) -> None:
        """Whatever paho cannot decode ends the connection, visibly; a broker's bytes must not stop the process."""
        try:
            code = step()
        except Exception as fault:  # noqa: BLE001
            self.end(f"the broker sent what MQTT does not allow: {fault!r}")
            return
        if code not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            self.end(paho.error_string(code))

    def _on_want_write(self, _client: paho.Client, _userdata: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock, self._writable)

    def _on_written(self, _client: paho.Client, _userdata: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock)

    def _on_socket_close(self, _client: paho.Client, _userdata: Any, _sock: Any) -> None:
        self._forget_socket()

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.answered = True
        if self._connected.done():
            return
        if reason.value == _UNSUPPORTED_PROTOCOL:
            self._connected.set_exception(OldProtocol())
        elif reason.value in _DENIED:
            self._connected.set_exception(Denied(f"the broker refuses us: {reason}"))
        elif reason.is_failure:
            self._connected.set_exception(Unreachable(f"the broker refuses the connection: {reason}"))
        else:
            self.session_present = bool(flags.session_present)
            self.backlog = Backlog(self.session_present)
            self.window = asyncio.Semaphore(min(WINDOW_MAX, getattr(properties, "ReceiveMaximum", WINDOW_DEFAULT)))
            self._connected.set_result(None)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        by = "the broker ended the connection" if flags.is_disconnect_packet_from_server else "connection lost"
        self.end(f"{by}: {reason}")

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._answers += 1
        mid = message.mid if message.qos else 0
        if mid:
            self.unacked.add(mid)
        queued = self.backlog.arrived(len(self.unacked), self._loop.time())
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if not topic or len(message.payload) > limits.PAYLOAD_BYTES_MAX:
            self._count("oversize" if topic else "bad_topic")
            self.ack(mid)
            return
        self._deliver(
            Received(topic, bytes(message.payload), message.qos, message.retain, message.dup, queued, mid, self.epoch)
        )

    def ack(self, mid: int) -> None:
        """PUBACK, once."""
        if mid in self.unacked and self.lost is None:
            self.unacked.discard(mid)
            self.client.ack(mid, 1)
            self.backlog.acked(len(self.unacked), self._loop.time())

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        answer = self._published.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason)

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        topics = self._subscribing.pop(mid, ())
        self.denied += [topic for topic, reason in zip(topics, reasons, strict=False) if reason.is_failure]
        self._check_subscribed()

    def _check_subscribed(self) -> None:
        if not self._subscribing and self.lost is None:
            self.backlog.subscribed(len(self.unacked))
            self.ready.set()
