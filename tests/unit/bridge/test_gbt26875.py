"""GB/T 26875.3: golden frames, noise, and a monitoring centre written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge import fire_centre
from cloud_bridge.fire_board import Board, place_text
from cloud_bridge.fire_centre import FireCentreLink, FireCentreSettings
from cloud_bridge.gbt26875 import Action, Broken, Deframer, Frame, Kind, analog, component_state, stamp, unit_of
from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    CommandKind,
    Condition,
    Device,
    EventKind,
    Person,
    Place,
    Via,
)
from tests.unit.bridge.samples import NOW_MS, event
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.uplinks import House, server

AT = datetime(2026, 11, 21, 13, 5)
US, CENTRE = 510109000001, 1
GOLDEN = {
    "fire": "40 40 01 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 30 00 02 02 01 01 01 2A B4 04 00"
    " 00 03 00 33 B6 B0 32 B5 A5 D4 AA 31 32 30 34 CA D2 B3 F8 B7 BF D1 CC B8 D0 00 00 00 00 00 00 00 00 00 00 05 0D"
    " 15 0B 1A FC 23 23",
    "confirm": "40 40 01 00 01 00 00 05 0D 15 0B 1A 01 00 00 00 00 00 41 A1 DD C4 76 00 00 00 03 4B 23 23",
    "analog": "40 40 02 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 12 00 02 03 01 01 01 0B B4 04 00"
    " 00 06 FD 00 00 05 0D 15 0B 1A 75 23 23",
    "heartbeat": "40 40 03 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 09 00 02 15 01 01 00 05 0D 15"
    " 0B 1A B8 23 23",
    "check": "40 40 07 00 01 00 00 05 0D 15 0B 1A 01 00 00 00 00 00 41 A1 DD C4 76 00 03 00 01 5B 01 0A B8 23 23",
    "answer": "40 40 04 00 01 00 1E 06 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 0A 00 02 18 01 20 01 1E 06 0D 15"
    " 0B 1A 1B 23 23",
}
LATER = datetime(2026, 11, 21, 13, 6, 30)


def made() -> dict[str, Frame]:
    fire = Frame(
        1, Action.SEND, US, CENTRE, AT, unit_of(Kind.COMPONENT_STATE, [component_state(1, 42, 1204, 3, TEXT, AT)])
    )
    duty = unit_of(Kind.DEVICE_OPERATION, [b"\x20\x01" + stamp(LATER)])
    return {
        "fire": fire,
        "confirm": fire.reply(Action.CONFIRM, AT),
        "analog": Frame(2, Action.SEND, US, CENTRE, AT, unit_of(Kind.ANALOG, [analog(1, 11, 1204, 6, 253, AT)])),
        "heartbeat": Frame(3, Action.SEND, US, CENTRE, AT, unit_of(Kind.DEVICE_STATE, [b"\x01" + stamp(AT)])),
        "check": Frame(7, Action.CONTROL, CENTRE, US, AT, unit_of(Kind.DUTY_CHECK, [b"\x0a"])),
        "answer": Frame(4, Action.SEND, US, CENTRE, LATER, duty),
    }


TEXT = "3栋2单元1204室厨房烟感"


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_frames_both_ways(name: str) -> None:
    raw = bytes.fromhex(GOLDEN[name])
    assert made()[name].encode() == raw
    assert Deframer().feed(raw) == [made()[name]]


@given(st.binary(max_size=200), st.integers(1, 40))
def test_noise_never_hides_a_frame_that_follows(noise: bytes, step: int) -> None:
    whole = bytes.fromhex(GOLDEN["fire"])
    # A head in the noise may claim up to 1,024 bytes that never come: enough frames follow to see the end of it.
    data = noise.replace(b"@", b"?") + whole + b"@" + whole
    deframer = Deframer()
    found = [one for start in range(0, len(data), step) for one in deframer.feed(data[start : start + step])]
    assert [one for one in found if isinstance(one, Frame)] == [made()["fire"]] * 2


@given(st.binary(max_size=300))
def test_no_bytes_break_the_deframer(noise: bytes) -> None:
    for found in Deframer().feed(b"@@" + noise):
        assert isinstance(found, Frame | Broken)


@pytest.mark.parametrize(
    ("place", "change", "why"),
    [(2 + 24, 0xFF, "wrong checksum"), (-1, 0x24, "wrong end"), (25, 0x05, "too long"), (4, 2, "version 2")],
)
def test_a_broken_frame_says_why_and_whom_to_deny(place: int, change: int, why: str) -> None:
    raw = bytearray(bytes.fromhex(GOLDEN["heartbeat"]))
    raw[place] = change
    first = Deframer().feed(bytes(raw))[0]
    assert isinstance(first, Broken) and first.why == why
    assert first.head is not None and first.head.serial == 3


def test_text_is_cut_between_characters() -> None:
    raw = component_state(1, 42, 1, 1, "烟" * 40, AT)
    assert len(raw) == 46
    assert raw[9:40].rstrip(b"\0").decode("gb18030") == "烟" * 15


def device(ident: str, kind: str = "smoke", **place: object) -> Device:
    return Device(ident, "x/y", "bus", "1", Place(building="3", **place), (), (), 60.0, kind=kind)  # type: ignore[arg-type]


S301 = device("s301", unit="2", floor=12, household="1204", room="厨房")
C502 = device("c502", "call_button")


def test_the_fire_brigade_reads_where_it_is() -> None:
    assert place_text(S301) == TEXT
    assert place_text(device("b1", floor=-1)) == "3栋地下1层烟感"


def test_bits_follow_the_alarms() -> None:
    board = Board([S301], [])
    assert board.bits("s301") == 1
    assert board.take(event(1)) is not None and board.bits("s301") == 3
    fault = event(2, alarm_class=AlarmClass.DEVICE_FAULT, alarm_id="f", state=AlarmState.UNACK)
    assert board.take(fault) is not None and board.bits("s301") == 7
    assert board.take(event(3, kind=EventKind.ACKNOWLEDGED, state=AlarmState.ACKED)) is None, "no bit has changed"
    assert board.take(event(4, kind=EventKind.REPEATED)) is not None, "a ring is told although no bit has changed"
    board.take(event(5, kind=EventKind.RESET, state=AlarmState.NORM))
    shelved = event(6, kind=EventKind.SHELVED, state=AlarmState.SHLVD, alarm_class=AlarmClass.DEVICE_FAULT)
    assert board.take(shelved) is not None and board.bits("s301") == 9
    battery = event(7, alarm_class=AlarmClass.DEVICE_BATTERY_LOW)
    assert board.take(battery) is not None and board.bits("s301") == 0x109
    assert board.device_bits({"bus": "down"}) == 1 | 64
    assert board.take(event(8, device="c502")) is None, "no component of this centre"
    assert board.take(event(2, alarm_class=AlarmClass.DEVICE_BATTERY_LOW)) is None, "older than what is known"


class Centre:
    """A monitoring centre: confirms unless told otherwise."""

    def __init__(self) -> None:
        self.heard: list[Frame] = []
        self.answers: Callable[[Frame], bytes] = lambda frame: frame.reply(Action.CONFIRM, AT).encode()
        self.writer: asyncio.StreamWriter | None = None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        deframer = Deframer()
        while data := await reader.read(4096):
            for frame in deframer.feed(data):
                assert isinstance(frame, Frame), frame
                self.heard.append(frame)
                if frame.action == Action.SEND:
                    writer.write(self.answers(frame))

    def say(self, action: Action, unit: bytes, serial: int = 77) -> None:
        assert self.writer is not None
        self.writer.write(Frame(serial, action, CENTRE, US, AT, unit).encode())

    def units(self, kind: Kind) -> list[bytes]:
        return [frame.unit for frame in self.heard if frame.kind == kind]

    def answered(self, serial: int = 77) -> Frame | None:
        return next((f for f in self.heard if f.serial == serial and f.action != Action.SEND), None)


@asynccontextmanager
async def connected(house: House, heartbeat_s: float = 60.0) -> AsyncIterator[tuple[Centre, FireCentreLink]]:
    centre = Centre()
    async with server(centre.talk) as port:
        settings = FireCentreSettings(
            [("127.0.0.1", port)], US, CENTRE, heartbeat_s=heartbeat_s, operators={"zhang": 7}
        )
        link = await fire_centre.create(settings, house.kit)
        async with house.running(link):
            await until(lambda: link.connected)
            yield centre, link


async def test_states_go_up_in_order_and_the_heart_beats(tmp_path: Path) -> None:
    house = House(tmp_path, [S301, C502])
    async with connected(house, heartbeat_s=0.05) as (centre, link):
        link.offer([event(1), event(2, device="c502"), event(3, kind=EventKind.RESET, state=AlarmState.NORM)])
        await until(lambda: len(centre.units(Kind.COMPONENT_STATE)) == 2 and len(centre.units(Kind.DEVICE_STATE)) > 2)
    first, second = centre.units(Kind.COMPONENT_STATE)
    assert first[2:11] == bytes.fromhex("01 01 28 01 00 00 00 03 00") and second[9:11] == b"\x01\x00"
    assert first[11:42].rstrip(b"\0").decode("gb18030") == TEXT
    assert len({frame.serial for frame in centre.heard}) == len(centre.heard), "every sending has its own serial"
    assert centre.heard[0].serial == 0


async def test_without_confirmation_it_is_sent_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fire_centre, "CONFIRM_S", 0.05)
    house = House(tmp_path, [S301])
    async with connected(house) as (centre, link):
        confirm, centre.answers = centre.answers, lambda frame: b""
        link.offer([event(1)])
        await until(lambda: house.counts["unreachable"] == 1)
        lost = [frame.serial for frame in centre.heard if frame.kind == Kind.COMPONENT_STATE]
        assert len(lost) == 3 and len(set(lost)) == 1, "the same sending, so the same serial"
        centre.answers = confirm
        await until(lambda: len(centre.units(Kind.COMPONENT_STATE)) == 4)
        await asyncio.sleep(0.05)
        assert (await house.boxes[0].fill()).rows == 0


async def test_what_is_always_denied_is_parked(tmp_path: Path) -> None:
    house = House(tmp_path, [S301])
    async with connected(house) as (centre, link):
        confirm = centre.answers
        centre.answers = lambda f: f.reply(Action.DENY, AT).encode() if f.kind == Kind.COMPONENT_STATE else confirm(f)
        link.offer([event(1)])
        await until(lambda: house.counts["refused"] == 1)
        assert len(centre.units(Kind.COMPONENT_STATE)) == 3 and link.connected


async def test_the_centre_reads_states_and_sets_the_clock(tmp_path: Path) -> None:
    house = House(tmp_path, [S301, C502])
    async with connected(house, heartbeat_s=0.05) as (centre, link):
        link.offer([event(1)])
        await until(lambda: bool(centre.units(Kind.COMPONENT_STATE)))
        wanted = bytes((Kind.READ_COMPONENT_STATE, 2)) + bytes.fromhex("01 01 01 00 00 00 01 01 63 00 00 00")
        centre.say(Action.REQUEST, wanted, 1001)
        centre.say(Action.REQUEST, bytes((Kind.READ_DEVICE_STATE, 1)), 1002)
        centre.say(Action.REQUEST, bytes((Kind.READ_DEVICE_TIME, 1)), 1003)
        centre.say(Action.CONTROL, bytes((Kind.SET_CLOCK, 1)) + stamp(datetime(2031, 5, 6, 7, 8, 9)), 1004)
        centre.say(Action.CONTROL, bytes((89, 1)), 1005)
        centre.say(Action.CONTROL, bytes((Kind.SET_CLOCK, 1)) + bytes((99,) * 6), 1006)
        centre.say(Action.REQUEST, wanted[:-1], 1007)
        await until(lambda: centre.answered(1007) is not None)
        await until(lambda: centre.heard[-1].at is not None and centre.heard[-1].at.year == 2031)
        answers = {serial: centre.answered(serial) for serial in range(1001, 1008)}
    said = {serial: (answer.action, answer.kind) for serial, answer in answers.items() if answer is not None}
    assert said == {
        1001: (Action.ANSWER, Kind.COMPONENT_STATE),
        1002: (Action.ANSWER, Kind.DEVICE_STATE),
        1003: (Action.ANSWER, Kind.DEVICE_TIME),
        1004: (Action.CONFIRM, None),
        1005: (Action.DENY, None),
        1006: (Action.DENY, None),
        1007: (Action.DENY, None),
    }
    states = answers[1001]
    assert states is not None and states.unit[1] == 1 and (states.source, states.target) == (US, CENTRE)
    assert house.counts["clock_corrected"] == 1


def test_event(kind: EventKind, by: Person | None = None) -> AlarmEvent:
    return event(
        9, kind=kind, alarm_class=AlarmClass.TEST, device="b12", by=by, condition=Condition.ON, received_ms=NOW_MS
    )


test_event.__test__ = False  # type: ignore[attr-defined]


async def test_a_duty_check_is_answered_by_a_person_only(tmp_path: Path) -> None:
    house = House(tmp_path, [S301])
    async with connected(house) as (centre, link):
        link.offer([test_event(EventKind.ACKNOWLEDGED, Person("zhang", "张三", Via.CONSOLE))])
        centre.say(Action.CONTROL, bytes((Kind.DUTY_CHECK, 1, 10)))
        await until(lambda: bool(house.commands))
        answer = centre.answered()
        assert answer is not None and answer.action == Action.CONFIRM
        (wish,) = house.commands
        assert wish.kind is CommandKind.TEST and "10" in (wish.reason or "")
        link.offer([test_event(EventKind.RAISED), test_event(EventKind.ACKNOWLEDGED, wish.by)])
        await asyncio.sleep(0.05)
        assert centre.units(Kind.DEVICE_OPERATION) == [], "nobody has answered yet"
        link.offer([test_event(EventKind.ACKNOWLEDGED, Person("zhang", "张三", Via.CONSOLE))])
        await until(lambda: bool(centre.units(Kind.DEVICE_OPERATION)))
        assert centre.units(Kind.DEVICE_OPERATION)[0][2:4] == b"\x20\x07"


async def test_an_answer_after_the_time_is_none(tmp_path: Path) -> None:
    house = House(tmp_path, [S301])
    async with connected(house) as (centre, link):
        centre.say(Action.CONTROL, bytes((Kind.DUTY_CHECK, 1, 0)))
        await until(lambda: bool(house.commands))
        await asyncio.sleep(0.01)
        link.offer([test_event(EventKind.ACKNOWLEDGED, Person("zhang", "张三", Via.CONSOLE))])
        await until(lambda: house.counts["duty_check_late"] == 1)
        assert centre.units(Kind.DEVICE_OPERATION) == []


async def test_bytes_that_are_no_frame_are_denied_and_it_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path, [S301])
    async with connected(house) as (centre, link):
        raw = bytearray(Frame(55, Action.REQUEST, CENTRE, US, AT, bytes((Kind.READ_DEVICE_STATE, 1))).encode())
        raw[-3] ^= 1
        assert centre.writer is not None
        centre.writer.write(bytes(raw))
        centre.say(Action.REQUEST, bytes((Kind.READ_DEVICE_STATE, 1)), 56)
        await until(lambda: centre.answered(56) is not None)
        denied = centre.answered(55)
        assert denied is not None and denied.action == Action.DENY
        assert house.counts["garbled"] >= 1 and link.connected
