"""The ground truth: what really happens in a simulated building, whatever the gateway makes of it.

Every device's points have a value here; the simulated devices only put it on the wire. Scenarios, testers and the
gateway's own writes change it, and each change is a fact. Time is passed in, noise is a function of the seed and the
time, so one seed and one script give one history.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

from edge.model import Device, Point, PointKey, RuleKind, Value

FACTS_MAX = 20_000
"""Facts kept for ``truth``: two days of the scripted day; a simulator that runs for weeks must not grow."""
NOISE_SHARE = 0.002
"""Noise as a share of the valid range: visible in a trend, far from every limit."""
NOISE_STEP_MS = 10_000
"""Noise changes this often."""
ANSWERS = "answers"
"""The name under which a device's own failing and recovering is a fact: ``well`` or the kind of fault."""
LINK = "link"
"""The name under which a link's being cut and put back is a fact: ``up`` or ``down``."""


class Health(StrEnum):
    """How a device behaves on its wire."""

    WELL = "well"
    DEAD = "dead"
    LATE = "late"
    TORN = "torn"
    OTHER_ID = "other-id"
    BAD_CRC = "bad-crc"
    BABBLE = "babble"
    EXCEPTION = "exception"
    NOISE = "noise"
    DOUBLED = "doubled"


class Fact(NamedTuple):
    """Something that really happened. device is a link's id when point is ``link``; run_id names the scenario's run."""

    at_ms: int
    device: str
    point: str
    value: Value
    run_id: str | None = None


class UnknownName(LookupError):
    """No such device, point or link in this building; the text names what there is."""


Watcher = Callable[[Fact], None]


def resting_value(device: Device, point: Point, said: Mapping[str, Value]) -> Value:
    """What a point shows while nothing happens: as the profile says, else away from every rule, else zero."""
    if point.key in said:
        return said[point.key]
    for rule in device.rules:
        if rule.point == point.key and rule.kind is RuleKind.STATE:
            return not rule.on_value if isinstance(rule.on_value, bool) else ""
        if rule.point == point.key and rule.kind is RuleKind.THRESHOLD:
            return 2.0 * abs(rule.limit) + 1.0 if rule.below else 0.0
    if not point.read or point.read.get("equals") is not None:
        return False
    kind = point.read.get("type", "bit" if point.read.get("fc") in (1, 2) else "number")
    return False if kind in ("bit", "bool") else "" if kind == "text" else 0.0


