"""433 MHz frames, noise and the driver's debounce."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers.serial import create, rf433
from device_drivers.serial.rf433 import Press
from edge.errors import Unreachable
from edge.ports import Kit, Prober
from tests.unit.drivers.rigs import RfRig, rf_frame

PUBLISHED = bytes.fromhex("AA A4 28 8C 01 2C 03 84 A1 B2 C8 55")


def test_the_published_frame() -> None:
    assert rf433.split(PUBLISHED) == ([Press("A1B2C", 8)], b"", 0)
    assert rf433.ACK == bytes.fromhex("AA A0 55")


def test_the_end_mark_may_occur_inside() -> None:
    assert rf433.split(bytes.fromhex("AAA4 5555 5555 5555 555555 55")) == ([Press("55555", 5)], b"", 0)


def test_pieces_are_put_together() -> None:
    rest = b""
    heard = []
    for one in PUBLISHED + PUBLISHED:
        presses, rest, faults = rf433.split(rest + bytes([one]))
        heard += presses
        assert faults == 0
    assert heard == [Press("A1B2C", 8)] * 2 and rest == b""


@pytest.mark.parametrize("noise", [b"\x00", b"\xff\xaa", b"\xaa\xa4", PUBLISHED[:7], b"\xaa\xa0\x55", b"\xaa\xa4" * 5])
def test_a_good_frame_after_noise_is_heard(noise: bytes) -> None:
    presses, rest, faults = rf433.split(noise + PUBLISHED)
    assert presses == [Press("A1B2C", 8)] and rest == b"" and faults


@given(st.binary(max_size=80), st.lists(st.integers(0, 0xFFFFFF), max_size=4))
def test_noise_never_raises_and_what_is_kept_is_short(noise: bytes, codes: list[int]) -> None:
    presses, rest, _ = rf433.split(noise + b"".join(rf_frame(f"{code:06X}") for code in codes))
    assert len(rest) < rf433.FRAME_BYTES
    assert all(0 <= press.keys <= 15 and len(press.identity) == 5 for press in presses)


@given(st.lists(st.integers(0, 0xFFFFFF), max_size=6))
def test_frames_in_a_row_are_all_heard(codes: list[int]) -> None:
    presses, rest, faults = rf433.split(b"".join(rf_frame(f"{code:06X}") for code in codes))
    assert [f"{press.identity}{press.keys:X}" for press in presses] == [f"{code:06X}" for code in codes]
    assert (rest, faults) == (b"", 0)


class SetClock:
    """Time that a test sets."""

    now_s = 100.0

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


async def test_a_held_button_is_a_new_press_every_half_second(tmp_path: Path) -> None:
    clock, counts = SetClock(), Counter[str]()
    rig = RfRig(tmp_path)
    driver = create(rig.settings, rig.devices, Kit(clock, lambda cause: counts.update([cause]), ""))
    await rig.start()
    await driver.open()
    heard = []
    for number in range(10):
        # The other button's press, each time with another key, makes read return.
        rig.say(rf_frame("A1B2C8") + rf_frame("000001") + rf_frame(f"55AA5{number + 1:X}"))
        batch = await driver.read(None)
        heard.append(sum(reading.key.device == "c1" for reading in batch.readings))
        batch.ack()
        clock.now_s += 0.125
    await driver.close()
    await rig.stop()
    assert heard == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert counts["unknown_id"] == 10


async def test_repetitions_are_acknowledged_at_once_and_presses_after_commit(tmp_path: Path, kit: Kit) -> None:
    rig = RfRig(tmp_path)
    driver = create(rig.settings, rig.devices, kit)
    await rig.start()
    await driver.open()
    rig.say(rf_frame("A1B2C8"))
    batch = await driver.read(None)
    await asyncio.sleep(0.05)
    assert rig.acknowledged() == 0
    batch.ack()
    await asyncio.sleep(0.05)
    assert rig.acknowledged() == 1
    reading = asyncio.ensure_future(driver.read(None))
    rig.say(rf_frame("A1B2C8"))
    await asyncio.sleep(0.05)
    rig.say(rf_frame("A1B2C1"))
    (press,) = (await reading).readings
    assert press.momentary and press.value is True
    await asyncio.sleep(0.05)
    assert rig.acknowledged() == 2
    gone = asyncio.ensure_future(driver.read(None))
    await asyncio.sleep(0.02)
    await rig.stop()
    with pytest.raises(Unreachable):
        await gone
    batch.ack()
    with pytest.raises(Unreachable):
        await driver.open()


@pytest.mark.parametrize("address", ["A1B2", "A1B2CD", "XYZ12", ""])
def test_an_address_that_is_no_code_is_refused(tmp_path: Path, kit: Kit, address: str) -> None:
    rig = RfRig(tmp_path)
    with pytest.raises(ValueError, match="five hex digits"):
        create(rig.settings, [replace(rig.devices[0], address=address)], kit)


async def test_learn_mode_lists_every_button_that_was_pressed(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_drivers.serial.driver.LEARN_S", 0.3)
    rig = RfRig(tmp_path)
    driver = create(rig.settings, rig.devices[:1], kit)
    assert isinstance(driver, Prober)
    with pytest.raises(Unreachable):
        await driver.probe()
    await rig.start()
    await driver.open()
    probing = asyncio.ensure_future(driver.probe())
    rig.say(rf_frame("77777F") + b"noise" + rf_frame("A1B2C8")[:5])
    await asyncio.sleep(0.02)
    rig.say(rf_frame("A1B2C8")[5:] + rf_frame("77777F") + rf_frame("00F001"))
    assert await probing == ["77777", "A1B2C", "00F00"]
    assert rig.acknowledged() == 4, "a bridge that waits for its acknowledgement says nothing more"
    await driver.close()
    await rig.stop()
