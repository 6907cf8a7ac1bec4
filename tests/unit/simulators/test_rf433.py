"""The receiver's frames and its line: golden bytes, repeats, the host's acknowledgement."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edge.model import PointKey
from simulators.building import GroundTruth, Health
from simulators.devices.rf433 import REPEATS, RfReceiver, frame

MakeTruth = Callable[..., GroundTruth]


def test_the_frame_is_the_one_of_the_standard() -> None:
    assert frame(0xA1B2C, 8) == bytes.fromhex("AA A4 28 8C 01 2C 03 84 A1 B2 C8 55")


def test_an_end_mark_inside_the_code_changes_no_length() -> None:
    assert frame(0x55555, 5, 0x5555, 0x5555, 0x5555) == bytes.fromhex("AA A4 55 55 55 55 55 55 55 55 55 55")


async def test_a_press_is_repeated_and_acknowledged(make_truth: MakeTruth, tmp_path: Path) -> None:
    truth = make_truth("c1")
    receiver = RfReceiver(tmp_path / "rf", [truth.device("c1")], truth, 1)
    await receiver.open()
    try:
        host = os.open(tmp_path / "rf", os.O_RDWR | os.O_NOCTTY)
        truth.press(PointKey("c1", "call"))
        first = os.read(host, 12)
        assert first[:2] == b"\xaa\xa4" and first[8:] == bytes.fromhex("A1 B2 C1 55")
        receiver._received(b"\xaa\xa0")
        receiver._received(b"\x55\xaa\xa0\x55\x00")
        assert (receiver.acknowledged, receiver.sent) == (2, 1)
        os.close(host)
    finally:
        await receiver.close()
    assert REPEATS > 1 and not (tmp_path / "rf").is_symlink()


async def test_a_dead_button_and_a_pulled_receiver_send_nothing(make_truth: MakeTruth, tmp_path: Path) -> None:
    truth = make_truth("c1")
    receiver = RfReceiver(tmp_path / "rf", [truth.device("c1")], truth, 1)
    truth.press(PointKey("c1", "call"))
    await receiver.open()
    truth.set_health("c1", Health.DEAD)
    truth.press(PointKey("c1", "call"))
    await receiver.close()
    await receiver.close()
    assert receiver.sent == 0
