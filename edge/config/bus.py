"""How long a serial bus needs for one round: pure arithmetic from baud rate, read plans and timeouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from edge.model import Device

DETECT_S = 10.0
"""From a detector's change to our knowing it: the alarm shall be at the panel within 10 s (NFPA 72, GB 25506)."""
DEAD_SHARE = 0.1
"""Share of the bus that dead slaves may cost (DESIGN §4.7)."""
TURNAROUND_S = 0.02
"""What a slave takes to begin its answer; data sheets name 5 to 20 ms."""
REGISTERS_MAX, BITS_MAX = 125, 2000
"""Most registers and bits of one Modbus read."""


class Exchange(NamedTuple):
    """Bytes of one request and of its answer, as RTU frames with address and CRC."""

    sent: int
    received: int


class Load(NamedTuple):
    """A bus's worst case. detect_s: longest time until a life-safety change is read; round_s: until all are read."""

    detect_s: float
    round_s: float
    life_safety: int
    devices: int


def exchanges(wire: Mapping[str, Any]) -> list[Exchange]:
    """The reads a device's profile needs; only points that touch share one, a register between may not exist."""
    tables: dict[int, list[tuple[int, int]]] = {}
    for mapping in wire.get("points", {}).values():
        read = mapping["read"]
        start = read["coil"] if read["fc"] in (1, 2) else read["register"]
        size = 2 if read["type"] in ("u32", "s32", "f32") else 1
        tables.setdefault(read["fc"], []).append((start, start + size))
    found: list[Exchange] = []
    for function, spans in tables.items():
        most = BITS_MAX if function in (1, 2) else REGISTERS_MAX
        for count in _merged(sorted(spans), most):
            data = -(-count // 8) if function in (1, 2) else 2 * count
            found.append(Exchange(8, 5 + data))
    return found


def _merged(spans: Sequence[tuple[int, int]], most: int) -> Iterable[int]:
    start, end = spans[0]
    for low, high in spans[1:]:
        if low > end or high - start > most:
            yield end - start
            start, end = low, high
        else:
            end = max(end, high)
    yield end - start


def exchange_s(exchange: Exchange, baudrate: int, char_bits: int) -> float:
    """Time of one exchange on the wire: both frames, the silence of 3.5 characters after each, the turnaround."""
    char_s = char_bits / baudrate
    silence_s = max(3.5 * char_s, 0.00175 if baudrate > 19200 else 0.0)
    return (exchange.sent + exchange.received) * char_s + 2 * silence_s + TURNAROUND_S


def load(devices: Sequence[Device], baudrate: int, parity: str, stopbits: int, timeout_s: float) -> Load:
    """The worst case of a bus: every device due at once, dead slaves taking their share, one timeout under way."""
    char_bits = 9 + stopbits + (parity != "N")
    vital = round_s = 0.0
    for device in devices:
        cost_s = sum(exchange_s(e, baudrate, char_bits) for e in exchanges(device.wire))
        round_s += cost_s
        vital += cost_s if device.life_safety else 0.0
    alive = 1.0 - DEAD_SHARE
    count = sum(d.life_safety for d in devices)
    return Load(vital / alive + timeout_s, round_s / alive + timeout_s, count, len(devices))
