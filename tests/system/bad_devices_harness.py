"""For the bad-input test: hand-made Modbus slaves and a receiver that misbehave. Own encoders, no library."""

from __future__ import annotations

import os
import socket
import struct
import threading
import tty
from collections.abc import Callable
from pathlib import Path

Misbehave = Callable[[bytes], bytes]
"""From the good reply PDU behind its unit number to the bytes sent instead of it."""


def crc(data: bytes) -> bytes:
    """CRC-16 of the serial line, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def registers(pdu: bytes, values: dict[int, int]) -> bytes:
    """The good answer to a read of holding registers."""
    function, start, count = struct.unpack(">BHH", pdu)
    data = b"".join(struct.pack(">H", values.get(start + n, 0)) for n in range(count))
    return bytes((function, len(data))) + data


class TcpSlaves:
    """A Modbus TCP host. table: unit → (registers, what becomes of the frame); None closes the connection."""

    def __init__(self, table: dict[int, tuple[dict[int, int], Callable[[bytes], bytes | None]]]) -> None:
        self._table = table
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No new connections."""
        self._door.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            while True:
                try:
                    head = sock.recv(7, socket.MSG_WAITALL)
                    if len(head) < 7:
                        return
                    number, _, length, unit = struct.unpack(">HHHB", head)
                    pdu = sock.recv(length - 1, socket.MSG_WAITALL)
                    values, spoil = self._table[unit]
                    body = registers(pdu, values)
                    said = spoil(struct.pack(">HHHB", number, 0, len(body) + 1, unit) + body)
                    if said is None:
                        return
                    sock.sendall(said)
                except OSError:
                    return


class Pty:
    """A serial line; path is what the gateway opens, a symlink that may be made later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd, self._slave = os.openpty()
        tty.setraw(self._slave)
        tty.setraw(self.fd)

    def plug_in(self) -> None:
        """Now it is there."""
        self.path.symlink_to(os.ttyname(self._slave))

    def close(self) -> None:
        """Pull it out."""
        self.path.unlink(missing_ok=True)
        os.close(self.fd)
        os.close(self._slave)


class RtuSlaves:
    """Slaves on a serial line. table: unit → (registers, what becomes of the frame); an unknown unit is silent."""

    def __init__(self, pty: Pty, table: dict[int, tuple[dict[int, int], Misbehave]]) -> None:
        self._pty, self._table = pty, table
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        received = b""
        while True:
            try:
                received += os.read(self._pty.fd, 256)
            except OSError:
                return
            while len(received) >= 8:
                frame, received = received[:8], received[8:]
                if crc(frame[:6]) == frame[6:] and frame[0] in self._table:
                    values, spoil = self._table[frame[0]]
                    body = bytes(frame[:1]) + registers(frame[1:6], values)
                    os.write(self._pty.fd, spoil(body + crc(body)))


def rf_frame(code: int) -> bytes:
    """What an RF bridge says of one code: 20 bits of identity, 4 of keys."""
    return b"\xaa\xa4" + struct.pack(">HHH", 0x2A30, 0x015E, 0x044C) + code.to_bytes(3, "big") + b"\x55"
