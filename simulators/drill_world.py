"""The drill's building: a few devices of every kind, what really happens to them, and the people around."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.model import (
    AlarmClass,
    Condition,
    Delivered,
    Device,
    Notice,
    Outcome,
    Person,
    Place,
    Point,
    PointKey,
    Recipient,
    Rule,
    RuleKind,
    Sounder,
    SounderStart,
    TryLater,
    Value,
    Via,
)
from edge.ports import Clockwork
from simulators.link import Bus, Sent, Session

SUPERVISE_S = 20.0
HOUSE = Place("新盛", "12", "1", 3, "301")
HORN = PointKey("relay", "horn")
KEY = PointKey("relay", "ack_key")
LI = Person("li", "李四", Via.CONSOLE)
ROSTER = (
    Recipient("li", "李四", "grid_worker", ("phone://li",)),
    Recipient("wang", "王芳", "chief", ("phone://wang",)),
)
SOUNDERS = (
    Sounder(HORN, (AlarmClass.FIRE_SMOKE, AlarmClass.GAS_COMBUSTIBLE)),
    Sounder(HORN, (AlarmClass.SOS_CALL, AlarmClass.DUTY_ROOM_UNHEARD), SounderStart.LADDER),
)


def _smoke(ident: str, link: str) -> Device:
    rules = (
        Rule("smoke", "smoke", AlarmClass.FIRE_SMOKE, RuleKind.STATE),
        Rule("fault", "fault", AlarmClass.DEVICE_FAULT, RuleKind.STATE),
    )
    supervise_s = SUPERVISE_S if link == "bus" else None
    return Device(ident, "drill/smoke", link, ident, HOUSE, (Point("smoke"), Point("fault")), rules, supervise_s)


def _gas(ident: str) -> Device:
    rules = (
        Rule("low", "lel", AlarmClass.GAS_COMBUSTIBLE, RuleKind.THRESHOLD, priority=2, limit=10, deadband=1),
        Rule(
            "high",
            "lel",
            AlarmClass.GAS_COMBUSTIBLE,
            RuleKind.THRESHOLD,
            priority=1,
            limit=25,
            deadband=1,
            on_delay_s=3,
        ),
    )
    return Device(ident, "drill/gas", "bus", ident, HOUSE, (Point("lel", "%LEL"),), rules, SUPERVISE_S)


def _button(ident: str) -> Device:
    rules = (Rule("press", "press", AlarmClass.SOS_CALL, RuleKind.PRESS),)
    return Device(ident, "drill/button", "radio", ident, HOUSE, (Point("press", momentary=True),), rules, None)


DEVICES: tuple[Device, ...] = (
    _smoke("s1", "bus"),
    _smoke("s2", "bus"),
    _gas("g1"),
    _smoke("z1", "radio"),
    _button("b1"),
    _button("b2"),
    Device("relay", "drill/relay", "relays", "1", HOUSE, (Point("horn", writable=True), Point("ack_key")), (), 60.0),
)


def condition(on: bool) -> Condition:
    """What a rule should say."""
    return Condition.ON if on else Condition.OFF


def text(alarm: Any, person: Recipient) -> tuple[str, str]:
    """What people are told."""
    return f"{alarm.alarm_class}", f"{alarm.alarm_id} for {person.name}"


def ignore(_: str) -> None:
    """Rejected input is not counted in a drill."""


@dataclass(slots=True)
class Truth:
    """What really is, and since when (virtual seconds)."""

    values: dict[PointKey, Value] = field(default_factory=dict)
    since_s: dict[PointKey, float] = field(default_factory=dict)

    def set(self, key: PointKey, value: Value, now_s: float) -> None:
        """Something happens."""
        if self.values[key] != value:
            self.values[key] = value
            self.since_s[key] = now_s

    def read(self, key: PointKey) -> Value:
        """What a perfect sensor would say."""
        return self.values[key]


def normal() -> Truth:
    """A quiet building."""
    truth = Truth()
    for device in DEVICES:
        for point in device.points:
            if not point.momentary:
                truth.values[PointKey(device.id, point.key)] = 0.0 if point.key == "lel" else False
                truth.since_s[PointKey(device.id, point.key)] = 0.0
    return truth


@dataclass(slots=True)
class Phone:
    """edge.ports.Channel: people's phones. told keeps every notice handed over, with its time."""

    rng: random.Random
    clock: Clockwork
    faults: bool = True
    told: list[tuple[float, Notice]] = field(default_factory=list)

    async def deliver(self, notice: Notice) -> Outcome:
        """The service takes it, or not now."""
        await self.clock.sleep(0.2)
        if self.faults and self.rng.random() < 0.3:
            return TryLater("no network")
        self.told.append((self.clock.monotonic(), notice))
        return Delivered("handed to the service")


@dataclass(slots=True)
class Presses:
    """Every press of a button and what its transmitter said."""

    count: dict[str, int] = field(default_factory=lambda: {"b1": 0, "b2": 0})
    sent: list[Sent] = field(default_factory=list)

    def press(self, device: str, radio: Session) -> None:
        """b1 numbers its presses, b2 does not."""
        self.count[device] += 1
        sequence = f"{self.count[device]}" if device == "b1" else None
        sent = Sent(PointKey(device, "press"), "press", True, sequence)
        self.sent.append(sent)
        radio.send(sent)


def buses(rng: random.Random, clock: Clockwork, truth: Truth) -> tuple[Bus, Bus]:
    """The detectors' bus and the relay board's."""
    return (
        Bus("bus", rng, clock, truth.read, _points("bus"), 4.0),
        Bus("relays", rng, clock, truth.read, _points("relays"), 4.0),
    )


def _points(link: str) -> dict[str, list[PointKey]]:
    found: Sequence[Device] = [device for device in DEVICES if device.link == link]
    return {device.id: [PointKey(device.id, point.key) for point in device.points] for device in found}
