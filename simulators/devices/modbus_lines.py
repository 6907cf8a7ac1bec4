"""The two ways to reach simulated Modbus slaves: a serial bus on a pty, and a TCP server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from simulators.building import GroundTruth, Health
from simulators.devices.byte_line import TcpPort
from simulators.devices.modbus_unit import ModbusUnit
from simulators.devices.modbus_wire import MBAP, answer, crc, rtu, take_rtu, take_whole, tcp
from simulators.devices.pty_line import PtyLine

QUIET_S = 0.03
"""Silence after which leftover bytes are no request: far more than 3.5 characters, a pty passes bytes in bursts."""
TURNAROUND_S = 0.005
"""A slave's own time before it answers."""
LATE_S = 1.5
"""How long a late slave takes: after any timeout, so that its answer comes into the next exchange."""
BABBLE_BYTES = 40
NOISE_BYTES, NOISE_AFTER_S = 3, 0.02
"""Noise between frames: a few bytes after a good answer."""
DEVICE_BUSY = 6
RETRY_LISTEN_S = 1.0
"""Wait before listening again on a port that is in use."""
BROADCAST = 0
MBAP_LENGTH_MAX = 254


class Reply(NamedTuple):
    """Bytes to send and how long after the request."""

    data: bytes
    after_s: float


def spoil(frame: bytes, health: Health, noise: Random) -> list[Reply]:
    """A serial answer as a device in that health gives it."""
    if health is Health.DEAD:
        return []
    if health is Health.LATE:
        return [Reply(frame, LATE_S)]
    if health is Health.TORN:
        return [Reply(frame[: max(1, len(frame) - 3)], 0)]
    if health is Health.DOUBLED:
        return [Reply(frame + frame, 0)]
    if health is Health.OTHER_ID:
        body = bytes((frame[0] % 247 + 1,)) + frame[1:-2]
        return [Reply(body + crc(body), 0)]
    if health is Health.BAD_CRC:
        return [Reply(frame[:-1] + bytes((frame[-1] ^ 0xFF,)), 0)]
    if health is Health.EXCEPTION:
        body = bytes((frame[0], frame[1] | 0x80, DEVICE_BUSY))
        return [Reply(body + crc(body), 0)]
    if health is Health.NOISE:
        # A converter that switches over late turns the end of our own request into a few bytes of nonsense.
        return [Reply(frame, 0), Reply(noise.randbytes(NOISE_BYTES), NOISE_AFTER_S)]
    if health is Health.BABBLE:
        return [Reply(noise.randbytes(BABBLE_BYTES), 0)]
    return [Reply(frame, 0)]


class RtuBus:
    """Slaves on one serial bus. character_s: time of one character on the wire, 0 for a bus without timing."""

    def __init__(
        self, port: Path, units: Mapping[int, ModbusUnit], truth: GroundTruth, seed: int, character_s: float = 0.0
    ) -> None:
        self.line: PtyLine | TcpPort = PtyLine(port, self._received)
        self.requests = 0
        self.rejected = 0
        self._units = units
        self._truth = truth
        self._noise = Random(seed)
        self._character_s = character_s
        self._buffer = bytearray()
        self._quiet: asyncio.TimerHandle | None = None

    @property
    def where(self) -> str:
        """What a person connects to."""
        line = self.line
        return f"{line.host}:{line.port}" if isinstance(line, TcpPort) else str(line.port)

    async def open(self) -> None:
        """Put the port in place. Raises PortRefused."""
        self._buffer.clear()
        if isinstance(self.line, TcpPort):
            await self.line.open()
        else:
            self.line.open()

    async def close(self) -> None:
        """Pull the bus out."""
        if self._quiet is not None:
            self._quiet.cancel()
        self.line.close()

    def _received(self, data: bytes) -> None:
        self._buffer += data
        while (request := take_rtu(self._buffer)) is not None:
            self._serve(*request)
        if self._quiet is not None:
            self._quiet.cancel()
        if self._buffer:
            self._quiet = asyncio.get_running_loop().call_later(QUIET_S, self._gone_quiet)

    def _gone_quiet(self) -> None:
        request = take_whole(self._buffer)
        if request is None:
            self.rejected += 1
        else:
            self._serve(*request)

    def _serve(self, unit_id: int, pdu: bytes) -> None:
        self.requests += 1
        if unit_id == BROADCAST:
            for unit in self._units.values():
                answer(pdu, unit)
            return
        addressed = self._units.get(unit_id)
        if addressed is None:
            return
        health = self._truth.health(addressed.device.id)
        if health is Health.DEAD:
            return
        replies = spoil(rtu(unit_id, answer(pdu, addressed)), health, self._noise)
        turnaround_s = TURNAROUND_S if self._character_s else 0.0
        for reply in replies:
            wire_s = (len(pdu) + 3 + len(reply.data)) * self._character_s
            delay_s = reply.after_s + wire_s + turnaround_s
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._say, reply.data)
            else:
                self._say(reply.data)

    def _say(self, data: bytes) -> None:
        if self.line.is_open:
            self.line.write(data)


