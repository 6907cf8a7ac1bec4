"""Which requests read a device's points, pure: neighbouring registers share one request, gaps are never read.

A register between two points may not exist, and some devices refuse the whole request then; so ranges are merged only
when they touch or overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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


def spans(unit: int, cells: Iterable[Cell]) -> tuple[Span, ...]:
    """The fewest requests that read all cells and no register besides, in the order of function and address."""
    found: list[Span] = []
    for cell in sorted(cells, key=lambda each: (each.fc, each.address, each.width)):
        last = found[-1] if found else None
        most = BITS_MAX if cell.fc in (READ_COILS, READ_INPUTS) else REGISTERS_MAX
        if last is not None and last.request.fc == cell.fc:
            start = last.request.address
            count = max(start + last.request.count, cell.address + cell.width) - start
            if cell.address <= start + last.request.count and count <= most:
                found[-1] = Span(Request(unit, cell.fc, start, count), (*last.cells, cell))
                continue
        found.append(Span(Request(unit, cell.fc, cell.address, cell.width), (cell,)))
    return tuple(found)


def wire_s(frame_bytes: int, baudrate: int) -> float:
    """Time that many characters take on a serial line."""
    return frame_bytes * BITS_PER_CHAR / baudrate


def quiet_s(baudrate: int) -> float:
    """The 3.5 characters of silence between frames; fixed at 1.75 ms above 19200 Bd (V1.02 §2.5.1.1)."""
    return 0.00175 if baudrate > 19200 else wire_s(7, baudrate) / 2


def rtu_cost_s(request: Request, baudrate: int) -> float:
    """Expected bus time of one exchange."""
    return wire_s(8 + 3 + request.reply_bytes, baudrate) + 2 * quiet_s(baudrate) + TURNAROUND_S
