"""OSDP readers through libosdp: we are the control panel of the bus, and no door is ever opened from here.

libosdp speaks the protocol, secure channel included; this file gives it the line, asks for the contacts in turn and
turns its events into readings. Optional: ``pip install 'linli[osdp]'``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from device_drivers.access import wiegand
from device_drivers.lines import Line, open_line
from edge.errors import Denied, Unreachable
from edge.limits import BATCH_READINGS_MAX
from edge.model import BadCause, Batch, Device, Point, PointKey, PollItem, Quality, Reading, ReadRequest, Value
from edge.ports import Kit, LinkSettings

BAUDRATE = 9600
STEP_S = 0.02
"""libosdp is given the processor at least this often, and whenever bytes come; it polls a reader every 50 ms."""
ASK_S = 10.0
"""How often contacts are asked for when the profile does not say."""
START_S = 5.0
"""A reader that has not answered this long after the start is not there."""
KEY_BYTES = 16


class OsdpDriver:
    """One RS-485 bus with its readers."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._settings, self._kit = settings, kit
        self._devices = list(devices)
        self._key = _key_of(settings.options.get("key"))
        self._line: Line | None = None
        self._panel: Any = None
        self._waiting: list[Reading] = []
        self._ask_s: list[float] = []
        self._seen: set[int] = set()
        self._opened_s = 0.0
        self._osdp: ModuleType | None = None
        self._heard = bytearray()

    @property
    def plan(self) -> Sequence[PollItem]:
        """Empty: libosdp polls, readers speak."""
        return ()

    async def open(self) -> None:
        """Open the line. Raises Unreachable, Denied (also when libosdp is not installed)."""
        await self.close()
        try:
            import osdp
        except ImportError as missing:
            raise Denied("OSDP needs the package libosdp: pip install 'linli[osdp]'") from missing
        self._osdp = osdp
        self._line = await open_line(self._settings.options, BAUDRATE)
        osdp.control_panel.osdp_sys.set_loglevel(osdp.LogLevel.Emergency)
        flags = [osdp.LibFlag.EnforceSecure] if self._key is not None else []
        self._heard = bytearray()
        channel = _channel(osdp, self._line, self._heard)
        readers = [osdp.PDInfo(int(d.address), channel, scbk=self._key, flags=flags).get() for d in self._devices]
        self._panel = osdp.control_panel.osdp_sys.ControlPanel(readers)
        self._panel.set_event_callback(self._event)
        self._opened_s = asyncio.get_running_loop().time()
        self._ask_s = [float("-inf")] * len(readers)
        self._seen.clear()
        self._waiting.clear()

    async def read(self, request: ReadRequest | None) -> Batch:
        """Wait for cards, keys and contacts. Raises Unreachable when the line is gone."""
        while not self._waiting:
            line = self._line
            if line is None or self._panel is None:
                raise Unreachable("not open")
            self._panel.refresh()
            now_s = asyncio.get_running_loop().time()
            self._look_at_readers(now_s)
            self._heard += await line.read(now_s + STEP_S)
        taken, self._waiting = tuple(self._waiting[:BATCH_READINGS_MAX]), self._waiting[BATCH_READINGS_MAX:]
        return Batch(self._settings.id, taken, lambda: None)

    async def close(self) -> None:
        """Safe always; a reader that waits gets Unreachable."""
        self._panel = None
        self._waiting.clear()
        if self._line is not None:
            self._line.close()
            self._line = None

    def _look_at_readers(self, now_s: float) -> None:
        """Ask those that are there for their contacts; those that are not have bad readings."""
        online = int(self._panel.status())
        for number, device in enumerate(self._devices):
            if now_s - self._ask_s[number] < float(device.wire.get("poll_s") or ASK_S):
                continue
            if online >> number & 1:
                self._ask_s[number] = now_s
                self._seen.add(number)
                self._ask(number, device)
            elif number in self._seen or now_s - self._opened_s >= START_S:
                self._ask_s[number] = now_s
                self._kit.count("timeout")
                states = [p for p in device.points if not p.momentary]
                self._waiting += [self._reading(device, p, None, BadCause.TIMEOUT) for p in states]

    def _ask(self, number: int, device: Device) -> None:
        assert self._osdp is not None
        kinds = self._osdp.StatusReportType
        wanted = {
            kinds.Input if p.read.get("what") == "input" else kinds.Local for p in device.points if not p.momentary
        }
        for kind in sorted(wanted):
            command = {"command": self._osdp.Command.Status, "type": kind, "nr_entries": 0, "report": b""}
            if not self._panel.submit_command(number, command):
                self._kit.count("not_asked")

    def _event(self, number: int, event: Mapping[str, Any]) -> int:
        """libosdp: a reader has something to say. Runs inside refresh()."""
        assert self._osdp is not None
        kinds, device = self._osdp.Event, self._devices[number]
        if event["event"] == kinds.CardRead:
            self._say(device, "card", card_text(int(event["length"]), bytes(event["data"])))
        elif event["event"] == kinds.KeyPress:
            self._say(device, "keypad", bytes(event["data"]).decode("latin-1"))
        elif event["event"] == kinds.Status:
            report = bytes(event["report"])
            if event["type"] == self._osdp.StatusReportType.Local:
                for at, what in enumerate(("tamper", "power")):
                    self._say(device, what, report[at : at + 1] not in (b"", b"\0"))
            elif event["type"] == self._osdp.StatusReportType.Input:
                for at, state in enumerate(report):
                    self._say(device, "input", bool(state), at)
        return 0

    def _say(self, device: Device, what: str, value: Value, number: int = 0) -> None:
        self._waiting += [
            self._reading(device, point, value)
            for point in device.points
            if point.read.get("what") == what and int(point.read.get("number", 0)) == number
        ]

    def _reading(self, device: Device, point: Point, value: Value | None, cause: BadCause | None = None) -> Reading:
        clock = self._kit.clock
        return Reading(
            PointKey(device.id, point.key),
            value,
            Quality.GOOD if cause is None else Quality.BAD,
            cause,
            clock.wall_ms(),
            clock.monotonic(),
            momentary=point.momentary,
        )


def card_text(bits: int, data: bytes) -> str:
    """A card as people name it: FACILITY-NUMBER for 26 and 34 bits with right parity, else its bits in hex."""
    text = "".join(f"{byte:08b}" for byte in data)[:bits]
    found = wiegand.of_bits(text)
    return f"{found[0]}-{found[1]}" if found is not None else f"{bits}:{data.hex().upper()}"


def _key_of(secret: object) -> bytes | None:
    """The secure channel's key. Raises ValueError when it is no 32 hex digits."""
    if secret is None:
        return None
    reveal = getattr(secret, "reveal", None)
    key = bytes.fromhex(str(reveal() if reveal is not None else secret).strip())
    if len(key) != KEY_BYTES:
        raise ValueError("the OSDP key has 32 hex digits")
    return key


def _channel(osdp: ModuleType, line: Line, heard: bytearray) -> object:
    """The line as libosdp wants it: reads of what was heard and writes, none of which waits or raises."""

    def read(self: object, size: int) -> bytes:
        some = bytes(heard[:size])
        del heard[:size]
        return some

    def write(self: object, data: bytes) -> int:
        # A line that is over is told by read(); libosdp only sees silence.
        with contextlib.suppress(Unreachable):
            line.write(bytes(data))
        return len(data)

    def flush(self: object) -> None:
        heard.clear()
        line.drain()

    kind = type("LineChannel", (osdp.Channel,), {"read": read, "write": write, "flush": flush})
    return kind()
