"""Devices, where they are, what of them is judged, and what they sound or set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge.model.classes import CLASSES, AlarmClass
from edge.model.readings import PointKey, Value


@dataclass(frozen=True, slots=True)
class Place:
    """小区›楼›单元›层›户›房间. Floor is the storey's number, -1 for B1; text replaces the parts for people."""

    community: str | None = None
    building: str | None = None
    unit: str | None = None
    floor: int | None = None
    household: str | None = None
    room: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A thing a profile's device measures or lets us set.

    read: how the driver finds it on the wire (its own schema, see device_drivers/profiles/schema.py).
    writable: a driver with the ``Writer`` ability may set it. low/high: valid range, outside is bad quality.
    momentary: readings are events (a press), never a state. deadband: change in value worth writing down.
    """

    key: str
    unit: str | None = None
    read: Mapping[str, Any] = field(default_factory=dict)
    writable: bool = False
    low: float | None = None
    high: float | None = None
    momentary: bool = False
    deadband: float = 0.0


class RuleKind(StrEnum):
    """How a rule judges a point."""

    STATE = "state"
    THRESHOLD = "threshold"
    PRESS = "press"
    RATE = "rate"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a point's readings mean an alarm.

    state: condition is on while value == on_value. threshold: on at value >= limit (or <= when below),
    off again past the deadband; must hold on_delay_s, and be gone for off_delay_s. press: each momentary reading is
    a cause of its own. rate: rose (or fell, when below) by limit within window_s. stuck: the same value for window_s.
    priority: None takes the class's default. Several rules of one class on one device are levels of one alarm.
    """

    id: str
    point: str
    alarm_class: AlarmClass
    kind: RuleKind
    priority: int | None = None
    on_value: Value = True
    limit: float = 0.0
    below: bool = False
    deadband: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    window_s: float = 0.0

    @property
    def level(self) -> int:
        """Priority in force, 1 (urgent) … 4."""
        return self.priority if self.priority is not None else CLASSES[self.alarm_class].priority


@dataclass(frozen=True, slots=True)
class Device:
    """A profile on a link at a place. address is the link's own way to name it.

    supervise_s: longest silence before device.offline; None for devices that cannot be supervised (one-way radio).
    wire: the profile's protocol part, read by the driver only.
    """

    id: str
    profile: str
    link: str
    address: str
    place: Place
    points: tuple[Point, ...]
    rules: tuple[Rule, ...]
    supervise_s: float | None
    wire: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "device"
    """Device class for people and summaries: smoke, gas, call_button, bin, door, relay, air, meter, …"""

    def is_command(self, point: str) -> bool:
        """The point is only ever set: its profile reads nothing there, so it never has a value."""
        mapping = self.wire.get("points", {}).get(point)
        return bool(mapping) and not mapping.get("read")

    @property
    def life_safety(self) -> bool:
        """True when any rule of the device is of a life-safety class."""
        return any(CLASSES[r.alarm_class].life_safety for r in self.rules)


class SounderStart(StrEnum):
    """When a sounder starts: with the alarm, or when the gateway's own ladder starts."""

    AT_ONCE = "at_once"
    LADDER = "ladder"


@dataclass(frozen=True, slots=True)
class Sounder:
    """The annunciator at the guard's post for these classes, until acknowledged. Never the evacuation sounder."""

    point: PointKey
    classes: tuple[AlarmClass, ...]
    start: SounderStart = SounderStart.AT_ONCE


@dataclass(frozen=True, slots=True)
class Linkage:
    """What is set when an alarm of these classes is this urgent or more, e.g. close the gas valve.

    triggers: how many devices must be in alarm at the same time (2: GB 50116 §4.1.6, two independent triggers).
    """

    point: PointKey
    value: Value
    classes: tuple[AlarmClass, ...]
    priority: int = 1
    triggers: int = 1
