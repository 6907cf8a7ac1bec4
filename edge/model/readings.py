"""What devices say: points, readings and how far they may be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

Value = bool | int | float | str


class Quality(StrEnum):
    """How far a reading may be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class BadCause(StrEnum):
    """Why a reading is bad. ``SILENT`` causes mean nobody answered, the others that the answer is of no use."""

    TIMEOUT = "timeout"
    LINK_DOWN = "link_down"
    NOT_HEARD = "not_heard"
    OFFLINE = "offline"
    EXCEPTION = "exception"
    GARBLED = "garbled"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"


SILENT_CAUSES = frozenset({BadCause.TIMEOUT, BadCause.LINK_DOWN, BadCause.NOT_HEARD, BadCause.OFFLINE})


class PointKey(NamedTuple):
    """The only name for a thing measured or set; written ``device/point``."""

    device: str
    point: str

    def __str__(self) -> str:
        return f"{self.device}/{self.point}"


class Reading(NamedTuple):
    """One value of one point.

    value is None exactly when quality is bad. observed_ms: the device's own time, if it gave one.
    received_ms/received_s: our wall and monotonic time, stamped by the driver's kit when the bytes arrived.
    momentary: an event such as a press or a card passage, not a state. late: came out of a queue, a
    redelivery or the broker's retained store. sequence: the sender's own id of this report, if it has one;
    the same (device, point, sequence) twice is one cause.
    """

    key: PointKey
    value: Value | None
    quality: Quality
    cause: BadCause | None
    received_ms: int
    received_s: float
    observed_ms: int | None = None
    sequence: str | None = None
    momentary: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """1–256 readings of one link, and how to acknowledge them to their sender after our commit."""

    link: str
    readings: tuple[Reading, ...]
    ack: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One exchange on a polled link. plan indexes the driver's read plan for the device."""

    device: str
    plan: int = 0


@dataclass(frozen=True, slots=True)
class PollItem:
    """One request that must be made every period_s. cost_s: expected bus time of one exchange."""

    request: ReadRequest
    period_s: float
    life_safety: bool
    timeout_s: float
    cost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Write:
    """Set one writable point of a device (horn on, valve close)."""

    key: PointKey
    value: Value
