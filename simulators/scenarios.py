"""The scenarios as data, and the player that makes them happen to the ground truth at virtual times.

A scenario says who takes part (by alarm class, so it fits any building file) and what happens to them when. Levels are
counted in limits of the device's own rules: 0 is rest, 1 the first limit, 2 the second, fractions lie between.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from edge.model import AlarmClass, Device, PointKey, Rule, RuleKind, Value
from simulators.building import GroundTruth, Health

SUPERVISION_S_MAX = 180.0
"""A script waits at most this long for a device to be missed."""


class Cannot(ValueError):
    """The scenario cannot be played in this building or with this device; the text says why."""


class Do(StrEnum):
    """What a step does to a device or link."""

    PRESS = "press"
    LEVEL = "level"
    REST = "rest"
    DIE = "die"
    RECOVER = "recover"
    CUT = "cut"
    HEAL = "heal"


class Who(StrEnum):
    """Parts that no alarm class names."""

    DETECTOR = "detector"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens at_s seconds after the part begins; missed adds the device's supervision time."""

    at_s: float
    do: Do
    level: float = 0.0
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """count devices to which the same steps happen, each beginning stagger_s after the one before."""

    who: AlarmClass | Who
    steps: tuple[Step, ...]
    count: int = 1
    stagger_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, what people call it, and its parts."""

    zh: str
    en: str
    parts: tuple[Part, ...]


def _on_then_rest(rest_s: float, level: float = 1.5) -> tuple[Step, ...]:
    return Step(0, Do.LEVEL, level), Step(rest_s, Do.REST)


GAS_CURVE = (
    *((0, 0.3), (3, 0.7), (6, 1.05), (10, 1.3), (14, 1.6), (18, 1.9)),
    *((22, 2.1), (26, 2.6), (40, 2.2), (45, 1.5), (50, 0.6)),
)
"""Seconds and level: past the low limit after 6 s, past the high one after 22 s, then somebody opens a window."""
SCENARIOS: Mapping[str, Scenario] = {
    "sos": Scenario("一键呼叫", "SOS call", (Part(AlarmClass.SOS_CALL, (Step(0, Do.PRESS),)),)),
    "smoke-kitchen": Scenario(
        "厨房冒烟，散去", "Kitchen smoke that clears", (Part(AlarmClass.FIRE_SMOKE, _on_then_rest(25)),)
    ),
    "gas-rising": Scenario(
        "燃气升高，再回落",
        "Gas rising from low to high",
        (
            Part(
                AlarmClass.GAS_COMBUSTIBLE,
                tuple(Step(at_s, Do.LEVEL, level) for at_s, level in GAS_CURVE) + (Step(55, Do.REST),),
            ),
        ),
    ),
    "door-forced": Scenario("门被强行打开", "Door forced", (Part(AlarmClass.DOOR_FORCED, _on_then_rest(20)),)),
    "bin-full": Scenario(
        "垃圾桶装满，清空",
        "Bin filling up, emptied",
        (
            Part(
                AlarmClass.BIN_FULL,
                tuple(Step(2.0 * n, Do.LEVEL, level) for n, level in enumerate((0.4, 0.6, 0.8, 0.95, 1.05, 1.1)))
                + (Step(45, Do.REST),),
            ),
        ),
    ),
    "detector-dead": Scenario(
        "探测器失联，恢复",
        "Detector dies and comes back",
        (Part(Who.DETECTOR, (Step(0, Do.DIE), Step(30, Do.RECOVER, missed=True))),),
    ),
    "bus-cut": Scenario(
        "总线被拔，插回", "Bus pulled out and put back", (Part(Who.LINK, (Step(0, Do.CUT), Step(25, Do.HEAL))),)
    ),
    "storm": Scenario(
        "报警风暴",
        "Alarm storm",
        (
            Part(AlarmClass.FIRE_SMOKE, _on_then_rest(40), count=12, stagger_s=0.2),
            Part(AlarmClass.GAS_COMBUSTIBLE, _on_then_rest(45, 2.5), count=6, stagger_s=0.3),
            Part(AlarmClass.SOS_CALL, (Step(0.5, Do.PRESS),), count=10, stagger_s=0.25),
            Part(AlarmClass.DOOR_FORCED, _on_then_rest(30), count=2, stagger_s=0.5),
            Part(AlarmClass.BIN_FULL, _on_then_rest(60, 1.3), count=4, stagger_s=0.4),
        ),
    ),
}
"""Scenarios that happen once when they are asked for."""

DAY: tuple[tuple[float, str], ...] = (
    (15, "sos"),
    (45, "smoke-kitchen"),
    (90, "gas-rising"),
    (155, "door-forced"),
    (185, "detector-dead"),
    (215, "bin-full"),
    (250, "sos"),
    (285, "bus-cut"),
    (330, "smoke-kitchen"),
)
"""The scripted day: something for a viewer every half minute or so, and time between to answer it."""
DAY_S = 390.0
"""Length of the scripted day; then it begins again."""
PASSAGE_S = 20.0
"""During the day somebody passes a door this often."""
NAMES = ("day", "quiet", *SCENARIOS)
"""Every name ``POST /scenarios/NAME`` takes. day starts the loop; quiet stops everything and puts it to rest."""


def rules_of(device: Device, alarm_class: AlarmClass) -> tuple[Rule, ...]:
    """The device's rules of a class that one point carries, thresholds before states, mildest limit first."""
    rules = [r for r in device.rules if r.alarm_class is alarm_class]
    for kind in (RuleKind.THRESHOLD, RuleKind.STATE, RuleKind.PRESS):
        same = [r for r in rules if r.kind is kind]
        if same:
            of_point = [r for r in same if r.point == same[0].point]
            return tuple(sorted(of_point, key=lambda r: -r.limit if r.below else r.limit))
    return ()


