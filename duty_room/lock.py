"""One process per data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge.errors import DataDirLocked


class DataDirLock:
    """Held as long as the object lives. Raises DataDirLocked when another process holds it."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = data_dir / "duty.lock"
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise DataDirLocked(f"{data_dir} is used by process {holder}: stop it, or give another data_dir") from fault
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go. Safe twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
