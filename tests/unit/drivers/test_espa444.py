"""ESPA 4.4.4: golden blocks, noise, both roles, acknowledged after the commit, reset, and the simulated panel."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import reduce
from operator import xor
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers import registry
from device_drivers.contract import keeps_the_contract
from device_drivers.espa444 import codec, create
from device_drivers.espa444 import driver as driver_module
from device_drivers.espa444.codec import Block, Call, Enquiry, Sign
from edge.errors import Unreachable
from edge.model import Batch, PointKey
from edge.ports import Kit, LinkSettings
from simulators.building import GroundTruth, Health
from simulators.devices import byte_line, espa444
from simulators.devices.espa444 import NursePanel
from tests.unit.drivers.fire_rig import profiled
from tests.unit.drivers.rigs import PtyEnd

GOLDEN = bytes.fromhex(
    "01 31 02 31 1F 30 38 31 35 1E 32 1F 53 4F 53 20 42 33 2D 32 2D 31 32 30 34 1E 33 1F 35 1E 34 1F 33 1E 35 1F 31"
    "1E 36 1F 31 03 08"
)
PUBLISHED = bytes.fromhex("01 31 02 31 1F 41 03 5F")
PAGED = bytes.fromhex("01 32 02 31 1F 30 38 31 35 1E 37 1F 33 03 14")


def call(address: bytes, text: bytes = b"SOS", kind: bytes = b"3", priority: bytes = b"1") -> bytes:
    """A block as the test's own encoder makes it."""
    body = (
        b"1\x02" + b"\x1e".join((b"1\x1f" + address, b"2\x1f" + text, b"4\x1f" + kind, b"6\x1f" + priority)) + b"\x03"
    )
    return b"\x01" + body + bytes([reduce(xor, body)])


def test_golden_blocks() -> None:
    (block,), rest, faults = codec.split(GOLDEN)
    assert isinstance(block, Block) and block.good and (rest, faults) == (b"", 0)
    assert codec.call_of(block) == Call("0815", "SOS B3-2-1204", "3", 1)
    assert block.records == {"1": "0815", "2": "SOS B3-2-1204", "3": "5", "4": "3", "5": "1", "6": "1"}
    (published,), _, _ = codec.split(PUBLISHED)
    assert isinstance(published, Block) and published.good and published.records == {"1": "A"}
    (paged,), _, _ = codec.split(PAGED)
    assert isinstance(paged, Block) and paged.good and paged.header == "2" and codec.call_of(paged) is None


def test_the_whole_conversation_of_the_standard() -> None:
    said, rest, faults = codec.split(b"1\x05" + b"2\x05" + GOLDEN + b"\x04")
    assert (said[0], said[1], said[3]) == (Enquiry("1"), Enquiry("2"), Sign(codec.EOT)) and not rest and not faults


def test_a_check_that_looks_like_a_control_character_is_a_check() -> None:
    blocks = [call(bytes([letter]), text) for letter in range(0x20, 0x7F) for text in (b"S", b"SO", b"", b"S0")]
    assert {block[-1] for block in blocks} & {1, 2, 3, 4, 5, 6, 0x15}
    said, rest, faults = codec.split(b"".join(blocks))
    assert (
        all(isinstance(one, Block) and one.good for one in said)
        and len(said) == len(blocks)
        and not rest
        and not faults
    )


def test_a_stray_separator_before_the_end_is_borne() -> None:
    body = b"1\x021\x1f0815\x1e\x03"
    (block,), _, _ = codec.split(b"\x01" + body + bytes([reduce(xor, body)]))
    assert isinstance(block, Block) and block.good and block.records == {"1": "0815"}


@pytest.mark.parametrize("noise", [b"\x00", GOLDEN[:20], b"\x01", b"x1", GOLDEN[:-1] + b"\x00", b"\x01\x01\x02"])
def test_a_good_block_behind_noise_is_heard(noise: bytes) -> None:
    said, rest, _ = codec.split(noise + b"2\x05" + GOLDEN)
    assert said[-1] == codec.split(GOLDEN)[0][0] and Enquiry("2") in said and rest == b""


