"""A GSM modem on a pseudo terminal, with its own understanding of short messages. It keeps what people would read.

Faults are attributes: registered, errors (answers to the next messages), no_prompt, mute, and unplug().
"""

from __future__ import annotations

import asyncio
import os
import re
import tty
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Text:
    """A message as the phone shows it, its parts put together."""

    number: str
    text: str
    report_wanted: bool


@dataclass(slots=True)
class ModemStandIn:
    """start() gives the port to open; unplug() takes it away."""

    registered: bool = True
    pin: str | None = None
    errors: deque[int] = field(default_factory=deque)
    no_prompt: bool = False
    mute: bool = False
    texts: list[Text] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    stored: dict[int, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _parts: dict[tuple[str, int], dict[int, str]] = field(default_factory=dict)
    _master: int | None = None
    _slave: int | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _awaiting_pdu: int | None = None
    _reference: int = 0

    def start(self) -> str:
        """Plug it in; the path of its port."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        return os.ttyname(self._slave)

    def unplug(self) -> None:
        """The port is gone. Safe twice."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None

    def receive(self, number: str, text: str) -> None:
        """A phone sends a message."""
        body = text.encode("utf-16-be")
        stamp = "62112202140023"
        pdu = "0004" + _number_hex(number) + "0008" + stamp + f"{len(body):02X}" + body.hex().upper()
        index = max(self.stored, default=0) + 1
        self.stored[index] = pdu
        self._say(f'+CMTI: "SM",{index}')

    def report(self, number: str, reference: int, status: int) -> None:
        """The network says what became of a message."""
        stamp = "62112202140023"
        pdu = f"0006{reference:02X}" + _number_hex(number) + stamp + stamp + f"{status:02X}"
        self._say(f"+CDS: {len(pdu) // 2 - 1}\r\n{pdu}")

    def _readable(self) -> None:
        assert self._master is not None
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        if self._awaiting_pdu is not None:
            ends = [at for at in (self._buffer.find(b"\x1a"), self._buffer.find(b"\x1b")) if at >= 0]
            if not ends:
                return False
            end = min(ends)
            cancelled = self._buffer[end] == 0x1B
            pdu = self._buffer[:end].decode("ascii", "replace").strip()
            del self._buffer[: end + 1]
            wanted, self._awaiting_pdu = self._awaiting_pdu, None
            self._say("OK") if cancelled else self._submit(pdu, wanted)
            return True
        self._buffer = self._buffer.replace(b"\x1b", b"")
        end = self._buffer.find(b"\r")
        if end < 0:
            return False
        command = self._buffer[:end].decode("ascii", "replace").strip()
        del self._buffer[: end + 1]
        if command and not self.mute:
            self.commands.append(command)
            self._answer(command)
        return True

    def _answer(self, command: str) -> None:
        if (found := re.fullmatch(r"AT\+CMGS=(\d+)", command)) is not None:
            if not self.no_prompt:
                self._awaiting_pdu = int(found[1])
                self._say("> ", end="")
        elif command == "AT+CPIN?":
            self._say("+CPIN: READY" if self.pin is None else "+CPIN: SIM PIN", "OK")
        elif command.startswith("AT+CPIN="):
            right = command == f'AT+CPIN="{self.pin}"'
            self.pin = None if right else self.pin
            self._say("OK" if right else "+CME ERROR: 16")
        elif command in ("AT+CREG?", "AT+CEREG?"):
            self._say(f"{command[2:-1]}: 0,{1 if self.registered else 2}", "OK")
        elif command == "AT+CMGL=4":
            rows = [f"+CMGL: {index},0,,{len(pdu) // 2 - 1}\r\n{pdu}" for index, pdu in self.stored.items()]
            self._say(*rows, "OK")
        elif (found := re.fullmatch(r"AT\+CMGD=(\d+)", command)) is not None:
            self.stored.pop(int(found[1]), None)
            self._say("OK")
        elif re.fullmatch(r"AT(E0|\+CMEE=1|\+CMGF=0|\+CNMI=[\d,]+)?", command):
            self._say("OK")
        else:
            self._say("ERROR")

    def _submit(self, pdu: str, wanted: int) -> None:
        if self.errors:
            self._say(f"+CMS ERROR: {self.errors.popleft()}")
            return
        if not self.registered:
            self._say("+CMS ERROR: 331")
            return
        raw = bytes.fromhex(pdu)
        if len(raw) - 1 - raw[0] != wanted:
            self._say("+CMS ERROR: 304")
            return
        self._keep(raw[1 + raw[0] :])
        self._reference = (self._reference + 1) % 256
        self._say(f"+CMGS: {self._reference}", "OK")

    def _keep(self, tpdu: bytes) -> None:
        first, digits = tpdu[0], tpdu[2]
        octets = (digits + 1) // 2
        number = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in tpdu[4 : 4 + octets])[:digits]
        number = ("+" if tpdu[3] == 0x91 else "") + number
        at = 4 + octets
        assert tpdu[at + 1] == 0x08 and tpdu[at + 3] == len(tpdu) - at - 4 <= 140, "not a UCS2 message"
        data, wants_report = tpdu[at + 4 :], bool(first & 0x20)
        if not first & 0x40:
            self.texts.append(Text(number, data.decode("utf-16-be"), wants_report))
        else:
            reference, total, index = data[3], data[4], data[5]
            parts = self._parts.setdefault((number, reference), {})
            parts[index] = data[6:].decode("utf-16-be")
            if len(parts) == total:
                text = "".join(parts[n] for n in sorted(parts))
                self.texts.append(Text(number, text, wants_report))
                del self._parts[number, reference]
        self.changed.set()

    def _say(self, *lines: str, end: str = "\r\n") -> None:
        if self._master is not None and not self.mute:
            os.write(self._master, "".join(f"\r\n{line}{end}" for line in lines).encode())


def _number_hex(number: str) -> str:
    digits = number.lstrip("+")
    padded = digits + "F" * (len(digits) % 2)
    swapped = "".join(padded[i + 1] + padded[i] for i in range(0, len(padded), 2))
    return f"{len(digits):02X}{'91' if number.startswith('+') else '81'}{swapped}"
