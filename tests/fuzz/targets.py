"""What is fuzzed: each codec of a serial or fire link, as a function that holds its promises for any bytes.

seeds: golden frames to begin from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from device_drivers.access import wiegand
from device_drivers.espa444 import codec as espa444
from device_drivers.gbt26875 import codec as gbt26875
from device_drivers.meters import cjt188, dlt645, frames
from device_drivers.serial import rf433


class Target(NamedTuple):
    """One codec. check raises AssertionError for a broken promise; anything else it raises is one too."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _gbt26875(data: bytes) -> None:
    found, rest, faults = gbt26875.split(data)
    assert len(rest) <= gbt26875.DATA_BYTES_MAX + 30 and faults >= 0
    for frame in found:
        if not frame.why:
            assert gbt26875.split(gbt26875.encode(frame)) == ([frame], b"", 0)
        for item in gbt26875.items(frame.data) or []:
            gbt26875.label_ms(item.label)


def _espa444(data: bytes) -> None:
    said, rest, _ = espa444.split(data)
    assert len(rest) <= espa444.BLOCK_BYTES_MAX
    for one in said:
        if isinstance(one, espa444.Block) and one.good:
            call = espa444.call_of(one)
            assert call is None or (call.address and call.priority in (1, 2, 3))


def _dlt645(data: bytes) -> None:
    found, rest, _ = frames.split(frames.DLT645, data)
    assert len(rest) < 300
    for frame in found:
        answer = dlt645.answer(frame, dlt645.address_of(frame), "00010000")
        if isinstance(answer, bytes):
            dlt645.value(answer, {"bytes": 3, "decimals": 4, "signed": True})


def _cjt188(data: bytes) -> None:
    found, rest, _ = frames.split(frames.CJT188, data)
    assert len(rest) < 300
    for frame in found:
        answer = cjt188.answer(frame, frame[1], frame[2:9][::-1].hex(), "901F")
        if isinstance(answer, bytes):
            cjt188.value(answer, {"at": 0, "bytes": 4, "decimals": 2, "unit": 0x2C})


def _wiegand(data: bytes) -> None:
    lines, rest, _ = wiegand.split(data)
    assert len(rest) <= wiegand.LINE_BYTES_MAX
    for line in lines:
        for form in ("bits", "hex", "decimal"):
            card = wiegand.card(line, form)
            assert card is None or (card.facility <= 0xFFFF and card.number <= 0xFFFF)


def _rf433(data: bytes) -> None:
    presses, rest, _ = rf433.split(data)
    assert len(rest) < rf433.FRAME_BYTES and all(press.keys <= 15 for press in presses)


_GBT26875 = (
    "40 40 02 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 12 00 02 03 01 01 01 0B B4 04 00 00 06 FD"
    "00 00 05 0D 15 0B 1A 75 23 23",
    "40 40 03 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 09 00 02 15 01 01 00 05 0D 15 0B 1A B8"
    "23 23",
)
_ESPA444 = ("32 05 01 31 02 31 1F 41 03 5F 04", "01 32 02 31 1F 30 38 31 35 1E 37 1F 33 03 14")
_DLT645 = (
    "FE FE 68 12 90 78 56 34 12 68 91 08 33 33 34 33 9A 78 56 34 88 16",
    "68 12 90 78 56 34 12 68 D1 01 35 8D 16",
)
_CJT188 = (
    "FE FE 68 10 78 56 34 12 00 00 00 81 16 90 1F 01 45 23 01 00 2C 00 00 00 00 2C 00 05 13 21 11 26 20 00 00 24 16",
)


def _golden(*texts: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)


TARGETS: Mapping[str, Target] = {
    "gbt26875": Target(_gbt26875, _golden(*_GBT26875)),
    "espa444": Target(_espa444, _golden(*_ESPA444)),
    "dlt645": Target(_dlt645, _golden(*_DLT645)),
    "cjt188": Target(_cjt188, _golden(*_CJT188)),
    "wiegand": Target(_wiegand, (b"1:00110010100110000001110011\r\n", b"653039\n0006631481\n")),
    "rf433": Target(_rf433, _golden("AA A4 28 8C 01 2C 03 84 A1 B2 C8 55")),
}
"""By name."""
