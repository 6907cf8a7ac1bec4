"""Electricity meters (DL/T 645-2007) and water or gas meters (CJ/T 188) on one line. Own encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.model import Device, PointKey
from simulators.building import GroundTruth
from simulators.devices.byte_line import ByteLine

PREAMBLE = b"\xfe\xfe"


def _finish(frame: bytes) -> bytes:
    return frame + bytes([sum(frame) % 256, 0x16])


def digits(value: float, size: int, decimals: int) -> bytes:
    """A number as BCD, low byte first; a negative one has the top bit of the highest byte set."""
    text = str(round(abs(value) * 10**decimals)).zfill(2 * size)[-2 * size :]
    data = bytearray(int(text[at : at + 2], 16) for at in range(0, 2 * size, 2))
    if value < 0:
        data[0] |= 0x80
    return bytes(reversed(data))


def dlt_frame(address: str, control: int, data: bytes) -> bytes:
    """A frame of an electricity meter."""
    number = bytes(int(address[at : at + 2], 16) for at in (10, 8, 6, 4, 2, 0))
    return _finish(b"\x68" + number + b"\x68" + bytes([control, len(data)]) + bytes((b + 0x33) % 256 for b in data))


def cjt_frame(kind: int, address: str, control: int, data: bytes) -> bytes:
    """A frame of a water or gas meter."""
    number = bytes(int(address[at : at + 2], 16) for at in range(12, -1, -2))
    return _finish(b"\x68" + bytes([kind]) + number + bytes([control, len(data)]) + data)


class MeterLine:
    """The meters of one line. electric: DL/T 645, else CJ/T 188."""

    def __init__(
        self, options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int, electric: bool
    ) -> None:
        self.line = ByteLine(options, self._received, seed)
        self.requests = 0
        self._electric = electric
        self._meters = {d.address: d for d in devices}
        self._truth = truth
        self._buffer = b""

    @property
    def where(self) -> str:
        """What a person connects to."""
        return self.line.where

    async def open(self) -> None:
        """Put the line in place. Raises PortRefused."""
        self._buffer = b""
        await self.line.open()

    async def close(self) -> None:
        """Take the line away. Safe twice."""
        await self.line.close()

    def _received(self, data: bytes) -> None:
        self._buffer = (self._buffer + data)[-256:]
        head = 10 if self._electric else 11
        while (start := self._buffer.find(b"\x68")) >= 0:
            frame = self._buffer[start:]
            if len(frame) < head or len(frame) < head + frame[head - 1] + 2:
                return
            size = head + frame[head - 1] + 2
            if frame[size - 1] != 0x16 or sum(frame[: size - 2]) % 256 != frame[size - 2]:
                self._buffer = self._buffer[start + 1 :]
                continue
            self._buffer = frame[size:]
            self.requests += 1
            if self._electric:
                self._serve_electric(frame[:size])
            else:
                self._serve_water(frame[:size])

    def _serve_electric(self, frame: bytes) -> None:
        address, control = bytes(reversed(frame[1:7])).hex(), frame[8]
        if control == 0x13 and len(self._meters) == 1:
            (address,) = self._meters
            self._say(self._meters[address], dlt_frame(address, 0x93, frame_address(address)), b"")
            return
        device = self._meters.get(address)
        if device is None or control != 0x11:
            return
        wanted = bytes((b - 0x33) % 256 for b in frame[10:14])
        for point in device.points:
            if bytes.fromhex(point.read["di"])[::-1] == wanted:
                value = float(self._truth.measured(PointKey(device.id, point.key)))
                data = wanted + digits(value, point.read["bytes"], point.read.get("decimals", 0))
                wrong = dlt_frame(f"{(int(address) + 1) % 10**12:012d}", 0x91, data)
                self._say(device, dlt_frame(address, 0x91, data), wrong)
                return
        self._say(device, dlt_frame(address, 0xD1, b"\x02"), b"")

    def _serve_water(self, frame: bytes) -> None:
        address = bytes(reversed(frame[2:9])).hex()
        device = self._meters.get(address)
        if device is None or frame[9] != 0x01 or frame[1] != device.wire["meter_type"]:
            return
        if frame[11:13].hex() != str(device.wire.get("di", "901F")).lower():
            self._say(device, cjt_frame(frame[1], address, 0xC1, frame[13:14] + b"\x00\x00"), b"")
            return
        fields = bytearray(bytes(4) + b"\x2c" + bytes(4) + b"\x2c" + bytes.fromhex("00051321112620") + bytes(2))
        for point in device.points:
            read, value = point.read, self._truth.measured(PointKey(device.id, point.key))
            if read.get("mask") is None:
                size = int(read.get("bytes", 1))
                fields[read["at"] : read["at"] + size] = digits(float(value), size, read.get("decimals", 0))
            elif value:
                fields[read["at"]] = fields[read["at"]] & ~read["mask"] | read["equals"]
        data = frame[11:14] + bytes(fields)
        wrong = cjt_frame(frame[1], f"{(int(address) + 1) % 10**14:014d}", 0x81, data)
        self._say(device, cjt_frame(frame[1], address, 0x81, data), wrong)

    def _say(self, device: Device, frame: bytes, wrong: bytes) -> None:
        self.line.say(PREAMBLE + frame, PREAMBLE + wrong, self._truth.health(device.id))


def frame_address(address: str) -> bytes:
    """Twelve figures as six bytes, low byte first."""
    return bytes(reversed(bytes.fromhex(address)))
