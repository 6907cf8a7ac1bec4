"""A 433 MHz receiver on a serial line: every press of a known button is a momentary reading."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from device_drivers.lines import Line, SerialLine
from device_drivers.serial import rf433
from device_drivers.serial.rf433 import Press
from edge.errors import Unreachable
from edge.limits import BATCH_READINGS_MAX, PRESS_DEBOUNCE_S
from edge.model import Batch, Device, PointKey, PollItem, Quality, Reading, ReadRequest
from edge.ports import Driver, Kit, LinkSettings

LEARN_S = 30.0
"""How long probe() listens: time to walk to a button and press it."""
BAUDRATE = 19200
"""Of the RF bridges known (reference/standards.md §6.1)."""


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one receiver. No I/O. Raises ValueError for an address that is no code."""
    return Rf433Driver(settings, devices, kit)


class Rf433Driver:
    """One receiver and the buttons it hears."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._settings, self._kit = settings, kit
        self._buttons: dict[str, list[Device]] = {}
        for device in devices:
            identity = device.address.upper()
            if len(identity) != 5 or any(letter not in "0123456789ABCDEF" for letter in identity):
                raise ValueError(f"device {device.id}: {device.address!r} is no identity (five hex digits)")
            self._buttons.setdefault(identity, []).append(device)
        self._line: Line | None = None
        self._rest = b""
        self._waiting: list[Reading] = []
        self._since: dict[Press, float] = {}

    @property
    def plan(self) -> Sequence[PollItem]:
        """Empty: buttons speak when pressed."""
        return ()

    async def open(self) -> None:
        """Open the port. Raises Unreachable, Denied."""
        await self.close()
        options = self._settings.options
        self._rest = b""
        self._line = await SerialLine.open(str(options["port"]), int(options.get("baudrate", BAUDRATE)))

    async def read(self, request: ReadRequest | None) -> Batch:
        """Wait for presses. The bridge is acknowledged after our commit. Raises Unreachable when the port is gone."""
        line = self._line
        if line is None:
            raise Unreachable("not open")
        frames = 0
        while not self._waiting:
            if frames:
                # Repetitions and strangers hold nothing to commit, and the bridge waits.
                _acknowledge(line, frames)
            presses, self._rest, faults = rf433.split(self._rest + await line.read(None))
            for _ in range(faults):
                self._kit.count("garbled")
            frames = len(presses)
            for press in presses:
                self._waiting += self._readings(press)
        taken, self._waiting = tuple(self._waiting[:BATCH_READINGS_MAX]), self._waiting[BATCH_READINGS_MAX:]
        left = [frames]

        def ack() -> None:
            _acknowledge(line, left[0])
            left[0] = 0

        return Batch(self._settings.id, taken, ack)

    async def probe(self) -> Sequence[str]:
        """Learn mode: the identities heard within LEARN_S, of known buttons too, in the order of their first press.

        Raises Unreachable when the port is gone.
        """
        line = self._line
        if line is None:
            raise Unreachable("not open")
        until_s = asyncio.get_running_loop().time() + LEARN_S
        found: dict[str, None] = {}
        while received := await line.read(until_s):
            presses, self._rest, _ = rf433.split(self._rest + received)
            found |= dict.fromkeys(press.identity for press in presses)
            _acknowledge(line, len(presses))
        return list(found)

    async def close(self) -> None:
        """Safe always; a reader that waits gets Unreachable."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _readings(self, press: Press) -> list[Reading]:
        """What a code means, unless it repeats a press that is still going on.

        A remote repeats its code while pressed: within PRESS_DEBOUNCE_S of the first frame it is that press. Later it
        is a new cause, also when the button was never let go: somebody holds on to it.
        """
        devices = self._buttons.get(press.identity)
        if devices is None:
            self._kit.count("unknown_id")
            return []
        now_s = self._kit.clock.monotonic()
        if now_s - self._since.get(press, float("-inf")) < PRESS_DEBOUNCE_S:
            return []
        self._since[press] = now_s
        made = [
            Reading(
                PointKey(device.id, point.key),
                True,
                Quality.GOOD,
                None,
                self._kit.clock.wall_ms(),
                now_s,
                momentary=True,
            )
            for device in devices
            for point in device.points
            if any(press.keys & key for key in point.read.get("keys", ()))
        ]
        if not made:
            self._kit.count("unknown_key")
        return made


def _acknowledge(line: Line, frames: int) -> None:
    """Tell the bridge that its frames are taken. A line that is over needs no answer."""
    if frames and line.lost is None:
        try:
            line.write(rf433.ACK * frames)
        except Unreachable:
            # The reader learns of it at its next read.
            return
