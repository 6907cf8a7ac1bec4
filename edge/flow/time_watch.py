"""What time alone does to open alarms, and what becomes of the wall clock.

Durations are counted on the monotonic clock: a wall clock that steps by ten years neither ends a silence or a shelving
nor puts a second ring off. The step itself is journaled, so that everybody can see which times to trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge.decide.alarms import Stamp, Subject, on_condition, press, re_alarm, shelf_is_over, unshelve
from edge.decide.rules import Level
from edge.flow.alarm_book import AlarmBook
from edge.limits import CLOCK_STEP_S, CLOCK_UNTRUSTED_S
from edge.model import CLASSES, AlarmClass, AlarmEvent, Clock, Condition, rfc3339

UNTRUSTED = "the clock is not synchronised: times shown to people may be wrong"
_PRIORITY = CLASSES[AlarmClass.GATEWAY_CLOCK].priority


def due(book: AlarmBook, stamp: Stamp, now_s: float) -> Iterator[AlarmEvent]:
    """Shelvings that are over and acknowledged alarms that nobody dealt with. Each event is applied before the next."""
    for alarm in tuple(book.by_id.values()):
        then = replace(stamp, now_ms=book.now_ms(alarm, now_s))
        over = shelf_is_over(alarm, then.now_ms)
        event = unshelve(alarm, replace(then, reason="its time is over")) if over else re_alarm(alarm, then)
        if event is not None:
            yield replace(event, received_ms=stamp.now_ms)


class ClockWatch:
    """Owns gateway.clock: steps of the wall clock, and a clock that nothing has set for too long."""

    def __init__(self, subject: Subject, now_ms: int, now_s: float) -> None:
        self._subject = subject
        self._offset_ms = now_ms - now_s * 1000
        self._trusted_s = now_s

    def look(self, book: AlarmBook, stamp: Stamp, now_s: float) -> Iterator[AlarmEvent]:
        """The events of one look. Each is applied before the next."""
        if stamp.clock is Clock.SYNCED:
            self._trusted_s = now_s
        untrusted = now_s - self._trusted_s > CLOCK_UNTRUSTED_S
        step_ms = stamp.now_ms - now_s * 1000 - self._offset_ms
        self._offset_ms += step_ms
        if abs(step_ms) >= CLOCK_STEP_S * 1000:
            yield self._stepped(book, replace(stamp, value=round(step_ms / 1000), reason=self._words(stamp, step_ms)))
        level = Level(Condition.ON if untrusted else Condition.OFF, _PRIORITY)
        event = book.judge(self._subject, AlarmClass.GATEWAY_CLOCK, level, replace(stamp, reason=UNTRUSTED))
        if event is not None:
            yield event

    def _stepped(self, book: AlarmBook, stamp: Stamp) -> AlarmEvent:
        alarm = book.open.get((self._subject.device, AlarmClass.GATEWAY_CLOCK))
        if alarm is None:
            return book.raise_new(self._subject, AlarmClass.GATEWAY_CLOCK, _PRIORITY, stamp)
        return on_condition(alarm, Condition.ON, _PRIORITY, stamp) or press(alarm, stamp)

    @staticmethod
    def _words(stamp: Stamp, step_ms: float) -> str:
        try:
            before = rfc3339(round(stamp.now_ms - step_ms))
        except (ValueError, OverflowError, OSError):
            before = "a time without a date"
        return f"the clock was set: before it said {before}"
