"""SIA DC-09: golden frames, the rules of the answer, and pysiaalarm as the receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysiaalarm.account import SIAAccount
from pysiaalarm.aio.client import SIAClient
from pysiaalarm.event import SIAEvent

from cloud_bridge import dc09_link
from cloud_bridge.dc09 import Account, Reply, adm_cid, cipher_of, crc16, frame, link_test, parse_reply, split_answer
from cloud_bridge.dc09_link import Dc09Link, Dc09Settings
from edge import limits
from edge.errors import Garbled
from edge.model import AlarmClass, EventKind
from tests.unit.bridge.samples import event
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.uplinks import House, server

A5101 = Account("5101")
AT = datetime(2026, 11, 21, 13, 5, tzinfo=UTC)
KEY = "AAAAAAAAAAAAAAAA"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_BACKOFF_S_MIN", 0.05)


def test_golden_frames() -> None:
    medical = frame("ADM-CID", 1, A5101, adm_cid("5101", 1, 100, 204), None)
    assert medical == b'\nCE4B0029"ADM-CID"0001R0L0#5101[#5101|1100 01 204]\r'
    smoke = frame("ADM-CID", 2, A5101, adm_cid("5101", 1, 111, 204), AT)
    assert smoke == b'\nC1C9003D"ADM-CID"0002R0L0#5101[#5101|1111 01 204]_13:05:00,11-21-2026\r'
    assert link_test(A5101) == b'\nE9660015"NULL"0000R0L0#5101[]\r'
    assert parse_reply(b'\n1EB60014"ACK"0002R0L0#5101[]\r') == Reply("ACK", 2)


@pytest.mark.parametrize(
    "bad",
    [
        b"\n\r",
        b"\r",
        b'\n1EB70014"ACK"0002R0L0#5101[]\r',
        b'\n1EB60015"ACK"0002R0L0#5101[]\r',
        b'\n1EB60014"ACK"0003R0L0#5101[]\r',
        b'"YES"',
    ],
)
def test_what_is_no_answer(bad: bytes) -> None:
    with pytest.raises(Garbled):
        parse_reply(bad)


@given(st.binary(max_size=120))
def test_no_bytes_are_taken_for_an_answer(noise: bytes) -> None:
    try:
        reply = parse_reply(noise)
    except Garbled:
        return
    assert reply.sequence is None and noise.strip()[:1] == b'"', "only the unframed words lack a checksum"


def test_a_nak_tells_the_receivers_time() -> None:
    raw = b'"NAK"0000R0L0A0[]_13:05:00,11-21-2026'
    assert parse_reply(b"\n%04X0%03X%s\r" % (crc16(raw), len(raw), raw)) == Reply("NAK", 0, AT)


def test_answers_are_found_in_the_stream() -> None:
    assert split_answer(b'\n1EB6001') is None
    assert split_answer(b"one\rtwo") == (b"one\r", b"two")
    assert split_answer(b'"NAK"') == (b'"NAK"', b"")


class Receiver:
    """pysiaalarm: a real receiver of other people's making."""

    def __init__(self, key: str | None = None) -> None:
        self.events: list[SIAEvent] = []
        self.account = SIAAccount("6000", key)

    async def take(self, event: SIAEvent) -> None:
        self.events.append(event)

    def client(self, port: int) -> SIAClient:
        # The class picks its TCP or UDP form itself.
        return SIAClient("127.0.0.1", port, [self.account], self.take)  # type: ignore[abstract]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def link_to(house: House, *ports: int, key: str | None = None, test_s: float = 60.0) -> Dc09Link:
    addresses = [("127.0.0.1", port) for port in ports]
    return await dc09_link.create(Dc09Settings(addresses, "6000", key=key, test_s=test_s), house.kit)


@pytest.mark.parametrize("key", [None, KEY])
async def test_pysiaalarm_takes_every_event_in_order(tmp_path: Path, key: str | None) -> None:
    house, port, receiver = House(tmp_path), free_port(), Receiver(key)
    link = await link_to(house, port, key=key, test_s=0.1)
    async with house.running(link):
        # Nobody listens yet: what happens now waits in the file.
        link.offer([event(1), event(2, kind=EventKind.CLEARED), event(3, alarm_class=AlarmClass.DOOR_FORCED)])
        await until(lambda: house.counts["unreachable"] > 0)
        async with receiver.client(port):
            await until(lambda: len([e for e in receiver.events if e.message_type.value == "ADM-CID"]) == 2)  # type: ignore[union-attr]
            assert link.connected
            link.offer([event(4, alarm_class=AlarmClass.GAS_COMBUSTIBLE, device="unknown")])
            await until(lambda: len([e for e in receiver.events if e.event_type == "151"]) == 1)
            await until(lambda: [e.message_type.value for e in receiver.events].count("NULL") >= 3)  # type: ignore[union-attr]
    said = [(e.event_qualifier, e.event_type, e.ri, e.code) for e in receiver.events if e.event_type]
    assert said == [("1", "111", "015", "FA"), ("3", "111", "015", "FH"), ("1", "151", "000", "GA")]
    assert all(e.encrypted == (key is not None) for e in receiver.events)
    assert receiver.account.allowed_timeband == (40, 20), "the receiver has looked at our time"


