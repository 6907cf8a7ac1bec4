"""A nurse-call system that speaks ESPA 4.4.4: it polls and selects the gateway, or waits to be polled by it.

Own encoder. A block that is not acknowledged is sent again, three times in all; ``1 NAK`` asks for it at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from edge.model import Device, PointKey
from simulators.building import Fact, GroundTruth, Health
from simulators.devices.byte_line import ByteLine

ANSWER_S = 1.0
TRIES = 3
POLL_S = 5.0
STANDARD_CALL, RESET_CALL = "3", "1"


def block(records: Mapping[str, str], header: str = "1") -> bytes:
    """A data block with its check."""
    body = header.encode() + b"\x02"
    body += b"\x1e".join(name.encode() + b"\x1f" + text.encode("latin-1", "replace") for name, text in records.items())
    body += b"\x03"
    check = 0
    for one in body:
        check ^= one
    return b"\x01" + body + bytes([check])


def call(address: str, text: str, kind: str = STANDARD_CALL, priority: str = "1") -> bytes:
    """A call to a pager, as a panel sends it."""
    return block({"1": address, "2": text, "3": "5", "4": kind, "5": "1", "6": priority})


class NursePanel:
    """The panel and its stations. lead: it is the control station."""

    def __init__(self, options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int) -> None:
        self.line = ByteLine(options, self._received, seed)
        self.lead = options.get("role", "panel") == "panel"
        self.delivered = 0
        self._gateway, self._own = str(options.get("station", "2")), str(options.get("panel", "1"))
        self._devices = {d.id: d for d in devices}
        self._truth = truth
        self._queue: deque[tuple[str, str, str]] = deque()
        self._step = "idle"
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        truth.watch(self._happened)

    @property
    def where(self) -> str:
        """What a person connects to."""
        return self.line.where

    async def open(self) -> None:
        """Put the line in place. Raises PortRefused."""
        await self.line.open()
        self._end()

    async def close(self) -> None:
        """Take the line away. Safe twice."""
        if self._timer is not None:
            self._timer.cancel()
        await self.line.close()

    def _happened(self, fact: Fact) -> None:
        device = self._devices.get(fact.device)
        point = next((p for p in device.points if p.key == fact.point), None) if device is not None else None
        if device is None or point is None or "what" not in point.read:
            return
        text = fact.value if isinstance(fact.value, str) else f"CALL {device.id}"
        if point.read["what"] == "call":
            self._queue.append((device.id, text, STANDARD_CALL))
            self._truth.set(PointKey(device.id, "calling"), True)
        elif fact.value is False:
            self._queue.append((device.id, text, RESET_CALL))
        if self.lead and self._step == "idle":
            self._select()

    def _select(self) -> None:
        self._step, self._tries = "selected", self._tries + 1
        self.line.write(self._gateway.encode() + b"\x05")
        self._wait(ANSWER_S, self._retry)

    def _send(self) -> None:
        name, text, kind = self._queue[0]
        address = self._devices[name].address.replace("*", "9999")
        good, wrong = call(address, text, kind), call("0000", text, kind)
        self._step = "sent"
        health = self._truth.health(name)
        # What a fault has spoilt once goes through at the next try: a real line has good moments.
        self.line.say(good, wrong, health if self._tries <= 1 or health is Health.DEAD else Health.WELL)
        self._wait(ANSWER_S, self._retry)

    def _retry(self) -> None:
        if self._tries >= TRIES and self._queue:
            self._queue.popleft()
            self._tries = 0
        self._end()

    def _end(self) -> None:
        """EOT; the next call, or a poll after a while."""
        self._step = "idle"
        if self.line.is_open:
            self.line.write(b"\x04")
        if self.lead and self._queue:
            self._select()
        elif self.lead:
            self._wait(POLL_S, self._poll)

    def _poll(self) -> None:
        self.line.write(b"3\x05")  # some other station of the bus, that is not there
        self._wait(POLL_S, self._poll)

    def _wait(self, after_s: float, then: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(after_s, then)

    def _received(self, data: bytes) -> None:
        if self._step == "idle":
            if not self.lead and data.endswith(self._own.encode() + b"\x05"):
                if self._queue:
                    self._select()
                else:
                    self.line.write(b"\x04")
            return
        if b"\x15" in data:
            self._tries += 1
            if self._tries > TRIES:
                self._retry()
            else:
                self._send()
        elif b"\x06" in data and self._step == "selected":
            self._send()
        elif b"\x06" in data and self._step == "sent":
            self.delivered += 1
            self._tries = 0
            self._queue.popleft()
            self._end()
