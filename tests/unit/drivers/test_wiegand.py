"""Wiegand text frames: golden bits, parity, noise, the contract, and the simulated converter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers import registry
from device_drivers.access import create, wiegand
from device_drivers.access.wiegand import Card
from device_drivers.contract import keeps_the_contract
from edge.model import Device, Place, Point, PointKey
from edge.ports import Kit, LinkSettings
from simulators.building import GroundTruth, Health
from simulators.devices.osdp import WiegandConverter, wiegand26
from tests.unit.drivers.fire_rig import profiled
from tests.unit.drivers.rigs import PtyEnd

GOLDEN = "00110010100110000001110011"  # facility 101, card 12345


def bits34(facility: int, number: int) -> str:
    middle = f"{facility:016b}{number:016b}"
    return f"{middle[:16].count('1') % 2}{middle}{1 - middle[16:].count('1') % 2}"


def test_golden_bits() -> None:
    assert wiegand.card(GOLDEN.encode(), "bits") == Card("", 101, 12345)
    assert wiegand.card(b"2:" + bits34(1000, 54321).encode(), "bits") == Card("2", 1000, 54321)
    assert wiegand26(101, 12345) == GOLDEN
    assert str(Card("", 101, 12345)) == "101-12345"


@pytest.mark.parametrize(
    ("form", "line", "wanted"),
    [
        ("hex", b"653039", Card("", 101, 12345)),
        ("hex", b"a:03E8D431", Card("a", 1000, 54321)),
        ("decimal", b"0006631481", Card("", 101, 12345)),
        ("hex", b"6530", None),
        ("hex", b"65303G", None),
        ("decimal", b"99999999999", None),
        ("decimal", b"4294967296", None),
        ("bits", b"0011", None),
        ("bits", GOLDEN[:-1].encode() + b"2", None),
        ("decimal", b"\xff", None),
    ],
)
def test_the_other_formats(form: str, line: bytes, wanted: Card | None) -> None:
    assert wiegand.card(line, form) == wanted


@given(st.integers(0, 25))
def test_one_bit_that_tips_over_is_found(at: int) -> None:
    tipped = GOLDEN[:at] + ("1" if GOLDEN[at] == "0" else "0") + GOLDEN[at + 1 :]
    assert wiegand.card(tipped.encode(), "bits") is None


@given(st.binary(max_size=200))
def test_no_bytes_raise(noise: bytes) -> None:
    lines, rest, _ = wiegand.split(noise)
    assert len(rest) <= wiegand.LINE_BYTES_MAX
    for line in lines:
        for form in ("bits", "hex", "decimal"):
            wiegand.card(line, form)


@given(st.integers(1, 40))
def test_pieces_are_put_together(size: int) -> None:
    stream, rest, heard = f"1:{GOLDEN}\r\n{GOLDEN}\n".encode() * 3, b"", []
    for at in range(0, len(stream), size):
        lines, rest, faults = wiegand.split(rest + stream[at : at + size])
        heard += lines
        assert not faults
    assert heard == [b"1:" + GOLDEN.encode(), GOLDEN.encode()] * 3


class WiegandRig(PtyEnd):
    """A converter on a pty with two readers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "doors")
        self.settings = LinkSettings("doors", "wiegand-text", {"port": str(self.port), "format": "bits"})
        self.devices = [
            profiled("d1", "wiegand/reader", "doors", "1"),
            Device(
                "panic",
                "p",
                "doors",
                "2",
                Place(),
                (Point("call", read={"card": "101-12345"}, momentary=True),),
                (),
                None,
            ),
        ]
        # A point without a condition has an empty mapping, which the suite would take for a point that is never read.
        self.devices[0] = Device(
            "d1", "p", "doors", "1", Place(), (Point("card", read={"card": None}, momentary=True),), (), None
        )

    async def start(self) -> None:
        self.plug()

    async def stop(self) -> None:
        self.unplug()

    async def speak(self) -> None:
        self.say(f"\n1:{GOLDEN}\r\n2:{GOLDEN}\r\n".encode())

    async def trouble(self, random: Random) -> None:
        noise = [
            random.randbytes(40),
            GOLDEN.encode()[:9],
            b"x" * 90,
            f"9:{GOLDEN}\r\n".encode(),
            b"\n\n\r",
            b"2:0101\n",
        ]
        self.say(random.choice(noise))

    async def calm(self) -> None:
        pass

    def acknowledged(self) -> None:
        return None


async def test_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_drivers.access.wiegand_driver.PRESS_DEBOUNCE_S", 0.0)
    counts = await keeps_the_contract(WiegandRig(tmp_path), registry.create, range(4), tmp_path)
    assert counts["garbled"] and counts["unknown_id"]


@pytest.mark.parametrize("form", ["bits", "hex", "decimal"])
async def test_cards_of_the_simulated_converter(tmp_path: Path, kit: Kit, counts: Counter[str], form: str) -> None:
    options = {"port": str(tmp_path / "doors"), "format": form}
    devices = [profiled("d1", "wiegand/reader", "doors", "1"), profiled("d2", "wiegand/reader", "doors", "2")]
    truth = GroundTruth(devices, ["doors"], {}, 1, lambda: 0)
    far = WiegandConverter(options, devices, truth, 1)
    driver = create(LinkSettings("doors", "wiegand-text", options), devices, kit)
    await far.open()
    await driver.open()
    card = PointKey("d1", "card")
    for health in (Health.OTHER_ID, Health.TORN, Health.DEAD):
        truth.set_health("d1", health)
        truth.press(card, value="101-12345")
    truth.set_health("d1", Health.DOUBLED)
    far.line.write(b"\r\n")
    truth.press(card, value="101-12345")
    truth.press(PointKey("d2", "card"), value="7-65535")
    heard: list[tuple[str, object, bool]] = []
    while len(heard) < 2:
        heard += [(str(r.key), r.value, r.momentary) for r in (await driver.read(None)).readings]
    assert heard == [("d1/card", "101-12345", True), ("d2/card", "7-65535", True)], "a doubled line is one card"
    assert counts["unknown_id"] == 1 and counts["garbled"]
    await driver.close()
    await far.close()
