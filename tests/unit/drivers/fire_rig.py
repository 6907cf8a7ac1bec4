"""A fire transmission device for driver tests, with an encoder of its own: struct and the standard's golden bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import cache
from random import Random

from device_drivers.profiles import Profile, load_profile, profile_paths
from edge.model import Device, Place
from edge.ports import LinkSettings

SOURCE = 510109000001
LABEL = bytes.fromhex("00050D150B1A")
FIRE = bytes.fromhex(
    "40 40 01 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 30 00 02 02 01 01 01 2A B4 04 00 00 03 00"
    "33 B6 B0 32 B5 A5 D4 AA 31 32 30 34 CA D2 B3 F8 B7 BF D1 CC B8 D0 00 00 00 00 00 00 00 00 00"
    "00 05 0D 15 0B 1A FC 23 23"
)
CONFIRM = bytes.fromhex("40 40 01 00 01 00 00 05 0D 15 0B 1A 01 00 00 00 00 00 41 A1 DD C4 76 00 00 00 03 4B 23 23")
LEL = bytes.fromhex(
    "40 40 02 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 12 00 02 03 01 01 01 0B B4 04 00 00 06 FD"
    "00 00 05 0D 15 0B 1A 75 23 23"
)
BEAT = bytes.fromhex(
    "40 40 03 00 01 00 00 05 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 09 00 02 15 01 01 00 05 0D 15 0B 1A B8"
    "23 23"
)
DUTY_CHECK = bytes.fromhex(
    "40 40 07 00 01 00 00 05 0D 15 0B 1A 01 00 00 00 00 00 41 A1 DD C4 76 00 03 00 01 5B 01 0A B8 23 23"
)
DUTY_ANSWER = bytes.fromhex(
    "40 40 04 00 01 00 1E 06 0D 15 0B 1A 41 A1 DD C4 76 00 01 00 00 00 00 00 0A 00 02 18 01 20 01 1E 06 0D 15 0B 1A 1B"
    "23 23"
)


def upload(serial: int, data: bytes, command: int = 2, source: int = SOURCE) -> bytes:
    """A frame of the device."""
    addresses = struct.pack("<IHIH", source & 0xFFFFFFFF, source >> 32, 1, 0)
    body = struct.pack("<HH6s", serial, 1, LABEL) + addresses + struct.pack("<HB", len(data), command) + data
    return b"@@" + body + struct.pack("B", sum(body) % 256) + b"##"


def component(number: int, kind: int, state: int, words: str = "", serial: int = 9, command: int = 2) -> bytes:
    """A component's state."""
    text = words.encode("gb18030")[:31].ljust(31, b"\0")
    data = struct.pack("<BBBBBIH", 2, 1, 1, 1, kind, number, state) + text + LABEL
    return upload(serial, data, command)


@cache
def shipped(profile: str) -> Profile:
    """A shipped profile, read once."""
    return load_profile(profile_paths()[profile])


def profiled(name: str, profile: str, link: str, address: str) -> Device:
    """A device of a shipped profile."""
    p = shipped(profile)
    return Device(name, p.id, link, address, Place(), p.points, p.rules, p.supervise_s, p.wire, p.kind)


def fire_device(name: str, profile: str, address: str) -> Device:
    """A device behind the transmission device."""
    return profiled(name, profile, "fire", address)


class Caller:
    """One connection to the gateway; heard holds all that it says."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard = bytearray()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def call(self) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._task = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                self.heard += data

    def say(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    @property
    def connected(self) -> bool:
        return self._task is not None and not self._task.done()

    async def hang_up(self) -> None:
        if self._writer is not None and self._task is not None:
            self._writer.transport.abort()
            await self._task
            self._writer = self._task = None

    async def until(self, wanted: Callable[[bytes], bool]) -> None:
        async with asyncio.timeout(3):
            while not wanted(bytes(self.heard)):
                await asyncio.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FireRig:
    """A device that calls as long as the rig is started, and tries again by itself."""

    def __init__(self) -> None:
        self.port = free_port()
        self.settings = LinkSettings("fire", "gbt26875-server", {"host": "127.0.0.1", "port": self.port})
        self.devices = [
            fire_device("k1204", "gbt26875/smoke", f"{SOURCE}/1.1/1204"),
            fire_device("g7", "gbt26875/gas", f"{SOURCE}/1.1/7"),
        ]
        self.caller = Caller(self.port)
        self._serial = 100
        self._calling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._calling = asyncio.create_task(self._call())

    async def _call(self) -> None:
        while True:
            if not self.caller.connected:
                with contextlib.suppress(OSError):
                    await self.caller.call()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._calling is not None:
            self._calling.cancel()
            self._calling = None
        await self.caller.hang_up()

    async def speak(self) -> None:
        for _ in range(300):
            if self.caller.connected:
                break
            await asyncio.sleep(0.01)
        lel = struct.pack("<BBBBBIBh", 3, 1, 1, 1, 11, 7, 6, 253) + LABEL
        for frame in (component(1204, 42, 1, "厨房"), component(7, 11, 1), upload(0, lel)):
            self._serial += 1
            body = struct.pack("<H", self._serial) + frame[4:-3]
            self.caller.say(b"@@" + body + struct.pack("B", sum(body) % 256) + b"##")

    async def trouble(self, random: Random) -> None:
        if not self.caller.connected:
            return
        trouble = random.randrange(8)
        if trouble == 0:
            await self.caller.hang_up()
            return
        frames = [
            random.randbytes(random.randrange(1, 80)),
            FIRE[: random.randrange(1, len(FIRE))],
            FIRE[:-3] + b"\0##",
            upload(5, b"", 77),
            upload(6, b"\x02\x05abc"),
            upload(7, b"\x02\x01" + random.randbytes(46), source=12),
            component(99, 200, 3, "无名"),
        ]
        self.caller.say(frames[trouble - 1])

    async def calm(self) -> None:
        pass

    def acknowledged(self) -> int:
        """Confirmations heard: command byte 3 in frames without data."""
        return sum(
            frame[26:27] == b"\x03" for frame in bytes(self.caller.heard).split(b"@@")[1:] for frame in [b"@@" + frame]
        )
