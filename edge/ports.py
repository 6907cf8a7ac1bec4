"""The protocols between rooms: at most four methods each, optional abilities apart.

Whoever touches the wire says what happened; one loop elsewhere decides when to try again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from edge.model import (
    AlarmEvent,
    Batch,
    Command,
    CommandOutcome,
    Device,
    Notice,
    Outcome,
    PollItem,
    ReadRequest,
    Write,
)


class Clockwork(Protocol):
    """Time as a value passed in."""

    def wall_ms(self) -> int:
        """Wall time, milliseconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Kit:
    """What a driver gets from outside instead of reaching for it. count(cause) counts a rejected input."""

    clock: Clockwork
    count: Callable[[str], None]
    data_dir: str


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One link as the building file says it, secrets resolved. options: every key of that kind."""

    id: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModemSettings:
    """The gateway's GSM modem. pin: of its SIM card, if it asks for one."""

    port: str
    baudrate: int = 115200
    pin: str | None = None


class Driver(Protocol):
    """One link with its devices. Raises only Unreachable | Garbled | Denied | WrongDevice.

    Never retries, paces itself, starts tasks that outlive ``close``, decides alarms or touches the journal.
    Every configured point gets a reading, bad with a cause if need be.
    """

    async def open(self) -> None:
        """Open the link. After a failure nothing is left behind."""
        ...

    async def read(self, request: ReadRequest | None) -> Batch:
        """Polled link: exactly one exchange for the request. Pushing link (request None): wait, then all waiting."""
        ...

    async def close(self) -> None:
        """Safe always: without open, twice, after a failure."""
        ...

    @property
    def plan(self) -> Sequence[PollItem]:
        """The polled requests of this link; empty for a pushing link."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Optional ability of a driver: set a point, read it back."""

    async def write(self, write: Write) -> Outcome:
        """One write with read-back where the device allows it."""
        ...


@runtime_checkable
class Prober(Protocol):
    """Optional ability of a driver: find devices without changing anything."""

    async def probe(self) -> Sequence[str]:
        """Addresses that answer, in a form a building file takes."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """Optional ability of a driver whose link keeps messages for us: did it forget them?"""

    @property
    def session_lost(self) -> bool:
        """True after an open that found none of what should have been kept."""
        ...


DriverFactory = Callable[[LinkSettings, Sequence[Device], Kit], Driver]
"""``create``: no I/O; raises ValueError on settings that config did not refuse."""


class Channel(Protocol):
    """One way to tell a person."""

    async def deliver(self, notice: Notice) -> Outcome:
        """Hand the notice to the service, once."""
        ...


@dataclass(frozen=True, slots=True)
class Ladder:
    """The gateway's own ladder for one alarm, as a row: which step is next, and when."""

    alarm_id: str
    reason: str
    step: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class Entry:
    """All that one transaction makes true.

    ended: alarm ids whose ladder ended. settled: notice id → final outcome text. receipts: event ids the
    duty room has committed. canary_ms: a sign of life when there is nothing else to write.
    """

    events: tuple[AlarmEvent, ...] = ()
    receipts: tuple[str, ...] = ()
    outcomes: tuple[CommandOutcome, ...] = ()
    ladders: tuple[Ladder, ...] = ()
    ended: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    settled: Mapping[str, str] = field(default_factory=dict)
    canary_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal knows at start.

    events: every event of alarms still open, in order. generations: alarms ever raised per (device, class).
    causes: sender ids already seen per device, the newest, oldest first. base: alarms are numbered from here on, so
    that no two journals of one gateway ever give the same id. pending: ids of the events that the duty
    room has not receipted.
    """

    head: int
    events: tuple[AlarmEvent, ...]
    generations: Mapping[tuple[str, str], int]
    causes: tuple[tuple[str, str], ...]
    pending: frozenset[str]
    outcomes: Mapping[str, CommandOutcome]
    ladders: tuple[Ladder, ...]
    notices: tuple[Notice, ...]
    base: int = 0


class Journal(Protocol):
    """The truth on disk. append is durable when it returns; raises NotDurable otherwise, having written nothing."""

    async def load(self) -> Past:
        """The state to start from."""
        ...

    async def append(self, entry: Entry) -> int:
        """One transaction; returns the head (highest event seq) after it. Events get their seq in order."""
        ...

    async def unreceipted(self, after_seq: int, limit: int) -> Sequence[AlarmEvent]:
        """Events the duty room has not receipted, with seq > after_seq, oldest first, at most limit."""
        ...

    async def close(self) -> None:
        """Finish what waits, checkpoint, close. Safe twice."""
        ...


CommandFn = Callable[[Command], Awaitable[CommandOutcome]]
"""The one door for wishes of people: duty room, local page, key switch."""
