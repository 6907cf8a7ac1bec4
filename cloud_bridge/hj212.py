"""HJ 212-2017 over TCP to an environment platform: real-time air values (CN 2011), each until it is answered.

``##`` length (4 decimal) data CRC (4 hex) ``CR LF``; data is ``QN=…;ST=…;CN=…;PW=…;MN=…;Flag=5;CP=&&…&&``. Only what
the building file names is sent, and only what can be trusted: a bad value has the flag D (broken), never a number.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cloud_bridge.tcp import TcpLink
from cloud_bridge.uplink import Reconnect, UplinkKit, tls_of
from edge.errors import Garbled, Unreachable
from edge.model import AlarmEvent, Quality

log = logging.getLogger(__name__)

REAL_TIME, ANSWER = "2011", "9014"
NEEDS_ANSWER = 5
"""Flag: version 1 of the protocol (bits 2–7), and bit 0: an answer is wanted."""
ANSWER_S, TRIES = 10.0, 3
FRAME_BYTES_MAX = 1024 + 12
GOOD, BROKEN = "N", "D"


@dataclass(frozen=True, slots=True)
class Hj212Settings:
    """One platform. mn: our number there. factors: its code per point name."""

    addresses: Sequence[tuple[str, int]]
    mn: str
    password: str
    factors: Mapping[str, str]
    system: str = "22"
    every_s: float = 60.0
    tls: Callable[[], ssl.SSLContext] | None = None


def crc(data: bytes) -> str:
    """The standard's own checksum: like Modbus, but the low byte of the register is dropped at each step."""
    value = 0xFFFF
    for byte in data:
        value = (value >> 8) ^ byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return f"{value:04X}"


def encode(text: str) -> bytes:
    """A data segment as a frame. Raises ValueError above 9,999 bytes."""
    raw = text.encode("ascii")
    if len(raw) > 9999:
        raise ValueError("a data segment has at most 9,999 bytes")
    return b"##%04d%s%s\r\n" % (len(raw), raw, crc(raw).encode())


def decode(frame: bytes) -> dict[str, str]:
    """The fields of a frame, CP's among them. Raises Garbled."""
    if not frame.startswith(b"##") or not frame[2:6].isdigit():
        raise Garbled("no frame of HJ 212")
    size = int(frame[2:6])
    raw = frame[6 : 6 + size]
    if len(raw) != size or frame[6 + size :].rstrip() != crc(raw).encode():
        raise Garbled("wrong length or checksum")
    text = raw.decode("ascii", "replace").replace("CP=&&", "").replace("&&", "")
    return dict(pair.partition("=")[::2] for pair in text.replace(",", ";").split(";") if "=" in pair)


def real_time(settings: Hj212Settings, at: datetime, values: Mapping[str, float | None]) -> tuple[str, str]:
    """QN and data segment of one report. values: code → number, None for one that cannot be trusted."""
    qn = f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}"
    parts = [
        f"{code}-Rtd={value:g},{code}-Flag={GOOD}" if value is not None else f"{code}-Flag={BROKEN}"
        for code, value in sorted(values.items())
    ]
    content = ";".join((f"DataTime={at:%Y%m%d%H%M%S}", *parts))
    head = f"QN={qn};ST={settings.system};CN={REAL_TIME};PW={settings.password};MN={settings.mn};Flag={NEEDS_ANSWER}"
    return qn, f"{head};CP=&&{content}&&"


class Hj212Link:
    """Runs until cancelled. Event loop thread only. What nobody could be told is not told later: it is air."""

    def __init__(self, settings: Hj212Settings, kit: UplinkKit) -> None:
        self._settings, self._kit = settings, kit
        self._tcp = TcpLink(settings.addresses, settings.tls)
        self._reconnect = Reconnect("environment platform (HJ 212)", kit.clock, kit.count)
        self._zone = ZoneInfo(kit.timezone)

    @property
    def connected(self) -> bool:
        """The platform has answered on this connection."""
        return self._reconnect.connected

    @property
    def why(self) -> str:
        """Why it is not connected."""
        return self._reconnect.why

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """Alarms have no place in this protocol."""

    async def run(self) -> None:
        """Connect and report, for ever."""
        await self._reconnect.keep(self._once)

    async def _once(self) -> None:
        try:
            await self._tcp.open()
            while True:
                values = self.values()
                if values:
                    await self._say(values)
                    self._reconnect.up()
                await self._kit.clock.sleep(self._settings.every_s)
        finally:
            self._tcp.close()

    def values(self) -> dict[str, float | None]:
        """The mean over all devices of each code; None when none of them can be trusted."""
        known: dict[str, list[float]] = {}
        for point in self._kit.points():
            code = self._settings.factors.get(point.point)
            if code is not None:
                numbers = known.setdefault(code, [])
                if point.quality is Quality.GOOD and isinstance(point.value, int | float):
                    numbers.append(float(point.value))
        return {code: round(sum(found) / len(found), 4) if found else None for code, found in known.items()}

    async def _say(self, values: Mapping[str, float | None]) -> None:
        at = datetime.fromtimestamp(self._kit.clock.wall_ms() / 1000, self._zone)
        qn, text = real_time(self._settings, at, values)
        frame = encode(text)
        for _ in range(TRIES):
            await self._tcp.send(frame)
            if await self._answered(qn):
                return
            self._kit.count("no_answer")
        self._tcp.turn()
        raise Unreachable(f"no answer after {TRIES} sendings")

    async def _answered(self, qn: str) -> bool:
        """Whether 9014 with our QN came in time; anything else is passed over."""
        heard = b""
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    heard += await self._tcp.some()
                    while b"\r\n" in heard:
                        frame, _, heard = heard.partition(b"\r\n")
                        try:
                            fields = decode(frame)
                        except Garbled:
                            self._kit.count("garbled")
                            continue
                        if fields.get("CN") == ANSWER and fields.get("QN") == qn:
                            return True
                        self._kit.count("unknown_request")
                    if len(heard) > FRAME_BYTES_MAX:
                        raise Unreachable("the platform sends what is no frame")
        except TimeoutError:
            return False


async def make(options: Mapping[str, Any], kit: UplinkKit) -> Hj212Link:
    """From the building file."""
    names = ("addresses", "mn", "factors", "system", "every_s")
    tls = tls_of(options, kit.clock)
    given = {name: options[name] for name in names}
    return Hj212Link(Hj212Settings(**given, password="".join(options["password"]), tls=tls), kit)
