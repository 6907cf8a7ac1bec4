"""One-touch call buttons behind a 433 MHz receiver on a serial line.

Frame: ``AA A4 <Tsyn:2> <Tlow:2> <Thigh:2> <code:3> 55``, times big-endian in microseconds, code = 20-bit id and 4 key
bits (EV1527). The transmitter repeats while it is pressed; the host acknowledges each frame with ``AA A0 55``.
Source: ESPHome rf_bridge.cpp and the RF-Bridge-EFM8BB1 headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from edge.model import Device
from simulators.building import Fact, GroundTruth, Health
from simulators.devices.pty_line import PtyLine

SYNC_US, LOW_US, HIGH_US = 10380, 300, 900
HOST_ACK = b"\xaa\xa0\x55"
REPEATS = 4
"""Frames of one press: somebody holds a button for about a third of a second."""
REPEAT_S = 0.09
"""Air time of one code and its pause."""


def frame(identity: int, key: int, sync_us: int = SYNC_US, low_us: int = LOW_US, high_us: int = HIGH_US) -> bytes:
    """What the receiver says when it heard a code. identity: 20 bits; key: 4 bits."""
    code = (identity & 0xFFFFF) << 4 | key & 0xF
    times = b"".join(value.to_bytes(2, "big") for value in (sync_us, low_us, high_us))
    return b"\xaa\xa4" + times + code.to_bytes(3, "big") + b"\x55"


class RfReceiver:
    """The receiver and all buttons it hears."""

    def __init__(self, port: Path, devices: Sequence[Device], truth: GroundTruth, seed: int) -> None:
        self.line = PtyLine(port, self._received)
        self.sent = 0
        self.acknowledged = 0
        self._truth = truth
        self._random = Random(seed)
        self._tail = b""
        self._buttons: Mapping[str, Device] = {d.id: d for d in devices}
        truth.watch(self._happened)

    @property
    def where(self) -> str:
        """What a person connects to."""
        return str(self.line.port)

    async def open(self) -> None:
        """Put the port in place. Raises PortRefused."""
        self.line.open()

    async def close(self) -> None:
        """Pull the receiver out."""
        self.line.close()

    def _happened(self, fact: Fact) -> None:
        device = self._buttons.get(fact.device)
        point = next((p for p in device.points if p.key == fact.point and p.momentary), None) if device else None
        if device is None or point is None or self._truth.health(device.id) is Health.DEAD:
            return
        keys = point.read.get("keys") or [8]
        jitter = self._random.randrange(-40, 40)
        data = frame(int(device.address, 16), int(keys[0]), SYNC_US + 8 * jitter, LOW_US + jitter, HIGH_US + jitter)
        loop = asyncio.get_running_loop()
        self._send(data)
        for n in range(1, REPEATS):
            loop.call_later(n * REPEAT_S, self._send, data)

    def _send(self, data: bytes) -> None:
        if self.line.is_open:
            self.sent += 1
            self.line.write(data)

    def _received(self, data: bytes) -> None:
        """Count the host's acknowledgements; the receiver itself needs nothing else from the host."""
        waiting = self._tail + data
        self.acknowledged += waiting.count(HOST_ACK)
        end = waiting.rfind(HOST_ACK)
        rest = waiting[end + len(HOST_ACK) :] if end >= 0 else waiting
        self._tail = rest[-(len(HOST_ACK) - 1) :]
