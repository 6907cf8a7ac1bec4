"""The MQTT session of the alarm path: acknowledged by hand, bounded, persistent, with several brokers to try.

Why not a ready asyncio wrapper: they acknowledge before the application has seen the message, and drop messages when
their queue is full. Here nothing is acknowledged before ``ack``, and a full queue stops reading the socket, so that the
broker keeps what we cannot take (DESIGN §4.3, reference/reliability.md §1).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from edge import limits
from edge.errors import Denied, LinkError, Unreachable
from edge.mqtt.connection import BUSY, FAILURE, HANDSHAKE_S, TRIAL_S, Connection, OldProtocol
from edge.mqtt.dial import Broker, Identity, Received, Will, dial, parse_url
from edge.mqtt.packets import reason_words
from edge.mqtt.tls import Tls


class MqttSession:
    """One persistent session with a broker. Not thread-safe: event loop thread only.

    Example::

        session = MqttSession(["mqtt://127.0.0.1"], client_id="b12", username="b12", password=secret,
                              subscriptions=[("devices/#", 1)], count=metrics.count)
        await session.open()
        for received in await session.receive():
            ...commit...
            session.ack(received)
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        client_id: str,
        username: str | None,
        password: str | None,
        subscriptions: Sequence[tuple[str, int]] = (),
        will: Will | None = None,
        count: Callable[[str], None],
        session_expiry_s: int = 86400,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        session_expected: bool = False,
    ) -> None:
        """urls: ``mqtt://host[:1883]`` or ``mqtts://host[:8883]``, tried in turn. Raises ValueError for others.

        ca, cert, key: files of a TLS link, see ``Tls``.
        session_expected: an earlier process had a session under this client id (see ``session_lost``).
        """
        self._brokers = [parse_url(url) for url in urls]
        if not self._brokers:
            raise ValueError("at least one broker URL is needed")
        if any(qos not in (0, 1) for _, qos in subscriptions):
            raise ValueError("QoS 2 is not used: a crash between PUBREC and PUBREL loses the message")
        self._identity = Identity(client_id, username, password, will, session_expiry_s, Tls(ca, cert, key))
        self._subscriptions, self._count = tuple(subscriptions), count
        self._expected = session_expected
        self._speaks_5: set[str] = set()
        self._old: set[str] = set()
        self._next = 0
        self._epoch = 0
        self._connection: Connection | None = None
        self._queue: deque[Received] = deque()
        self._arrived = asyncio.Event()
        self._session_lost = False

    @property
    def connected(self) -> bool:
        """True while the broker is believed to be there."""
        return self._connection is not None and self._connection.lost is None

    @property
    def session_lost(self) -> bool:
        """The broker forgot our session when it should not have: what it had queued is gone. A fault to be told."""
        return self._session_lost

    @property
    def denied(self) -> tuple[str, ...]:
        """Topic filters the broker refused although it took the connection."""
        return tuple(self._connection.denied) if self._connection else ()

    async def open(self) -> bool:
        """Connect and subscribe; True when the broker kept our session. Tries every URL once, the last good one first.

        Raises Unreachable, or Denied when every broker refuses our credentials or all of our subscriptions.
        """
        self._end("opened anew")
        faults: list[LinkError] = []
        for _ in self._brokers:
            broker = self._brokers[self._next]
            try:
                return await self._open_one(broker)
            except LinkError as fault:
                faults.append(type(fault)(f"{broker.url}: {fault}"))
                self._next = (self._next + 1) % len(self._brokers)
        text = "; ".join(str(fault) for fault in faults)
        if all(isinstance(fault, Denied) for fault in faults):
            raise Denied(text)
        raise Unreachable(text)

    async def receive(self, limit: int = 256) -> list[Received]:
        """Wait for messages; at least one, at most limit, in order. After a loss what is queued still comes out first.

        Raises Unreachable when the connection is lost, not open or closed. One caller at a time.
        """
        while not self._queue:
            if self._connection is None or self._connection.lost is not None:
                raise Unreachable((self._connection and self._connection.lost) or "not open")
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
        if self._connection is not None and len(self._queue) <= limits.QUEUE_MESSAGES_MAX // 2:
            self._connection.resume()
        return taken

    def ack(self, received: Received) -> None:
        """PUBACK. Does nothing for QoS 0, a second time, or for a message of an older connection (it comes again)."""
        if self._connection is not None and received.epoch == self._connection.epoch:
            self._connection.ack(received.mid)

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish; returns after PUBACK (QoS 0: once written). Raises Unreachable, or Denied when rights are missing.

        An MQTT 3.1.1 broker acknowledges what it does not forward: there Denied can never be seen.
        """
        if self._connection is None:
            raise Unreachable("not open")
        reason = await self._connection.publish(topic, payload, qos, retain)
        if reason in BUSY:
            raise Unreachable(f"{topic}: {reason_words(reason)}")
        if reason >= FAILURE:
            raise Denied(f"{topic}: {reason_words(reason)}")

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Take filters out of the session, so that a later resumption does not bring them back."""
        if self._connection is not None:
            self._connection.unsubscribe(filters)

    async def close(self) -> None:
        """DISCONNECT (no will is sent) and let go. Safe always; the broker keeps the session until it expires."""
        if self._connection is not None:
            self._connection.farewell()
        self._end("closed")

    async def _open_one(self, broker: Broker) -> bool:
        """One broker, MQTT 5 first. Nothing is left behind when it fails."""
        try:
            connection = await self._speak(broker)
            connection.subscribe(self._subscriptions)
            try:
                async with asyncio.timeout(HANDSHAKE_S):
                    await connection.ready.wait()
            except TimeoutError as late:
                raise Unreachable(f"no SUBACK in {HANDSHAKE_S:.0f} s") from late
            if connection.lost is not None:
                raise Unreachable(connection.lost)
            if self._subscriptions and len(connection.denied) == len(self._subscriptions):
                raise Denied(f"the broker refuses every subscription: {', '.join(connection.denied[:3])}")
        except BaseException:
            self._end("not opened")
            raise
        self._session_lost = self._expected and not connection.session_present
        self._expected = True
        return connection.session_present

    async def _speak(self, broker: Broker) -> Connection:
        """MQTT 5 first. Who once answered only 3.1.1 is asked for that at once, until it fails."""
        if broker.url not in self._old:
            try:
                connection = await self._connect(broker, mqtt5=True)
                self._speaks_5.add(broker.url)
                return connection
            except OldProtocol:
                self._old.add(broker.url)
        try:
            return await self._connect(broker, mqtt5=False)
        except BaseException:
            self._old.discard(broker.url)
            raise

    async def _connect(self, broker: Broker, *, mqtt5: bool) -> Connection:
        """TCP, CONNECT, CONNACK. A broker that never spoke MQTT 5 and has no answer to it is taken for an old one."""
        self._epoch += 1
        connection = Connection(
            self._epoch, mqtt5=mqtt5, deliver=self._deliver, count=self._count, ended=self._arrived.set
        )
        await dial(broker, self._identity, connection)
        self._connection = connection
        trial = mqtt5 and broker.url not in self._speaks_5
        try:
            await connection.handshake(self._identity, TRIAL_S if trial else HANDSHAKE_S)
        except Unreachable as fault:
            connection.end("no answer")
            if trial and not connection.answered:
                raise OldProtocol from fault
            raise
        except BaseException:
            connection.end("no session")
            raise
        return connection

    def _deliver(self, received: Received) -> None:
        self._queue.append(received)
        self._arrived.set()
        if len(self._queue) >= limits.QUEUE_MESSAGES_MAX and self._connection is not None:
            self._connection.pause()

    def _end(self, why: str) -> None:
        if self._connection is not None:
            self._connection.end(why)
