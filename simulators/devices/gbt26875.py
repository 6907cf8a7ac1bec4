"""Fire transmission devices (用户信息传输装置) that call the gateway by GB/T 26875.3, with their panel and components.

Own encoder, from the standard's text: ``40 40``, serial, version, time label, source, target, length, command, data,
sum, ``23 23``; everything little-endian. An upload that is not confirmed in 10 s is sent again, three times in all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from edge.model import Device, Point, PointKey
from simulators.building import ANSWERS, Fact, GroundTruth, Health
from simulators.devices.byte_line import sends

CALL_AGAIN_S = 1.0
HEARTBEAT_S = 20.0
CONFIRM_S, TRIES = 10.0, 3
DUTY_S = 2.0
"""The man at the panel takes this long to press the button of a duty check."""
ANALOG_STEPS = {1: 1.0, 2: 0.01, 3: 0.1, 4: 0.1, 5: 0.1, 6: 0.1, 7: 1.0, 8: 0.1, 9: 0.1, 10: 0.1, 11: 0.1, 12: 1.0}
DEFAULT_TYPE = 25
HEAD_BYTES, TAIL_BYTES = 27, 3


def time_label(at_ms: int) -> bytes:
    """Second, minute, hour, day, month, year; Beijing time."""
    t = datetime.fromtimestamp(at_ms / 1000, tz=UTC) + timedelta(hours=8)
    return bytes([t.second, t.minute, t.hour, t.day, t.month, t.year - 2000])


def packet(serial: int, label: bytes, source: int, target: int, command: int, data: bytes) -> bytes:
    """One packet."""
    body = bytearray(serial.to_bytes(2, "little") + b"\x01\x00" + label)
    body += source.to_bytes(6, "little") + target.to_bytes(6, "little")
    body += len(data).to_bytes(2, "little") + bytes([command]) + data
    return b"\x40\x40" + bytes(body) + bytes([sum(body) % 256]) + b"\x23\x23"


def component_object(system: tuple[int, int], kind: int, number: int, state: int, words: str, label: bytes) -> bytes:
    """Type 2: the running state of a component, with its description in GB18030 cut at a character."""
    text = b""
    for letter in words:
        more = letter.encode("gb18030")
        if len(text) + len(more) > 31:
            break
        text += more
    body = bytes([*system, kind]) + number.to_bytes(4, "little") + state.to_bytes(2, "little")
    return b"\x02\x01" + body + text.ljust(31, b"\0") + label


def analog_object(system: tuple[int, int], kind: int, number: int, what: int, steps: int, label: bytes) -> bytes:
    """Type 3: an analogue value of a component."""
    body = bytes([*system, kind]) + number.to_bytes(4, "little") + bytes([what])
    return b"\x03\x01" + body + steps.to_bytes(2, "little", signed=True) + label


class Transmitter:
    """One transmission device with all that is behind it. call: HOST, PORT of the gateway."""

    def __init__(self, source: int, host: str, port: int, devices: Sequence[Device], truth: GroundTruth, seed: int):
        self.source, self.host, self.port = source, host, port
        self.confirmed = self.denied = 0
        self._devices = devices
        self._truth = truth
        self._noise = Random(seed)
        self._serial = 0
        self._writer: asyncio.StreamWriter | None = None
        self._running: asyncio.Task[None] | None = None
        self._open: dict[int, tuple[bytes, int, asyncio.TimerHandle]] = {}
        self._beat: asyncio.TimerHandle | None = None
        truth.watch(self._happened)

    @property
    def where(self) -> str:
        """What it calls."""
        return f"{self.host}:{self.port}"

    async def open(self) -> None:
        """Begin to call."""
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name=f"transmitter {self.source}")

    async def close(self) -> None:
        """Be gone. Safe twice."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, self._writer = await asyncio.open_connection(self.host, self.port)
                try:
                    await self._talk(reader)
                finally:
                    self._writer.close()
                    self._writer = None
                    if self._beat is not None:
                        self._beat.cancel()
                    for _, _, timer in self._open.values():
                        timer.cancel()
                    self._open.clear()
            await asyncio.sleep(CALL_AGAIN_S)

    async def _talk(self, reader: asyncio.StreamReader) -> None:
        self._heartbeat()
        buffer = b""
        while data := await reader.read(4096):
            buffer += data
            while (start := buffer.find(b"@@")) >= 0 and len(buffer) - start >= HEAD_BYTES + TAIL_BYTES:
                length = int.from_bytes(buffer[start + 24 : start + 26], "little")
                end = start + HEAD_BYTES + length + TAIL_BYTES
                if len(buffer) < end:
                    break
                self._answer(buffer[start:end])
                buffer = buffer[end:]

    def _heartbeat(self) -> None:
        if self._writer is not None:
            self._upload(b"\x15\x01" + bytes([self._word(self._me())]) + self._label(), self._me())
            for device in self._devices:
                for point in device.points:
                    if "analog" in point.read:
                        self._upload(self._analog(device, point), device)
            self._beat = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat)

    def _me(self) -> Device | None:
        return next((d for d in self._devices if "/" not in d.address), None)

    def _label(self) -> bytes:
        return time_label(self._truth.wall_ms())

    def _upload(self, data: bytes, device: Device | None, command: int = 2, tries: int = TRIES) -> None:
        """Send as the device's health allows; again when it is not confirmed."""
        self._serial = (self._serial + 1) % 65536
        label = self._label()
        frame = packet(self._serial, label, self.source, 1, command, data)
        wrong = packet(self._serial, label, self.source ^ 1, 1, command, data)
        health = self._truth.health(device.id) if device is not None else Health.WELL
        self._put(frame, wrong, health)
        if command == 2 and health is not Health.DEAD:
            self._await(self._serial, frame, tries)

    def _await(self, serial: int, frame: bytes, tries: int) -> None:
        timer = asyncio.get_running_loop().call_later(CONFIRM_S, self._again, serial)
        self._open[serial] = (frame, tries - 1, timer)

    def _again(self, serial: int) -> None:
        frame, left, _ = self._open.pop(serial)
        if left and self._writer is not None:
            self._put(frame, frame, Health.WELL)
            self._await(serial, frame, left)

    def _put(self, frame: bytes, wrong: bytes, health: Health) -> None:
        for after_s, data in sends(frame, wrong, health, self._noise):
            asyncio.get_running_loop().call_later(after_s, self._write, data)

    def _write(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def _answer(self, frame: bytes) -> None:
        """A confirmation, a denial, a question or a duty check of the centre."""
        serial, command, data = int.from_bytes(frame[2:4], "little"), frame[26], frame[27:-3]
        if command in (3, 6):
            self.confirmed += command == 3
            self.denied += command == 6
            waiting = self._open.pop(serial, None)
            if waiting is not None:
                waiting[2].cancel()
                if command == 6 and waiting[1]:
                    self._put(waiting[0], waiting[0], Health.WELL)
                    self._await(serial, waiting[0], waiting[1])
        elif command == 1:
            self._write(packet(serial, self._label(), self.source, 1, 3, b""))
            me = self._me()
            if data[:1] == b"\x5b" and (me is None or self._truth.health(me.id) is Health.WELL):
                loop = asyncio.get_running_loop()
                loop.call_later(DUTY_S, lambda: self._upload(b"\x18\x01\x20\x01" + self._label(), None))
        elif command == 4 and data[:2] in (b"\x3d\x01", b"\x3e\x01"):
            address = f"{self.source}/{data[2]}.{data[3]}"
            if data[0] == 0x3E:
                address += f"/{int.from_bytes(data[4:8], 'little')}"
            for device in self._devices:
                if device.address == address:
                    self._upload(self._state(device), device, 5)

    def _happened(self, fact: Fact) -> None:
        device = next((d for d in self._devices if d.id == fact.device), None)
        if device is None or self._writer is None:
            return
        if fact.point == ANSWERS:
            return
        point = self._truth.point(PointKey(device.id, fact.point))
        if "analog" in point.read:
            self._upload(self._analog(device, point), device)
        elif "state" in point.read:
            self._upload(self._state(device), device)
        elif "unlisted" in point.read:
            kind = 11 if point.read.get("gas") else 42
            words = component_object(
                (1, 1), kind, 65000, 1 | 1 << point.read["unlisted"], str(fact.value), self._label()
            )
            self._upload(words, device)
        elif "operation" in point.read:
            self._operation(device, int(point.read["operation"]))

    def _operation(self, device: Device, bit: int) -> None:
        if "/" not in device.address:
            self._upload(b"\x18\x01" + bytes([1 << bit, 1]) + self._label(), device)
        else:
            self._upload(b"\x04\x01" + bytes([*_system(device), 1 << bit, 1]) + self._label(), device)

    def _word(self, device: Device | None) -> int:
        """The state word: every bit that a point shows; bit 0 is set while nothing is being tested."""
        word = 1
        for point in device.points if device is not None else ():
            bit = point.read.get("state")
            if device is not None and bit is not None:
                on = bool(self._truth.value(PointKey(device.id, point.key))) != bool(point.read.get("invert"))
                word = word | 1 << int(bit) if on else word & ~(1 << int(bit))
        return word

    def _state(self, device: Device) -> bytes:
        parts = device.address.split("/")
        if len(parts) == 1:
            return b"\x15\x01" + bytes([self._word(device) & 0xFF]) + self._label()
        if len(parts) == 2:
            return b"\x01\x01" + bytes(_system(device)) + self._word(device).to_bytes(2, "little") + self._label()
        words = device.place.text or device.place.room or device.id
        return component_object(
            _system(device), _type(device.wire), int(parts[2]), self._word(device), words, self._label()
        )

    def _analog(self, device: Device, point: Point) -> bytes:
        what = int(point.read["analog"])
        steps = round(float(self._truth.measured(PointKey(device.id, point.key))) / ANALOG_STEPS[what])
        number = int(device.address.split("/")[2])
        return analog_object(_system(device), _type(device.wire), number, what, steps, self._label())


class TransmitterFleet:
    """All transmission devices of one link."""

    def __init__(self, host: str, port: int, devices: Sequence[Device], truth: GroundTruth, seed: int) -> None:
        sources = sorted({int(d.address.split("/")[0]) for d in devices})
        self.transmitters = [
            Transmitter(s, host, port, [d for d in devices if int(d.address.split("/")[0]) == s], truth, seed)
            for s in sources
        ]
        self._host, self._port = host, port

    @property
    def where(self) -> str:
        """What they call."""
        return f"{self._host}:{self._port} (they call)"

    async def open(self) -> None:
        """Begin to call."""
        for transmitter in self.transmitters:
            await transmitter.open()

    async def close(self) -> None:
        """Be gone. Safe twice."""
        for transmitter in self.transmitters:
            await transmitter.close()


def _system(device: Device) -> tuple[int, int]:
    kind, _, number = device.address.split("/")[1].partition(".")
    return int(kind), int(number)


def _type(wire: Mapping[str, Any]) -> int:
    return int((wire.get("types") or [DEFAULT_TYPE])[0])
