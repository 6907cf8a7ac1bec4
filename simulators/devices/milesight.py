"""What a Milesight device puts into its LoRaWAN frame: an encoder of its own, from the makers' examples."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_WORDS: Mapping[str, tuple[bytes, tuple[str, ...], int]] = {
    "press": (b"\xff\x2e", ("short", "long", "double"), 1),
    "gas_status": (b"\x05\x8e", ("normal", "abnormal"), 0),
    "valve": (b"\x06\x01", ("close", "open"), 0),
    "relay": (b"\x07\x01", ("close", "open"), 0),
    "alarm": (
        b"\xff\x3f",
        ("power down", "power on", "sensor failure", "sensor recover", "sensor about to fail", "sensor failed"),
        0,
    ),
    "state": (b"\x03\x00", ("close", "open"), 0),
    "install": (b"\x04\x00", ("yes", "no"), 0),
    "leakage_status": (b"\x05\x00", ("normal", "leak"), 0),
    "position": (b"\x05\x00", ("normal", "tilt"), 0),
}
_NUMBERS: Mapping[str, tuple[bytes, str, float]] = {
    "battery": (b"\x01\x75", "<B", 1.0),
    "temperature": (b"\x03\x67", "<h", 0.1),
    "humidity": (b"\x04\x68", "<B", 0.5),
    "co2": (b"\x07\x7d", "<H", 1.0),
    "distance": (b"\x04\x82", "<H", 1.0),
    "life_remain": (b"\x08\x90", "<I", 1.0),
}


def encode(values: Mapping[str, Any]) -> bytes:
    """Channel, type and value of everything the device says. Raises KeyError for what none of them says."""
    frame = b""
    for name, value in values.items():
        if name in _WORDS:
            head, words, first = _WORDS[name]
            frame += head + bytes([words.index(value) + first])
        else:
            head, form, step = _NUMBERS[name]
            frame += head + struct.pack(form, round(value / step))
    return frame
