"""OSDP readers without a secure channel, and Wiegand converters. Own encoders.

OSDP 2.2: ``53 addr length:2 control data crc:2``, replies with address + 80h; CRC-16 of polynomial 1021 from 1D0F.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from edge.model import Device, PointKey
from simulators.building import Fact, GroundTruth, Health
from simulators.devices.byte_line import ByteLine

POLL, ID, CAP, LSTAT, ISTAT, ACU_SIZE = 0x60, 0x61, 0x62, 0x64, 0x65, 0x81
ACK, NAK, PDID, PDCAP, LSTATR, ISTATR, RAW, KEYPAD = 0x40, 0x41, 0x45, 0x46, 0x48, 0x49, 0x50, 0x53
UNKNOWN_COMMAND = 3
INPUTS = 4


def crc16(data: bytes) -> bytes:
    """CRC-16/1021 from 1D0F, low byte first."""
    crc = 0x1D0F
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc.to_bytes(2, "little")


def osdp_reply(address: int, control: int, code: int, data: bytes = b"") -> bytes:
    """A frame of a reader."""
    head = bytes([0x53, address | 0x80]) + (8 + len(data)).to_bytes(2, "little") + bytes([control, code]) + data
    return head + crc16(head)


def wiegand26(facility: int, number: int) -> str:
    """Facility and card as 26 ones and zeros with both parities."""
    middle = f"{facility & 0xFF:08b}{number & 0xFFFF:016b}"
    return f"{middle[:12].count('1') % 2}{middle}{1 - middle[12:].count('1') % 2}"


def card_of(value: object, device: Device) -> tuple[int, int]:
    """The card somebody shows: ``FACILITY-NUMBER``, or one made of the device's name."""
    facility, dash, number = str(value).partition("-")
    if dash and facility.isdigit() and number.isdigit():
        return int(facility), int(number)
    return 101, sum(device.id.encode()) & 0xFFFF


class OsdpBus:
    """The readers of one bus. A repeated sequence number gets the same reply again."""

    def __init__(self, options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int) -> None:
        self.line = ByteLine(options, self._received, seed)
        self._readers = {int(d.address): d for d in devices}
        self._events: dict[int, deque[tuple[int, bytes]]] = {address: deque() for address in self._readers}
        self._last: dict[int, tuple[int, bytes]] = {}
        self._truth = truth
        self._buffer = b""
        truth.watch(self._happened)

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

    def _happened(self, fact: Fact) -> None:
        for address, device in self._readers.items():
            point = next((p for p in device.points if p.key == fact.point), None)
            if device.id != fact.device or point is None:
                continue
            if point.read.get("what") == "card":
                bits = wiegand26(*card_of(fact.value, device))
                data = int(bits.ljust(32, "0"), 2).to_bytes(4, "big")
                self._events[address].append((RAW, b"\x00\x01" + len(bits).to_bytes(2, "little") + data))
            elif point.read.get("what") == "keypad":
                keys = str(fact.value).encode("latin-1", "replace") if isinstance(fact.value, str) else b"1"
                self._events[address].append((KEYPAD, bytes([0, len(keys)]) + keys))

    def _received(self, data: bytes) -> None:
        self._buffer = (self._buffer + data)[-1024:]
        while (start := self._buffer.find(b"\x53")) >= 0 and len(self._buffer) - start >= 8:
            size = int.from_bytes(self._buffer[start + 2 : start + 4], "little")
            if not 8 <= size <= 256:
                self._buffer = self._buffer[start + 1 :]
                continue
            if len(self._buffer) < start + size:
                return
            frame = self._buffer[start : start + size]
            if crc16(frame[:-2]) != frame[-2:]:
                self._buffer = self._buffer[start + 1 :]
                continue
            self._buffer = self._buffer[start + size :]
            self._serve(frame)

    def _serve(self, frame: bytes) -> None:
        address, control, command = frame[1], frame[4] & 0x07, frame[5]
        device = self._readers.get(address)
        if device is None:
            return
        last = self._last.get(address)
        if last is not None and control & 3 and last[0] == control:
            reply = last[1]
        else:
            reply = osdp_reply(address, control, *self._answer(address, device, command))
            self._last[address] = (control, reply)
        wrong = osdp_reply(address ^ 1, control, reply[5], reply[6:-2])
        self.line.say(reply, wrong, self._truth.health(device.id))

    def _answer(self, address: int, device: Device, command: int) -> tuple[int, bytes]:
        if command == POLL:
            return self._events[address].popleft() if self._events[address] else (ACK, b"")
        if command == ID:
            return PDID, bytes.fromhex("BEBAFE0101AFBEADDEADDEAD")
        if command == CAP:
            return PDCAP, bytes([1, 1, INPUTS, 3, 1, 1, 8, 1, 0, 10, 0x80, 0])
        if command == LSTAT:
            return LSTATR, bytes([self._contact(device, "tamper", 0), self._contact(device, "power", 0)])
        if command == ISTAT:
            return ISTATR, bytes(self._contact(device, "input", n) for n in range(INPUTS))
        if command == ACU_SIZE:
            return ACK, b""
        return NAK, bytes([UNKNOWN_COMMAND])

    def _contact(self, device: Device, what: str, number: int) -> int:
        found = [p for p in device.points if p.read.get("what") == what and int(p.read.get("number", 0)) == number]
        return int(any(bool(self._truth.value(PointKey(device.id, p.key))) for p in found))


class WiegandConverter:
    """A converter that writes one line for each card that is shown to its readers."""

    def __init__(self, options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int) -> None:
        self.line = ByteLine(options, lambda data: None, seed)
        self._form = str(options.get("format", "bits"))
        self._devices = {d.id: d for d in devices}
        self._truth = truth
        truth.watch(self._happened)

    @property
    def where(self) -> str:
        """What a person connects to."""
        return self.line.where

    async def open(self) -> None:
        """Put the line in place. Raises PortRefused."""
        await self.line.open()

    async def close(self) -> None:
        """Take the line away. Safe twice."""
        await self.line.close()

    def text(self, facility: int, number: int) -> str:
        """A card in the converter's format."""
        if self._form == "hex":
            return f"{facility:02X}{number:04X}"
        if self._form == "decimal":
            return f"{facility << 16 | number:010d}"
        return wiegand26(facility, number)

    def _happened(self, fact: Fact) -> None:
        device = self._devices.get(fact.device)
        point = next((p for p in device.points if p.key == fact.point), None) if device is not None else None
        if device is None or point is None or not point.momentary:
            return
        reader = "" if device.address == "*" else f"{device.address}:"
        facility, number = card_of(point.read.get("card") or fact.value, device)
        good = f"{reader}{self.text(facility, number)}\r\n".encode()
        wrong = f"unknown:{self.text(facility, number)}\r\n".encode()
        health = self._truth.health(device.id)
        self.line.say(good, wrong, health if health is not Health.BAD_CRC else Health.TORN)
