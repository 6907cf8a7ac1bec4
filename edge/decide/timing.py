"""When the gateway's own ladder starts, and when its next step is due: named reasons, durations in seconds."""

from __future__ import annotations

from enum import StrEnum

from edge.decide.alarms import Alarm
from edge.limits import ACK_WAIT_S, LADDER_REPEAT_S, LADDER_STEP_S, RECEIPT_WAIT_S, UNHEARD_WAIT_S


class LadderReason(StrEnum):
    """Why the gateway itself tells its roster."""

    NO_DUTY_ROOM = "no_duty_room"
    NO_RECEIPT = "no_receipt"
    NO_ACKNOWLEDGE = "no_acknowledge"
    UNHEARD = "unheard"


def ladder_reason(
    alarm: Alarm,
    *,
    rang_for_s: float,
    has_duty_room: bool,
    receipted: bool,
    unheard_for_s: float | None,
) -> LadderReason | None:
    """Must the gateway tell people itself? rang_for_s: since the newest ring. unheard_for_s: how long the duty room
    has said that nobody can hear; None while somebody can."""
    if not alarm.unanswered or alarm.priority not in ACK_WAIT_S:
        return None
    if not has_duty_room:
        return LadderReason.NO_DUTY_ROOM
    if unheard_for_s is not None and unheard_for_s >= UNHEARD_WAIT_S:
        return LadderReason.UNHEARD
    if not receipted and rang_for_s >= RECEIPT_WAIT_S:
        return LadderReason.NO_RECEIPT
    if rang_for_s >= ACK_WAIT_S[alarm.priority]:
        return LadderReason.NO_ACKNOWLEDGE
    return None


def step_gap_s(priority: int, step: int, roster_size: int) -> float:
    """Seconds from this step to the next: each person has their time, then the last step repeats."""
    if step + 1 < roster_size:
        return LADDER_STEP_S.get(priority, LADDER_REPEAT_S)
    return LADDER_REPEAT_S
