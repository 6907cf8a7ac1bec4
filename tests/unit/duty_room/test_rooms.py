"""Intake, watch, ladder and telling together, with a broker and a messenger of the test's own."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from cloud_bridge.messages import EventMessage, HeartbeatMessage, SiteMessage
from duty_room import words
from duty_room.incidents import incident_id
from duty_room.intake import Intake
from duty_room.store import rows
from duty_room.store import tables as t
from duty_room.telling import Teller
from duty_room.watch import lost_event
from edge.errors import NotDurable, Unreachable
from edge.model import AlarmClass, Clock, Condition, Delivered, EventKind, Notice, Outcome, Person, TryLater, Via
from edge.mqtt import Received
from tests.unit.duty_room.conftest import Room, event

IID = incident_id("b12", "c502/sos.call/1")
UNKNOWN = b'{"v":1,"command_id":"x","result":"done","code":"","message":"","at":"2026-01-01T00:00:00Z"}'
_LI = Person("li", "李四", Via.LOCAL)

SITE = SiteMessage(
    community="新盛",
    grid="XS-03",
    micro_grid="XS-03-07",
    building="12",
    units=["1"],
    floors=(1, 18),
    households_per_floor=2,
)


class Broker:
    """Records the order of what happens; delivers what it is given, once."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.inbox: list[Received] = []
        self.did: list[str] = []

    async def open(self) -> bool:
        return True

    async def receive(self, limit: int = 256) -> list[Received]:
        if not self.inbox:
            raise Unreachable("nothing more")
        batch, self.inbox = self.inbox[:limit], self.inbox[limit:]
        return batch

    def ack(self, received: Received) -> None:
        self.did.append(f"ack {received.mid}")

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        body = orjson.loads(payload)
        if topic.endswith("/receipt"):
            known = await self.room.store.read(lambda conn: rows.seen(conn, "b12", body["event_id"]))
            assert known, "a receipt before the commit"
            self.did.append(f"receipt {body['event_id']}")
        else:
            self.did.append(f"{topic.rsplit('/', 1)[1]} {body.get('kind', '')}".strip())

    async def close(self) -> None:
        self.did.append("close")


def intake(room: Room, broker: Broker) -> Intake:
    return Intake(broker, room.desk, room.watch, room.registry, room.metrics, room.clock, "dr1")


def received(topic: str, payload: bytes, mid: int) -> Received:
    return Received(topic, payload, 1, False, False, False, mid, 1)


async def once(room: Room, *messages: tuple[str, bytes]) -> Broker:
    """Run the intake over these messages."""
    broker = Broker(room)
    broker.inbox = [received(topic, payload, mid) for mid, (topic, payload) in enumerate(messages, 1)]
    made = intake(room, broker)
    batch = await broker.receive()
    await made._take(batch)
    return broker


def wire(**changes: Any) -> bytes:
    return EventMessage.of(event(**changes)).encode()


async def test_commit_then_receipt_then_ack(room: Room) -> None:
    broker = await once(room, ("linli/v1/b12/event", wire()), ("linli/v1/b12/event", wire(seq=2, event_id="e2")))
    assert sorted(broker.did[:2]) == ["receipt e1", "receipt e2"]
    assert broker.did[2:] == ["ack 1", "ack 2"]
    broker = await once(room, ("linli/v1/b12/event", wire()))
    assert broker.did == ["receipt e1", "ack 1"]
    assert room.feed.head == 2


async def test_without_a_commit_there_is_no_receipt_and_no_ack(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_work: Any) -> None:
        raise NotDurable("disk full")

    monkeypatch.setattr(room.store, "write", full)
    broker = Broker(room)
    with pytest.raises(NotDurable):
        await intake(room, broker)._take([received("linli/v1/b12/event", wire(), 1)])
    assert broker.did == []


