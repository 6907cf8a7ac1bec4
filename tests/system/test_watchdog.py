"""systemd's watchdog: fed while commits come through, hungry when the process or its disk hangs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest

from edge.app.watchdog import COMMIT_HANGS_S, Watchdog
from edge.errors import NotDurable
from edge.flow.commit import CommitPoint, Listeners
from edge.limits import CANARY_S
from edge.ports import Entry, Past
from simulators.clock import VirtualClock, VirtualLoop, run_virtual
from tests.system.gateway_harness import house_in


def manager(folder: Path) -> tuple[socket.socket, str]:
    """The service manager's end."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = os.path.relpath(folder / "notify")  # a socket's name is short
    sock.bind(path)
    sock.settimeout(20)
    return sock, str(folder / "notify") if len(str(folder)) < 90 else path


def heard(sock: socket.socket, within_s: float) -> list[str]:
    """Everything that is said for so long."""
    said, end_s = [], time.monotonic() + within_s
    while (left_s := end_s - time.monotonic()) > 0:
        sock.settimeout(left_s)
        with contextlib.suppress(TimeoutError):
            said.append(sock.recv(256).decode())
    return said


class Disk:
    """A journal that commits, refuses or hangs."""

    def __init__(self) -> None:
        self.does = "commit"

    async def load(self) -> Past:
        return Past(0, (), {}, (), frozenset(), {}, (), ())

    async def append(self, entry: Entry) -> int:
        if self.does == "refuse":
            raise NotDurable("full")
        if self.does == "hang":
            await asyncio.get_running_loop().create_future()
        return 0

    async def unreceipted(self, after_seq: int, limit: int) -> list[object]:
        return []

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(("does", "proven"), [("commit", True), ("refuse", True), ("hang", False)])
def test_only_a_hanging_commit_lets_it_starve(does: str, proven: bool) -> None:
    loop = VirtualLoop(random.Random(1))

    async def main() -> None:
        clock, disk = VirtualClock(loop), Disk()
        commit = CommitPoint(disk, clock, Listeners())  # type: ignore[arg-type]
        task = asyncio.create_task(commit.run())
        watchdog = Watchdog(commit, clock, {})
        disk.does = does
        for _ in range(3):
            commit.put(Entry(canary_ms=1))
            await clock.sleep(CANARY_S + COMMIT_HANGS_S / 2)
        assert watchdog.proven() is proven
        task.cancel()

    run_virtual(main(), loop)


def test_without_a_service_manager_nothing_is_said() -> None:
    assert Watchdog(None, None, {}).say("READY=1") is False  # type: ignore[arg-type]


def test_a_real_gateway_is_ready_feeds_and_starves_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, path = manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "800000")
    with sock, house_in(tmp_path) as house:
        dead = {"id": "plc", "kind": "modbus-tcp", "host": "127.0.0.1", "port": house.ports["building"]}
        house.write([dead], [{"id": "g1", "profile": "example/gas-modbus", "link": "plc", "address": 1}])
        alone = json.loads(house.config.read_text(encoding="utf-8"))
        del alone["duty_room"]
        house.config.write_text(json.dumps(alone), encoding="utf-8")
        gateway = house.start_gateway()
        gateway.until_ready()
        assert "READY=1" in heard(sock, 1.0)
        assert heard(sock, 1.0).count("WATCHDOG=1") >= 2
        os.kill(gateway.pid, signal.SIGSTOP)
        heard(sock, 0.1)
        assert heard(sock, 1.0) == []
        os.kill(gateway.pid, signal.SIGCONT)
        assert "WATCHDOG=1" in heard(sock, 2.0)
        gateway.stop()
        assert "STOPPING=1" in heard(sock, 0.2)
