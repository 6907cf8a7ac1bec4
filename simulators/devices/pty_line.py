"""A serial line that exists only here: a pty, and a symlink where the building file says the port is."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from pathlib import Path

READ_BYTES = 4096


class PortRefused(OSError):
    """A simulated port may not stand at this path; the text says why."""


def claim(port: Path) -> None:
    """Check that a symlink may be put at port. Raises PortRefused under /dev and where anything else stands.

    A link to a pty is one that an earlier simulator left behind, and may be replaced.
    """
    if Path("/dev") in (port.parent.resolve(), *port.parent.resolve().parents):
        raise PortRefused(f"{port} is under /dev: simulated ports stand elsewhere (change `port` in the building file)")
    if port.is_symlink():
        if not os.readlink(port).startswith("/dev/pts/"):
            raise PortRefused(f"{port} is a link to {os.readlink(port)}, not to a simulated port (remove it)")
    elif port.exists():
        raise PortRefused(f"{port} exists and is no simulated port (remove it or change `port` in the building file)")


class PtyLine:
    """One end of a serial line. received gets the bytes the other end writes.

    The slave side is held open, so that masters may come and go as they do on a real port.
    """

    def __init__(self, port: Path, received: Callable[[bytes], None]) -> None:
        self.port = port
        self.dropped = 0
        self._received = received
        self._master: int | None = None
        self._slave: int | None = None
        self._name = ""

    @property
    def is_open(self) -> bool:
        """True while the port exists."""
        return self._master is not None

    def open(self) -> None:
        """Make the pty and put the symlink in place in one step. Raises PortRefused."""
        if self._master is not None:
            return
        claim(self.port)
        self.port.parent.mkdir(parents=True, exist_ok=True)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._name = os.ttyname(self._slave)
        beside = self.port.with_name(f".{self.port.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        beside.symlink_to(self._name)
        beside.replace(self.port)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def write(self, data: bytes) -> None:
        """Put bytes on the line. What nobody reads is lost (and counted), as on a wire."""
        if self._master is None:
            return
        try:
            sent = os.write(self._master, data)
        except BlockingIOError:
            sent = 0
        self.dropped += len(data) - sent

    def close(self) -> None:
        """Hang up: whoever has the port open gets end of file, and the port is gone. Safe twice."""
        if self._master is None or self._slave is None:
            return
        if self.port.is_symlink() and os.readlink(self.port) == self._name:
            self.port.unlink()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None

    def _readable(self) -> None:
        assert self._master is not None
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        self._received(data)
