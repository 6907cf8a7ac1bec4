"""Which topic carries which points of which devices, pure. Found by exact topic: one topic may serve many devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.model import Device, Point


@dataclass(slots=True)
class Topic:
    """All that hangs on one topic. available: devices of which it says whether they are there."""

    points: list[tuple[Device, Point]] = field(default_factory=list)
    available: list[Device] = field(default_factory=list)


def topic_of(address: str, suffix: str) -> str:
    """The full topic: ``""`` is the address itself, ``../X`` its sibling X, anything else lies below it."""
    if suffix.startswith("../"):
        parent, _, _ = address.rpartition("/")
        return f"{parent}/{suffix[3:]}" if parent else suffix[3:]
    return f"{address}/{suffix}" if suffix else address


def topics_of(devices: Sequence[Device]) -> dict[str, Topic]:
    """Everything to subscribe to. Raises ValueError for an address that cannot be a topic."""
    found: dict[str, Topic] = {}
    for device in devices:
        if not device.address or any(letter in device.address for letter in "+#\0"):
            raise ValueError(f"device {device.id}: {device.address!r} is no topic (no + # in it)")
        for point in device.points:
            if point.read:
                topic = topic_of(device.address, str(point.read.get("topic", "")))
                found.setdefault(topic, Topic()).points.append((device, point))
        availability = device.wire.get("availability")
        if availability:
            topic = topic_of(device.address, str(availability["topic"]))
            found.setdefault(topic, Topic()).available.append(device)
    return found
