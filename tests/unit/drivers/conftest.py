"""Peers for driver tests: a real mosquitto and its command-line client. None of the product's own codecs."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.ports import Kit

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class RealClock:
    """The product's Clockwork on the machine's clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
def counts() -> Counter[str]:
    """What a driver counted."""
    return Counter()


@pytest.fixture
def kit(counts: Counter[str], tmp_path: Path) -> Kit:
    def count(cause: str) -> None:
        counts[cause] += 1

    return Kit(RealClock(), count, str(tmp_path))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A real broker that can be killed and started again on the same port with the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for name in ("gw", "outside"):
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), name, "secret"], check=True, capture_output=True)
        (folder / "acl").write_text("user gw\ntopic read #\ntopic write linli/#\nuser outside\ntopic #\n")
        (folder / "conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nacl_file {folder}/acl\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\nmax_queued_messages 100000\n"
            f"set_tcp_nodelay true\nuser {os.environ.get('USER', 'root') if os.getuid() else 'root'}\nlog_type none\n"
        )

    def start(self) -> None:
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self.folder / "conf")])
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("mosquitto does not listen")

    async def saved(self) -> None:
        """Wait until mosquitto has written its database anew (autosave)."""
        database = self.folder / "mosquitto.db"
        before = database.stat().st_mtime_ns if database.exists() else 0
        async with asyncio.timeout(10):
            while not database.exists() or database.stat().st_mtime_ns == before:
                await asyncio.sleep(0.05)

    def kill(self, wipe: bool = False) -> None:
        """kill -9; with wipe its database is gone too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if wipe:
            (self.folder / "mosquitto.db").unlink(missing_ok=True)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, times: int = 1) -> None:
        """By mosquitto_pub, which shares no code with ours. With ``times`` > 1 the payload is ``0``, ``1``, …"""
        flags = ["-r"] if retain else []
        lines = b"".join(b"%d\n" % number for number in range(times)) if times > 1 else payload
        process = await asyncio.create_subprocess_exec(
            *("mosquitto_pub", "-p", str(self.port), "-u", "outside", "-P", "secret", "-t", topic, "-q", str(qos)),
            *flags,
            "-l" if times > 1 else "-s" if payload else "-n",
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate(lines)
        assert process.returncode == 0


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.kill()
