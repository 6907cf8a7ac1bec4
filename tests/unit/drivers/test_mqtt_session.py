"""The MQTT session against a real mosquitto: nothing acknowledged by itself, nothing lost, nothing unbounded."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from edge import limits
from edge.errors import Denied, Unreachable
from edge.mqtt import MqttSession, Received, Will

if TYPE_CHECKING:
    from tests.unit.drivers.conftest import Mosquitto

pytestmark = pytest.mark.asyncio

MakeSession = Callable[..., MqttSession]


@pytest_asyncio.fixture
async def make(mosquitto: Mosquitto, counts: Counter[str]) -> AsyncIterator[MakeSession]:
    made: list[MqttSession] = []

    def session(*urls: str, client_id: str = "gw", password: str = "secret", **more: Any) -> MqttSession:
        more.setdefault("subscriptions", [("dev/#", 1)])
        new = MqttSession(
            urls or [mosquitto.url],
            client_id=client_id,
            username="gw",
            password=password,
            count=lambda cause: counts.update([cause]),
            **more,
        )
        made.append(new)
        return new

    yield session
    for each in made:
        await each.close()


async def take(session: MqttSession, number: int) -> list[Received]:
    """Exactly ``number`` messages."""
    got: list[Received] = []
    async with asyncio.timeout(10):
        while len(got) < number:
            got += await session.receive(number - len(got))
    return got


async def nothing(session: MqttSession, seconds: float = 0.3) -> None:
    """Nothing more arrives."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await session.receive()


