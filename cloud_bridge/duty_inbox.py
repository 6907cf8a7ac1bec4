"""What the duty room says, on one connection: receipts, commands, duty messages. The malformed is counted and acked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import ValidationError

from cloud_bridge.messages import CommandMessage, DutyMessage, Message, OutcomeMessage, ReceiptMessage, topic
from edge.errors import Denied, NotDurable
from edge.model import Command, CommandOutcome, Result, parse_rfc3339, rfc3339
from edge.mqtt import MqttSession, Received
from edge.ports import Clockwork, CommandFn

COMMANDS_MAX = 512
"""Commands under way at once: what may wait in the broker while we are away. More get no answer, and are asked again:
an answer that says no could not be taken back when the same command comes again and is done."""
FRESH_MS = 60_000
"""A command whose own time fits the duty room's clock so closely was made just now, whatever our clock says."""

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class InboxCalls:
    """Where it goes. receipted: commits receipts, then returns. on_duty gets every well-formed duty message."""

    command: CommandFn
    receipted: Callable[[Sequence[str]], Awaitable[None]]
    on_duty: Callable[[DutyMessage], None]
    count: Callable[[str], None]


class InOrder:
    """Holds back a PUBACK until its own work and all earlier ones are done (MQTT-4.6.0-2).

    Bounded by what the broker may have unacknowledged at us: QoS 0 messages are not kept.
    """

    def __init__(self, ack: Callable[[Received], None]) -> None:
        self._ack = ack
        self._waiting: deque[Received] = deque()
        self._done: set[int] = set()

    def arrived(self, received: Received) -> None:
        """To be acknowledged some time."""
        if received.qos:
            self._waiting.append(received)

    def done(self, received: Received) -> None:
        """Its work is done; acknowledges it and all that only waited for it."""
        if not received.qos:
            return
        self._done.add(received.mid)
        while self._waiting and self._waiting[0].mid in self._done:
            first = self._waiting.popleft()
            self._done.discard(first.mid)
            self._ack(first)


class DutyInbox:
    """The receiving half of one connection. Thrown away with it: what was not acknowledged comes again."""

    def __init__(
        self, gateway_id: str, session: MqttSession, clock: Clockwork, calls: InboxCalls, tasks: asyncio.TaskGroup
    ) -> None:
        self._prefix = topic(gateway_id, "")
        self._session, self._clock, self._calls, self._tasks = session, clock, calls, tasks
        self._order = InOrder(session.ack)
        self._receipts: list[tuple[str, Received]] = []
        self._arrived = asyncio.Event()
        self._commands = 0
        self._skew_ms: int | None = None

    async def receive(self) -> None:
        """Never waits for the journal: while a disk refuses commits, duty messages must still be heard."""
        while True:
            for received in await self._session.receive():
                self._order.arrived(received)
                if not self._take(received):
                    self._order.done(received)

    async def commit_receipts(self) -> None:
        """Receipts go to the journal in groups: all that came while the last group was written."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            group, self._receipts = self._receipts, []
            try:
                await self._calls.receipted([event_id for event_id, _ in group])
            except NotDurable:
                # The events stay in the outbox, are sent again, and are receipted again.
                self._calls.count("receipt_not_durable")
            for _, received in group:
                self._order.done(received)

    def _take(self, received: Received) -> bool:
        """One message. True when its acknowledgement must wait for work that was begun."""
        name = received.topic.removeprefix(self._prefix)
        if received.retain:
            # Nothing here may be retained: an old command would come back at every connect.
            self._calls.count("retained")
        elif name == "receipt":
            receipt = self._parse(ReceiptMessage, received)
            if receipt is not None:
                self._receipts.append((receipt.event_id, received))
                self._arrived.set()
                return True
        elif name == "command":
            wish = self._parse(CommandMessage, received)
            if wish is not None:
                self._tasks.create_task(self._obey(wish, received))
                return True
        elif name == "duty":
            duty = self._parse(DutyMessage, received)
            if duty is not None:
                self._skew_ms = parse_rfc3339(duty.at) - self._clock.wall_ms()
                self._calls.on_duty(duty)
        else:
            self._calls.count("unknown_topic")
        return False

    def _parse(self, kind: type[M], received: Received) -> M | None:
        """The message, or None (counted) for what is none: unknown version, wrong type, no JSON."""
        try:
            return kind.model_validate_json(received.payload)
        except ValidationError:
            self._calls.count("malformed")
            return None

    async def _obey(self, wish: CommandMessage, received: Received) -> None:
        """Do it, say what became of it, and only then acknowledge it."""
        if self._commands >= COMMANDS_MAX:
            self._calls.count("overloaded")
            self._order.done(received)
            return
        self._commands += 1
        try:
            outcome = await self._outcome(wish)
        finally:
            self._commands -= 1
        message = OutcomeMessage(
            command_id=outcome.command_id,
            result=outcome.result,
            code=outcome.code,
            message=outcome.message,
            at=rfc3339(outcome.at_ms) or "",
        )
        try:
            await self._session.publish(self._prefix + "outcome", message.encode())
        except Denied:
            self._calls.count("denied_outcome")
        self._order.done(received)

    async def _outcome(self, wish: CommandMessage) -> CommandOutcome:
        try:
            return await self._calls.command(by_our_clock(command_of(wish), self._skew_ms, self._clock.wall_ms()))
        except NotDurable:
            return self._refused(wish, "not_durable", "the journal takes no commits: nothing was changed, ask again")

    def _refused(self, wish: CommandMessage, code: str, message: str) -> CommandOutcome:
        return CommandOutcome(wish.command_id, Result.REFUSED, code, message, self._clock.wall_ms())


def by_our_clock(command: Command, skew_ms: int | None, now_ms: int) -> Command:
    """The command with its end in our time. skew_ms: how far the duty room's clock is ahead of ours, if known.

    A building without a time server drifts; a fast clock must not make every acknowledgement too old.
    """
    if skew_ms is None or command.expires_ms is None or abs(command.at_ms - now_ms - skew_ms) > FRESH_MS:
        return command
    return replace(command, expires_ms=command.expires_ms - skew_ms)


def command_of(wish: CommandMessage) -> Command:
    """The wire form as the noun."""
    return Command(
        command_id=wish.command_id,
        kind=wish.kind,
        alarm_id=wish.alarm_id or "",
        by=wish.by.person() if wish.by else None,
        at_ms=parse_rfc3339(wish.at),
        expires_ms=parse_rfc3339(wish.expires_at) if wish.expires_at else None,
        reason=wish.reason,
        until_ms=parse_rfc3339(wish.until) if wish.until else None,
        seen=wish.seen,
    )
