"""Bytes that LoRaWAN devices put inside a message, as values. Pure.

Milesight: channel, type, value, one after the other (Milesight-IoT/SensorDecoders, the README of each model). A channel
that is not known has no known length: what stands before it is kept, the rest is left, and that is counted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

BYTES_MAX = 255
"""The longest LoRaWAN payload has 242 bytes."""
Values = dict[str, Any]


class Channel(NamedTuple):
    """One kind of value: how many bytes, and the values in them."""

    size: int
    of: Callable[[bytes], Values]


def _number(name: str, size: int, scale: float = 1.0, signed: bool = False) -> Channel:
    """A number, low byte first."""

    def of(data: bytes) -> Values:
        number = int.from_bytes(data[:size], "little", signed=signed)
        return {name: number if scale == 1.0 else round(number * scale, 3)}

    return Channel(size, of)


def _word(name: str, *words: str, first: int = 0) -> Channel:
    """An enumeration; a number without a word stays a number, which no profile takes for anything."""

    def of(data: bytes) -> Values:
        index = data[0] - first
        return {name: words[index] if 0 <= index < len(words) else data[0]}

    return Channel(1, of)


def _both(one: Channel, other: Channel) -> Channel:
    """The same channel means different things on two models; a profile takes the name it knows."""
    return Channel(1, lambda data: one.of(data) | other.of(data))


def _with_status(channel: Channel) -> Channel:
    """A value that is sent because the device's own limit is passed, with a byte that says which."""
    return Channel(channel.size + 1, channel.of)


_TEMPERATURE = _number("temperature", 2, 0.1, signed=True)
_DISTANCE = _number("distance", 2)
_GAS_ALARMS = ("power down", "power on", "sensor failure", "sensor recover", "sensor about to fail", "sensor failed")
MILESIGHT: Mapping[tuple[int, int], Channel] = {
    (0x01, 0x75): _number("battery", 1),
    (0x03, 0x67): _TEMPERATURE,
    (0x04, 0x68): _number("humidity", 1, 0.5),
    (0xFF, 0x2E): _word("press", "short", "long", "double", first=1),
    (0x05, 0x8E): _word("gas_status", "normal", "abnormal"),
    (0x06, 0x01): _word("valve", "close", "open"),
    (0x07, 0x01): _word("relay", "close", "open"),
    (0x08, 0x90): _number("life_remain", 4),
    (0xFF, 0x3F): _word("alarm", *_GAS_ALARMS),
    (0x07, 0x7D): _number("co2", 2),
    (0x04, 0x82): _DISTANCE,
    (0x03, 0x00): _word("state", "close", "open"),
    (0x04, 0x00): _word("install", "yes", "no"),
    (0x05, 0x00): _both(_word("leakage_status", "normal", "leak"), _word("position", "normal", "tilt")),
    (0x83, 0x67): _with_status(_TEMPERATURE),
    (0x84, 0x82): _with_status(_DISTANCE),
}
"""Channel and type → value, for the models that have a profile."""


def milesight(data: bytes) -> tuple[Values, bool]:
    """The values of one uplink, and whether all of it was understood. Never raises."""
    found: Values = {}
    at = 0
    while at + 2 <= len(data):
        channel = MILESIGHT.get((data[at], data[at + 1]))
        if channel is None or at + 2 + channel.size > len(data):
            return found, False
        found |= channel.of(data[at + 2 : at + 2 + channel.size])
        at += 2 + channel.size
    return found, at == len(data)


CODECS: Mapping[str, Callable[[bytes], tuple[Values, bool]]] = {"milesight": milesight}
"""Names that a profile's ``wire.decode.codec`` may have."""


def bytes_of(text: Any) -> bytes:
    """The bytes of a Base64 text; none for null or an empty one. Raises ValueError."""
    if text is None or text == "":
        return b""
    if not isinstance(text, str) or len(text) > 2 * BYTES_MAX:
        raise ValueError("no Base64 of a radio frame")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise ValueError(f"no Base64: {fault}") from fault
