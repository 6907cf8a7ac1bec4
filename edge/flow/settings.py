"""What the engine is told at its making, and what it knows of a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.decide.alarms import Alarm
from edge.model import Device, Place, PointKey, Recipient


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine needs of the building file.

    place: of the gateway itself, for its own alarms. actors: devices that sound or close something; their silence
    is as grave as a detector's.
    """

    gateway_id: str
    place: Place
    links: tuple[str, ...]
    devices: tuple[Device, ...]
    roster: tuple[Recipient, ...]
    ack_keys: tuple[PointKey, ...]
    has_duty_room: bool
    actors: frozenset[str]
    text: Callable[[Alarm, Recipient], tuple[str, str]]


@dataclass(slots=True)
class LinkState:
    """One link: up, down or not yet known, and since when (monotonic).

    trouble_s: since when it has not stayed up for limits.LINK_DOWN_DELAY_S; None while it never fell.
    """

    up: bool | None
    since_s: float
    why: str = ""
    trouble_s: float | None = None
