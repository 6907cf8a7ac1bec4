"""Which requests read a device's points, pure: neighbouring registers share one request.

A register between two points may not exist, and some devices refuse the whole request then; so ranges are merged only
when they touch, unless the profile allows a gap, and never across a range that it calls illegal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from device_drivers.modbus.decode import Cell
from device_drivers.modbus.pdu import BITS_MAX, READ_COILS, READ_INPUTS, REGISTERS_MAX, Request

BITS_PER_CHAR = 11
"""Start, 8 data, parity or second stop, stop (Modbus over Serial Line V1.02 §2.5.1)."""
TURNAROUND_S = 0.015
"""What a usual slave takes to begin its reply; for the expected cost only."""


@dataclass(frozen=True, slots=True)
class Span:
    """One request and the points its reply carries."""

    request: Request
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a profile allows one request: unused registers read along, ranges never asked for, most registers."""

    gap: int = 0
    illegal: tuple[tuple[int, int], ...] = ()
    registers: int = REGISTERS_MAX

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Limits:
        """From a profile's wire part (device_drivers/profiles/modbus_form.py: ModbusWire)."""
        illegal = tuple((int(first), int(last)) for first, last in wire.get("illegal", ()))
        return cls(int(wire.get("gap", 0)), illegal, int(wire.get("max_registers") or REGISTERS_MAX))

    def allow(self, start: int, end: int) -> bool:
        """True when no register from start to before end is illegal."""
        return not any(first < end and start <= last for first, last in self.illegal)


def spans(unit: int, cells: Iterable[Cell], limits: Limits | None = None) -> tuple[Span, ...]:
    """The fewest requests that read all cells within the limits, in the order of function and address.

    Raises ValueError for a cell that the limits forbid: it could never be read.
    """
    limits = limits or Limits()
    found: list[Span] = []
    for cell in sorted(cells, key=lambda each: (each.fc, each.address, each.width)):
        if not limits.allow(cell.address, cell.address + cell.width):
            raise ValueError(f"point {cell.point.key}: its registers are in a range that the profile calls illegal")
        last = found[-1] if found else None
        most = BITS_MAX if cell.fc in (READ_COILS, READ_INPUTS) else limits.registers
        if last is not None and last.request.fc == cell.fc:
            start = last.request.address
            end = start + last.request.count
            count = max(end, cell.address + cell.width) - start
            if cell.address <= end + limits.gap and count <= most and limits.allow(start, start + count):
                found[-1] = Span(Request(unit, cell.fc, start, count), (*last.cells, cell))
                continue
        found.append(Span(Request(unit, cell.fc, cell.address, cell.width), (cell,)))
    return tuple(found)


def wire_s(frame_bytes: int, baudrate: int) -> float:
    """Time that many characters take on a serial line."""
    return frame_bytes * BITS_PER_CHAR / baudrate


def quiet_s(baudrate: int, bits_per_char: float = BITS_PER_CHAR) -> float:
    """The 3.5 characters of silence between frames; fixed at 1.75 ms above 19200 Bd (V1.02 §2.5.1.1)."""
    return 0.00175 if baudrate > 19200 else 3.5 * bits_per_char / baudrate


def rtu_cost_s(request: Request, baudrate: int) -> float:
    """Expected bus time of one exchange."""
    return wire_s(8 + 3 + request.reply_bytes, baudrate) + 2 * quiet_s(baudrate) + TURNAROUND_S
