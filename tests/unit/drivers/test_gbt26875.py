"""GB/T 26875.3: golden frames, noise, confirmations after the commit, what nobody entered, duty checks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers import registry
from device_drivers.contract import keeps_the_contract
from device_drivers.gbt26875 import codec
from device_drivers.gbt26875 import driver as driver_module
from device_drivers.gbt26875.codec import Frame
from device_drivers.gbt26875.driver import Gbt26875Driver
from edge.errors import NobodyCalls
from edge.model import BadCause, Delivered, Device, PointKey, Reading, Refused, TryLater, Write
from edge.ports import Kit, LinkSettings
from tests.unit.drivers import fire_rig as fire
from tests.unit.drivers.fire_rig import SOURCE, Caller, component, fire_device, upload


@pytest.mark.parametrize("golden", [fire.FIRE, fire.CONFIRM, fire.LEL, fire.BEAT, fire.DUTY_CHECK, fire.DUTY_ANSWER])
def test_golden_frames_are_read_and_made_again(golden: bytes) -> None:
    (frame,), rest, faults = codec.split(golden)
    assert (rest, faults, frame.why) == (b"", 0, "")
    assert codec.encode(frame) == golden


def test_the_fire_of_the_standard() -> None:
    (frame,), _, _ = codec.split(fire.FIRE)
    (item,) = codec.items(frame.data) or []
    assert (frame.serial, frame.source, frame.target, frame.command) == (1, SOURCE, 1, codec.SEND)
    assert (item.system, item.component, item.value) == ((1, 1), (42, 1204), 3)
    assert item.text == "3栋2单元1204室厨房烟感"
    assert codec.label_ms(item.label) == 1795237500000  # 2026-11-21 13:05:00 in Beijing
    assert codec.label_of(1795237500000) == item.label
    assert codec.reply(frame, codec.CONFIRM) == fire.CONFIRM


def test_the_other_golden_objects() -> None:
    def objects(golden: bytes) -> list[codec.Item]:
        return codec.items(codec.split(golden)[0][0].data) or []

    (lel,) = objects(fire.LEL)
    assert (lel.component, lel.kind, lel.value) == ((11, 1204), 6, 253)
    (beat,) = objects(fire.BEAT)
    assert (beat.what, beat.value) == (codec.DEVICE_STATE, 1)
    (answer,) = objects(fire.DUTY_ANSWER)
    assert (answer.what, answer.value, answer.text) == (codec.DEVICE_OPERATION, 0x20, "1")
    assert codec.duty_check(10) == codec.split(fire.DUTY_CHECK)[0][0].data


def test_the_end_mark_inside_ends_nothing() -> None:
    frame = component(0x23232323, 42, 3, "##@@##")
    assert [f.why for f in codec.split(frame + fire.BEAT)[0]] == ["", ""]


@pytest.mark.parametrize("spoil", [fire.FIRE[:40], b"\x40", b"junk", fire.FIRE[:-3] + b"\0##", b"@@" + b"\xff" * 40])
def test_a_good_frame_behind_a_bad_one_is_heard(spoil: bytes) -> None:
    frames, rest, faults = codec.split(spoil + fire.BEAT + fire.BEAT)
    assert rest == b"" and faults
    assert codec.split(fire.BEAT)[0][0] in [f for f in frames if not f.why]


@given(st.binary(max_size=200), st.integers(0, 80))
def test_no_bytes_raise(noise: bytes, cut: int) -> None:
    for received in (noise, fire.FIRE[:cut] + noise, upload(1, noise), noise + fire.BEAT):
        frames, rest, _ = codec.split(received)
        assert len(rest) < codec.DATA_BYTES_MAX + 30
        for frame in frames:
            for item in codec.items(frame.data) or []:
                codec.label_ms(item.label)


@given(st.binary(min_size=2, max_size=180))
def test_pieces_are_put_together(data: bytes) -> None:
    wanted = Frame(7, (1, 9), fire.LABEL, SOURCE, 1, codec.SEND, data)
    stream, rest, heard = codec.encode(wanted) * 2, b"", []
    for one in stream:
        frames, rest, _ = codec.split(rest + bytes([one]))
        heard += frames
    assert heard == [wanted, wanted] and rest == b""


class Site:
    """A listening driver with a device that calls."""

    def __init__(self, kit: Kit, devices: list[Device], port: int) -> None:
        settings = LinkSettings("fire", "gbt26875-server", {"host": "127.0.0.1", "port": port})
        self.driver = Gbt26875Driver(settings, devices, kit)
        self.caller = Caller(port)

    async def start(self) -> None:
        opening = asyncio.ensure_future(self.driver.open())
        for _ in range(100):
            await asyncio.sleep(0.01)
            try:
                await self.caller.call()
                break
            except OSError:
                continue
        await opening

    async def hear(self, *frames: bytes) -> list[Reading]:
        """Say frames; the readings of all batches they make, acknowledged."""
        for frame in frames:
            self.caller.say(frame)
        async with asyncio.timeout(3):
            batch = await self.driver.read(None)
        batch.ack()
        return list(batch.readings)


def values(readings: list[Reading]) -> dict[str, object]:
    return {str(r.key): r.value if r.cause is None else r.cause for r in readings}


@pytest.fixture
async def site(kit: Kit) -> AsyncIterator[Site]:
    devices = [
        fire_device("tx", "gbt26875/transmitter", str(SOURCE)),
        fire_device("panel", "gbt26875/panel", f"{SOURCE}/1.1"),
        fire_device("k1204", "gbt26875/smoke", f"{SOURCE}/1.1/1204"),
        fire_device("g7", "gbt26875/gas", f"{SOURCE}/1.1/7"),
    ]
    made = Site(kit, devices, fire.free_port())
    await made.start()
    yield made
    await made.caller.hang_up()
    await made.driver.close()


async def test_a_fire_is_confirmed_only_after_the_commit(site: Site) -> None:
    site.caller.say(fire.FIRE)
    batch = await site.driver.read(None)
    smoke = next(r for r in batch.readings if str(r.key) == "k1204/smoke")
    assert smoke.value is True and smoke.observed_ms == 1795237500000 and not smoke.momentary
    await asyncio.sleep(0.05)
    assert fire.CONFIRM not in site.caller.heard
    batch.ack()
    batch.ack()
    await site.caller.until(lambda heard: fire.CONFIRM in heard)
    assert bytes(site.caller.heard).count(fire.CONFIRM) == 1


async def test_a_device_that_calls_is_asked_how_everything_is(site: Site) -> None:
    await site.hear(fire.BEAT)
    read = asyncio.ensure_future(site.driver.read(None))
    await site.caller.until(lambda heard: b"\x04\x3d\x01\x01\x01" in heard)
    site.caller.say(upload(1, b"\x01\x01\x01\x01\x01\x00" + fire.LABEL, codec.ANSWER))
    batch = await read
    assert (
        values(list(batch.readings))["panel/fire"] is False and values(list(batch.readings))["panel/testing"] is False
    )
    read = asyncio.ensure_future(site.driver.read(None))
    await site.caller.until(lambda heard: b"\x04\x3e\x01\x01\x01\xb4\x04\x00\x00" in heard)
    site.caller.say(component(1204, 42, 1, command=codec.ANSWER))
    assert values(list((await read).readings))["k1204/smoke"] is False


async def test_analogue_values_have_the_scale_of_the_standard(site: Site) -> None:
    found = values(await site.hear(fire.BEAT, upload(3, b"\x03\x01\x01\x01\x0b\x07\0\0\0\x06\xfd\0" + fire.LABEL)))
    assert found["g7/lel"] == 25.3 and found["tx/fire"] is False and found["tx/line_fault"] is False
    found = values(await site.hear(upload(4, b"\x03\x01\x01\x01\x0b\x07\0\0\0\x06\xff\x7f" + fire.LABEL)))
    assert found["g7/lel"] is BadCause.OUT_OF_RANGE


async def test_a_fire_of_a_component_that_nobody_entered_rings_once_and_says_where(site: Site) -> None:
    fire_frame = component(77, 42, 3, "地下室烟感", serial=20)
    first = [r for r in await site.hear(fire.BEAT, fire_frame) if r.key.point.startswith("unlisted")]
    assert [(str(r.key), r.value, r.momentary) for r in first] == [("tx/unlisted_fire", "地下室烟感", True)]
    again = values(await site.hear(component(77, 42, 3, "地下室烟感", serial=21), fire.BEAT))
    assert "tx/unlisted_fire" not in again
    gas = values(await site.hear(component(78, 11, 3, "厨房燃气", serial=22)))
    assert gas == {"tx/unlisted_gas": "厨房燃气"}
    trouble = values(await site.hear(component(79, 11, 5, "", serial=23)))
    assert trouble == {"tx/unlisted_fault": "11/79"}


async def test_two_fires_in_one_frame_are_two_causes_and_a_clockless_device_repeats_none(site: Site) -> None:
    def two(first: int, label: bytes) -> bytes:
        objects = b"".join(
            b"\x01\x01\x2a" + number.to_bytes(4, "little") + b"\x03\x00" + bytes(31) + label
            for number in (first, first + 1)
        )
        frame = upload(50, b"\x02\x02" + objects)
        body = frame[2:6] + label + frame[12:-3]
        return b"@@" + body + bytes([sum(body) % 256]) + b"##"

    await site.hear(fire.BEAT)
    presses = [r for r in await site.hear(two(600, fire.LABEL)) if r.momentary]
    assert len(presses) == 2 and len({r.sequence for r in presses} - {None}) == 2
    presses = [r for r in await site.hear(two(700, bytes(6))) if r.momentary]
    assert [r.sequence for r in presses] == [None, None]


async def test_another_component_type_at_an_address_is_never_its_value(site: Site, counts: Counter[str]) -> None:
    found = values(await site.hear(fire.BEAT, component(1204, 11, 3, "燃气", serial=30)))
    assert found["k1204/smoke"] is BadCause.WRONG_TYPE and found["tx/unlisted_gas"] == "燃气"
    assert counts["wrong_type"]


async def test_what_is_over_is_asked_again_because_it_is_said_once(site: Site) -> None:
    await site.hear(fire.FIRE)
    assert len(site.driver._questions) == 2 and site.driver._asked is not None
    await site.hear(component(1204, 42, 1, serial=41))
    assert site.driver._questions[-1] == (SOURCE, codec.question((1, 1), 1204))


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (fire.FIRE[:-3] + b"\0##", "bad_sum"),
        (upload(1, b"", 77), "unknown_command"),
        (upload(1, b"\x02\x02" + bytes(46)), "garbled"),
        (upload(1, b"\x15\x01\x01" + fire.LABEL, source=5), "unknown_id"),
    ],
    ids=["sum", "command", "objects", "source"],
)
async def test_what_cannot_be_taken_is_denied(site: Site, counts: Counter[str], frame: bytes, cause: str) -> None:
    await site.hear(frame, fire.BEAT)
    assert counts[cause] == 1
    await site.caller.until(lambda heard: any(f[24:25] == b"\x06" for f in heard.split(b"@@")))


async def test_a_duty_check_is_asked_confirmed_and_answered(site: Site) -> None:
    check = PointKey("tx", "duty_check")
    assert isinstance(await site.driver.write(Write(check, 5)), TryLater)
    assert values(await site.hear(fire.BEAT))["tx/duty_unanswered"] is False
    asking = asyncio.ensure_future(site.driver.write(Write(check, 10)))
    await site.caller.until(lambda heard: b"\x01\x5b\x01\x0a" in heard)
    frame = next(f for f in codec.split(bytes(site.caller.heard))[0] if f.command == codec.CONTROL)
    assert (frame.source, frame.target) == (1, SOURCE)
    site.caller.say(upload(frame.serial, b"", codec.CONFIRM))
    assert isinstance(await asking, Delivered)
    found = await site.hear(fire.DUTY_ANSWER)
    assert values(found)["tx/duty_answer"] == "operator 1" and values(found)["tx/duty_unanswered"] is False
    asking = asyncio.ensure_future(site.driver.write(Write(check, 1)))
    await asyncio.sleep(0.05)
    site.caller.say(upload(frame.serial + 1, b"", codec.DENY))
    assert isinstance(await asking, (Refused, TryLater))
    assert isinstance(await site.driver.write(Write(check, 300)), Refused)


async def test_a_duty_check_without_an_answer_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.hear(fire.BEAT)
    site.driver._duty_s[SOURCE] = site.driver._kit.clock.monotonic() - 1
    assert values(await site.hear(fire.BEAT))["tx/duty_unanswered"] is True


async def test_a_device_that_does_not_call_or_is_gone_is_a_link_that_is_down(
    site: Site, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "CALL_WAIT_S", 0.05)
    monkeypatch.setattr(driver_module, "ABSENT_S", 0.05)
    await site.caller.hang_up()
    with pytest.raises(NobodyCalls):
        await site.driver.read(None)
    await site.driver.close()
    with pytest.raises(NobodyCalls):
        await site.driver.open()


async def test_of_two_devices_the_one_that_is_gone_is_offline(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "ABSENT_S", 0.05)
    devices = [
        fire_device("a", "gbt26875/smoke", f"{SOURCE}/1.1/1204"),
        fire_device("b", "gbt26875/smoke", "7/1.1/1204"),
    ]
    site = Site(kit, devices, fire.free_port())
    await site.start()
    other = Caller(site.caller.port)
    await other.call()
    other.say(upload(1, b"\x02\x01\x01\x01\x2a\xb4\x04\0\0\x01\0" + bytes(31) + fire.LABEL, source=7))
    assert values(await site.hear())["b/smoke"] is False
    await other.hang_up()
    assert values(await site.hear())["b/smoke"] is BadCause.OFFLINE
    assert values(await site.hear(fire.FIRE))["a/smoke"] is True
    await site.caller.hang_up()
    await site.driver.close()


async def test_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "CALL_WAIT_S", 0.3)
    monkeypatch.setattr(driver_module, "ABSENT_S", 0.1)
    counts = await keeps_the_contract(fire.FireRig(), registry.create, range(4), tmp_path)
    assert counts["garbled"] and counts["unknown_command"] and counts["bad_sum"]
