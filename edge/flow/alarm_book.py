"""The open alarms in memory: decided now, committed a moment later. Rebuilt from the journal at start."""

from __future__ import annotations

from collections.abc import Sequence

from edge.decide.alarms import Alarm, Stamp, Subject, alarm_id, begin, fold, on_condition
from edge.decide.rules import Level
from edge.limits import SHELVE_S_MAX
from edge.model import RINGING_KINDS, AlarmClass, AlarmEvent, AlarmState, Condition, EventKind
from edge.ports import Past

MINUTES_REMEMBERED = 60
"""How far back the time since a ring is believed after a restart; wall clocks step, this bounds the error."""
ANCHORS = frozenset({EventKind.ACKNOWLEDGED, EventKind.SILENCED, EventKind.SHELVED})
"""Events from which a duration is counted: until it rings again, sounds again, comes back."""


class AlarmBook:
    """One open alarm per (device, class). rang_s: monotonic instant of each alarm's newest ring.

    _anchors: wall and monotonic time of the newest event of each alarm from which a duration is counted.
    """

    def __init__(self, gateway_id: str) -> None:
        self._gateway_id = gateway_id
        self._base = 0
        self._generations: dict[tuple[str, str], int] = {}
        self.open: dict[tuple[str, str], Alarm] = {}
        self.by_id: dict[str, Alarm] = {}
        self.rang_s: dict[str, float] = {}
        self._anchors: dict[str, tuple[int, float]] = {}

    def load(self, past: Past, now_s: float, now_ms: int) -> None:
        """Rebuild from the journal. A ring in the past keeps its age, bounded, so that deadlines do not start anew."""
        self._base = past.base
        self._generations = dict(past.generations)
        for event in past.events:
            self.apply(event, now_s)
        for alarm in self.by_id.values():
            age_s = min(max(0.0, (now_ms - alarm.rang_ms) / 1000), MINUTES_REMEMBERED * 60)
            self.rang_s[alarm.alarm_id] = now_s - age_s
        for ident, (at_ms, _) in self._anchors.items():
            self._anchors[ident] = at_ms, now_s - min(max(0.0, (now_ms - at_ms) / 1000), SHELVE_S_MAX)

    def now_ms(self, alarm: Alarm, now_s: float) -> int:
        """Wall time as it would be had it never stepped since the alarm was acknowledged, silenced or shelved."""
        at_ms, at_s = self._anchors.get(alarm.alarm_id, (alarm.last.received_ms, now_s))
        return at_ms + round((now_s - at_s) * 1000)

    def judge(self, subject: Subject, alarm_class: AlarmClass, level: Level, stamp: Stamp) -> AlarmEvent | None:
        """The event that a judgement causes, if any."""
        alarm = self.open.get((subject.device, alarm_class))
        if alarm is not None:
            return on_condition(alarm, level.condition, level.priority, stamp)
        if level.condition is not Condition.ON:
            return None
        return self.raise_new(subject, alarm_class, level.priority, stamp)

    def raise_new(self, subject: Subject, alarm_class: AlarmClass, priority: int, stamp: Stamp) -> AlarmEvent:
        """The event that raises the next alarm of this device and class."""
        generation = max(self._generations.get((subject.device, alarm_class), 0), self._base) + 1
        ident = alarm_id(self._gateway_id, subject.device, alarm_class, generation)
        return begin(ident, alarm_class, priority, subject, stamp)

    def apply(self, event: AlarmEvent, now_s: float) -> None:
        """Make an event part of the state."""
        key = (event.device, event.alarm_class)
        alarm = fold(self.open.get(key), event)
        if alarm.events == 1:
            self._generations[key] = int(alarm.alarm_id.rsplit("-", 1)[1])
        if event.kind in RINGING_KINDS:
            self.rang_s[alarm.alarm_id] = now_s
        if event.kind in ANCHORS:
            self._anchors[alarm.alarm_id] = event.received_ms, now_s
        if alarm.state is AlarmState.NORM:
            del self.open[key], self.by_id[alarm.alarm_id], self.rang_s[alarm.alarm_id]
            self._anchors.pop(alarm.alarm_id, None)
            return
        self.open[key] = alarm
        self.by_id[alarm.alarm_id] = alarm

    def was_closed(self, ident: str) -> bool:
        """Did this alarm exist and end? Then a late wish about it has nothing left to do."""
        prefix = f"{self._gateway_id}-"
        stem, _, number = ident.removeprefix(prefix).rpartition("-")
        if ident in self.by_id or not ident.startswith(prefix) or not number.isdigit():
            return False
        return any(
            stem == f"{device}-{name}" and self._base < int(number) <= generation
            for (device, name), generation in self._generations.items()
        )

    def unanswered(self) -> Sequence[Alarm]:
        """Open alarms that no named person has acknowledged."""
        return [alarm for alarm in self.by_id.values() if alarm.unanswered]