class GroundTruth:
    """The state of all devices of one building and the list of what happened.

    resting: what each profile shows at rest, by profile name. wall_ms: the clock facts and noise are made with.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        links: Sequence[str],
        resting: Mapping[str, Mapping[str, Value]],
        seed: int,
        wall_ms: Callable[[], int],
    ) -> None:
        self.devices: Mapping[str, Device] = {d.id: d for d in devices}
        self.links = tuple(links)
        self.seed = seed
        self.wall_ms = wall_ms
        self.facts: deque[Fact] = deque(maxlen=FACTS_MAX)
        self._watchers: list[Watcher] = []
        self._points = {PointKey(d.id, p.key): p for d in devices for p in d.points}
        self._rest = {
            PointKey(d.id, p.key): resting_value(d, p, resting.get(d.profile, {})) for d in devices for p in d.points
        }
        self._values = dict(self._rest)
        self._health = {d.id: Health.WELL for d in devices}
        self._down: set[str] = set()

    def watch(self, watcher: Watcher) -> None:
        """Call watcher with every fact, at once and in order."""
        self._watchers.append(watcher)

    def device(self, device: str) -> Device:
        """The device of that id. Raises UnknownName."""
        if device not in self.devices:
            raise UnknownName(f"no device {device!r} in this building")
        return self.devices[device]

    def point(self, key: PointKey) -> Point:
        """The point of that name. Raises UnknownName with the points the device has."""
        device = self.device(key.device)
        if key not in self._points:
            has = ", ".join(p.key for p in device.points)
            raise UnknownName(f"{device.id} has no point {key.point!r} (it has {has})")
        return self._points[key]

    def value(self, key: PointKey) -> Value:
        """The true value, without noise."""
        self.point(key)
        return self._values[key]

    def rest(self, key: PointKey) -> Value:
        """The value at rest."""
        self.point(key)
        return self._rest[key]

    def at_rest(self, device: str) -> bool:
        """True while nothing is wrong with the device and all its points rest."""
        keys = (PointKey(device, p.key) for p in self.device(device).points)
        return self._health[device] is Health.WELL and all(self._values[k] == self._rest[k] for k in keys)

    def measured(self, key: PointKey) -> Value:
        """What the device's sensor shows: the true value, with noise only while it rests.

        Noise is for fractional values: a count or a state has none, and a value somebody set is served exactly.
        """
        point, value = self.point(key), self._values[key]
        if not isinstance(value, float) or value != self._rest[key] or point.low is None or point.high is None:
            return value
        step = self.wall_ms() // NOISE_STEP_MS
        share = crc32(f"{self.seed}/{key}/{step}".encode()) / 0xFFFFFFFF - 0.5
        noisy = value + share * 2 * NOISE_SHARE * (point.high - point.low)
        return round(min(max(noisy, point.low), point.high), 2)

    def set(self, key: PointKey, value: Value, run_id: str | None = None) -> None:
        """Make a value true. Setting what already is changes nothing; a momentary point is pressed instead."""
        point = self.point(key)
        if point.momentary:
            self.press(key, run_id, value)
        elif self._values[key] != value or type(self._values[key]) is not type(value):
            self._values[key] = value
            self._happened(Fact(self.wall_ms(), key.device, key.point, value, run_id))

    def press(self, key: PointKey, run_id: str | None = None, value: Value = True) -> None:
        """A person presses a button (or passes a door: value says how), once. Each press is a fact of its own."""
        self.point(key)
        self._happened(Fact(self.wall_ms(), key.device, key.point, value, run_id))

    def health(self, device: str) -> Health:
        """How the device behaves on its wire."""
        self.device(device)
        return self._health[device]

    def set_health(self, device: str, health: Health, run_id: str | None = None) -> None:
        """Let a device fail in some way, or be well again."""
        self.device(device)
        if self._health[device] is not health:
            self._health[device] = health
            self._happened(Fact(self.wall_ms(), device, ANSWERS, health.value, run_id))

    def link_up(self, link: str) -> bool:
        """False while the link is cut."""
        return link not in self._down

    def set_link(self, link: str, up: bool, run_id: str | None = None) -> None:
        """Cut a link or put it back. Raises UnknownName."""
        if link not in self.links:
            raise UnknownName(f"no link {link!r} in this building (it has {', '.join(self.links)})")
        if up != self.link_up(link):
            self._down ^= {link}
            self._happened(Fact(self.wall_ms(), link, LINK, "up" if up else "down", run_id))

    def reset_by_hand(self) -> None:
        """Somebody on site puts back what no gateway may: outputs that can only be switched one way (a gas valve)."""
        for device in self.devices.values():
            for key, mapping in device.wire.get("points", {}).items():
                write = mapping.get("write")
                if write and "off" in write and write["off"] is None:
                    self.set(PointKey(device.id, key), self._rest[PointKey(device.id, key)])

    def calm(self) -> None:
        """Everything back to rest: every value, every device, every link. The horn is the gateway's to silence."""
        self.reset_by_hand()
        for link in self.links:
            self.set_link(link, True)
        for device in self.devices:
            self.set_health(device, Health.WELL)
        for key, value in self._rest.items():
            if not self._points[key].writable and not self._points[key].momentary:
                self.set(key, value)

    def _happened(self, fact: Fact) -> None:
        self.facts.append(fact)
        for watcher in self._watchers:
            watcher(fact)
