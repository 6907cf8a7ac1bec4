"""The duty room link against a real mosquitto and a duty room written by hand."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import pytest

from cloud_bridge.duty_room_link import DutyRoomLink, Vitals
from cloud_bridge.messages import DutyMessage, SiteMessage
from edge.clock import SystemClock
from edge.errors import NotDurable
from edge.model import AlarmEvent, Clock, Command, CommandKind, CommandOutcome, Person, Result, Via
from tests.unit.bridge.samples import NOW_MS, Broker, event

AT = "2026-09-21T14:13:20.123Z"


@dataclass
class Gateway:
    """A journal in memory and the link under test."""

    events: list[AlarmEvent] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    outcomes: dict[str, CommandOutcome] = field(default_factory=dict)
    heard: list[DutyMessage] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    disk: asyncio.Event = field(default_factory=asyncio.Event)
    durable: bool = True

    def __post_init__(self) -> None:
        self.disk.set()

    async def pending(self, after_seq: int, limit: int) -> Sequence[AlarmEvent]:
        left = [e for e in self.events if e.seq > after_seq and e.event_id not in self.receipts]
        return left[:limit]

    async def command(self, command: Command) -> CommandOutcome:
        self.commands.append(command)
        await self.disk.wait()
        if not self.durable:
            raise NotDurable("disk full")
        outcome = CommandOutcome(command.command_id, Result.DONE, "done", f"call {len(self.commands)}", NOW_MS)
        return self.outcomes.setdefault(command.command_id, outcome)

    async def receipted(self, event_ids: Sequence[str]) -> None:
        await self.disk.wait()
        self.receipts += event_ids

    def vitals(self) -> Vitals:
        head = self.events[-1].seq if self.events else 0
        return Vitals(head, Clock.SYNCED, {"bus1": "up"}, 1, len(self.events) - len(self.receipts), True)

    def site(self) -> SiteMessage:
        return SiteMessage(community="新盛", building="12", units=["1"], floors=(1, 18), households_per_floor=2)

    def link(self, broker: Broker) -> DutyRoomLink:
        return DutyRoomLink(
            "b12",
            broker,
            SystemClock(),
            "boot-1",
            pending=self.pending,
            command=self.command,
            receipted=self.receipted,
            vitals=self.vitals,
            site=self.site,
            on_duty=self.heard.append,
            count=lambda cause: self.counts.update([cause]),
        )


@dataclass
class DutyRoom:
    """Hears everything of b12, answers nothing unless told."""

    client: aiomqtt.Client
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    receipts: bool = True

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            name = message.topic.value.removeprefix("linli/v1/b12/")
            if name in ("receipt", "command", "duty"):
                continue
            body = json.loads(message.payload)
            self.got.append((name, body))
            if name == "event" and self.receipts:
                await self.say("receipt", {"v": 1, "event_id": body["event_id"], "duty_room": "d1", "at": AT})

    async def say(self, name: str, body: object, **how: Any) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.client.publish(f"linli/v1/b12/{name}", payload, **{"qos": 1, **how})

    def of(self, name: str) -> list[dict[str, Any]]:
        return [body for kind, body in self.got if kind == name]


@asynccontextmanager
async def duty_room(broker: Broker) -> AsyncIterator[DutyRoom]:
    nodelay = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    async with aiomqtt.Client("127.0.0.1", broker.port, socket_options=[nodelay]) as client:
        await client.subscribe("linli/v1/b12/#", 1)
        room = DutyRoom(client)
        task = asyncio.create_task(room.listen())
        yield room
        task.cancel()


@asynccontextmanager
async def running(link: DutyRoomLink) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(link.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not what():
            await asyncio.sleep(0.01)


def wish(command_id: str = "c1", **changes: Any) -> dict[str, Any]:
    by = {"id": "li", "name": "李四", "via": "console"}
    return {"v": 1, "command_id": command_id, "kind": "acknowledge", "alarm_id": "a1", "by": by, "at": AT, **changes}


async def test_status_heartbeat_site_and_an_event_until_its_receipt(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: link.connected and room.of("heartbeat") and room.of("site"))
        assert room.of("status")[0]["online"] is True and room.of("status")[0]["boot_id"] == "boot-1"
        beat = room.of("heartbeat")[0]
        assert beat["links"] == {"bus1": "up"} and beat["durable"] is True and beat["seq"] == 1
        gateway.events.append(event(1))
        link.offer(gateway.events)
        await until(lambda: gateway.receipts)
        (sent,) = room.of("event")
        assert sent["class"] == "fire.smoke" and sent["seq"] == 1 and sent["replay"] is False
    async with duty_room(broker) as late:
        await until(lambda: late.of("status") and late.of("site"))
        assert late.of("status")[-1]["online"] is False, "a clean end says so, and it is retained"


async def test_without_a_receipt_it_is_sent_again_as_a_replay(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        room.receipts = False
        await until(lambda: link.connected)
        gateway.events.append(event(1))
        link.offer(gateway.events)
        await until(lambda: len(room.of("event")) == 2)
        assert [sent["replay"] for sent in room.of("event")] == [False, True]
        room.receipts = True
        await until(lambda: gateway.receipts, timeout_s=6)


async def test_nothing_is_lost_or_reordered_across_broker_deaths_beyond_the_window(broker: Broker) -> None:
    gateway = Gateway(events=[event(seq) for seq in range(1, 301)])
    link = gateway.link(broker)
    async with running(link):
        async with duty_room(broker) as room:
            await until(lambda: len(set(gateway.receipts)) >= 50)
        broker.stop()
        await until(lambda: not link.connected)
        fresh = [event(seq) for seq in range(301, 901)]
        gateway.events += fresh
        link.offer(fresh)
        broker.start()
        async with duty_room(broker) as room:
            await until(lambda: len(set(gateway.receipts)) == 900, timeout_s=30)
            firsts = list(dict.fromkeys(sent["seq"] for sent in room.of("event")))
            assert firsts == sorted(firsts), "each event's first publication on a connection is in order"
            assert all(sent["replay"] for sent in room.of("event"))


async def test_a_storm_larger_than_the_window_arrives_whole(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: link.connected)
        for seq in range(1, 1001):
            gateway.events.append(event(seq))
            link.offer(gateway.events[-1:])
        await until(lambda: len(set(gateway.receipts)) == 1000, timeout_s=30)
        assert sorted({sent["seq"] for sent in room.of("event")}) == list(range(1, 1001))


async def test_the_same_command_twice_is_one_effect_and_the_same_outcome(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: link.connected)
        await room.say("command", wish(expires_at=AT))
        await room.say("command", wish(expires_at=AT))
        await until(lambda: len(room.of("outcome")) == 2)
        first, second = room.of("outcome")
        assert first == second and first["result"] == "done"
        assert gateway.commands[0].by == Person("li", "李四", Via.CONSOLE)
        assert gateway.commands[0].kind is CommandKind.ACKNOWLEDGE and gateway.commands[0].expires_ms == NOW_MS


async def test_a_command_not_yet_committed_comes_again_after_a_reconnect(broker: Broker) -> None:
    gateway = Gateway()
    gateway.disk.clear()
    link = gateway.link(broker)
    async with duty_room(broker) as room:
        async with running(link):
            await until(lambda: link.connected)
            await room.say("command", wish())
            await until(lambda: gateway.commands)
        assert room.of("outcome") == []
        gateway.disk.set()
        again = gateway.link(broker)
        async with running(again):
            await until(lambda: room.of("outcome"))
            assert len(gateway.commands) == 2 and len(gateway.outcomes) == 1


async def test_a_stuck_disk_does_not_deafen_us(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_bridge.duty_inbox.COMMANDS_MAX", 64)
    gateway = Gateway(events=[event(1)])
    gateway.disk.clear()
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: room.of("event"))
        for number in range(80):
            await room.say("command", wish(f"c{number}"))
        duty = {"v": 1, "duty_room": "d1", "at": AT, "heard": {"boot_id": "boot-1", "seq": 1}, "audible": False}
        await room.say("duty", duty, qos=0)
        await until(lambda: gateway.heard)
        assert gateway.heard[0].audible is False
        assert room.of("outcome") == [], "nothing is answered that may yet be done: one id, one outcome"
        gateway.disk.set()
        await until(lambda: len(room.of("outcome")) == 64 and gateway.receipts)
        assert gateway.counts["overloaded"] == 16


async def test_a_refusing_journal_is_said_to_the_person(broker: Broker) -> None:
    gateway = Gateway(durable=False)
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: link.connected)
        await room.say("command", wish())
        await until(lambda: room.of("outcome"))
        assert room.of("outcome")[0]["result"] == "refused" and room.of("outcome")[0]["code"] == "not_durable"


async def test_the_malformed_is_counted_acknowledged_and_has_no_effect(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    bad: list[object] = [b"", b"nonsense", b"\xff", b"[]", b"[" * 5000, {}, wish(v=2), wish(at="yesterday")]
    bad += [wish(kind="explode"), wish(by={"id": 1}), wish(alarm_id=None), wish(expires_at="2026-01-01T00:00:00")]
    async with duty_room(broker) as room, running(link):
        await until(lambda: link.connected)
        for body in bad:
            await room.say("command", body)
        await room.say("receipt", {"v": 1})
        await room.say("duty", b"{}")
        await room.say("duty", {"v": 1, "duty_room": "d1", "at": AT, "audible": True})
        await room.say("command", wish("good", unknown_field=1))
        await until(lambda: room.of("outcome"))
        assert gateway.counts["malformed"] == len(bad) + 2 and gateway.counts["no_echo"] == 1
        assert [command.command_id for command in gateway.commands] == ["good"]


async def test_a_retained_command_is_no_wish(broker: Broker) -> None:
    gateway = Gateway()
    async with duty_room(broker) as room:
        await room.say("command", wish(), retain=True)
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: gateway.counts["retained"])
        assert gateway.commands == []
        await room.client.publish("linli/v1/b12/command", b"", retain=True)


async def test_no_broker_is_counted_and_comes_back_by_itself(broker: Broker) -> None:
    broker.stop()
    gateway = Gateway(events=[event(1)])
    link = gateway.link(broker)
    async with running(link):
        await until(lambda: gateway.counts["unreachable"])
        broker.start()
        async with duty_room(broker):
            await until(lambda: gateway.receipts)


async def test_vanishing_leaves_the_will(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with duty_room(broker) as room, running(link):
        await until(lambda: room.of("status"))
        # Another client under our id takes the session: for the broker we have vanished.
        async with aiomqtt.Client("127.0.0.1", broker.port, identifier="linli-b12"):
            await until(lambda: room.of("status")[-1]["online"] is False)


pytestmark = pytest.mark.timeout(60)
