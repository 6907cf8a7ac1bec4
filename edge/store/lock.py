"""One process per data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge.errors import DataDirLocked


class DataDirLock:
    """An advisory lock that the kernel drops when the process dies, however it dies."""

    def __init__(self, data_dir: Path) -> None:
        """Take the lock. Raises DataDirLocked, naming the process that holds it."""
        data_dir.mkdir(parents=True, exist_ok=True)
        self._file = open(data_dir / "lock", "a+", encoding="ascii")  # noqa: SIM115  held for the process's life
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise DataDirLocked(
                f"{data_dir} is in use by process {holder}: stop it, or give this one its own data_dir"
            ) from fault
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Give it back. Safe twice."""
        self._file.close()
