"""What is known of every device right now: its points, what its rules say, and how fresh that is.

Lives in memory only; after a start everything is unknown until it is heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge.decide import freshness
from edge.decide.alarms import Alarm
from edge.decide.rules import START, START_ON, Level, RuleState, combine, due, judge, unknown
from edge.model import (
    CLASSES,
    SILENT_CAUSES,
    AlarmClass,
    BadCause,
    Condition,
    Device,
    Point,
    PointKey,
    Quality,
    Reading,
    Rule,
    RuleKind,
    Value,
)


@dataclass(slots=True)
class PointState:
    """One point: its newest reading and its rules' memory. settled: an equal value needs no judging."""

    device: DeviceState
    point: Point
    rules: tuple[Rule, ...]
    press_rules: tuple[Rule, ...]
    states: list[RuleState]
    reading: Reading | None = None
    bad_since_s: float | None = None
    settled: bool = False

    def take(self, reading: Reading) -> bool:
        """Note a reading; True when a rule must be looked at again."""
        device = self.device
        before = self.reading
        self.reading = reading
        if reading.quality is Quality.BAD:
            self.settled = False
            if reading.cause in SILENT_CAUSES:
                device.said_offline = device.said_offline or reading.cause is BadCause.OFFLINE
            else:
                device.hear(reading.received_s)
                self.bad_since_s = self.bad_since_s if self.bad_since_s is not None else reading.received_s
        else:
            device.hear(reading.received_s)
            self.bad_since_s = None
            if self.settled and before is not None and before.value == reading.value:
                return False
        states = [judge(rule, state, reading) for rule, state in zip(self.rules, self.states, strict=True)]
        changed = states != self.states
        self.states = states
        self.settled = reading.quality is Quality.GOOD and all(map(_is_settled, states))
        return changed

    def lose(self) -> None:
        """The link is down: the value is history, the rules know nothing."""
        if self.reading is not None:
            self.reading = self.reading._replace(value=None, quality=Quality.BAD, cause=BadCause.LINK_DOWN)
        self.states = [unknown(state) for state in self.states]
        self.bad_since_s = None
        self.settled = False

    def expire(self, now_s: float) -> bool:
        """An on-delay may have run out; True when a rule changed."""
        states = [due(rule, state, now_s) for rule, state in zip(self.rules, self.states, strict=True)]
        changed = states != self.states
        self.states = states
        return changed

    @property
    def waiting(self) -> bool:
        """A rule's on-delay or off-delay is running."""
        return any(state.pending_since_s is not None or state.off_since_s is not None for state in self.states)


@dataclass(slots=True)
class DeviceState:
    """One device. heard_s: last answer of any kind. since_s: start of its present supervision.

    disagree: outputs that were set and read back as something else.
    """

    device: Device
    since_s: float
    heard_s: float | None = None
    said_offline: bool = False
    points: dict[str, PointState] = field(default_factory=dict)
    classes: tuple[AlarmClass, ...] = ()
    disagree: set[str] = field(default_factory=set)

    @property
    def disagreeing(self) -> PointState | None:
        """An output that is not what it was set to."""
        return self.points[min(self.disagree)] if self.disagree else None

    def hear(self, now_s: float) -> None:
        """It answered."""
        self.heard_s = now_s
        self.said_offline = False

    def lose(self) -> None:
        """Its link went down."""
        for point in self.points.values():
            point.lose()

    def revive(self, now_s: float) -> None:
        """Its link is back: its supervision starts anew."""
        self.since_s = now_s
        self.heard_s = None
        self.said_offline = False

    def level(self, alarm_class: AlarmClass, now_s: float) -> Level:
        """What all its rules of one class say together; device.fault also covers values of no use."""
        judged = [
            (rule, state)
            for point in self.points.values()
            for rule, state in zip(point.rules, point.states, strict=True)
            if rule.alarm_class is alarm_class
        ]
        level = combine(judged)
        if alarm_class is not AlarmClass.DEVICE_FAULT or level.condition is Condition.ON:
            return level
        if self.disagree:
            return Level(Condition.ON, CLASSES[AlarmClass.DEVICE_FAULT].priority)
        if self.heard_s is None or self.heard_s < self.since_s:
            return Level(Condition.UNKNOWN, 4)
        bad = [point.bad_since_s for point in self.points.values() if point.bad_since_s is not None]
        condition = freshness.fault(self.device.supervise_s, min(bad, default=None), now_s)
        if condition is Condition.ON:
            return Level(condition, 3)
        return level if condition is Condition.OFF else Level(condition, 4)

    def forget(self) -> None:
        """It is silent: its rules know nothing any more, whatever they said last."""
        for point in self.points.values():
            point.states = [unknown(state) for state in point.states]
            point.settled = False

    def offline(self, now_s: float) -> Condition:
        """Is it silent? Only meaningful while its link is up."""
        return freshness.offline(self.device.supervise_s, self.heard_s, self.since_s, self.said_offline, now_s)


