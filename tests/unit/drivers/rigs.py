"""Far ends for the contract suite: fake devices on real ptys, sockets and a real broker. Own encoders only."""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from pymodbus.framer.rtu import FramerRTU

from edge.model import AlarmClass, Device, Place, Point, Rule, RuleKind
from edge.ports import LinkSettings

if TYPE_CHECKING:
    from tests.unit.drivers.conftest import Mosquitto


def smoke_device(name: str, link: str, address: str, points: Sequence[Point], **wire: Any) -> Device:
    rule = Rule("rule", points[0].key, AlarmClass.FIRE_SMOKE, RuleKind.STATE)
    return Device(name, "test/profile", link, address, Place(), tuple(points), (rule,), 60.0, {"poll_s": 2.0, **wire})


class PtyEnd:
    """One end of a serial line; the other is a symlink that can be pulled out."""

    def __init__(self, port: Path) -> None:
        self.port = port
        self.heard = bytearray()
        self._master = -1
        self._slave = -1

    def plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def unplug(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            self.port.unlink(missing_ok=True)
            os.close(self._slave)
            os.close(self._master)
            self._master = self._slave = -1

    def say(self, data: bytes) -> None:
        if self._master >= 0 and data:
            os.write(self._master, data)

    def received(self, data: bytes) -> None:
        self.heard += data

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            return
        self.received(data)


def modbus_reply(request: bytes) -> bytes:
    """Unit and PDU of a slave whose every register is 7 and every bit 1; fc 5 and 6 are echoed."""
    unit, fc, _, count = struct.unpack(">BBHH", request[:6])
    if fc in (5, 6):
        return bytes(request[:6])
    body: bytes = b"\x00\x07" * count if fc in (3, 4) else b"\xff" * ((count + 7) // 8)
    return bytes([unit, fc, len(body)]) + body


def modbus_devices(link: str) -> list[Device]:
    points = [
        Point("smoke", read={"fc": 3, "register": 0, "type": "bit", "bit": 0}),
        Point("raw", read={"fc": 4, "register": 9}),
    ]
    return [smoke_device("s1", link, "1", points), smoke_device("s2", link, "2", points[:1])]


class RtuRig(PtyEnd):
    """Slaves on a pty."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "bus")
        self.settings = LinkSettings(
            "bus", "modbus-rtu", {"port": str(self.port), "baudrate": 115200, "timeout_s": 0.08}
        )
        self.devices = modbus_devices("bus")
        self._spoil: Random | None = None

    async def start(self) -> None:
        await self.calm()
        self.plug()

    async def stop(self) -> None:
        self.unplug()

    async def speak(self) -> None:
        pass

    async def trouble(self, random: Random) -> None:
        self._spoil = random

    async def calm(self) -> None:
        self._spoil = None

    def acknowledged(self) -> None:
        return None

    def received(self, data: bytes) -> None:
        self.heard += data
        while len(self.heard) >= 8:
            request, self.heard = bytes(self.heard[:8]), self.heard[8:]
            body = modbus_reply(request)
            frame = body + struct.pack(">H", FramerRTU.compute_CRC(body))
            if self._spoil is None:
                self.say(frame)
                continue
            random = self._spoil
            other = bytes([body[0], body[1] | 0x80, random.randrange(256)])
            self.say(
                random.choice(
                    [
                        b"",
                        frame[: random.randrange(len(frame))],
                        random.randbytes(random.randrange(1, 40)),
                        frame[:-1] + bytes([frame[-1] ^ 1]),
                        frame + frame,
                        frame,
                        other + struct.pack(">H", FramerRTU.compute_CRC(other)),
                        bytes([9]) + frame[1:],
                    ]
                )
            )


class ServerRig:
    """A TCP server that can go away and cut its connections."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.spoil: Random | None = None

    async def start(self) -> None:
        self.spoil = None
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def speak(self) -> None:
        pass

    async def trouble(self, random: Random) -> None:
        self.spoil = random

    async def calm(self) -> None:
        self.spoil = None

    def acknowledged(self) -> int | None:
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self.serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TcpRig(ServerRig):
    """A Modbus TCP host."""

    async def prepare(self) -> None:
        await self.start()
        await self.stop()
        self.settings = LinkSettings("plc", "modbus-tcp", {"host": "127.0.0.1", "port": self.port, "timeout_s": 0.1})
        self.devices = modbus_devices("plc")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await reader.readexactly(12)
            body = modbus_reply(request[6:])
            frame = request[:4] + struct.pack(">H", len(body)) + body
            if self.spoil is not None:
                random = self.spoil
                frame = random.choice(
                    [
                        b"",
                        frame[: random.randrange(len(frame))],
                        random.randbytes(20),
                        struct.pack(">H", random.randrange(65536)) + frame[2:],
                        frame[:6] + bytes([9]) + frame[7:],
                        frame + frame,
                        frame,
                    ]
                )
                if random.random() < 0.1:
                    return
            writer.write(frame)
            await writer.drain()


class RtuTcpRig(ServerRig):
    """A bus behind a serial server: RTU frames over TCP, in pieces as such servers send them."""

    async def prepare(self) -> None:
        await self.start()
        await self.stop()
        options = {"host": "127.0.0.1", "port": self.port, "baudrate": 115200, "timeout_s": 0.08}
        self.settings = LinkSettings("srv", "modbus-rtu-tcp", options)
        self.devices = modbus_devices("srv")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await reader.readexactly(8)
            body = modbus_reply(request)
            frame = body + struct.pack(">H", FramerRTU.compute_CRC(body))
            if self.spoil is not None:
                random = self.spoil
                choices = [
                    b"",
                    frame[: random.randrange(len(frame))],
                    frame[:-1] + bytes([frame[-1] ^ 1]),
                    frame + frame,
                ]
                frame = random.choice([*choices, frame, random.randbytes(20), bytes([9]) + frame[1:]])
                if random.random() < 0.1:
                    return
            writer.write(frame[:3])
            await writer.drain()
            await asyncio.sleep(0.002)
            writer.write(frame[3:])
            await writer.drain()


class ExampleRig(ServerRig):
    """Stations of the example protocol."""

    async def prepare(self) -> None:
        await self.start()
        await self.stop()
        self.settings = LinkSettings("ex", "example", {"host": "127.0.0.1", "port": self.port})
        self.devices = [smoke_device(f"e{n}", "ex", str(n), [Point("value", read={"any": 1})]) for n in (3, 7)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = await reader.readline()
            if not line:
                return
            answer = b"V " + line[2:4] + b" 21.5\n"
            if self.spoil is not None:
                answer = self.spoil.choice(
                    [answer, answer[:3] + b"\n", b"V 99 1\n", b"\xff\xfe\n", b"E 03 2\n", b"V 03 nan\n", b"x" * 200]
                )
                if self.spoil.random() < 0.1:
                    return
            writer.write(answer)
            await writer.drain()


def rf_frame(code: str) -> bytes:
    """As an RF bridge sends it."""
    return bytes.fromhex("AAA4288C012C0384" + code + "55")


class RfRig(PtyEnd):
    """A receiver on a pty, with two buttons."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "rf")
        self.settings = LinkSettings("rf", "rf433", {"port": str(self.port), "baudrate": 19200})
        call = Point("call", read={"keys": [1, 2, 4, 8]}, momentary=True)
        self.devices = [smoke_device("c1", "rf", "A1B2C", [call]), smoke_device("c2", "rf", "55AA5", [call])]
        self._key = 0

    async def start(self) -> None:
        self.heard.clear()
        self.plug()

    async def stop(self) -> None:
        self.unplug()

    async def speak(self) -> None:
        self._key = self._key % 15 + 1
        self.say(rf_frame(f"A1B2C{self._key:X}") + rf_frame(f"55AA5{self._key:X}"))

    async def trouble(self, random: Random) -> None:
        good = rf_frame("A1B2C8")
        self.say(
            random.choice(
                [
                    random.randbytes(random.randrange(1, 60)),
                    good[: random.randrange(1, 12)],
                    good + good,
                    rf_frame("123458"),
                    b"\xaa\xa4" * 9,
                    bytes.fromhex("AAA055"),
                ]
            )
        )

    async def calm(self) -> None:
        pass

    def acknowledged(self) -> int:
        return self.heard.count(bytes.fromhex("AAA055"))


class MqttRig(ServerRig):
    """Zigbee2MQTT-like devices behind a real broker, reached through a relay that counts PUBACKs and can be cut."""

    def __init__(self, broker: Mosquitto) -> None:
        super().__init__()
        self._broker = broker
        self._pubacks = 0
        self._payload = 0

    async def prepare(self) -> None:
        await self.start()
        await self.stop()
        options = {"url": f"mqtt://127.0.0.1:{self.port}", "username": "gw", "password": "secret"}
        self.settings = LinkSettings("zigbee", "mqtt", options)
        points = [
            Point("smoke", read={"path": "smoke", "type": "bool"}),
            Point("battery", read={"path": "battery", "type": "number"}, low=0, high=100),
            Point("call", read={"path": "action", "equals": "emergency"}, momentary=True),
        ]
        self.devices = [smoke_device(name, "zigbee", f"z/{name}", points) for name in ("z1", "z2")]

    async def speak(self) -> None:
        for device in self.devices:
            body = b'{"smoke":false,"battery":%d,"action":"emergency"}' % (self._payload % 100)
            self._payload += 1
            await self._broker.publish(device.address, body)

    async def trouble(self, random: Random) -> None:
        what = random.randrange(5)
        if what == 0:
            self.cut()
            return
        payloads = [b"", b"{", b'{"smoke":1,"battery":NaN}', b'{"smoke":true,"smoke":false}', b"[" * 5000]
        payload = random.choice([*payloads, random.randbytes(50).replace(b"\0", b"")])
        await self._broker.publish("z/z1" if what > 1 else "z/z1/unknown", payload)

    def acknowledged(self) -> int:
        return self._pubacks

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._broker.port)

        async def down() -> None:
            while data := await broker_reader.read(4096):
                writer.write(data)
            writer.close()

        back = asyncio.ensure_future(down())
        try:
            while True:
                head = await reader.readexactly(1)
                self._pubacks += head[0] >> 4 == 4
                length, shift, size = 0, 0, b""
                while True:
                    one = await reader.readexactly(1)
                    size += one
                    length |= (one[0] & 127) << shift
                    shift += 7
                    if not one[0] & 128:
                        break
                broker_writer.write(head + size + await reader.readexactly(length))
        finally:
            broker_writer.transport.abort()
            back.cancel()
