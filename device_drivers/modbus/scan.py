"""Find slaves and guess what they are. Reads only; one harmless request for each address.

A slave's late answer names its own address, so the next request need not wait for the quiet that a value would need;
whoever was heard is asked once more before it counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from device_drivers.modbus import pdu
from device_drivers.modbus.decode import cell, value_of
from device_drivers.modbus.pdu import Answer, Data, Refusal, Request
from device_drivers.modbus.plan import Limits, spans
from device_drivers.profiles import Profile
from edge.model import BadCause

UNIT_MAX = 247
"""Highest unit number of the standard; a few devices leave the factory with a higher one."""
SCAN_S = 30.0
"""What one round over all addresses may take."""
PING_S_MIN, PING_S_MAX = 0.04, 0.08
"""How long one address is listened to, beside the time of the frames."""
CONFIRM_S = 0.3
"""Whoever was heard once is waited for this long, so that a slow slave or a busy machine loses nobody."""
NOT_THERE = frozenset({10, 11})
"""A gateway's own word that nobody answers behind it (V1.1b3 §7)."""
GUESSES_MAX = 3


class SerialSettings(NamedTuple):
    """How a bus speaks."""

    baudrate: int
    parity: str
    stopbits: int

    def __str__(self) -> str:
        return f"{self.baudrate} 8{self.parity}{self.stopbits}"


LIKELY = tuple(
    SerialSettings(*each)
    for each in (
        (9600, "N", 1), (9600, "E", 1), (4800, "N", 1), (19200, "N", 1), (19200, "E", 1), (2400, "E", 1),
        (38400, "N", 1), (115200, "N", 1), (57600, "N", 1), (9600, "O", 1), (9600, "N", 2), (2400, "N", 1),
    )
)  # fmt: skip
"""Serial settings in the order in which devices of buildings have them (reference/standards.md §5)."""


class Pings(Protocol):
    """What a scan needs of a bus or host."""

    async def ping(self, unit: int, wait_s: float) -> frozenset[int]:
        """Ask one unit; the units heard meanwhile. Raises Unreachable."""
        ...

    def frames_s(self, request: Request) -> float:
        """Time both frames take on the wire."""
        ...


def ping_request(unit: int) -> Request:
    """Holding register 0: whoever has none answers with an exception, which is an answer too."""
    return Request(unit, pdu.READ_HOLDING, 0)


def ping_s(frames_s: float, units: int) -> float:
    """How long to listen for one unit so that all are through in time."""
    return min(PING_S_MAX, max(PING_S_MIN, SCAN_S / max(units, 1) - 1.5 * frames_s))


async def find_units(wire: Pings, units: Sequence[int], say: Callable[[int], None] | None = None) -> list[int]:
    """Units that answer, each heard at least twice. say: told each unit before it is asked. Raises Unreachable."""
    wait_s = ping_s(wire.frames_s(ping_request(1)), len(units))
    heard: set[int] = set()
    for unit in units:
        if say is not None:
            say(unit)
        heard |= await wire.ping(unit, wait_s)
    sure: list[int] = []
    for unit in sorted(heard):
        for _ in range(2):
            if unit in await wire.ping(unit, CONFIRM_S):
                sure.append(unit)
                break
    return sure


def units_in(received: bytes) -> frozenset[int]:
    """Units whose answer to a ping is somewhere in these bytes of a serial line; both its lengths are known."""
    found = set()
    for start in range(len(received) - 4):
        for fc, length in ((pdu.READ_HOLDING, 7), (pdu.READ_HOLDING | 0x80, 5)):
            frame = received[start : start + length]
            if len(frame) == length and frame[1] == fc and pdu.crc16(frame[:-2]) == frame[-2:]:
                found.add(frame[0])
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Guess:
    """A profile that fits what a slave answers. weight: how much speaks for it."""

    profile: str
    weight: float


async def guess(
    ask: Callable[[Request], Awaitable[Answer | None]],
    unit: int,
    profiles: Mapping[str, Profile],
    settings: SerialSettings | None = None,
) -> list[Guess]:
    """Profiles whose whole map this slave answers with sensible values, the likeliest first. Raises Unreachable."""
    seen: dict[Request, Answer | None] = {}

    async def answer(request: Request) -> Answer | None:
        if request not in seen:
            seen[request] = await ask(request)
        return seen[request]

    found: list[Guess] = []
    for name, profile in sorted(profiles.items()):
        if profile.link != "modbus":
            continue
        weight = 0.0
        for span in spans(unit, (cell(p) for p in profile.points if p.read), Limits.of(profile.wire)):
            said = await answer(span.request)
            values = (
                [value_of(c, span.request.address, said.data) for c in span.cells] if isinstance(said, Data) else []
            )
            if not values or any(isinstance(value, BadCause) for value in values):
                weight = -1.0
                break
            # A zero fits everything; a number inside a range that could be left speaks for the profile.
            weight += sum(2.0 if value not in (0, False) else 0.5 for value in values)
        if weight > 0:
            found.append(Guess(name, weight + _factory(profile, unit, settings)))
    return sorted(found, key=lambda each: (-each.weight, each.profile))[:GUESSES_MAX]


def _factory(profile: Profile, unit: int, settings: SerialSettings | None) -> float:
    """What its factory settings add: few devices are ever changed."""
    wire = profile.wire
    same = wire.get("unit") == unit
    if settings is not None and wire.get("baudrate") is not None:
        same = same + (wire["baudrate"] == settings.baudrate and wire.get("parity", "N") == settings.parity)
    return float(same)


def is_there(answer: Answer | None) -> bool:
    """Somebody answered; a gateway's word that nobody does is no answer."""
    return isinstance(answer, Data) or (isinstance(answer, Refusal) and answer.code not in NOT_THERE)


def all_units(profiles: Iterable[Profile]) -> list[int]:
    """The numbers of the standard, then those above it that a device leaves the factory with."""
    above = {int(p.wire["unit"]) for p in profiles if p.link == "modbus" and (p.wire.get("unit") or 0) > UNIT_MAX}
    return [*range(1, UNIT_MAX + 1), *sorted(above)]
