"""From a point's write mapping and a value to the requests that set it, and what must then be read back. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_drivers.modbus import pdu
from device_drivers.modbus.decode import FORMATS, ordered
from device_drivers.modbus.pdu import Request
from edge.model import Value


@dataclass(frozen=True, slots=True)
class Setting:
    """steps: sent in order, each must be confirmed. back: read afterwards, None when nothing shows whether it took.

    wanted: what the data of ``back`` must be; of coils only the lowest bit counts. With fc 23 the last step reads too.
    """

    steps: tuple[Request, ...]
    back: Request | None
    wanted: bytes

    def shown(self, data: bytes) -> bool:
        """What was read back is what was set."""
        if self.back is not None and self.back.fc == pdu.READ_COILS:
            # Bits after the one asked for are padding, which some devices do not keep at zero.
            return data[:1] != b"" and bool(data[0] & 1) == bool(self.wanted[0] & 1)
        return data == self.wanted


def setting(unit: int, how: Mapping[str, Any], value: Value) -> Setting:
    """How to set a point; how: its write mapping (device_drivers/profiles/modbus_form.py: ModbusWrite).

    Raises ValueError for a value that the point never takes.
    """
    fc = int(how["fc"])
    if how.get("off", False) is None and value is not True:
        raise ValueError(f"is never set to {value} by the gateway")
    before = tuple(Request(unit, pdu.WRITE_REGISTER, int(u["register"]), value=int(u["value"])) for u in _unlock(how))
    if fc in (pdu.WRITE_COIL, pdu.WRITE_COILS):
        return _coil(unit, how, value, before)
    address = int(how["register"])
    data = _registers(how, value)
    count = len(data) // 2
    back = Request(unit, pdu.READ_HOLDING, address, count) if how.get("read_back", True) else None
    if fc == pdu.WRITE_REGISTER:
        step = Request(unit, fc, address, value=int.from_bytes(data, "big"))
    elif fc == pdu.WRITE_REGISTERS:
        step = Request(unit, fc, address, count, data=data)
    else:
        step = Request(unit, fc, address, count, data=data, write_address=address)
    return Setting((*before, step), back, data)


def _unlock(how: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(how.get("unlock", ()))


def _coil(unit: int, how: Mapping[str, Any], value: Value, before: tuple[Request, ...]) -> Setting:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} cannot be written: a coil is true or false")
    state = bool(how.get("on", True) if value else how.get("off", False))
    fc, address = int(how["fc"]), int(how["coil"])
    if fc == pdu.WRITE_COIL:
        step = Request(unit, fc, address, value=0xFF00 if state else 0)
    else:
        step = Request(unit, fc, address, data=bytes([state]))
    back = Request(unit, pdu.READ_COILS, address) if how.get("read_back", True) else None
    return Setting((*before, step), back, bytes([state]))


def _registers(how: Mapping[str, Any], value: Value) -> bytes:
    """The registers as they go on the wire. true and false are the profile's own raw numbers, without its scale."""
    kind = str(how.get("type", "u16"))
    if isinstance(value, str):
        raise ValueError(f"{value!r} cannot be written: a register takes numbers")
    if isinstance(value, bool):
        raw: float = int(how.get("on", True) if value else how.get("off", False))
    else:
        raw = value / float(how.get("scale", 1.0))
    if not math.isfinite(raw):
        raise ValueError(f"{value!r} cannot be written")
    try:
        data = struct.pack(FORMATS[kind], raw if kind == "f32" else round(raw))
    except (struct.error, OverflowError) as fault:
        raise ValueError(f"{value} does not fit a {kind} register") from fault
    return ordered(data, str(how.get("order", "ABCD")))
