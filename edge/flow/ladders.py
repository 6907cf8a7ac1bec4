"""The gateway's own ladders: they start by three triggers and end only with a named person.

Rows in the journal carry them over a restart: an overdue step fires at boot, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge.decide.alarms import Alarm
from edge.decide.route import notices
from edge.decide.timing import ladder_reason, step_gap_s
from edge.flow.alarm_book import AlarmBook
from edge.limits import LADDER_REPEAT_S, PEER_LOST_S
from edge.model import RINGING_KINDS, AlarmEvent, Condition, EventKind, Notice, Recipient
from edge.ports import Entry, Ladder, Past


class Listening:
    """How well the duty room hears us, and whether people hear it. All times monotonic."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._heard = False
        self._inaudible_s: float | None = None

    def heard(self, audible: bool, now_s: float, echoed_s: float | None = None) -> None:
        """A duty message that echoes us. echoed_s: when the echo last moved; a still one proves nothing newer."""
        self._since_s, self._heard = now_s if echoed_s is None else max(self._since_s, echoed_s), True
        if audible:
            self._inaudible_s = None
        elif self._inaudible_s is None:
            self._inaudible_s = now_s

    def silence(self, now_s: float) -> Condition:
        """Is the duty room unheard? Unknown at start until its time has passed."""
        if now_s - self._since_s > PEER_LOST_S:
            return Condition.ON
        return Condition.OFF if self._heard else Condition.UNKNOWN

    def unheard_for_s(self, now_s: float) -> float | None:
        """How long the duty room has said that nobody can hear; None while somebody can."""
        return None if self._inaudible_s is None else now_s - self._inaudible_s


@dataclass(frozen=True, slots=True)
class Run:
    """One running ladder: the step that is next, and when (monotonic)."""

    reason: str
    step: int
    due_s: float


class Ladders:
    """All running ladders. Methods return what must be committed with them."""

    def __init__(
        self, roster: Sequence[Recipient], text: Callable[[Alarm, Recipient], tuple[str, str]], has_duty_room: bool
    ) -> None:
        self._roster = roster
        self._text = text
        self._has_duty_room = has_duty_room
        self.running: dict[str, Run] = {}

    def load(self, past: Past, book: AlarmBook, now_s: float, now_ms: int) -> None:
        """Go on where the journal says; what is overdue is due now."""
        for row in past.ladders:
            if row.alarm_id in book.by_id:
                left_s = min(max(0.0, (row.due_ms - now_ms) / 1000), LADDER_REPEAT_S)
                self.running[row.alarm_id] = Run(row.reason, row.step, now_s + left_s)

    def on_events(self, events: Sequence[AlarmEvent], book: AlarmBook, now_s: float, now_ms: int) -> Entry:
        """A named person's answer ends a ladder; a new ring on a running one tells everyone again."""
        ended: list[str] = []
        told: list[Notice] = []
        rows: list[Ladder] = []
        for event in events:
            run = self.running.get(event.alarm_id)
            if run is None:
                continue
            alarm = book.by_id.get(event.alarm_id)
            if alarm is None or not alarm.unanswered:
                del self.running[event.alarm_id]
                ended.append(event.alarm_id)
            elif event.kind in RINGING_KINDS:
                told += notices(alarm, run.step, self._roster, self._text, now_ms, again=True)
                if event.kind is EventKind.PRIORITY_RAISED:
                    self.running[event.alarm_id] = replace(run, due_s=now_s)
                    rows.append(Ladder(event.alarm_id, run.reason, run.step, now_ms))
        return Entry(ended=tuple(ended), notices=tuple(told), ladders=tuple(rows))

    def tick(self, book: AlarmBook, unreceipted: set[str], listening: Listening, now_s: float, now_ms: int) -> Entry:
        """Start the ladders whose trigger has come, and take the steps that are due."""
        rows: list[Ladder] = []
        told: list[Notice] = []
        for alarm in book.unanswered():
            run = self.running.get(alarm.alarm_id) or self._start(alarm, book, unreceipted, listening, now_s)
            if run is None or now_s < run.due_s:
                continue
            told += notices(alarm, run.step, self._roster, self._text, now_ms)
            gap_s = step_gap_s(alarm.priority, run.step, len(self._roster))
            self.running[alarm.alarm_id] = Run(run.reason, run.step + 1, now_s + gap_s)
            rows.append(Ladder(alarm.alarm_id, run.reason, run.step + 1, now_ms + round(gap_s * 1000)))
        return Entry(ladders=tuple(rows), notices=tuple(told))

    def _start(
        self, alarm: Alarm, book: AlarmBook, unreceipted: set[str], listening: Listening, now_s: float
    ) -> Run | None:
        reason = ladder_reason(
            alarm,
            rang_for_s=now_s - book.rang_s[alarm.alarm_id],
            has_duty_room=self._has_duty_room,
            receipted=alarm.ring_event not in unreceipted,
            unheard_for_s=listening.unheard_for_s(now_s),
        )
        return None if reason is None else Run(reason, 0, now_s)
