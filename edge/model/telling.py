"""Telling people, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edge.model.readings import Write


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of the roster and every way to tell them (Apprise URLs, secrets resolved)."""

    id: str
    name: str
    role: str
    tell: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """The duty to tell one recipient by one channel; the id is the idempotency key."""

    notice_id: str
    alarm_id: str
    step: int
    recipient: str
    channel: str
    title: str
    body: str
    due_ms: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """Handed to the service; never means that a person has answered."""

    reference: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now; the dispatcher decides when. disagrees: it was written, and reads back as something else."""

    why: str
    disagrees: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Never; somebody must mend it."""

    why: str


Outcome = Delivered | TryLater | Refused


WriteFn = Callable[[Write], Awaitable[Outcome]]
