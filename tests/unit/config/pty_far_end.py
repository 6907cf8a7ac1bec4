"""The far end of a serial port for tests of commands that open it themselves."""

from __future__ import annotations

import os
import tty
from pathlib import Path


class FarEnd:
    """A pty; port is a symlink to it."""

    def __init__(self, port: Path) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        port.symlink_to(os.ttyname(self._slave))

    def say(self, data: bytes) -> None:
        """Bytes from the device."""
        os.write(self._master, data)

    def close(self) -> None:
        """Pull it out."""
        os.close(self._master)
        os.close(self._slave)
