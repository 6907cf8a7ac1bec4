"""One exchange at a time on a Modbus bus or host, and how to make a bus trustworthy again after a fault.

A serial line has no transaction numbers. After a timeout the answer may still be under way, so the bus is dirty:
wait until it is quiet, drain it, open the port anew (DESIGN §4.7). The driver adds the canary. Nothing is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from device_drivers.lines import Line, SerialLine, TcpLine
from device_drivers.modbus import pdu
from device_drivers.modbus.pdu import Answer, Request, Rubbish
from device_drivers.modbus.plan import BITS_PER_CHAR, quiet_s, wire_s
from device_drivers.modbus.scan import is_there, ping_request, units_in
from edge.errors import Unreachable

RTU_REPLY_S, TCP_REPLY_S = 0.25, 1.0
"""How long a slave may take to begin its reply. Slaves usually need 5–50 ms; a TCP host may have a bus behind it.

With quiet and canary a dead slave then takes 0.4 s of its bus: others polled every 2 s wait at most 1.2 periods.
"""
QUIET_AFTER_FAULT_S = 0.1
"""Silence that ends a fault: a reply that comes up to this late is drained here."""
FINE_S = 0.001
"""The end of a silence is kept more exactly than the event loop's timers can."""
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

    async def exchange(self, request: Request, reply_s: float | None = None) -> Answer | None:
        """One request and its answer; None when nobody answered in time. Raises Unreachable.

        reply_s: how long this slave may take to begin, instead of the link's own time.
        """
        ...

    def frames_s(self, request: Request) -> float:
        """Time both frames take on the wire."""
        ...

    async def ping(self, unit: int, wait_s: float) -> frozenset[int]:
        """Ask one unit; the units heard meanwhile. Raises Unreachable."""
        ...

    async def clean(self) -> None:
        """After a fault. Raises Unreachable."""
        ...

    def close(self) -> None:
        """Safe always."""
        ...


class RtuBus:
    """An RS-485 bus: a port here, or behind a serial server that passes its bytes over TCP.

    dial opens the line anew; where names it in messages. baudrate is the bus's own, also behind a server.
    """

    numbered = False

    def __init__(
        self,
        dial: Callable[[], Awaitable[Line]],
        where: str,
        baudrate: int,
        reply_s: float,
        count: Callable[[str], None],
        bits_per_char: float = BITS_PER_CHAR,
    ) -> None:
        self.reply_s = reply_s
        self._dial, self._where, self._baudrate = dial, where, baudrate
        self._quiet_s = quiet_s(baudrate, bits_per_char)
        self._count = count
        self._line: Line | None = None

    @classmethod
    def on_port(
        cls, port: str, baudrate: int, parity: str, stopbits: float, reply_s: float, count: Callable[[str], None]
    ) -> RtuBus:
        """A serial port of this machine."""
        bits = 9 + stopbits + (parity != "N")
        return cls(lambda: SerialLine.open(port, baudrate, parity, stopbits), port, baudrate, reply_s, count, bits)

    @classmethod
    def on_server(cls, host: str, port: int, baudrate: int, reply_s: float, count: Callable[[str], None]) -> RtuBus:
        """RTU frames through a serial server (RTU over TCP): no transaction numbers, so all rules of a bus hold."""
        return cls(lambda: TcpLine.open(host, port), f"{host}:{port}", baudrate, reply_s, count)

    async def open(self) -> None:
        """Open the port or connect. Raises Unreachable, Denied."""
        self.close()
        self._line = await self._dial()

    def frames_s(self, request: Request) -> float:
        """Time both frames take on the wire."""
        return wire_s(len(request.pdu) + request.reply_bytes + 6, self._baudrate)

    async def exchange(self, request: Request, reply_s: float | None = None) -> Answer | None:
        """Drain what nobody asked for, keep the silence between frames, send, and take exactly one frame."""
        line, loop = self._open_line(), asyncio.get_running_loop()
        await self._silence(line)
        frame = pdu.rtu_frame(request)
        line.write(frame)
        patience_s = self.reply_s if reply_s is None else reply_s
        until_s = loop.time() + self.frames_s(request) + patience_s
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

    async def ping(self, unit: int, wait_s: float) -> frozenset[int]:
        """Ask one unit and listen; a late answer of another says that it is there as well."""
        line, loop = self._open_line(), asyncio.get_running_loop()
        request = ping_request(unit)
        while (until_s := line.last_byte_s + self._quiet_s) > loop.time():
            if not await line.read(until_s):
                break
        received = line.drain()
        line.write(pdu.rtu_frame(request))
        until_s = loop.time() + self.frames_s(request) + wait_s
        while unit not in units_in(received):
            more = await line.read(until_s)
            if not more:
                break
            received += more
        return units_in(received)

    async def _silence(self, line: Line) -> None:
        """Throw away what nobody asked for, until the line has been silent for as long as frames must be apart."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        before_s = -1.0
        unasked = bool(line.drain())
        while (until_s := line.last_byte_s + self._quiet_s) > (now_s := loop.time()):
            if until_s - now_s > FINE_S:
                unasked = bool(await line.read(until_s - FINE_S)) or unasked
            elif now_s == before_s:
                unasked = bool(await line.read(until_s)) or unasked
            else:
                # The loop's timers are a millisecond coarse, a fortieth of a usual exchange: turn it for the rest.
                await asyncio.sleep(0)
                unasked = bool(line.drain()) or unasked
            before_s = now_s
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
            raise Unreachable(f"{self._where}: not open")
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

    def frames_s(self, request: Request) -> float:
        """A network takes no time worth counting."""
        return 0.0

    async def exchange(self, request: Request, reply_s: float | None = None) -> Answer | None:
        """Send, and skip frames with another number until ours is there."""
        if self._line is None:
            raise Unreachable(f"{self._host}:{self._tcp_port}: not open")
        self._transaction = self._transaction % 0xFFFF + 1
        self._line.write(pdu.tcp_frame(request, self._transaction))
        until_s = asyncio.get_running_loop().time() + (self.reply_s if reply_s is None else reply_s)
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

    async def ping(self, unit: int, wait_s: float) -> frozenset[int]:
        """Ask one unit; a gateway's word that nobody is there is no answer."""
        answer = await self.exchange(ping_request(unit), wait_s)
        if isinstance(answer, Rubbish):
            await self.clean()
        return frozenset({unit} if is_there(answer) else ())

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
