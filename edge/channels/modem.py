"""A GSM modem on a serial port: one command at a time, and what it says unasked.

The modem answers a command with lines and ends with OK or an error; in between it may announce a message, a
delivery report or a pressed key. After a command without an answer the line is cleared before the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import termios
from collections import deque
from dataclasses import dataclass

from edge.errors import Denied, Unreachable

COMMAND_S, SEND_S = 5.0, 45.0
"""Most commands answer at once; handing a message to the network takes seconds, at times many."""
LINE_BYTES_MAX = 4096
"""A line longer than any message: noise, dropped."""
_SPEEDS = {speed: getattr(termios, f"B{speed}") for speed in (9600, 19200, 38400, 57600, 115200)}
_UNASKED = re.compile(r"\+(CMTI|CDSI|CDS|CMT|CREG|CEREG|DTMF|CLIP|CRING)\b|RING$|NO CARRIER$|BUSY$")
_ERROR = re.compile(r"(?:\+CM[ES] )?ERROR(?:: *(.*))?$")


class ModemError(Exception):
    """The modem refused a command. code: the number of +CMS or +CME ERROR, None for a bare ERROR."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"{command.split('=')[0]}: {said}")
        found = re.search(r"\d+", said)
        self.code = int(found[0]) if found else None


@dataclass(frozen=True, slots=True)
class Unasked:
    """Something the modem said by itself; for +CDS and +CMT the next line, the message, is in body."""

    line: str
    body: str = ""


class Modem:
    """The line and its commands. Raises Unreachable when the port is gone or the modem is mute."""

    def __init__(self, port: str, baudrate: int) -> None:
        self._port = port
        self._baudrate = baudrate
        self._fd: int | None = None
        self._buffer = bytearray()
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._unasked: deque[Unasked] = deque(maxlen=256)
        self._pending: str | None = None
        self._spoke = asyncio.Event()
        self._one = asyncio.Lock()

    async def open(self, pin: str | None = None) -> None:
        """Open the port and bring the modem to where it sends and receives. Raises Unreachable or Denied."""
        self._open_port()
        try:
            await self._wake()
            await self.ask("ATE0")
            await self.ask("AT+CMEE=1")
            await self._unlock(pin)
            await self.ask("AT+CMGF=0")
            await self.ask("AT+CNMI=2,1,0,1,0")
        except ModemError as fault:
            self.close()
            raise Unreachable(f"{self._port}: the modem refuses {fault}") from fault
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the port go. Safe always."""
        if self._fd is not None:
            with contextlib.suppress(ValueError):
                asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
        self._answers.put_nowait("")  # whoever waits for an answer looks up and sees that the port is gone
        self._spoke.set()

    async def ask(self, command: str, timeout_s: float = COMMAND_S) -> list[str]:
        """One command; its lines. Raises ModemError, or Unreachable when nothing came in time."""
        async with self._one:
            return await self._ask(command, timeout_s)

    async def submit(self, pdu: str, octets: int) -> int:
        """Hand one message over; its reference number. Raises ModemError or Unreachable."""
        async with self._one:
            try:
                await self._say(f"AT+CMGS={octets}\r")
                await self._answer("AT+CMGS", COMMAND_S, until=">")
            except (ModemError, Unreachable):
                await self._abort()
                raise
            await self._say(f"{pdu}\x1a")
            lines = await self._answer("AT+CMGS", SEND_S)
        found = next((re.search(r"\d+", line) for line in lines if line.startswith("+CMGS:")), None)
        return int(found[0]) if found else 0

    async def heard(self) -> Unasked:
        """The next thing it says by itself. Raises Unreachable when the port is gone."""
        while not self._unasked:
            if self._fd is None:
                raise Unreachable(f"{self._port} is gone")
            self._spoke.clear()
            await self._spoke.wait()
        return self._unasked.popleft()

    async def registered(self) -> bool:
        """Is it in a network, at home or roaming?"""
        for command in ("AT+CREG?", "AT+CEREG?"):
            with contextlib.suppress(ModemError):
                for line in await self.ask(command):
                    if re.search(r"REG: *\d, *(1|5)\b", line):
                        return True
        return False

    async def _wake(self) -> None:
        """The first AT may be lost while it finds the baud rate."""
        for attempt in range(3):
            try:
                await self.ask("AT", 1.0)
                return
            except (Unreachable, ModemError):
                if attempt == 2 or self._fd is None:
                    raise Unreachable(
                        f"{self._port}: no modem answers (is it powered, is the baud rate right?)"
                    ) from None

    async def _unlock(self, pin: str | None) -> None:
        lines = await self.ask("AT+CPIN?")
        if any("READY" in line for line in lines):
            return
        if pin is None or not any("SIM PIN" in line for line in lines):
            raise Denied(f"{self._port}: the SIM card says {' '.join(lines)} (give modem.pin, or unlock the card)")
        try:
            await self.ask(f'AT+CPIN="{"".join(pin)}"')
        except ModemError as fault:
            raise Denied(f"{self._port}: the SIM card refuses its PIN: three wrong ones lock it") from fault

    async def _ask(self, command: str, timeout_s: float) -> list[str]:
        while not self._answers.empty():
            self._answers.get_nowait()
        await self._say(f"{command}\r")
        return await self._answer(command, timeout_s)

    async def _answer(self, command: str, timeout_s: float, until: str = "OK") -> list[str]:
        lines: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    line = await self._answers.get()
                    if self._fd is None:
                        raise Unreachable(f"{self._port} is gone")
                    if line == until:
                        return lines
                    if (error := _ERROR.match(line)) is not None:
                        raise ModemError(command, error[1] or "ERROR")
                    lines.append(line)
        except TimeoutError:
            raise Unreachable(f"{self._port}: no answer to {command.split('=')[0]}") from None

    async def _abort(self) -> None:
        """Out of a message that was begun: ESC, and whatever it says to that."""
        if self._fd is None:
            return
        with contextlib.suppress(Unreachable, ModemError):
            await self._say("\x1b")
            await self._answer("ESC", 1.0)

    async def _say(self, text: str) -> None:
        data = text.encode("ascii")
        while data:
            if self._fd is None:
                raise Unreachable(f"{self._port} is gone")
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError as fault:
                self.close()
                raise Unreachable(f"{self._port}: {fault.strerror}") from fault

    def _open_port(self) -> None:
        try:
            self._fd = os.open(self._port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            mode = termios.tcgetattr(self._fd)
            speed = _SPEEDS[self._baudrate]
            mode[0] = mode[1] = mode[3] = 0
            mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            mode[4] = mode[5] = speed
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        except (OSError, termios.error) as fault:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            raise Unreachable(f"{self._port}: {fault}") from fault
        self._buffer.clear()
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        assert self._fd is not None
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = self._buffer[:end].decode("latin-1").strip("\r\n\0 ")
            del self._buffer[: end + 1]
            self._take(line)
        if self._buffer.strip() == b">":
            self._buffer.clear()
            self._answers.put_nowait(">")
        if len(self._buffer) > LINE_BYTES_MAX:
            self._buffer.clear()

    def _take(self, line: str) -> None:
        if not line:
            return
        if self._pending is not None:
            self._tell(Unasked(self._pending, line))
            self._pending = None
        elif re.match(r"\+(CDS|CMT):", line):
            self._pending = line
        elif _UNASKED.match(line) and not re.match(r"\+CE?REG: *\d, *\d", line):
            self._tell(Unasked(line))
        else:
            self._answers.put_nowait(line)

    def _tell(self, unasked: Unasked) -> None:
        self._unasked.append(unasked)
        self._spoke.set()
