"""What the web door may see of the gateway. Structural: the engine's own types fit without being copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge.model import AlarmEvent, BadCause, Command, CommandOutcome, Device, Outcome, Person, Quality, Value, Write


class PointView(Protocol):
    """The newest reading of one point. age_s: since it was received; None when there never was one."""

    @property
    def device(self) -> str: ...
    @property
    def point(self) -> str: ...
    @property
    def value(self) -> Value | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def quality(self) -> Quality: ...
    @property
    def cause(self) -> BadCause | None: ...
    @property
    def observed_ms(self) -> int | None: ...
    @property
    def age_s(self) -> float | None: ...


class AlarmView(Protocol):
    """One open alarm. last: its newest event. count: repeats + 1. rings: how often it began to ring."""

    @property
    def alarm_id(self) -> str: ...
    @property
    def last(self) -> AlarmEvent: ...
    @property
    def count(self) -> int: ...
    @property
    def rings(self) -> int: ...
    @property
    def raised_ms(self) -> int: ...
    @property
    def acknowledged(self) -> Person | None: ...
    @property
    def acknowledged_ms(self) -> int | None: ...
    @property
    def unanswered(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts since start, for /metrics.

    shed: lane → items. rejected: (driver, cause) → inputs. commit_buckets: (upper bound in seconds, commits at
    most that long), ending with infinity. commit_sum_s: seconds spent in commits. gauges, counters: (name,
    help, value). uplinks: name → connected.
    """

    events_committed: int
    outbox_rows: int
    shed: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[tuple[str, str], int] = field(default_factory=dict)
    commit_buckets: Sequence[tuple[float, int]] = ()
    commit_sum_s: float = 0.0
    gauges: Sequence[tuple[str, str, float]] = ()
    counters: Sequence[tuple[str, str, float]] = ()
    uplinks: Mapping[str, bool] = field(default_factory=dict)


class GatewayView(Protocol):
    """The gateway as its web door sees it. All but ``command`` are quick and never wait."""

    def now_ms(self) -> int:
        """Wall time."""
        ...

    def points(self) -> Sequence[PointView]:
        """Every configured point."""
        ...

    def alarms(self) -> Sequence[AlarmView]:
        """Every open alarm."""
        ...

    def links(self) -> Mapping[str, str]:
        """Link id → up, down or unknown."""
        ...

    def devices(self) -> Sequence[Device]:
        """Every configured device."""
        ...

    async def command(self, command: Command) -> CommandOutcome:
        """The one door for wishes; returns after the commit. Raises NotDurable."""
        ...

    async def set_point(self, write: Write) -> Outcome:
        """Set a point through the link's owner; returns after the read-back."""
        ...

    def checks(self) -> Mapping[str, str]:
        """What must stand for the gateway to be ready: name → ``ok`` or what is wrong."""
        ...

    def figures(self) -> Figures:
        """Counts since start."""
        ...