class SerialServer(RtuBus):
    """The same bus behind a serial server: RTU frames over TCP, to whoever is connected."""

    def __init__(self, host: str, port: int, units: Mapping[int, ModbusUnit], truth: GroundTruth, seed: int) -> None:
        super().__init__(Path("serial-server"), units, truth, seed)
        self.line = TcpPort(host, port, self._received)


class TcpHost:
    """Slaves behind one TCP address. While the link is cut nobody listens and connections are dropped."""

    def __init__(self, host: str, port: int, units: Mapping[int, ModbusUnit], truth: GroundTruth, seed: int) -> None:
        self.host, self.port = host, port
        self.requests = 0
        self.rejected = 0
        self._units = units
        self._truth = truth
        self._noise = Random(seed)
        self._server: asyncio.Server | None = None
        self._retry: asyncio.Task[None] | None = None
        self._masters: set[_Master] = set()

    @property
    def where(self) -> str:
        """What a person connects to."""
        return f"{self.host}:{self.port}"

    async def open(self) -> None:
        """Listen; while another process has the port, go on trying in the background."""
        if self._server is None and self._retry is None and not await self._listen():
            self._retry = asyncio.create_task(self._listen_when_free(), name=f"listen on {self.where}")

    async def close(self) -> None:
        """Stop listening and drop everybody. Safe twice."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for master in list(self._masters):
            master.drop()

    async def _listen(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Master(self), self.host, self.port)
        except OSError:
            return False
        self.port = self._server.sockets[0].getsockname()[1]
        return True

    async def _listen_when_free(self) -> None:
        while not await self._listen():
            await asyncio.sleep(RETRY_LISTEN_S)
        self._retry = None

    def came(self, master: _Master) -> None:
        """A master connected."""
        self._masters.add(master)

    def went(self, master: _Master) -> None:
        """A master is gone."""
        self._masters.discard(master)

    def reply(self, transaction: int, unit_id: int, pdu: bytes) -> Reply | None:
        """What the addressed slave answers; None when it gives no answer."""
        self.requests += 1
        unit = self._units.get(unit_id)
        health = self._truth.health(unit.device.id) if unit is not None else Health.DEAD
        if unit is None or health is Health.DEAD:
            return None
        response = answer(pdu, unit)
        if health is Health.EXCEPTION:
            return Reply(tcp(transaction, unit_id, bytes((response[0] | 0x80, DEVICE_BUSY))), 0)
        if health is Health.BAD_CRC:  # A TCP frame has no check sum; its nearest fault is an answer to another request.
            return Reply(tcp(transaction ^ 0xFFFF, unit_id, response), 0)
        if health is Health.OTHER_ID:
            return Reply(tcp(transaction, unit_id % 247 + 1, response), 0)
        spoiled = spoil(tcp(transaction, unit_id, response), health, self._noise)
        return spoiled[0] if spoiled else None


class _Master(asyncio.Protocol):
    """One connection of a master: frames in, answers out, in order."""

    def __init__(self, host: TcpHost) -> None:
        self._host = host
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._host.went(self)

    def drop(self) -> None:
        """Cut the connection, as a pulled cable does in the end."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= MBAP.size:
            transaction, protocol, length, unit_id = MBAP.unpack_from(self._buffer)
            if protocol != 0 or not 2 <= length <= MBAP_LENGTH_MAX:
                self._host.rejected += 1
                self.drop()
                return
            end = MBAP.size + length - 1
            if len(self._buffer) < end:
                return
            pdu = bytes(self._buffer[MBAP.size : end])
            del self._buffer[:end]
            reply = self._host.reply(transaction, unit_id, pdu)
            if reply is not None and reply.after_s:
                asyncio.get_running_loop().call_later(reply.after_s, self._send, reply.data)
            elif reply is not None:
                self._send(reply.data)

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