@pytest.mark.parametrize(
    ("topic", "payload", "cause"),
    [
        ("linli/v1/b12/event", b"\xff\x00", "garbled"),
        ("linli/v1/b12/event", b"[" * 60_000, "garbled"),
        ("linli/v1/b12/event", wire().replace(b'"v":1', b'"v":2'), "garbled"),
        ("linli/v1/b12/event", wire().replace(b'"priority":1', b'"priority":9'), "garbled"),
        ("linli/v1/b12/event", b"x" * 70_000, "too_large"),
        ("linli/v1/b99/event", wire(), "unknown_gateway"),
        ("linli/v1/b12/outcome", UNKNOWN, "unknown_command"),
        ("linli/v1/b12/heartbeat", b"{}", "garbled"),
    ],
)
async def test_what_makes_no_sense_is_buried_counted_and_acknowledged(
    room: Room, topic: str, payload: bytes, cause: str
) -> None:
    broker = await once(room, (topic, payload))
    assert broker.did == ["ack 1"]
    assert await room.store.read(lambda conn: list(conn.execute(select(t.dead_letters.c.cause)).scalars())) == [cause]
    assert f'cause="{cause}",driver="duty_room"}} 1.0'.encode() in room.metrics.page()


async def test_an_event_that_cannot_be_kept_gets_no_receipt(room: Room) -> None:
    broker = await once(room, ("linli/v1/b12/event", wire(seq=2**70)), ("linli/v1/b12/event", wire(event_id="e2")))
    assert broker.did == ["receipt e2", "ack 1", "ack 2"]


def beat(seq: int = 1) -> HeartbeatMessage:
    return HeartbeatMessage(
        boot_id="b", seq=seq, head=1, clock=Clock.SYNCED, links={"bus1": "up"}, open=0, outbox=0, durable=True
    )


async def test_a_gateway_is_unknown_then_heard_then_lost(room: Room) -> None:
    view = room.watch.gateways["b12"]
    assert view.body()["state"] == "unknown" and room.watch.duty("b12").heard is None
    room.watch.beat("b12", beat())
    assert view.body()["links"] == {"bus1": "up"}
    heard = room.watch.duty("b12").heard
    assert heard is not None and (heard.boot_id, heard.seq) == ("b", 1)
    room.clock.now_s = 89
    assert [lost for _, lost in room.watch.moved()] == [False]
    view.lost_told = False
    room.clock.now_s = 91
    assert [lost for _, lost in room.watch.moved()] == [True]
    assert view.body()["links"] == {"bus1": "unknown"}


async def lose(room: Room, lost: bool) -> None:
    def job(tx: Any) -> None:
        made = lost_event(tx, "b12", lost, room.registry)
        if made is not None:
            room.desk.take_event(tx, "b12", made, local=True)

    await room.desk.run(job)


async def test_gateway_lost_is_an_incident_of_its_own(room: Room) -> None:
    await lose(room, False)
    assert room.feed.head == 0
    await lose(room, True)
    await lose(room, True)
    incidents = (await room.client("viewer").get("/api/v1/snapshot")).json()["incidents"]
    assert [(i["class"], i["condition"], i["state"]) for i in incidents] == [("gateway.lost", "on", "unacknowledged")]
    path = f"/api/v1/incidents/{incidents[0]['id']}"
    async with room.client("duty_officer") as client:
        headers = {"If-Match": '"1"', "Idempotency-Key": "k"}
        done = (await client.post(f"{path}/acknowledge", json={}, headers=headers)).json()
        assert (done["flags"], done["alarms"][0]["state"]) == ([], "ACKED")
        await lose(room, False)
        assert (await client.get(path)).json()["alarms"][0]["state"] == "NORM"
    assert await room.store.read(rows.waiting) == []


async def test_site_gives_the_grid(room: Room) -> None:
    site = SITE
    await once(room, ("linli/v1/b12/site", site.encode()))
    assert room.registry.grids_of("b12") == ("XS-03-07", "XS-03")
    room.registry.sites.clear()
    await room.store.read(room.registry.load)
    assert room.registry.sites["b12"] == site
    gateways = (await room.client("viewer").get("/api/v1/gateways")).json()
    assert gateways[0]["site"]["floors"] == [1, 18]


class Messenger:
    """A channel that records, and answers what it is told to."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.answer: Outcome = Delivered("ok")

    async def deliver(self, notice: Notice) -> Outcome:
        self.sent.append(notice)
        return self.answer


class Told:
    """Desk and teller under the test's clock."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.messenger = Messenger()
        self.teller = Teller(
            room.desk, room.registry, self.messenger, room.clock, room.metrics, "http://duty.test", room.context.key
        )

    async def at(self, second: float) -> list[str]:
        """Who is told when this second has come."""
        self.room.clock.now_s = second
        before = len(self.messenger.sent)
        await self.room.desk.tick(self.room.clock.wall_ms())
        await self.teller.round()
        while self.teller._going:
            await asyncio.sleep(0)
            self.teller._reap()
        return [notice.recipient for notice in self.messenger.sent[before:]]


