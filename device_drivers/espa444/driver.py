"""A nurse-call system: we are the station its calls go to, and the control station where the building file says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from device_drivers.espa444 import codec
from device_drivers.espa444.codec import Block, Call, Enquiry
from device_drivers.lines import Line, open_line
from edge.errors import Unreachable
from edge.model import Batch, Device, Point, PointKey, PollItem, Quality, Reading, ReadRequest, Value
from edge.ports import Driver, Kit, LinkSettings

BAUDRATE = 9600
POLL_S = 1.0
"""As control station we ask the panel this often."""
REPLY_S = 2.5
"""A polled station has this long to begin its answer."""
TALK_S = 15.0
"""Longest pause within one transaction, from selection to EOT; then it is over."""
POLLS_MISSED = 3
"""This many polls without an answer: nobody is there."""
OTHERS = "*"
"""Address of the device that takes the calls which no other device has."""


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one line. No I/O."""
    return EspaDriver(settings, devices, kit)


class EspaDriver:
    """One line with the call stations behind it."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._settings, self._kit = settings, kit
        options = settings.options
        self._control = options.get("role", "panel") == "control"
        self._station, self._panel = str(options.get("station", "2")), str(options.get("panel", "1"))
        silent_s = options.get("silent_s")
        self._silent_s = None if silent_s is None else float(silent_s)
        self._devices: dict[str, list[Device]] = {}
        for device in devices:
            self._devices.setdefault(device.address, []).append(device)
        self._line: Line | None = None
        self._begin()

    def _begin(self) -> None:
        self._rest = b""
        self._waiting: deque[tuple[Reading, ...]] = deque()
        self._talk_until_s = float("-inf")
        self._reply_until_s: float | None = None
        self._poll_s = float("-inf")
        self._missed = 0

    @property
    def plan(self) -> Sequence[PollItem]:
        """Empty: calls come when somebody calls."""
        return ()

    async def open(self) -> None:
        """Open the line. Raises Unreachable, Denied."""
        await self.close()
        self._begin()
        self._line = await open_line(self._settings.options, BAUDRATE)

    async def read(self, request: ReadRequest | None) -> Batch:
        """Wait for a call; it is acknowledged after our commit. Raises Unreachable when line or panel are gone."""
        line = self._line
        if line is None:
            raise Unreachable("not open")
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        while not self._waiting:
            now_s = loop.time()
            if self._control:
                self._ask(line, now_s)
            received = await line.read(self._next_s(heard_s))
            if received:
                heard_s = loop.time()
                self._take(line, received, heard_s)
            elif self._silent_s is not None and loop.time() - heard_s >= self._silent_s:
                raise Unreachable(f"nothing heard from the nurse-call system for {self._silent_s:.0f} s")
        readings = self._waiting.popleft()
        left = [True]

        def ack() -> None:
            if left.pop() if left else False:
                _say(line, bytes([codec.ACK]))

        return Batch(self._settings.id, readings, ack)

    async def close(self) -> None:
        """Safe always; a reader that waits gets Unreachable."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _ask(self, line: Line, now_s: float) -> None:
        """Poll the panel when it is time and nobody is talking."""
        if now_s < self._talk_until_s:
            return
        if self._reply_until_s is not None and now_s >= self._reply_until_s:
            self._reply_until_s = None
            self._missed += 1
            self._kit.count("timeout")
            if self._missed >= POLLS_MISSED:
                raise Unreachable(f"station {self._panel} does not answer {POLLS_MISSED} polls")
        if self._reply_until_s is None and now_s >= self._poll_s:
            line.write(codec.enquiry(self._panel))
            self._poll_s, self._reply_until_s = now_s + POLL_S, now_s + REPLY_S

    def _next_s(self, heard_s: float) -> float | None:
        times = [] if self._silent_s is None else [heard_s + self._silent_s]
        if self._control:
            wait_s = self._reply_until_s if self._reply_until_s is not None else self._poll_s
            times.append(max(wait_s, self._talk_until_s))
        return min(times, default=None)

    def _take(self, line: Line, received: bytes, now_s: float) -> None:
        tokens, self._rest, faults = codec.split(self._rest + received)
        for _ in range(faults):
            self._kit.count("garbled")
        for token in tokens:
            if isinstance(token, Block):
                self._talk_until_s = now_s + TALK_S
                self._block(line, token)
            elif isinstance(token, Enquiry):
                self._answered()
                if token.station == self._station:
                    self._talk_until_s = now_s + TALK_S
                    _say(line, bytes([codec.ACK]))
            elif token.code == codec.EOT:
                self._answered()
                self._talk_until_s = float("-inf")

    def _answered(self) -> None:
        self._reply_until_s = None
        self._missed = 0

    def _block(self, line: Line, block: Block) -> None:
        """Bad: ask for it again. A call for us: acknowledged after the commit. Anything else: acknowledged at once."""
        if not block.good:
            self._kit.count("bad_bcc")
            _say(line, codec.TRANSMISSION_ERROR)
            return
        call = codec.call_of(block)
        readings = self._readings(call) if call is not None else ()
        if readings:
            self._waiting.append(readings)
        else:
            if call is not None:
                self._kit.count("unknown_id")
            _say(line, bytes([codec.ACK]))

    def _readings(self, call: Call) -> tuple[Reading, ...]:
        devices = self._devices.get(call.address) or self._devices.get(OTHERS) or []
        return tuple(
            self._reading(device, point, value)
            for device in devices
            for point in device.points
            if (value := _value(point, call)) is not None
        )

    def _reading(self, device: Device, point: Point, value: Value) -> Reading:
        clock = self._kit.clock
        key = PointKey(device.id, point.key)
        return Reading(
            key, value, Quality.GOOD, None, clock.wall_ms(), clock.monotonic(), None, None, point.momentary
        )  # fmt: skip


def _value(point: Point, call: Call) -> Value | None:
    """What a call says of a point; None when nothing."""
    read, reset = point.read, call.kind == codec.RESET
    wanted = read.get("priorities")
    if read.get("what") == "calling":
        return not reset if wanted is None or reset or call.priority in wanted else None
    if reset or (wanted is not None and call.priority not in wanted):
        return None
    return (call.text or call.address) if read.get("as_text") else True


def _say(line: Line, data: bytes) -> None:
    """A line that is over needs no answer: its reader learns of it."""
    if line.lost is None:
        try:
            line.write(data)
        except Unreachable:
            return
