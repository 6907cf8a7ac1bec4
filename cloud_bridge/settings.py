"""What the bridge needs to know of a broker; the building file's settings fit without being copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class BrokerLike(Protocol):
    """Where a broker listens and who we are there."""

    @property
    def urls(self) -> Sequence[str]: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def ca(self) -> Path | None: ...
    @property
    def cert(self) -> Path | None: ...
    @property
    def key(self) -> Path | None: ...
