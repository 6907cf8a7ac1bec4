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
DEAD_BORNE = 2
"""Slaves that may die at the same moment without an alarm being seen too late."""
BUS_KINDS = ("modbus-rtu", "modbus-rtu-tcp")
"""Links on which one slave waits for another."""
CLEAN_S = 0.15
"""Quiet, drain, reopen and canary after a missing answer (device_drivers/modbus/wire.py)."""
BAUD_RATES = (9600, 19200, 38400, 57600, 115200)
"""Speeds that devices of buildings take."""
REGISTERS_MAX, BITS_MAX = 125, 2000
"""Most registers and bits of one Modbus read."""


class Exchange(NamedTuple):
    """Bytes of one request and of its answer, as RTU frames with address and CRC."""

    sent: int
    received: int


class Load(NamedTuple):
    """A bus's worst case. detect_s: longest time until a life-safety change is read; round_s: until all are read.

    dead_s: the same as detect_s when ``dead`` of its slaves have just stopped answering and are still being tried.
    """

    detect_s: float
    round_s: float
    life_safety: int
    devices: int
    dead: int = 0
    dead_s: float = 0.0


def exchanges(wire: Mapping[str, Any]) -> list[Exchange]:
    """The reads a device's profile needs, by the rules of its driver: gaps and illegal ranges are the profile's."""
    tables: dict[int, list[tuple[int, int]]] = {}
    for mapping in wire.get("points", {}).values():
        read = mapping.get("read")
        if not read:
            continue
        start = read["coil"] if read["fc"] in (1, 2) else read["register"]
        size = 2 if read["type"] in ("u32", "s32", "f32") else 1
        tables.setdefault(read["fc"], []).append((start, start + size))
    found: list[Exchange] = []
    for function, spans in tables.items():
        most = BITS_MAX if function in (1, 2) else wire.get("max_registers") or REGISTERS_MAX
        for count in _merged(sorted(spans), most, wire):
            data = -(-count // 8) if function in (1, 2) else 2 * count
            found.append(Exchange(8, 5 + data))
    return found


def _merged(spans: Sequence[tuple[int, int]], most: int, wire: Mapping[str, Any]) -> Iterable[int]:
    gap, illegal = wire.get("gap", 0), wire.get("illegal", ())
    start, end = spans[0]
    for low, high in spans[1:]:
        across = any(first < high and start <= last for first, last in illegal)
        if low > end + gap or max(end, high) - start > most or across:
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


def load(devices: Sequence[Device], baudrate: int, parity: str, stopbits: int, timeout_s: float, dead: int = 0) -> Load:
    """The worst case of a bus: every device due at once, dead slaves taking their share, one timeout under way."""
    char_bits = 9 + stopbits + (parity != "N")
    vital = round_s = 0.0
    requests: list[int] = []
    for device in devices:
        plan = exchanges(device.wire)
        cost_s = sum(exchange_s(e, baudrate, char_bits) for e in plan)
        round_s += cost_s
        vital += cost_s if device.life_safety else 0.0
        requests.append(len(plan))
    alive = 1.0 - DEAD_SHARE
    count = sum(d.life_safety for d in devices)
    # Until a slave counts as dead, each of its requests is waited out once a round, outside the share of the dead.
    dying_s = sum(sorted(requests)[-dead:]) * (timeout_s + CLEAN_S) if dead else 0.0
    detect_s = vital / alive + timeout_s
    return Load(detect_s, round_s / alive + timeout_s, count, len(devices), dead, detect_s + dying_s)


def what_helps(
    devices: Sequence[Device], baudrate: int, parity: str, stopbits: int, timeout_s: float, limit_s: float
) -> tuple[int | None, int]:
    """What would help a bus that is too slow: the lowest baud rate that is fast enough, and how many devices to move.

    None: no baud rate is. The number of devices is that at the present speed, life-safety devices counted.
    """
    quick = next(
        (b for b in BAUD_RATES if b > baudrate and load(devices, b, parity, stopbits, timeout_s).detect_s <= limit_s),
        None,
    )
    stay = list(devices)
    while stay and load(stay, baudrate, parity, stopbits, timeout_s).detect_s > limit_s:
        stay.pop(next(i for i, device in reversed(list(enumerate(stay))) if device.life_safety))
    return quick, len(devices) - len(stay)
