"""The duty-room link against its enemies: dead brokers, one-way cuts, lost sessions, old and repeated commands."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge import limits
from tests.unit.bridge.samples import Broker, event
from tests.unit.bridge.test_duty_room_link import AT, Gateway, duty_room, running, until, wish


@dataclass
class Pair:
    """Two brokers as one link sees them: the first that answers is taken."""

    first: Broker
    second: Broker
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        return self.first.urls + self.second.urls


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_BACKOFF_S_MIN", 0.05)
    monkeypatch.setattr(limits, "LINK_BACKOFF_S_MAX", 0.2)


@pytest.fixture
def pair(broker: Broker, tmp_path: Path) -> Iterator[Pair]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path / "second"
    folder.mkdir()
    other = Broker(folder, port)
    other.start()
    yield Pair(broker, other)
    other.stop()


async def test_with_one_of_two_brokers_dead_every_event_gets_its_receipt(pair: Pair) -> None:
    gateway = Gateway()
    link = gateway.link(pair)  # type: ignore[arg-type]
    async with running(link):
        async with duty_room(pair.first) as room:
            await until(lambda: link.connected)
            gateway.events.append(event(1))
            link.offer([event(1)])
            await until(lambda: room.of("event") and gateway.receipts == ["e1"])
        pair.first.stop()
        gateway.events.append(event(2))
        link.offer([event(2)])
        async with duty_room(pair.second) as room:
            await until(lambda: gateway.receipts == ["e1", "e2"])
            assert [body["seq"] for body in room.of("event")] == [2], "what has its receipt is not sent again"
        pair.first.start()
        pair.second.stop()
        async with duty_room(pair.first):
            gateway.events.append(event(3))
            link.offer([event(3)])
            await until(lambda: gateway.receipts == ["e1", "e2", "e3"])


async def test_a_one_way_cut_is_not_taken_for_hearing(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with running(link), duty_room(broker) as room:
        await until(lambda: link.connected)

        def duty(boot_id: str | None, seq: int) -> dict[str, object]:
            heard = {"boot_id": boot_id, "seq": seq} if boot_id else None
            return {"v": 1, "duty_room": "d1", "at": AT, "heard": heard, "audible": True, "on_duty": []}

        # It speaks, but it does not hear us: nothing, an older life of ours, another's.
        for body in (duty(None, 0), duty("boot-0", 9), duty("boot-2", 1)):
            await room.say("duty", body, qos=0)
        await until(lambda: gateway.counts["no_echo"] == 3)
        assert gateway.heard == []
        await room.say("duty", duty("boot-1", 1), qos=0)
        await until(lambda: len(gateway.heard) == 1)
        moved_s = link.echoed_s
        # It heard us once and never again: the same number proves nothing new (test_resend: after 25 s it is silence).
        await room.say("duty", duty("boot-1", 1), qos=0)
        await until(lambda: len(gateway.heard) == 2)
        assert link.echoed_s == moved_s
        await room.say("duty", duty("boot-1", 2), qos=0)
        await until(lambda: len(gateway.heard) == 3)
        assert link.echoed_s > moved_s


async def test_a_broker_that_forgot_us_is_a_fault_that_is_counted(broker: Broker) -> None:
    gateway = Gateway()
    link = gateway.link(broker)
    async with running(link):
        await until(lambda: link.connected)
        assert gateway.counts["session_lost"] == 0, "the first connection has nothing to lose"
        broker.stop()
        await until(lambda: not link.connected)
        broker.start()
        await until(lambda: link.connected)
        assert gateway.counts["session_lost"] == 1
        async with duty_room(broker):
            gateway.events.append(event(1))
            link.offer([event(1)])
            await until(lambda: gateway.receipts == ["e1"])


async def test_a_command_that_was_recorded_and_played_again_has_no_second_effect(broker: Broker) -> None:
    gateway = Gateway()
    async with running(gateway.link(broker)), duty_room(broker) as room:
        await until(lambda: room.of("status"))
        await room.say("command", wish("c1", seen="e1"))
        await until(lambda: len(room.of("outcome")) == 1)
        for _ in range(3):
            await room.say("command", wish("c1", seen="e1"))
        await until(lambda: len(room.of("outcome")) == 4)
        assert len({str(body) for body in room.of("outcome")}) == 1, "always the first answer"
        assert gateway.commands[0].seen == "e1", "which ring the person saw comes through"