async def test_a_message_arrives_once_acked_and_never_again(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make()
    assert await session.open() is False
    await mosquitto.publish("dev/a", b"1")
    (received,) = await take(session, 1)
    assert received[:6] == ("dev/a", b"1", 1, False, False, False)
    session.ack(received)
    session.ack(received)
    await asyncio.sleep(0.1)
    await session.close()
    assert await session.open() is True
    await nothing(session)


async def test_unacked_comes_again_with_dup_and_stale_acks_do_nothing(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make()
    await session.open()
    await mosquitto.publish("dev/a", b"", times=5)
    old = await take(session, 5)
    session.ack(old[0])
    await asyncio.sleep(0.1)
    await session.close()
    assert await session.open() is True
    again = await take(session, 4)
    assert [(one.payload, one.dup, one.queued) for one in again] == [(b"%d" % n, True, True) for n in range(1, 5)]
    for one in old:
        session.ack(one)
    await asyncio.sleep(0.1)
    await session.close()
    await session.open()
    assert len(await take(session, 4)) == 4, "acks of an older connection must not count for the new one"


async def test_queued_is_marked_until_the_backlog_is_over(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make()
    await session.open()
    await session.close()
    await mosquitto.publish("dev/a", b"", times=900)
    assert await session.open() is True
    got: list[Received] = []
    while len(got) < 900:
        some = await take(session, 1)
        got += some
        for one in some:
            session.ack(one)
    assert all(one.queued for one in got)
    assert [one.payload for one in got] == [b"%d" % n for n in range(900)]
    await asyncio.sleep(0.4)
    await mosquitto.publish("dev/a", b"live")
    (live,) = await take(session, 1)
    assert not live.queued and not live.dup


async def test_retained_is_marked_and_a_new_session_has_nothing_queued(mosquitto: Mosquitto, make: MakeSession) -> None:
    await mosquitto.publish("dev/state", b"on", retain=True)
    session = make()
    await session.open()
    (state,) = await take(session, 1)
    assert state.retain and not state.queued


async def test_broker_killed_is_unreachable_and_nothing_unacked_is_lost(
    mosquitto: Mosquitto, make: MakeSession
) -> None:
    session = make()
    await session.open()
    await mosquitto.publish("dev/a", b"x")
    await mosquitto.saved()
    mosquitto.kill()
    assert len(await take(session, 1)) == 1, "what was queued still comes out"
    with pytest.raises(Unreachable):
        await session.receive()
    with pytest.raises(Unreachable):
        await session.publish("linli/x", b"")
    with pytest.raises(Unreachable):
        await session.open()
    assert not session.connected
    mosquitto.start()
    assert await session.open() is True
    assert not session.session_lost
    assert (await take(session, 1))[0].dup


async def test_a_forgotten_session_is_seen(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make()
    await session.open()
    assert not session.session_lost
    mosquitto.kill(wipe=True)
    mosquitto.start()
    assert await session.open() is False
    assert session.session_lost
    other = make(client_id="fresh", session_expected=True)
    await other.open()
    assert other.session_lost


async def test_takeover_ends_the_elder_session(make: MakeSession) -> None:
    elder, younger = make(), make()
    await elder.open()
    await younger.open()
    with pytest.raises(Unreachable):
        await elder.receive()
    assert younger.connected


async def test_a_full_queue_stops_reading_and_loses_nothing(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make()
    await session.open()
    total = limits.QUEUE_MESSAGES_MAX + 1500
    await mosquitto.publish("dev/a", b"", qos=0, times=total)
    await asyncio.sleep(0.3)
    held = len(session._queue)
    assert limits.QUEUE_MESSAGES_MAX <= held <= limits.QUEUE_MESSAGES_MAX + 20
    got = await take(session, total)
    assert [one.payload for one in got] == [b"%d" % n for n in range(total)]


async def test_more_queued_than_the_queue_holds_does_not_block_open(
    mosquitto: Mosquitto, make: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make()
    await session.open()
    await session.close()
    await mosquitto.publish("dev/a", b"", times=30)
    monkeypatch.setattr(limits, "QUEUE_MESSAGES_MAX", 8)
    await session.open()
    got: list[Received] = []
    while len(got) < 30:
        some = await take(session, 1)
        session.ack(some[0])
        got += some
    assert [one.payload for one in got] == [b"%d" % n for n in range(30)]


async def test_publish_returns_after_puback_and_says_denied(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make(subscriptions=[("linli/#", 1)])
    await session.open()
    await asyncio.gather(*(session.publish("linli/x", b"%d" % n) for n in range(200)))
    assert [one.payload for one in await take(session, 200)] == [b"%d" % n for n in range(200)]
    await session.publish("linli/x", b"q0", qos=0)
    assert (await take(session, 1))[0].qos == 0
    with pytest.raises(Denied, match="linli-not-ours"):
        await session.publish("linli-not-ours/x", b"")
    assert session.connected


async def test_wrong_password_is_denied_and_leaves_nothing(make: MakeSession) -> None:
    session = make(password="wrong")
    with pytest.raises(Denied):
        await session.open()
    assert not session.connected
    with pytest.raises(Unreachable):
        await session.receive()


async def test_failover_takes_the_next_broker_and_stays(mosquitto: Mosquitto, make: MakeSession) -> None:
    session = make("mqtt://127.0.0.1:9", mosquitto.url)
    await session.open()
    assert session.connected
    await session.close()
    assert await session.open() is True


async def test_oversize_payloads_are_counted_acked_and_dropped(
    mosquitto: Mosquitto, make: MakeSession, counts: Counter[str]
) -> None:
    session = make()
    await session.open()
    await mosquitto.publish("dev/big", b"x" * 1_000_000)
    await mosquitto.publish("dev/small", b"ok")
    assert [one.topic for one in await take(session, 1)] == ["dev/small"]
    assert counts["oversize"] == 1
    await asyncio.sleep(0.1)
    await session.close()
    await session.open()
    assert [one.topic for one in await take(session, 1)] == ["dev/small"], "the large one was acknowledged"


async def test_the_will_is_published_on_death_and_not_on_close(mosquitto: Mosquitto, make: MakeSession) -> None:
    watcher = make(client_id="watcher", subscriptions=[("linli/status", 1)])
    await watcher.open()
    session = make(will=Will("linli/status", b"gone"))
    await session.open()
    await session.close()
    await nothing(watcher)
    await session.open()
    session._connection.end("torn")  # type: ignore[union-attr]
    assert (await take(watcher, 1))[0].payload == b"gone"


async def test_close_is_safe_always_and_wakes_the_reader(make: MakeSession) -> None:
    session = make()
    await session.close()
    await session.open()
    waiting = asyncio.create_task(session.receive())
    await asyncio.sleep(0.05)
    await session.close()
    await session.close()
    with pytest.raises(Unreachable, match="closed"):
        await waiting


async def test_cancelled_open_leaves_no_socket(make: MakeSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session = make(f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        opening = asyncio.create_task(session.open())
        accepted, _ = await asyncio.to_thread(silent.accept)
        accepted.settimeout(5)
        assert await asyncio.to_thread(accepted.recv, 1000), "CONNECT"
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert await asyncio.to_thread(accepted.recv, 10) == b""
        accepted.close()


CONNACK_5 = bytes.fromhex("20 03 00 00 00")


async def broker_that_says(make: MakeSession, answer: bytes, then: bytes = b"") -> tuple[MqttSession, Any]:
    """A session without subscriptions at a hand-made broker that answers CONNECT with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        if then:
            await reader.read(1000)
            writer.write(then)
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return make(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", subscriptions=[]), server


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x30\x00",
        b"\x30\x05\xff\xff\xff\xff\xff",
        b"\x32\x03\x00\x01a",
        b"\x90\x00",
        b"\xf0\x00",
        b"\x20\xff\xff\xff\xff\xff",
        b"\xd0\x01\x00",
    ],
)
async def test_rubbish_from_a_broker_is_unreachable_never_a_crash(make: MakeSession, rubbish: bytes) -> None:
    session, server = await broker_that_says(make, CONNACK_5 + rubbish)
    async with server:
        with pytest.raises(Unreachable):
            await session.open()
            async with asyncio.timeout(5):
                await session.receive()


async def test_a_topic_that_is_no_text_is_counted_and_acked(make: MakeSession, counts: Counter[str]) -> None:
    publish = b"\x00\x02\xff\xfe" + struct.pack(">H", 7) + b"\x00" + b"hello"
    session, server = await broker_that_says(make, CONNACK_5 + bytes([0x32, len(publish)]) + publish)
    async with server:
        await session.open()
        await nothing(session)
        assert counts["bad_topic"] == 1


async def test_a_dead_connection_is_found_by_the_keepalive(make: MakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mqtt.dial.KEEPALIVE_S", 1)
    monkeypatch.setattr("edge.mqtt.connection.MISC_S", 0.1)
    session, server = await broker_that_says(make, CONNACK_5)
    async with server:
        await session.open()
        publishing = asyncio.create_task(session.publish("x", b""))
        with pytest.raises(Unreachable):
            async with asyncio.timeout(6):
                await session.receive()
        with pytest.raises(Unreachable):
            await publishing


@pytest.mark.parametrize("manner", ["closes", "refuses", "hangs"])
async def test_an_old_broker_gets_mqtt_3_1_1(make: MakeSession, monkeypatch: pytest.MonkeyPatch, manner: str) -> None:
    monkeypatch.setattr("edge.mqtt.session.TRIAL_S", 0.2)
    versions = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(1000)
        versions.append(connect[8])
        if connect[8] == 4:
            writer.write(bytes.fromhex("20 02 01 00"))
            subscribe = await reader.read(1000)
            writer.write(b"\x90\x03" + subscribe[2:4] + b"\x01")
        elif manner == "refuses":
            writer.write(bytes.fromhex("20 02 00 01"))
        if manner != "closes" or connect[8] == 4:
            await reader.read(1000)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        session = make(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await session.open() is True
        await session.close()
        assert await session.open() is True
        assert versions == [5, 4, 4]
        await session.close()


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt:1883", "mqtt://h/path"])
async def test_urls_that_are_no_brokers_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no broker"):
        MqttSession([url], client_id="x", username=None, password=None, count=lambda _: None)