def _is_settled(state: RuleState) -> bool:
    if state.pending_since_s is not None or state.off_run or state.seen:
        return False
    return state.condition is Condition.ON or (state.condition is Condition.OFF and not state.was_on)


@dataclass(frozen=True, slots=True)
class PointView:
    """One point as shown to people (CONTRACT: GET /api/v1/points)."""

    device: str
    point: str
    value: Value | None
    unit: str | None
    quality: Quality
    cause: BadCause | None
    observed_ms: int | None
    age_s: float | None


class DeviceBook:
    """All devices and their points."""

    def __init__(self, devices: Sequence[Device], open_classes: Iterable[tuple[str, str]], now_s: float) -> None:
        """open_classes: (device, class) of the alarms open in the journal; their rules clear only on two readings."""
        still_open = set(open_classes)
        self.devices: dict[str, DeviceState] = {}
        self.points: dict[PointKey, PointState] = {}
        self.by_link: dict[str, list[DeviceState]] = {}
        for device in devices:
            state = DeviceState(device, now_s)
            self.devices[device.id] = state
            self.by_link.setdefault(device.link, []).append(state)
            for point in device.points:
                rules = tuple(r for r in device.rules if r.point == point.key and r.kind is not RuleKind.PRESS)
                presses = tuple(r for r in device.rules if r.point == point.key and r.kind is RuleKind.PRESS)
                states = [START_ON if (device.id, r.alarm_class) in still_open else START for r in rules]
                point_state = PointState(state, point, rules, presses, states)
                state.points[point.key] = point_state
                self.points[PointKey(device.id, point.key)] = point_state
            named = {r.alarm_class for r in device.rules if r.kind is not RuleKind.PRESS}
            state.classes = tuple(sorted(named | {AlarmClass.DEVICE_FAULT}))

    def judges(self, alarm: Alarm) -> bool:
        """Does a device of the building file still have this alarm's class?"""
        device = self.devices.get(alarm.subject.device)
        return device is not None and alarm.alarm_class in (*device.classes, AlarmClass.DEVICE_OFFLINE)

    def views(self, now_s: float) -> list[PointView]:
        """Every point for people; never heard is bad with a cause, never a value."""
        views = []
        for key, state in self.points.items():
            if state.device.device.is_command(key.point):
                continue
            reading = state.reading
            if reading is None:
                views.append(
                    PointView(
                        key.device, key.point, None, state.point.unit, Quality.BAD, BadCause.NOT_HEARD, None, None
                    )
                )
                continue
            age_s = max(0.0, now_s - reading.received_s)
            views.append(
                PointView(
                    key.device,
                    key.point,
                    reading.value,
                    state.point.unit,
                    reading.quality,
                    reading.cause,
                    reading.observed_ms,
                    round(age_s, 3),
                )
            )
        return views