async def test_an_unknown_account_is_denied_and_nothing_is_lost(tmp_path: Path) -> None:
    house, port = House(tmp_path), free_port()
    receiver = Receiver()
    receiver.account = SIAAccount("7777", KEY)
    link = await link_to(house, port, key=KEY)
    async with receiver.client(port), house.running(link):
        link.offer([event(1)])
        await until(lambda: house.counts["denied"] > 0)
        assert not link.connected and "account or key" in link.why
        assert (await house.boxes[0].fill()).rows == 1


Answer = Callable[[bytes, int], Awaitable[bytes]]


def answer(word: str, sequence: int, tail: str = "") -> bytes:
    raw = f'"{word}"{sequence:04d}R0L0#6000[]{tail}'.encode()
    return b"\n%04X0%03X%s\r" % (crc16(raw), len(raw), raw)


async def talking(house: House, answers: Callable[[int, bytes], bytes]) -> tuple[list[bytes], int]:
    """One alarm to a receiver whose n-th answer is given; what it heard, link tests left out."""
    heard: list[bytes] = []
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            said = await reader.readuntil(b"\r")
            if b"NULL" in said:
                writer.write(answer("ACK", 0))
                continue
            heard.append(said)
            reply = answers(len(heard), said)
            if not reply:
                return
            writer.write(reply)
            done.set()

    async with server(talk) as port:
        link = await link_to(house, port)
        async with house.running(link):
            link.offer([event(1), event(2, kind=EventKind.CLEARED)])
            await until(lambda: bool(heard) and b"|3111" in heard[-1])
            await asyncio.sleep(0.05)
            left = (await house.boxes[0].fill()).rows
    return heard, left


def sequence_of(said: bytes) -> int:
    return int(said.split(b'"')[2][:4])


async def test_a_late_answer_to_an_older_message_is_no_answer(tmp_path: Path) -> None:
    house = House(tmp_path)

    def answers(n: int, said: bytes) -> bytes:
        return answer("ACK", 4711) + answer("ACK", sequence_of(said))

    heard, left = await talking(house, answers)
    assert (len(heard), left, house.counts["late_answer"]) == (2, 0, 2)


async def test_duh_is_never_sent_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    heard, left = await talking(house, lambda n, said: answer("DUH" if n == 1 else "ACK", sequence_of(said)))
    assert (len(heard), left, house.counts["refused"]) == (2, 0, 1)


async def test_a_nak_with_a_time_moves_our_clock_for_the_receiver(tmp_path: Path) -> None:
    house = House(tmp_path)
    theirs = datetime.now(UTC) + timedelta(hours=3)

    def answers(n: int, said: bytes) -> bytes:
        if n == 1:
            return answer("NAK", 0, f"_{theirs:%H:%M:%S,%m-%d-%Y}")
        return answer("ACK", sequence_of(said))

    heard, left = await talking(house, answers)
    assert (len(heard), left) == (3, 0)
    sent = datetime.strptime(heard[1].decode()[-20:-1], "%H:%M:%S,%m-%d-%Y").replace(tzinfo=UTC)
    assert abs((sent - theirs).total_seconds()) <= 2
    assert sequence_of(heard[0]) == sequence_of(heard[1]), "the same message, so the same number"


async def test_a_bad_checksum_is_sent_again_over_the_same_line(tmp_path: Path) -> None:
    house = House(tmp_path)
    heard, left = await talking(house, lambda n, said: b"\n\r" if n == 1 else answer("ACK", sequence_of(said)))
    assert (len(heard), left, house.counts["garbled"]) == (3, 0, 1)


async def test_a_connection_cut_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    heard, left = await talking(house, lambda n, said: b"" if n == 1 else answer("ACK", sequence_of(said)))
    assert (len(heard), left, house.counts["unreachable"]) == (3, 0, 1)


async def test_silence_leads_to_the_next_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dc09_link, "ANSWER_S", 0.05)
    house, port, receiver = House(tmp_path), free_port(), Receiver()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(deaf) as first, receiver.client(port):
        link = await link_to(house, first, port)
        async with house.running(link):
            link.offer([event(1)])
            await until(lambda: any(e.event_type == "111" for e in receiver.events))
    assert house.counts["no_answer"] == 3


def test_a_key_has_one_of_three_lengths() -> None:
    assert cipher_of("hex:" + "00" * 32)(bytes(16)) != bytes(16)
    for bad in ("short", "hex:00", "密钥密钥密钥密钥"):
        with pytest.raises(ValueError):
            cipher_of(bad)
