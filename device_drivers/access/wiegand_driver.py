"""Wiegand readers behind a converter: every card shown is an event. One-way and clear text: it opens nothing."""

from __future__ import annotations

from collections.abc import Sequence

from device_drivers.access import wiegand
from device_drivers.access.wiegand import Card
from device_drivers.lines import Line, open_line
from edge.errors import Unreachable
from edge.limits import BATCH_READINGS_MAX, PRESS_DEBOUNCE_S
from edge.model import Batch, Device, PointKey, PollItem, Quality, Reading, ReadRequest, Value
from edge.ports import Kit, LinkSettings

BAUDRATE = 9600
OTHERS = "*"
"""Address of the device for lines of a reader that no other device has, or of no named reader at all."""
CARDS_REMEMBERED = 64
"""For the debounce: more cards within half a second than a building has doors."""


class WiegandDriver:
    """One converter with its readers."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._settings, self._kit = settings, kit
        self._form = str(settings.options.get("format", "bits"))
        self._readers: dict[str, list[Device]] = {}
        for device in devices:
            self._readers.setdefault(device.address, []).append(device)
        self._line: Line | None = None
        self._rest = b""
        self._waiting: list[Reading] = []
        self._since: dict[Card, float] = {}

    @property
    def plan(self) -> Sequence[PollItem]:
        """Empty: cards come when somebody shows one."""
        return ()

    async def open(self) -> None:
        """Open the line. Raises Unreachable, Denied."""
        await self.close()
        self._rest = b""
        self._line = await open_line(self._settings.options, BAUDRATE)

    async def read(self, request: ReadRequest | None) -> Batch:
        """Wait for cards. Raises Unreachable when the line is gone."""
        line = self._line
        if line is None:
            raise Unreachable("not open")
        while not self._waiting:
            lines, self._rest, faults = wiegand.split(self._rest + await line.read(None))
            for _ in range(faults):
                self._kit.count("garbled")
            for text in lines:
                self._waiting += self._readings(text)
        taken, self._waiting = tuple(self._waiting[:BATCH_READINGS_MAX]), self._waiting[BATCH_READINGS_MAX:]
        return Batch(self._settings.id, taken, lambda: None)

    async def close(self) -> None:
        """Safe always; a reader that waits gets Unreachable."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _readings(self, text: bytes) -> list[Reading]:
        card = wiegand.card(text, self._form)
        if card is None:
            self._kit.count("garbled")
            return []
        devices = self._readers.get(card.reader) or self._readers.get(OTHERS)
        if not devices:
            self._kit.count("unknown_id")
            return []
        now_s = self._kit.clock.monotonic()
        if now_s - self._since.pop(card, float("-inf")) < PRESS_DEBOUNCE_S:
            self._since[card] = now_s
            return []
        self._since[card] = now_s
        if len(self._since) > CARDS_REMEMBERED:
            self._since.pop(next(iter(self._since)))
        return [
            self._reading(device, point.key, str(card) if point.read.get("card") is None else True, now_s)
            for device in devices
            for point in device.points
            if point.read.get("card") in (None, str(card))
        ]

    def _reading(self, device: Device, point: str, value: Value, now_s: float) -> Reading:
        key = PointKey(device.id, point)
        return Reading(key, value, Quality.GOOD, None, self._kit.clock.wall_ms(), now_s, momentary=True)
