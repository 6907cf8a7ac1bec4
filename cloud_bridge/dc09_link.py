"""SIA DC-09 over TCP to an alarm receiving centre: one message at a time, each until it is acknowledged.

Rules of the answer: ACK with our sequence takes the message off the queue; NAK with a time means that our clock is
not theirs: the difference is added and the message sent again; DUH means that they will never understand this one: it
is parked in the count and the log, the next goes on; no answer, or an answer to an older message, is no answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cloud_bridge.dc09 import (
    SEQUENCE_MAX,
    Account,
    Reply,
    adm_cid,
    cipher_of,
    frame,
    link_test,
    parse_reply,
    split_answer,
    word_of,
)
from cloud_bridge.tcp import TcpLink
from cloud_bridge.uplink import EventQueue, Reconnect, UplinkKit, tls_of
from edge.errors import Denied, Garbled, Unreachable
from edge.model import AlarmEvent

log = logging.getLogger(__name__)

ANSWER_S = 10.0
"""A receiver that says nothing for this long has not got it."""
ANSWER_BYTES_MAX = 4096
"""No answer is longer."""
SAME_TIME = timedelta(seconds=5)
"""A NAK that tells a time this close to ours is not about the time. Receivers take -40 to +20 s."""
TRIES = 3
"""Sendings of one message over one connection before the next address is asked."""


@dataclass(frozen=True, slots=True)
class Dc09Settings:
    """One alarm receiving centre. key: AES, see ``cipher_of``. test_s: a link test after this much silence."""

    addresses: Sequence[tuple[str, int]]
    account: str
    receiver: str = "0"
    line: str = "0"
    key: str | None = None
    test_s: float = 60.0
    tls: Callable[[], ssl.SSLContext] | None = None


class Dc09Link:
    """Runs until cancelled. Event loop thread only."""

    def __init__(self, settings: Dc09Settings, kit: UplinkKit, events: EventQueue) -> None:
        self._settings, self._kit, self._events = settings, kit, events
        self._account = Account(settings.account, settings.receiver, settings.line)
        self._cipher = cipher_of(settings.key) if settings.key else None
        self._tcp = TcpLink(settings.addresses, settings.tls)
        self._reconnect = Reconnect("alarm receiving centre (DC-09)", kit.clock, kit.count)
        self._sequence = 0
        self._ahead = timedelta()
        self._heard = b""

    @property
    def connected(self) -> bool:
        """The receiver has answered on this connection."""
        return self._reconnect.connected

    @property
    def why(self) -> str:
        """Why it is not connected."""
        return self._reconnect.why

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Newly committed events."""
        self._events.offer(events)

    async def run(self) -> None:
        """Queue and send, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._events.run(), name="dc09-queue")
            tasks.create_task(self._reconnect.keep(self._once), name="dc09-send")

    async def _once(self) -> None:
        try:
            await self._tcp.open()
            self._heard = b""
            # Whoever answers a link test may be trusted with an alarm; it also proves account, key and clock.
            await self._say("NULL", 0, "")
            self._reconnect.up()
            while True:
                parcel = await self._events.next(self._settings.test_s)
                if parcel is None:
                    await self._say("NULL", 0, "")
                    continue
                wish = json.loads(parcel.body)
                self._sequence = self._sequence % SEQUENCE_MAX + 1
                data = adm_cid(self._account.number, wish["qualifier"], wish["code"], wish["zone"])
                await self._say("ADM-CID", self._sequence, data)
                await self._events.done(parcel)
        finally:
            self._tcp.close()

    async def _say(self, ident: str, sequence: int, data: str) -> None:
        """Send until ACK or DUH. Raises Unreachable without an answer, Denied when the account is refused."""
        for _ in range(TRIES):
            await self._tcp.send(self._frame(ident, sequence, data))
            reply = await self._reply(sequence)
            if reply is None:
                self._kit.count("no_answer")
            elif reply.word == "ACK":
                return
            elif reply.word == "DUH":
                self._kit.count("refused")
                log.error("the alarm receiving centre has no use for %s [%s]; it is not sent again", ident, data)
                return
            elif reply.at is not None and abs(reply.at - self._now() - self._ahead) > SAME_TIME:
                self._kit.count("clock_corrected")
                self._ahead = reply.at - self._now()
            else:
                raise Denied("the receiver refuses us (NAK): account or key is not known there")
        self._tcp.turn()
        raise Unreachable(f"no acknowledgement of {ident} after {TRIES} sendings")

    def _frame(self, ident: str, sequence: int, data: str) -> bytes:
        at = self._now() + self._ahead
        if ident == "NULL":
            return link_test(self._account, at, self._cipher)
        return frame(ident, sequence, self._account, data, at, self._cipher)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._kit.clock.wall_ms() / 1000, UTC)

    async def _reply(self, sequence: int) -> Reply | None:
        """The answer to this message; older ones are passed over. None: none in time, or not to be understood."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    reply = parse_reply(await self._answer())
                    # A NAK has the sequence 0000; an unframed word belongs to what was said last.
                    if reply.word == "NAK" or reply.sequence in (None, sequence):
                        return reply
                    self._kit.count("late_answer")
        except TimeoutError:
            return None
        except Garbled:
            self._kit.count("garbled")
            return None

    async def _answer(self) -> bytes:
        while (found := split_answer(self._heard)) is None:
            if len(self._heard) > ANSWER_BYTES_MAX:
                raise Unreachable("the receiver sends what is no answer")
            self._heard += await self._tcp.some()
        answer, self._heard = found
        return answer


def pack(event: AlarmEvent, kit: UplinkKit) -> bytes | None:
    """What is kept of an event until it is sent."""
    word = word_of(event)
    if word is None:
        return None
    return json.dumps({"qualifier": word[0], "code": word[1], "zone": kit.numbers.get(event.device, 0)}).encode()


async def create(settings: Dc09Settings, kit: UplinkKit) -> Dc09Link:
    """The link with its queue ``dc09.db``."""
    queue = await kit.queue("dc09")
    return Dc09Link(settings, kit, EventQueue(queue, lambda event: pack(event, kit), kit.count))


async def make(options: Mapping[str, Any], kit: UplinkKit) -> Dc09Link:
    """From the building file."""
    names = ("addresses", "account", "receiver", "line", "test_s")
    key = options["aes_key"]
    settings = Dc09Settings(
        **{name: options[name] for name in names},
        key="".join(key) if key is not None else None,
        tls=tls_of(options, kit.clock),
    )
    return await create(settings, kit)
