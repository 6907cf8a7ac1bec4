"""One process of the demo: dies with its parent, is started again when it dies alone, says when it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

RESTART_S = 0.3
"""A killed process is back well within the promised 2 s, its own start included."""
EARLY_DEATHS_MAX = 3
"""A process that dies this often before it was ever ready has a fault that starting again does not mend."""
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildFailed(Exception):
    """A process of the demo cannot start; the text holds the end of its log."""


def die_with_parent(parent: int) -> Callable[[], None]:
    """For ``preexec_fn``: Linux kills this process when the demo ends in whatever way.

    The setting is lost when a program changes its user, so a broker started as root keeps root (its ``user`` line).
    """

    def set_in_child() -> None:
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return set_in_child


class Child:
    """A program kept running. changed is called after each start, with the new process id in ``pid``."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        changed: Callable[[], None],
        environment: Mapping[str, str] | None = None,
        probe: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self.pid: int | None = None
        self.url: str | None = None
        self.ready = asyncio.Event()
        self._changed = changed
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._probe = probe
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it running."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def until_ready(self, within_s: float) -> None:
        """Wait for its ``ready`` line or its probe. Raises ChildFailed."""
        if self._keeper is None:
            raise ChildFailed(f"{self.name} was never started")
        waiting = asyncio.create_task(self.ready.wait())
        try:
            await asyncio.wait((waiting, self._keeper), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._keeper.done():
            self._keeper.result()
        if not self.ready.is_set():
            raise ChildFailed(f"{self.name} is not ready after {within_s:.0f} s; the end of {self.log}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and after the grace SIGKILL for it and all it started. Safe twice."""
        self._stopping = True
        if self._keeper is None:
            return
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait((self._keeper,), timeout=grace_s)
        self._signal(signal.SIGKILL, group=True)
        if not done:
            self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError, ChildFailed):
            await self._keeper

    def _signal(self, number: signal.Signals, group: bool = False) -> None:
        """The group outlives its first process when that has left children behind."""
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(self.pid, number)
            elif self._process is not None and self._process.returncode is None:
                os.kill(self.pid, number)

    async def _keep(self) -> None:
        early_deaths = 0
        while not self._stopping:
            started_s = time.monotonic()
            code = await self._run_once()
            self._signal(signal.SIGKILL, group=True)
            if self._stopping:
                return
            if not self.ready.is_set():
                early_deaths += 1
                if early_deaths >= EARLY_DEATHS_MAX or code == 2:
                    why = f"{self.name} ended with {code} at its start"
                    raise ChildFailed(f"{why}; the end of {self.log}:\n{self.tail()}")
            print(f"{self.name} ended with {code}; starting it again", file=sys.stderr, flush=True)
            await asyncio.sleep(RESTART_S if time.monotonic() - started_s > 5.0 else 2 * RESTART_S)

    async def _run_once(self) -> int:
        """From start to end; returns the exit code, negative for a signal."""
        with self.log.open("ab", buffering=0) as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )
            self.pid = self._process.pid
            self._changed()
            if self._stopping:
                self._signal(signal.SIGTERM)
            probing = asyncio.create_task(self._until_probe()) if self._probe else None
            try:
                assert self._process.stdout is not None
                async for line in self._process.stdout:
                    log.write(line)
                    if line.startswith(b"ready ") and self._probe is None:
                        self.url = line[6:].decode(errors="replace").strip()
                        self.ready.set()
                return await self._process.wait()
            finally:
                if probing is not None:
                    probing.cancel()

    async def _until_probe(self) -> None:
        """For programs that do not say when they are ready."""
        while self._probe is not None and not self._probe():
            await asyncio.sleep(0.02)
        self.ready.set()
