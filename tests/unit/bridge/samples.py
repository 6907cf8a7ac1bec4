"""A real mosquitto of one's own, that can be stopped and started again, and sample events."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    EventKind,
    Place,
)

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
NOW_MS = 1_790_000_000_123


@dataclass
class Broker:
    """One private broker on a free port."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        return (f"mqtt://127.0.0.1:{self.port}",)

    def start(self) -> None:
        conf = self.folder / "mosquitto.conf"
        lines = (f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 100000")
        conf.write_text("\n".join((*lines, "set_tcp_nodelay true", "")))
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        listening(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def listening(port: int) -> None:
    """Wait until a broker of another process listens."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("mosquitto does not listen")


def event(seq: int = 1, **changes: Any) -> AlarmEvent:
    """A raised smoke alarm in flat 301."""
    raised = AlarmEvent(
        event_id=f"e{seq}",
        alarm_id=f"b12-s301-fire.smoke-{seq}",
        kind=EventKind.RAISED,
        alarm_class=AlarmClass.FIRE_SMOKE,
        priority=1,
        state=AlarmState.UNACK,
        condition=Condition.ON,
        device="s301",
        point="smoke",
        place=Place("新盛", "12", "1", 3, "301"),
        value=True,
        unit=None,
        observed_ms=None,
        received_ms=NOW_MS,
        clock=Clock.SYNCED,
        reason="smoke",
        seq=seq,
    )
    return replace(raised, **changes)
