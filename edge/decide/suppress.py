"""Why an alarm is not annunciated right now: a named reason, never a bare no."""

from __future__ import annotations

from enum import StrEnum

from edge.decide.alarms import Alarm
from edge.limits import SILENCE_S
from edge.model import AlarmState


class Quiet(StrEnum):
    """Reasons for a sounder to stay silent for one alarm."""

    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    OUT_OF_SERVICE = "out_of_service"
    SILENCED = "silenced"
    OVER = "over"


def quiet(alarm: Alarm, now_ms: int) -> Quiet | None:
    """The reason, or None when the alarm must be heard. A silence lasts limits.SILENCE_S, then it sounds again."""
    state = alarm.state
    if state is AlarmState.OOSRV:
        return Quiet.OUT_OF_SERVICE
    if state is AlarmState.SHLVD:
        return Quiet.SHELVED
    if state is AlarmState.NORM:
        return Quiet.OVER
    if not alarm.unanswered:
        return Quiet.ACKNOWLEDGED
    if alarm.silenced_ms is not None and 0 <= now_ms - alarm.silenced_ms < SILENCE_S * 1000:
        return Quiet.SILENCED
    return None