@given(st.binary(max_size=120), st.integers(0, 43))
def test_no_bytes_raise(noise: bytes, cut: int) -> None:
    for received in (noise, GOLDEN[:cut] + noise, b"\x01" + noise + b"\x03" + noise):
        said, rest, _ = codec.split(received)
        assert len(rest) <= codec.BLOCK_BYTES_MAX
        for one in said:
            if isinstance(one, Block) and one.good:
                codec.call_of(one)


@given(st.integers(1, 60))
def test_pieces_are_put_together(size: int) -> None:
    stream, rest, heard = (b"2\x05" + GOLDEN + b"\x04") * 2, b"", []
    for at in range(0, len(stream), size):
        said, rest, faults = codec.split(rest + stream[at : at + size])
        heard += said
        assert not faults
    assert len(heard) == 6 and rest == b""


class EspaRig(PtyEnd):
    """A panel that leads, on a pty: it selects the gateway and sends calls."""

    def __init__(self, folder: Path, role: str = "panel") -> None:
        super().__init__(folder / "espa")
        self.settings = LinkSettings("espa", "espa444", {"port": str(self.port), "role": role, "station": "2"})
        self.devices = [
            profiled("b0815", "espa444/nurse-call", "espa", "0815"),
            profiled("others", "espa444/nurse-call", "espa", "*"),
        ]
        self._acks = 0

    async def start(self) -> None:
        self.heard.clear()
        self.plug()

    async def stop(self) -> None:
        self.unplug()

    async def speak(self) -> None:
        self.say(call(b"0815") + b"\x04" + call(b"77", b"WARD 3") + b"\x04")

    async def trouble(self, random: Random) -> None:
        self.say(
            random.choice(
                [
                    random.randbytes(random.randrange(1, 60)),
                    GOLDEN[: random.randrange(1, len(GOLDEN))],
                    GOLDEN[:-1] + b"\x55",
                    GOLDEN + GOLDEN,
                    PAGED,
                    b"1\x15\x06\x06",
                ]
            )
        )

    async def calm(self) -> None:
        # What was torn may still wait for its end; a panel ends its transaction.
        self.say(b"\x04")

    def acknowledged(self) -> int:
        return bytes(self.heard).count(b"\x06")


async def test_contract(tmp_path: Path) -> None:
    counts = await keeps_the_contract(EspaRig(tmp_path), registry.create, range(4), tmp_path)
    assert counts["garbled"] and counts["bad_bcc"]


async def heard(rig: EspaRig, wanted: bytes) -> None:
    async with asyncio.timeout(3):
        while wanted not in rig.heard:
            await asyncio.sleep(0.005)


def values(batch: Batch) -> dict[str, object]:
    return {str(r.key): r.value for r in batch.readings}


async def test_a_call_is_acknowledged_after_the_commit_and_a_reset_rings_nobody(tmp_path: Path, kit: Kit) -> None:
    rig = EspaRig(tmp_path)
    driver = create(rig.settings, rig.devices, kit)
    await rig.start()
    await driver.open()
    rig.say(b"2\x05")
    reading = asyncio.ensure_future(driver.read(None))
    await heard(rig, b"\x06")
    rig.say(GOLDEN)
    batch = await reading
    assert values(batch) == {"b0815/call": "SOS B3-2-1204", "b0815/calling": True}
    assert [r.momentary for r in batch.readings] == [True, False]
    await asyncio.sleep(0.05)
    assert rig.acknowledged() == 1
    batch.ack()
    batch.ack()
    await heard(rig, b"\x06\x06")
    rig.say(b"\x04" + call(b"0815", kind=b"1"))
    assert values(await driver.read(None)) == {"b0815/calling": False}
    rig.say(call(b"4711", b"ROOM 9"))
    assert values(await driver.read(None)) == {"others/call": "ROOM 9", "others/calling": True}
    await driver.close()
    await rig.stop()