async def test_priority_1_tells_at_once_and_does_not_stop(room: Room) -> None:
    told = Told(room)
    room.registry.sites["b12"] = SITE
    await room.hear(event())
    assert await told.at(0) == ["li"]
    assert await told.at(59) == []
    assert await told.at(60) == ["wang"]
    assert await told.at(120) == ["chen"]
    everybody = ["chen", "li", "wang", "zhao"]
    assert sorted(await told.at(180)) == everybody
    assert await told.at(299) == []
    assert sorted(await told.at(300)) == everybody
    assert sorted(await told.at(420)) == everybody
    notice = told.messenger.sent[0]
    assert notice.title.startswith("【一键呼叫】新盛")
    found = re.search(r"http://duty\.test(/a/[\w-]{22})$", notice.body)
    assert found is not None
    async with room.client() as client:
        page = (await client.get(found[1])).text
        assert "李四" in page
        form = dict(re.findall(r'name="(nonce|step)" value="([^"]*)"', page)[:2])
        await client.post(found[1], data=form)
    assert await told.at(1000) == []
    timeline = (await room.client("viewer").get(f"/api/v1/incidents/{IID}")).json()["timeline"]
    assert [line["reason"] for line in timeline if line["step"] == "told"][:2] == ["李四", "王五"]


async def test_a_press_after_the_answer_tells_again(room: Room) -> None:
    told = Told(room)
    await room.hear(event())
    assert sorted(await told.at(0)) == ["li", "zhao"]
    await room.hear(event(EventKind.ACKNOWLEDGED, 2, by=_LI))
    assert await told.at(100) == []
    await room.hear(event(EventKind.REPEATED, 3))
    assert sorted(await told.at(101)) == ["li", "zhao"]


async def test_acknowledged_and_then_nothing_tells_the_next_tier_once(room: Room) -> None:
    told = Told(room)
    await room.hear(event())
    await told.at(0)
    await room.hear(event(EventKind.ACKNOWLEDGED, 2, by=_LI))
    assert await told.at(119) == []
    assert await told.at(120) == ["wang"]
    assert await told.at(500) == []


async def test_priority_2_waits_for_the_screen(room: Room) -> None:
    told = Told(room)
    await room.hear(event(priority=2, alarm_class=AlarmClass.WATER_LEAK))
    assert await told.at(179) == []
    assert sorted(await told.at(180)) == ["li", "zhao"]


async def test_dispatch_tells_the_chosen_person(room: Room) -> None:
    told = Told(room)
    await room.hear(event(priority=3, alarm_class=AlarmClass.BIN_FULL))
    async with room.client("duty_officer") as client:
        for step, body, version in (("acknowledge", {}, 1), ("dispatch", {"person_id": "zhao"}, 2)):
            headers = {"If-Match": f'"{version}"', "Idempotency-Key": step}
            answer = await client.post(f"/api/v1/incidents/{IID}/{step}", json=body, headers=headers)
            assert answer.status_code == 200
    assert await told.at(1) == ["zhao"]
    assert "派单" in told.messenger.sent[0].title


async def test_a_service_that_is_away_is_tried_again_under_the_same_id(room: Room) -> None:
    told = Told(room)
    told.messenger.answer = TryLater("away")
    await room.hear(event())
    assert sorted(await told.at(0)) == ["li", "zhao"]
    assert await told.at(4) == []
    assert sorted(await told.at(5)) == ["li", "zhao"]
    assert len({notice.notice_id for notice in told.messenger.sent}) == 2
    timeline = (await room.client("viewer").get(f"/api/v1/incidents/{IID}")).json()["timeline"]
    assert [line["step"] for line in timeline] == ["raised", "not_told", "not_told"]


async def test_overdue_steps_fire_once_after_a_restart(room: Room) -> None:
    told = Told(room)
    await room.hear(event())
    await told.at(0)
    again = Told(room)
    assert await again.at(1000) == ["wang"]
    assert await again.at(1001) == []


def test_both_languages_have_the_same_words() -> None:
    zh, en = (words.catalogue(language) for language in words.LANGUAGES)
    assert zh.keys() == en.keys()
    for key, text in zh.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", en[key])), key
    assert {f"class.{c.value}" for c in AlarmClass} <= zh.keys()
    assert {f"condition.{c.value}" for c in Condition} <= zh.keys()
