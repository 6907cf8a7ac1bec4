"""Every exception of the product.

LinliError
├── ConfigError        findings in the files a person wrote (config)
├── DataDirLocked      a second process on the same data directory
├── NotDurable         the journal could not commit; nothing may be acknowledged
├── JournalDamaged     a journal file failed its checks
└── LinkError          what a driver may raise, and nothing else
    ├── Unreachable    the link is not there: retry
    │   └── NobodyCalls    we listen and the far end has not called: listen again at once
    ├── Garbled        bytes that make no sense: count, keep the link
    ├── Denied         credentials or rights: call a person
    └── WrongDevice    something else answers at this address: stop, call a person
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault or doubt about a file, and what to do. line and column are 1-based.

    For spreadsheets ``file`` is ``FILE!Sheet!B7`` and line/column are the row and column.
    severity: ``error`` or ``warning``. code is stable (see CONTRACT).
    """

    file: str
    line: int
    column: int
    severity: str
    code: str
    message: str
    remedy: str


class LinliError(Exception):
    """Base of all. The text says what happened and what to do."""


class ConfigError(LinliError):
    """All findings at once; nothing was started."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = tuple(findings)


class DataDirLocked(LinliError):
    """Another process holds the data directory."""


class NotDurable(LinliError):
    """The journal could not commit. Annunciate anyway, acknowledge nothing."""


class JournalDamaged(LinliError):
    """A journal file failed quick_check or its hash chain."""


class LinkError(LinliError):
    """Base of what a driver may raise."""


class Unreachable(LinkError):
    """The link is not there (port missing, connection refused or lost)."""


class NobodyCalls(Unreachable):
    """We listen, and the far end, which calls by itself, has not. Waiting before the next attempt would refuse it."""


class Garbled(LinkError):
    """Bytes arrived that make no sense; the link itself stays."""


class Denied(LinkError):
    """Credentials or rights are missing; a person must act."""


class WrongDevice(LinkError):
    """Another device answers at this address; a person must act."""
