"""How many alarms people are asked to take: the figures of ISA-18.2, EEMUA 191 and OPC UA (reference: standards §1.2).

A ring is what asks for a person: raised, repeated, priority raised, re-alarmed. Tests are practice and do not count.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edge.model import RINGING_KINDS, AlarmEvent, AlarmState, EventKind

WINDOW_S = 600.0
"""EEMUA 191 counts in ten minutes."""
FLOOD_BEGINS, FLOOD_ENDS = 10, 5
"""Rings in ten minutes: a flood has begun with the first figure, and is over below the second."""
CHATTER_RINGS, CHATTER_S = 3, 60.0
"""One alarm that rings this often within this long chatters."""
STALE_S = 86400.0
"""Active for longer than this: nobody is helped by it any more."""
HELD_MAX = 10_000
"""Rings held; in a larger storm the figures are those of its newest part, and they are alarming enough."""


class AlarmLike(Protocol):
    """An open alarm."""

    @property
    def last(self) -> AlarmEvent: ...
    @property
    def raised_ms(self) -> int: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class RateFigures:
    """At one moment. current, maximum: rings per ten minutes. longest_*: seconds. repeats: most of any open alarm."""

    rings: int = 0
    current: int = 0
    maximum: int = 0
    average_per_hour: float = 0.0
    flood: bool = False
    floods: int = 0
    chattering: int = 0
    stale: int = 0
    longest_active_s: float = 0.0
    longest_unacknowledged_s: float = 0.0
    repeats: int = 0
    re_alarms: int = 0
    by_priority: Mapping[int, int] = field(default_factory=dict)


class Rates:
    """Counts since start. Time is passed in: monotonic seconds, and wall milliseconds for ages."""

    def __init__(self, begun_s: float) -> None:
        self._begun_s = begun_s
        self._rings: deque[tuple[float, str]] = deque(maxlen=HELD_MAX)
        self._by_priority: Counter[int] = Counter()
        self._total = self._re_alarms = self._maximum = self._floods = 0
        self._flood = False

    def note(self, events: Iterable[AlarmEvent], now_s: float) -> None:
        """Newly committed events."""
        for event in events:
            if event.kind not in RINGING_KINDS or event.test:
                continue
            self._rings.append((now_s, f"{event.device}/{event.alarm_class}"))
            self._total += 1
            self._by_priority[event.priority] += 1
            self._re_alarms += event.kind is EventKind.RE_ALARMED
            self._look(now_s)

    def _look(self, now_s: float) -> int:
        while self._rings and now_s - self._rings[0][0] >= WINDOW_S:
            self._rings.popleft()
        current = len(self._rings)
        self._maximum = max(self._maximum, current)
        if not self._flood and current >= FLOOD_BEGINS:
            self._flood = True
            self._floods += 1
        elif self._flood and current < FLOOD_ENDS:
            self._flood = False
        return current

    def figures(self, alarms: Iterable[AlarmLike], now_s: float, now_ms: int) -> RateFigures:
        """The figures with the alarms that are open now."""
        current = self._look(now_s)
        recent = Counter(source for at_s, source in self._rings if now_s - at_s < CHATTER_S)
        now_open = [alarm for alarm in alarms if not alarm.last.test]
        active = [(now_ms - a.raised_ms) / 1000 for a in now_open]
        waiting = (AlarmState.UNACK, AlarmState.RTNUN, AlarmState.LUNACK)
        unanswered = [(now_ms - a.raised_ms) / 1000 for a in now_open if a.last.state in waiting]
        hours = max(now_s - self._begun_s, WINDOW_S) / 3600
        return RateFigures(
            rings=self._total,
            current=current,
            maximum=self._maximum,
            average_per_hour=round(self._total / hours, 3),
            flood=self._flood,
            floods=self._floods,
            chattering=sum(count >= CHATTER_RINGS for count in recent.values()),
            stale=sum(age_s >= STALE_S for age_s in active),
            longest_active_s=max(active, default=0.0),
            longest_unacknowledged_s=max(unanswered, default=0.0),
            repeats=max((a.count - 1 for a in now_open), default=0),
            re_alarms=self._re_alarms,
            by_priority=dict(self._by_priority),
        )


FIGURES: Mapping[str, tuple[str, str]] = {
    "current": ("linli_alarm_rate", "Rings in the last 10 minutes (EEMUA 191: 1 is steady, 10 is a flood)."),
    "maximum": ("linli_alarm_rate_max", "Most rings in any 10 minutes since start."),
    "average_per_hour": ("linli_alarm_rate_average", "Rings per hour since start (ISA-18.2: 6 is good, 12 the most)."),
    "flood": ("linli_alarm_flood", "1 from 10 rings in 10 minutes until fewer than 5."),
    "chattering": ("linli_alarms_chattering", "Alarms that rang 3 times or more in the last minute."),
    "stale": ("linli_alarms_stale", "Open alarms raised more than 24 hours ago."),
    "longest_active_s": ("linli_alarm_active_seconds_max", "Age of the oldest open alarm."),
    "longest_unacknowledged_s": ("linli_alarm_unacknowledged_seconds_max", "Longest wait for a named person."),
    "repeats": ("linli_alarm_repeats_max", "Repeats of the open alarm that repeats most."),
}
"""Gauge of each figure: name and help, the same on both daemons."""
COUNTERS: Mapping[str, tuple[str, str]] = {
    "rings": ("linli_alarm_rings", "Times an alarm asked for a person since start."),
    "floods": ("linli_alarm_floods", "Floods begun since start."),
    "re_alarms": ("linli_alarm_re_alarms", "Alarms that rang again because nobody dealt with them."),
}
"""Counter of each figure."""
