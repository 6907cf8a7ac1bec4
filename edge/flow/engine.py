"""The engine: admit a batch → decide → commit → acknowledge.

Decisions are synchronous and change the state in memory at once; the commit point makes them true; only then are
devices acknowledged and people told. Everything that happens to an alarm enters here, and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge.decide import freshness
from edge.decide.alarms import Alarm, Refusal, Stamp, Subject, on_condition, press
from edge.decide.rules import Level
from edge.flow.alarm_book import AlarmBook
from edge.flow.commands import answer, decide_command
from edge.flow.commit import CommitPoint, Listeners
from edge.flow.devices import DeviceBook, DeviceState, PointState, PointView
from edge.flow.ladders import Ladders, Listening
from edge.flow.settings import EngineSettings, LinkState
from edge.flow.time_watch import ClockWatch, due
from edge.limits import CANARY_S
from edge.model import (
    CLASSES,
    LOCAL_KEY,
    AlarmClass,
    AlarmEvent,
    Batch,
    Clock,
    Command,
    CommandKind,
    CommandOutcome,
    Condition,
    Notice,
    PointKey,
    Quality,
    Reading,
    Rule,
)
from edge.ports import Clockwork, Entry, Journal

FRESHNESS_S = 1.0
"""How often silence is looked for: well below the shortest supervision time."""
NOT_DURABLE = "the disk takes no commits: alarms are told but not kept"
REMOVED = "no longer in the building file: nothing measures it any more"
SESSION_LOST = "the broker lost our session: messages of the time away may be missing"
REMEMBERED = 10_000
"""Command outcomes and sender ids held in memory against repetitions; the journal keeps all."""


class Engine:
    """Owns the state. Not thread-safe: everything runs in one event loop."""

    def __init__(
        self,
        settings: EngineSettings,
        journal: Journal,
        clock: Clockwork,
        trust: Callable[[], Clock],
        count: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._trust = trust
        self._count = count
        self.listeners = Listeners()
        self.commit = CommitPoint(journal, clock, self.listeners)
        self.book = AlarmBook(settings.gateway_id)
        now_s = clock.monotonic()
        self.links = {ident: LinkState(None, now_s) for ident in settings.links}
        self.listening = Listening(now_s)
        self._watch = ClockWatch(Subject(settings.gateway_id, None, settings.place), clock.wall_ms(), now_s)
        self.passages: Counter[str] = Counter()
        self.damage: str | None = None
        self._freshness_s = now_s
        self._head = 0
        self._outcomes: dict[str, CommandOutcome] = {}
        self._causes: dict[tuple[str, str], None] = {}
        self.owed: tuple[Notice, ...] = ()
        self.unreceipted: set[str] = set()
        self._delayed: set[PointKey] = set()
        self._keys: dict[PointKey, bool] = {}

    async def start(self) -> None:
        """Rebuild all state from the journal. Nothing may be admitted before."""
        past = await self._journal.load()
        now_s = self._clock.monotonic()
        self._head = self.commit.head = past.head
        self._outcomes = dict(past.outcomes)
        self._causes = dict.fromkeys(past.causes)
        self.unreceipted = set(past.pending) if self._settings.has_duty_room else set()
        self.owed = past.notices
        self.book.load(past, now_s, self._clock.wall_ms())
        self.devices = DeviceBook(self._settings.devices, self.book.open, now_s)
        self.ladders = Ladders(self._settings.roster, self._settings.text, self._settings.has_duty_room)
        self.ladders.load(past, self.book, now_s, self._clock.wall_ms())

    # Input from devices

    def admit(self, batch: Batch) -> asyncio.Future[None] | None:
        """Take a batch in. None: nothing to commit, acknowledge at once; else acknowledge when the future is done."""
        events: list[AlarmEvent] = []
        for reading in batch.readings:
            state = self.devices.points.get(reading.key)
            if state is None:
                self._count("unknown_point")
            elif reading.momentary:
                events += self._momentary(state, reading)
            else:
                self._key_switch(reading, events)
                if state.take(reading):
                    events += self._judge(state, reading)
        return self._put(Entry(events=tuple(events))) if events else None

    def _momentary(self, state: PointState, reading: Reading) -> list[AlarmEvent]:
        """A press is a cause of its own; the same sender's id twice is a redelivery."""
        if reading.quality is Quality.BAD:
            return []
        state.device.hear(reading.received_s)
        state.reading = reading
        if not state.press_rules:
            self.passages[state.device.device.kind] += 1
            return []
        cause = f"{reading.key.point}:{reading.sequence}" if reading.sequence is not None else None
        device = state.device.device
        if cause is not None:
            if (device.id, cause) in self._causes:
                self._count("redelivered")
                return []
            if len(self._causes) >= REMEMBERED:
                self._causes.pop(next(iter(self._causes)))
            self._causes[device.id, cause] = None
        events: list[AlarmEvent] = []
        for rule in state.press_rules:
            stamp = self._stamp(reading, reason=rule.id, cause=None if events else cause)
            subject = Subject(device.id, reading.key.point, device.place, state.point.unit)
            alarm = self.book.open.get((device.id, rule.alarm_class))
            if alarm is None:
                events.append(self._apply(self.book.raise_new(subject, rule.alarm_class, rule.level, stamp)))
            else:
                events.append(self._apply(press(alarm, stamp)))
        return events

    def _judge(self, state: PointState, reading: Reading) -> list[AlarmEvent]:
        """The rules of a point have changed their mind: look at their classes."""
        if state.waiting:
            self._delayed.add(reading.key)
        events = []
        for alarm_class in sorted({rule.alarm_class for rule in state.rules}):
            level = state.device.level(alarm_class, reading.received_s)
            point = state if level.rule is None else state.device.points[level.rule.point]
            events += self._level(state.device, alarm_class, level, point, self._stamp(reading, rule=level.rule))
        return events

    def _level(
        self, device: DeviceState, alarm_class: AlarmClass, level: Level, point: PointState | None, stamp: Stamp
    ) -> list[AlarmEvent]:
        key = point.point.key if point else None
        subject = Subject(device.device.id, key, device.device.place, point.point.unit if point else None)
        if point is not None and point.reading is not None and point.reading.quality is not Quality.BAD:
            stamp = replace(stamp, value=point.reading.value)
        event = self.book.judge(subject, alarm_class, level, stamp)
        return [self._apply(event)] if event else []

    def _key_switch(self, reading: Reading, events: list[AlarmEvent]) -> None:
        """The key at the guard's post: turning it is somebody on site who has answered."""
        if reading.key not in self._settings.ack_keys or reading.quality is Quality.BAD:
            return
        turned = bool(reading.value)
        before = self._keys.get(reading.key, True)
        self._keys[reading.key] = turned
        if not turned or before:
            return
        stamp = replace(self._stamp(reading), by=LOCAL_KEY, reason="key switch", value=None)
        for alarm in self.book.unanswered():
            event = decide_command(alarm, CommandKind.ACKNOWLEDGE, Condition.UNKNOWN, stamp, None)
            if isinstance(event, AlarmEvent):
                events.append(self._apply(event))

    # Input from links, people and the duty room

    def link(self, ident: str, up: bool, why: str = "") -> None:
        """A supervisor reports its link. Down: its devices go unknown, folded under one link.down."""
        state = self.links[ident]
        if state.up is up:
            return
        now_s = self._clock.monotonic()
        trouble_s = state.trouble_s
        if not up:
            trouble_s = freshness.trouble_since(state.up, state.since_s, state.trouble_s, now_s)
        self.links[ident] = LinkState(up, now_s, why, trouble_s)
        for device in self.devices.by_link.get(ident, ()):
            if up:
                device.revive(now_s)
            else:
                device.lose()

    def session_lost(self, ident: str) -> None:
        """The broker of a link forgot what it kept for us: a fault that is over at once, but must be seen."""
        subject = Subject(ident, None, self._settings.place)
        stamp = replace(self._now(), reason=SESSION_LOST)
        events = []
        for condition in (Condition.ON, Condition.OFF):
            level = Level(condition, CLASSES[AlarmClass.DEVICE_FAULT].priority)
            event = self.book.judge(subject, AlarmClass.DEVICE_FAULT, level, stamp)
            events += [self._apply(event)] if event else []
        if events:
            self._put(Entry(events=tuple(events)))

    async def command(self, command: Command) -> CommandOutcome:
        """The one door for wishes of people. The same command_id always gets the same outcome, one effect."""
        known = self._outcomes.get(command.command_id)
        if known is not None:
            if not self.commit.idle:
                # It may still be on its way to the disk, and nobody is told of it before it is there.
                await self._put(Entry())
            return known
        stamp = replace(self._now(), by=command.by, reason=command.reason)
        alarm = self.book.by_id.get(command.alarm_id)
        # A clock that was never set cannot call anything too old: then people could no longer answer.
        expired = stamp.clock is not Clock.UNSYNCED and stamp.now_ms > (command.expires_ms or stamp.now_ms)
        decided = None if expired else self._decide(command, alarm, stamp)
        outcome = answer(command, decided, expired, stamp.now_ms)
        if len(self._outcomes) >= REMEMBERED:
            self._outcomes.pop(next(iter(self._outcomes)))
        self._outcomes[command.command_id] = outcome
        events = (self._apply(decided),) if isinstance(decided, AlarmEvent) else ()
        await self._put(Entry(events=events, outcomes=(outcome,)))
        return outcome

    def _decide(self, command: Command, alarm: Alarm | None, stamp: Stamp) -> AlarmEvent | Refusal | None:
        if command.kind is CommandKind.TEST:
            return self._test(stamp)
        if alarm is not None:
            return decide_command(alarm, command.kind, self.live(alarm), stamp, command.until_ms, command.seen)
        if self.book.was_closed(command.alarm_id):
            return None
        return Refusal("unknown_alarm", f"this gateway has no alarm {command.alarm_id}: reload the list")

    def _test(self, stamp: Stamp) -> AlarmEvent | None:
        """A test alarm proves the way to people; while one is open a second would prove nothing more."""
        subject = Subject(self._settings.gateway_id, None, self._settings.place)
        if (subject.device, AlarmClass.TEST) in self.book.open:
            return None
        priority = CLASSES[AlarmClass.TEST].priority
        return self.book.raise_new(subject, AlarmClass.TEST, priority, replace(stamp, test=True))

    async def receipted(self, event_ids: Sequence[str]) -> None:
        """The duty room has committed these events; their outbox rows go."""
        fresh = tuple(ident for ident in event_ids if ident in self.unreceipted)
        if fresh:
            self.unreceipted.difference_update(fresh)
            await self._put(Entry(receipts=fresh))

    def duty_heard(self, audible: bool, echoed_s: float | None = None) -> None:
        """A duty message echoed our own boot id: the duty room hears us, and we it. echoed_s: when its seq moved."""
        self.listening.heard(audible, self._clock.monotonic(), echoed_s)

    # Time

    def tick(self) -> None:
        """Look at everything that time alone can change. Called every limits.TICK_S."""
        now_s = self._clock.monotonic()
        events: list[AlarmEvent] = []
        for key in tuple(self._delayed):
            events += self._expire(key, now_s)
        if now_s - self._freshness_s >= FRESHNESS_S:
            self._freshness_s = now_s
            events += self._freshen(now_s)
        stamp = self._now()
        events += [self._apply(event) for event in due(self.book, stamp, now_s)]
        if self.commit.idle and now_s - self.commit.committed_s >= CANARY_S:
            self._put(Entry(canary_ms=stamp.now_ms))
        entry = self.ladders.tick(self.book, self.unreceipted, self.listening, now_s, stamp.now_ms)
        if events or entry.ladders or entry.notices or entry.ended:
            self._put(replace(entry, events=tuple(events)))

    def _expire(self, key: PointKey, now_s: float) -> list[AlarmEvent]:
        state = self.devices.points[key]
        if state.expire(now_s) and state.reading is not None:
            self._delayed.discard(key)
            return self._judge(state, state.reading)
        if not state.waiting:
            self._delayed.discard(key)
        return []

    def _freshen(self, now_s: float) -> list[AlarmEvent]:
        """Silence of devices, links and the duty room."""
        events: list[AlarmEvent] = []
        stamp = self._now()
        for ident, link in self.links.items():
            down = freshness.link_down(link.up, link.since_s, now_s, link.trouble_s)
            lives = sum(device.device.life_safety for device in self.devices.by_link.get(ident, ()))
            level = Level(down, CLASSES[AlarmClass.LINK_DOWN].priority)
            event = self.book.judge(
                Subject(ident, None, self._settings.place),
                AlarmClass.LINK_DOWN,
                level,
                replace(stamp, value=lives, reason=link.why or None),
            )
            events += [self._apply(event)] if event else []
            if link.up:
                for device in self.devices.by_link.get(ident, ()):
                    events += self._freshen_device(device, stamp, now_s)
        for alarm in [alarm for alarm in self.book.by_id.values() if self._orphaned(alarm)]:
            left = on_condition(alarm, Condition.OFF, alarm.priority, replace(stamp, reason=REMOVED))
            events += [self._apply(left)] if left else []
        broken = self.damage or (None if self.commit.durable else NOT_DURABLE)
        storage = Condition.ON if broken else Condition.OFF
        events += self._own(AlarmClass.GATEWAY_STORAGE, storage, replace(stamp, reason=broken))
        events += [self._apply(event) for event in self._watch.look(self.book, stamp, now_s)]
        if self._settings.has_duty_room:
            events += self._own(AlarmClass.DUTY_ROOM_UNHEARD, self.listening.silence(now_s), stamp)
        return events

    def _orphaned(self, alarm: Alarm) -> bool:
        """Nothing judges it any more, so only a person can end it; still on, it could never be reset."""
        if alarm.condition is not Condition.ON or alarm.momentary or alarm.subject.device in self.links:
            return False
        return alarm.subject.device != self._settings.gateway_id and not self.devices.judges(alarm)

    def _own(self, alarm_class: AlarmClass, condition: Condition, stamp: Stamp) -> list[AlarmEvent]:
        """The gateway's alarms about itself."""
        subject = Subject(self._settings.gateway_id, None, self._settings.place)
        event = self.book.judge(subject, alarm_class, Level(condition, CLASSES[alarm_class].priority), stamp)
        return [self._apply(event)] if event else []

    def _freshen_device(self, device: DeviceState, stamp: Stamp, now_s: float) -> list[AlarmEvent]:
        silent = device.offline(now_s)
        vital = device.device.life_safety or device.device.id in self._settings.actors
        priority = 2 if vital else CLASSES[AlarmClass.DEVICE_OFFLINE].priority
        if silent is Condition.ON:
            device.forget()
        events = self._level(device, AlarmClass.DEVICE_OFFLINE, Level(silent, priority), None, stamp)
        fault = device.level(AlarmClass.DEVICE_FAULT, now_s)
        if fault.rule is None:
            events += self._level(device, AlarmClass.DEVICE_FAULT, fault, device.disagreeing, stamp)
        return events

    def _apply(self, event: AlarmEvent) -> AlarmEvent:
        """Give the event its seq and make it part of the state in memory."""
        self._head += 1
        event = replace(event, seq=self._head)
        self.book.apply(event, self._clock.monotonic())
        if self._settings.has_duty_room:
            self.unreceipted.add(event.event_id)
        return event

    def _put(self, entry: Entry) -> asyncio.Future[None]:
        """Queue for commit, with what the entry's events do to the ladders."""
        started = self.ladders.on_events(entry.events, self.book, self._clock.monotonic(), self._clock.wall_ms())
        merged = replace(
            entry,
            ended=entry.ended + started.ended,
            notices=entry.notices + started.notices,
            ladders=entry.ladders + started.ladders,
        )
        return self.commit.put(merged)

    def _now(self) -> Stamp:
        return Stamp(self._clock.wall_ms(), self._trust())

    def _stamp(
        self, reading: Reading, reason: str | None = None, cause: str | None = None, rule: Rule | None = None
    ) -> Stamp:
        return Stamp(
            now_ms=reading.received_ms,
            clock=self._trust(),
            reason=reason if reason is not None else (rule.id if rule else None),
            cause=cause,
            late=reading.late,
            value=reading.value if reading.quality is not Quality.BAD else None,
            observed_ms=reading.observed_ms,
        )

    # Views

    def alarms(self) -> Sequence[Alarm]:
        """Open alarms, oldest first."""
        return sorted(self.book.by_id.values(), key=lambda alarm: alarm.raised_ms)

    def live(self, alarm: Alarm) -> Condition:
        """What the world says now about an open alarm; unknown when its device cannot be trusted."""
        device = self.devices.devices.get(alarm.subject.device)
        if device is None or alarm.momentary or alarm.alarm_class not in {r.alarm_class for r in device.device.rules}:
            return alarm.condition
        return device.level(alarm.alarm_class, self._clock.monotonic()).condition

    def points(self) -> Sequence[PointView]:
        """Every point with its age."""
        return self.devices.views(self._clock.monotonic())

    def link_states(self) -> Mapping[str, str]:
        """up, down or unknown per link."""
        words = {True: "up", False: "down", None: "unknown"}
        return {ident: words[state.up] for ident, state in self.links.items()}
