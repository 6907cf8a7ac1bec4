"""Which device of the building file an information object is about, and what its points read from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from device_drivers.gbt26875 import codec
from device_drivers.gbt26875.codec import Item
from edge.model import BadCause, Device, Point, Value

UNLISTED_MAX = 4096
"""Components not in the file whose last state is remembered, so that repeating it rings nobody."""

FIRE_BIT = 1
"""The bit that means fire, or gas for a gas detector; the others mean the same for both."""


class Address(NamedTuple):
    """source: the transmission device. system: (type, number). component: its address; None: the thing above it."""

    source: int
    system: tuple[int, int] | None = None
    component: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """``SOURCE[/TYPE.NUMBER[/COMPONENT]]``. Raises ValueError."""
        source, _, rest = text.partition("/")
        system, _, component = rest.partition("/")
        if not rest:
            return cls(int(source))
        kind, _, number = system.partition(".")
        return cls(int(source), (int(kind), int(number)), int(component) if component else None)


class Found(NamedTuple):
    """What one point shows. value None: bad with the cause."""

    device: Device
    point: Point
    value: Value | None
    cause: BadCause | None = None


class Book:
    """The devices of one link. Raises ValueError for an address that is none."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self.at: dict[Address, Device] = {}
        for device in devices:
            try:
                self.at[Address.parse(device.address)] = device
            except ValueError as fault:
                raise ValueError(f"device {device.id}: {device.address!r} is no address ({fault})") from fault
        self.sources = {address.source for address in self.at}
        self._unlisted: dict[tuple[Address, int], int] = {}

    def of(self, source: int) -> Iterator[tuple[Address, Device]]:
        """Everything behind one transmission device."""
        return ((address, device) for address, device in self.at.items() if address.source == source)

    def read(self, source: int, item: Item) -> list[Found]:
        """What an object says of our points; nothing when nobody asks for it."""
        address = Address(source, item.system, item.component[1] if item.component else None)
        device = self.at.get(address)
        if device is None or (item.component is not None and not _fits(device, item.component[0])):
            found = [] if device is None else _wrong(device)
            return found + (self._unlisted_item(address, item) if item.what == codec.COMPONENT_STATE else [])
        return [Found(device, point, value) for point in device.points if (value := _value(point, item)) is not None]

    def _unlisted_item(self, address: Address, item: Item) -> list[Found]:
        """A component that nobody entered: its alarms go to its system or transmission device, each once."""
        assert item.component is not None
        key = (address, item.component[0])
        new = item.value & ~self._unlisted.get(key, 0)
        if len(self._unlisted) >= UNLISTED_MAX and key not in self._unlisted:
            self._unlisted.pop(next(iter(self._unlisted)))
        self._unlisted[key] = item.value
        gas = item.component[0] in codec.GAS_COMPONENTS
        words = item.text or f"{item.component[0]}/{item.component[1]}"
        for above in (Address(address.source, address.system), Address(address.source)):
            device = self.at.get(above)
            points = [p for p in device.points if p.read.get("unlisted") is not None] if device else []
            if device is not None and points:
                return [
                    Found(device, p, words)
                    for p in points
                    if new >> int(p.read["unlisted"]) & 1
                    and (p.read["unlisted"] != FIRE_BIT or bool(p.read.get("gas")) == gas)
                ]
        return []


def _fits(device: Device, component_type: int) -> bool:
    types = device.wire.get("types")
    return types is None or component_type in types


def _wrong(device: Device) -> list[Found]:
    return [Found(device, p, None, BadCause.WRONG_TYPE) for p in device.points if not p.momentary]


def _value(point: Point, item: Item) -> Value | None:
    read: Mapping[str, Any] = point.read
    if item.what == codec.ANALOG:
        if read.get("analog") != item.kind:
            return None
        return round(item.value * codec.ANALOG_SCALES.get(item.kind, 1), 2)
    if item.what in (codec.OPERATION, codec.DEVICE_OPERATION):
        bit = read.get("operation")
        return f"operator {item.text}" if bit is not None and item.value >> int(bit) & 1 else None
    bit = read.get("state")
    return None if bit is None else bool(item.value >> int(bit) & 1) != bool(read.get("invert"))
