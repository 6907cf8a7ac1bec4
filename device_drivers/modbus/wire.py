"""One exchange at a time on a Modbus bus or host, and how to make a bus trustworthy again after a fault.

A serial line has no transaction numbers. After a timeout the answer may still be under way, so the bus is dirty:
wait until it is quiet, drain it, open the port anew (DESIGN §4.7). The driver adds the canary. Nothing is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from device_drivers.lines import Line, SerialLine, TcpLine
from device_drivers.modbus import pdu
from device_drivers.modbus.pdu import Answer, Request, Rubbish
from device_drivers.modbus.plan import quiet_s, wire_s
from edge.errors import Unreachable

RTU_REPLY_S, TCP_REPLY_S = 0.25, 1.0
"""How long a slave may take to begin its reply. Slaves usually need 5–50 ms; a TCP host may have a bus behind it.

With quiet and canary a dead slave then takes 0.4 s of its bus: others polled every 2 s wait at most 1.2 periods.
"""
QUIET_AFTER_FAULT_S = 0.1
"""Silence that ends a fault: a reply that comes up to this late is drained here."""
BABBLE_S = 1.0
"""A bus that never falls silent is not waited for any longer."""


class Wire(Protocol):
    """What the driver needs of a bus or host."""

    numbered: bool
    """Replies carry the number of their request: a late one can never be mistaken."""
    reply_s: float

    async def open(self) -> None:
        """Open. Raises Unreachable, Denied."""
        ...

    async def exchange(self, request: Request) -> Answer | None:
        """One request and its answer; None when nobody answered in time. Raises Unreachable."""
        ...

    async def clean(self) -> None:
        """After a fault. Raises Unreachable."""
        ...

    def close(self) -> None:
        """Safe always."""
        ...


class RtuBus:
    """An RS-485 port."""

    numbered = False

    def __init__(
        self, port: str, baudrate: int, parity: str, stopbits: float, reply_s: float, count: Callable[[str], None]
    ) -> None:
        self.reply_s = reply_s
        self._port, self._baudrate, self._parity, self._stopbits = port, baudrate, parity, stopbits
        self._count = count
        self._line: Line | None = None

    async def open(self) -> None:
        """Open the port. Raises Unreachable, Denied."""
        self.close()
        self._line = await SerialLine.open(self._port, self._baudrate, self._parity, self._stopbits)

    async def exchange(self, request: Request) -> Answer | None:
        """Drain what nobody asked for, keep the silence between frames, send, and take exactly one frame."""
        line, loop = self._open_line(), asyncio.get_running_loop()
        await self._silence(line)
        frame = pdu.rtu_frame(request)
        line.write(frame)
        until_s = loop.time() + wire_s(len(frame) + request.reply_bytes + 3, self._baudrate) + self.reply_s
        received = b""
        while True:
            more = await line.read(until_s)
            received += more
            answer = pdu.rtu_answer(request, received)
            if answer is None and not more:
                answer = Rubbish("torn") if received else None
                break
            if answer is not None:
                break
        return _counted(answer, self._count)

    async def _silence(self, line: Line) -> None:
        """Throw away what nobody asked for, until the line has been silent for as long as frames must be apart."""
        started_s = asyncio.get_running_loop().time()
        unasked = bool(line.drain())
        while (until_s := line.last_byte_s + quiet_s(self._baudrate)) > asyncio.get_running_loop().time():
            unasked = bool(await line.read(until_s)) or unasked
            if until_s > started_s + BABBLE_S:
                break
        if unasked:
            self._count("unsolicited")

    async def clean(self) -> None:
        """Quiet, drain, reopen. Raises Unreachable when the port does not open again."""
        line, loop = self._open_line(), asyncio.get_running_loop()
        started_s = loop.time()
        while True:
            until_s = max(line.last_byte_s, started_s) + QUIET_AFTER_FAULT_S
            if until_s > started_s + BABBLE_S:
                self._count("babble")
                break
            if not await line.read(until_s):
                break
            self._count("late_reply")
        await self.open()

    def close(self) -> None:
        """Safe always."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _open_line(self) -> Line:
        if self._line is None:
            raise Unreachable(f"{self._port}: not open")
        return self._line


class TcpHost:
    """A Modbus TCP host. The transaction number tells a late reply from the one awaited."""

    numbered = True

    def __init__(self, host: str, port: int, reply_s: float, count: Callable[[str], None]) -> None:
        self.reply_s = reply_s
        self._host, self._tcp_port, self._count = host, port, count
        self._line: Line | None = None
        self._received = b""
        self._transaction = 0
        self._broken = False

    async def open(self) -> None:
        """Connect. Raises Unreachable."""
        self.close()
        self._line = await TcpLine.open(self._host, self._tcp_port)
        self._received, self._broken = b"", False

    async def exchange(self, request: Request) -> Answer | None:
        """Send, and skip frames with another number until ours is there."""
        if self._line is None:
            raise Unreachable(f"{self._host}:{self._tcp_port}: not open")
        self._transaction = self._transaction % 0xFFFF + 1
        self._line.write(pdu.tcp_frame(request, self._transaction))
        until_s = asyncio.get_running_loop().time() + self.reply_s
        while True:
            split = pdu.tcp_split(self._received)
            if isinstance(split, Rubbish):
                self._broken = True
                return _counted(split, self._count)
            if split is None:
                more = await self._line.read(until_s)
                if not more:
                    return _counted(None, self._count)
                self._received += more
                continue
            transaction, body, self._received = split
            if transaction == self._transaction:
                return _counted(pdu.tcp_answer(request, body), self._count)
            self._count("late_reply")

    async def clean(self) -> None:
        """A stream whose frames can no longer be told apart is opened anew; a timeout needs nothing."""
        if self._broken:
            await self.open()

    def close(self) -> None:
        """Safe always."""
        if self._line is not None:
            self._line.close()
            self._line = None


def _counted(answer: Answer | None, count: Callable[[str], None]) -> Answer | None:
    """Count what is no data."""
    if answer is None:
        count("timeout")
    elif isinstance(answer, Rubbish):
        count(answer.cause)
    elif isinstance(answer, pdu.Refusal):
        count(f"exception_{answer.code}")
    return answer
