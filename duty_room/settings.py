"""What the rooms of the duty room need of its settings; ``edge.config.DutyRoomSettings`` fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from duty_room.ladder import Someone


class Broker(Protocol):
    """How to reach a broker."""

    @property
    def urls(self) -> tuple[str, ...]: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def ca(self) -> Path | None: ...


class Settings(Protocol):
    """The duty-room file, secrets resolved."""

    @property
    def id(self) -> str: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def timezone(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def public_url(self) -> str: ...
    @property
    def broker(self) -> Broker: ...
    @property
    def gateways(self) -> tuple[str, ...]: ...
    @property
    def people(self) -> Sequence[Someone]: ...
    @property
    def database(self) -> str | None: ...
