"""Silence and nonsense become alarms of their own: offline devices, faulty devices, links that are down.

At start and after a link is back everything is unknown until its supervision time has passed.
"""

from __future__ import annotations

from edge.limits import FAULT_AFTER_S_MAX, LINK_DOWN_DELAY_S
from edge.model import Condition


def offline(
    supervise_s: float | None, heard_s: float | None, since_s: float, said_offline: bool, now_s: float
) -> Condition:
    """Is the device silent? heard_s: last answer of any kind. since_s: start, or when its link came back.

    said_offline: the device's own network declares it gone; that needs no waiting.
    """
    if said_offline:
        return Condition.ON
    if heard_s is not None and heard_s >= since_s:
        if supervise_s is None or now_s - heard_s <= supervise_s:
            return Condition.OFF
        return Condition.ON
    if supervise_s is not None and now_s - since_s > supervise_s:
        return Condition.ON
    return Condition.UNKNOWN


def fault(supervise_s: float | None, bad_since_s: float | None, now_s: float) -> Condition:
    """Does a point of a device that answers give nothing but unusable values for too long?"""
    if bad_since_s is None:
        return Condition.OFF
    patience_s = FAULT_AFTER_S_MAX if supervise_s is None else min(supervise_s, FAULT_AFTER_S_MAX)
    return Condition.ON if now_s - bad_since_s > patience_s else Condition.UNKNOWN


def link_down(up: bool | None, since_s: float, now_s: float, trouble_s: float | None = None) -> Condition:
    """Is the link gone for people? A blip shorter than limits.LINK_DOWN_DELAY_S is not an event.

    trouble_s: since when it has not stayed up that long; None when it never fell. A link that opens and falls again
    and again protects nobody, however short each fall is.
    """
    if up:
        steady = trouble_s is None or now_s - since_s >= LINK_DOWN_DELAY_S
        return Condition.OFF if steady else Condition.UNKNOWN
    gone_s = now_s - (since_s if trouble_s is None else trouble_s)
    return Condition.ON if gone_s >= LINK_DOWN_DELAY_S else Condition.UNKNOWN


def trouble_since(up: bool | None, since_s: float, trouble_s: float | None, now_s: float) -> float:
    """trouble_s of a link that falls now; the rest is its state until now."""
    if trouble_s is None or (up and now_s - since_s >= LINK_DOWN_DELAY_S):
        return now_s if up is not None else since_s
    return trouble_s