async def test_a_bad_block_is_asked_for_again(tmp_path: Path, kit: Kit, counts: Counter[str]) -> None:
    rig = EspaRig(tmp_path)
    driver = create(rig.settings, rig.devices[:1], kit)
    await rig.start()
    await driver.open()
    rig.say(GOLDEN[:-1] + b"\x77" + call(b"4711") + PAGED)
    reading = asyncio.ensure_future(driver.read(None))
    await heard(rig, b"1\x15\x06\x06")
    assert (counts["bad_bcc"], counts["unknown_id"]) == (1, 1)
    rig.say(GOLDEN)
    assert "b0815/call" in values(await reading)
    await driver.close()
    await rig.stop()


async def test_as_control_station_we_poll_and_notice_a_dead_panel(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "POLL_S", 0.02)
    monkeypatch.setattr(driver_module, "REPLY_S", 0.03)
    rig = EspaRig(tmp_path, role="control")
    driver = create(rig.settings, rig.devices, kit)
    await rig.start()
    await driver.open()
    reading = asyncio.ensure_future(driver.read(None))
    await heard(rig, b"1\x05")
    rig.say(b"2\x05")
    await heard(rig, b"\x06")
    polls = bytes(rig.heard).count(b"1\x05")
    await asyncio.sleep(0.08)
    assert bytes(rig.heard).count(b"1\x05") == polls, "polled while the panel was talking"
    rig.say(GOLDEN)
    (await reading).ack()
    rig.say(b"\x04")
    with pytest.raises(Unreachable, match="does not answer 3 polls"):
        await driver.read(None)
    await driver.close()
    await rig.stop()


async def test_a_leading_panel_that_falls_silent_is_a_link_that_is_down(tmp_path: Path, kit: Kit) -> None:
    rig = EspaRig(tmp_path)
    options = {**rig.settings.options, "silent_s": 0.05}
    driver = create(LinkSettings("espa", "espa444", options), rig.devices, kit)
    await rig.start()
    await driver.open()
    with pytest.raises(Unreachable, match="nothing heard"):
        await driver.read(None)
    await driver.close()
    await rig.stop()


def test_the_simulated_panel_sends_the_golden_block() -> None:
    records = {"1": "0815", "2": "SOS B3-2-1204", "3": "5", "4": "3", "5": "1", "6": "1"}
    assert espa444.block(records) == GOLDEN and espa444.block({"1": "A"}) == PUBLISHED
    assert espa444.block({"1": "0815", "7": "3"}, "2") == PAGED


@pytest.mark.parametrize("role", ["panel", "control"])
@pytest.mark.parametrize(
    "health", [Health.WELL, Health.LATE, Health.TORN, Health.BAD_CRC, Health.DOUBLED, Health.BABBLE]
)
async def test_calls_of_the_simulated_panel_come_through(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch, role: str, health: Health
) -> None:
    monkeypatch.setattr(espa444, "ANSWER_S", 0.15)
    monkeypatch.setattr(byte_line, "LATE_S", 0.05)
    monkeypatch.setattr(driver_module, "POLL_S", 0.02)
    options = {"port": str(tmp_path / "far"), "role": role}
    devices = [profiled("b1", "espa444/nurse-call", "espa", "0815")]
    truth = GroundTruth(devices, ["espa"], {}, 1, lambda: 0)
    panel = NursePanel(options, devices, truth, 1)
    driver = create(LinkSettings("espa", "espa444", options), devices, kit)
    await panel.open()
    await driver.open()
    truth.set_health("b1", health)
    truth.press(PointKey("b1", "call"), value="SOS 1204")
    said: dict[str, object] = {}
    async with asyncio.timeout(3):
        while panel.delivered < 1 or "b1/call" not in said:
            batch = await driver.read(None)
            batch.ack()
            said |= values(batch)
            await asyncio.sleep(0.02)
    assert said == {"b1/call": "SOS 1204", "b1/calling": True}
    truth.set(PointKey("b1", "calling"), False)
    async with asyncio.timeout(3):
        while said["b1/calling"] is not False:
            batch = await driver.read(None)
            batch.ack()
            said |= values(batch)
    await driver.close()
    await panel.close()