def level_value(truth: GroundTruth, device: Device, rules: Sequence[Rule], level: float) -> Value:
    """The value of the rules' point at a level counted in limits (see the module's text)."""
    rule = rules[0]
    key = PointKey(device.id, rule.point)
    rest = truth.rest(key)
    if rule.kind is RuleKind.STATE:
        return rule.on_value if level >= 1 else rest
    start = float(rest) if isinstance(rest, (int, float)) else 0.0
    marks = [start, *(r.limit for r in rules)]
    marks.append(2 * marks[-1] - marks[-2])
    low = min(int(level), len(marks) - 2)
    value = marks[low] + (level - low) * (marks[low + 1] - marks[low])
    point = truth.point(key)
    value = max(value, point.low) if point.low is not None else value
    value = min(value, point.high) if point.high is not None else value
    return round(value) if isinstance(rest, int) and not isinstance(rest, bool) else round(value, 1)


class ScriptPlayer:
    """Plays scenarios on a ground truth. Time is passed in: ``advance(now_s)`` does all that is due by then.

    link_kinds: kind by link id, so that a pulled bus is a bus where the building has one.
    """

    def __init__(self, truth: GroundTruth, link_kinds: Mapping[str, str], seed: int) -> None:
        self.truth = truth
        self._link_kinds = link_kinds
        self._random = Random(seed)
        self._seed = seed
        self._runs = 0
        self._queue: list[tuple[float, int, str, AlarmClass | Who, Step, str]] = []
        self._order = 0
        self._day_from_s: float | None = None
        self._day_next = 0
        self._passage_s = 0.0

    @property
    def day_runs(self) -> bool:
        """True while the scripted day goes on."""
        return self._day_from_s is not None

    def start(self, name: str, now_s: float, target: str | None = None) -> str:
        """Begin a scenario with a chosen device (or link, for bus-cut) or one picked by the seed; returns the run's id.

        Raises KeyError for an unknown name, Cannot when nothing in this building can play it.
        """
        if name == "day":
            self._day_from_s, self._day_next, self._passage_s = now_s, 0, now_s + PASSAGE_S
            return self._run_id(name)
        if name == "quiet":
            self._queue.clear()
            self._day_from_s = None
            self.truth.calm()
            return self._run_id(name)
        scenario = SCENARIOS[name]
        cast = [(part, self._cast(part, target)) for part in scenario.parts]
        if not any(actors for _, actors in cast):
            wanted = ", ".join(part.who.value for part in scenario.parts)
            who = f"{target!r} cannot play {name}" if target else f"nothing in this building can play {name}"
            raise Cannot(f"{who}: that needs {wanted}")
        run_id = self._run_id(name)
        for part, actors in cast:
            for n, actor in enumerate(actors):
                self._enqueue(part, actor, now_s + n * part.stagger_s, run_id)
        self.advance(now_s)
        return run_id

    def due_s(self) -> float | None:
        """When something happens next; None when nothing is to come."""
        times = [self._queue[0][0]] if self._queue else []
        if self._day_from_s is not None:
            times += [self._day_at_s(), self._passage_s]
        return min(times, default=None)

    def advance(self, now_s: float) -> None:
        """Make happen all that is due by now_s, in order."""
        while self._day_from_s is not None and self._day_at_s() <= now_s:
            at_s, name = self._day_at_s(), DAY[self._day_next][1]
            if self._day_next == 0:
                self.truth.reset_by_hand()
            self._day_next += 1
            if self._day_next == len(DAY):
                self._day_from_s, self._day_next = self._day_from_s + DAY_S, 0
            self._play_if_possible(name, at_s)
        while self._day_from_s is not None and self._passage_s <= now_s:
            self._passage_s += PASSAGE_S
            self._pass_a_door()
        while self._queue and self._queue[0][0] <= now_s:
            _, _, actor, who, step, run_id = heapq.heappop(self._queue)
            self._do(actor, who, step, run_id)

    def _pass_a_door(self) -> None:
        """Ordinary life: a passage is an event that no rule watches."""
        doors = [
            PointKey(d.id, p.key)
            for d in self.truth.devices.values()
            for p in d.points
            if p.momentary and not any(r.point == p.key for r in d.rules)
        ]
        if doors:
            self.truth.press(self._random.choice(doors), value=self._random.choice(("in", "out")))

    def _play_if_possible(self, name: str, at_s: float) -> None:
        """A building without, say, bins has a day without them."""
        try:
            self.start(name, at_s)
        except Cannot:
            return

    def _day_at_s(self) -> float:
        assert self._day_from_s is not None
        return self._day_from_s + DAY[self._day_next][0]

    def _run_id(self, name: str) -> str:
        self._runs += 1
        return f"{name}-{self._seed}-{self._runs}"

    def _enqueue(self, part: Part, actor: str, begin_s: float, run_id: str) -> None:
        for step in part.steps:
            at_s = begin_s + step.at_s
            if step.missed:
                at_s += min(self.truth.device(actor).supervise_s or 0.0, SUPERVISION_S_MAX)
            self._order += 1
            heapq.heappush(self._queue, (at_s, self._order, actor, part.who, step, run_id))

    def _cast(self, part: Part, target: str | None) -> list[str]:
        able = self._able(part.who)
        if target is not None:
            if part.who is Who.LINK and target in self.truth.devices:
                target = self.truth.devices[target].link
            return [target] if target in able or self._fits(part.who, target) else []
        if part.who is Who.LINK:
            up = [link for link in able if self.truth.link_up(link)]
            return [self._random.choice(up)] if up else []
        idle = [d for d in able if self.truth.at_rest(d) and self.truth.link_up(self.truth.devices[d].link)]
        at_home = [d for d in idle if self.truth.devices[d].place.household is not None]
        pool = next((some for some in (at_home, idle) if len(some) >= part.count), able)
        return self._random.sample(pool, min(part.count, len(pool)))

    def _fits(self, who: AlarmClass | Who, target: str) -> bool:
        """A device asked for by name needs less than one picked: any detector may die, any link may be cut."""
        if who is Who.LINK:
            return target in self.truth.links
        return who is Who.DETECTOR and target in self.truth.devices

    def _able(self, who: AlarmClass | Who) -> list[str]:
        devices = self.truth.devices.values()
        if who is Who.LINK:
            buses = [link for link in self.truth.links if self._link_kinds.get(link) == "modbus-rtu"]
            return buses or list(self.truth.links)
        if who is Who.DETECTOR:
            watched = [d for d in devices if d.life_safety and d.supervise_s is not None]
            soonest = min((d.supervise_s or 0.0 for d in watched), default=0.0)
            return [d.id for d in watched if d.supervise_s == soonest]
        return [d.id for d in devices if rules_of(d, who)]

    def _do(self, actor: str, who: AlarmClass | Who, step: Step, run_id: str) -> None:
        if step.do in (Do.CUT, Do.HEAL):
            self.truth.set_link(actor, step.do is Do.HEAL, run_id)
        elif step.do in (Do.DIE, Do.RECOVER):
            self.truth.set_health(actor, Health.DEAD if step.do is Do.DIE else Health.WELL, run_id)
        elif isinstance(who, AlarmClass):
            device = self.truth.device(actor)
            rules = rules_of(device, who)
            key = PointKey(actor, rules[0].point)
            if step.do is Do.PRESS:
                self.truth.press(key, run_id)
            else:
                level = step.level if step.do is Do.LEVEL else 0.0
                value = level_value(self.truth, device, rules, level) if level else self.truth.rest(key)
                self.truth.set(key, value, run_id)
