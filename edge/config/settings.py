"""What the daemons are started with: frozen, checked, secrets resolved. Paths are absolute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device_drivers.profiles import Profile
from edge.config.secret import Secret
from edge.errors import Finding
from edge.model import Device, Linkage, PointKey, Recipient, Sounder
from edge.ports import LinkSettings, ModemSettings


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How to reach a broker. urls: tried in order. ca: the authority trusted with mqtts; cert, key: our own."""

    urls: tuple[str, ...]
    username: str | None = None
    password: Secret | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class CitySettings:
    """The city's broker and how often it gets a summary."""

    broker: BrokerSettings
    every_s: float = 300.0


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway itself. host and port: where its local API listens (port 0: a free one)."""

    id: str
    data_dir: Path
    timezone: str
    host: str
    port: int
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """The building's shape. floors: lowest and highest storey, both there; -1 is B1."""

    community: str
    grid: str | None
    micro_grid: str | None
    building: str
    units: tuple[str, ...]
    floors: tuple[int, int]
    households_per_floor: int


@dataclass(frozen=True, slots=True)
class Building:
    """A building file. profiles: those its devices use, by name. warnings: what check would still say."""

    path: Path
    config_hash: str
    gateway: GatewaySettings
    site: Site
    links: tuple[LinkSettings, ...]
    devices: tuple[Device, ...]
    roster: tuple[Recipient, ...] = ()
    modem: ModemSettings | None = None
    duty_room: BrokerSettings | None = None
    city: CitySettings | None = None
    uplinks: tuple[LinkSettings, ...] = ()
    sounders: tuple[Sounder, ...] = ()
    linkages: tuple[Linkage, ...] = ()
    ack_keys: tuple[PointKey, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person of people.csv. grid: the grid or micro-grid they look after; tell: Apprise URLs."""

    id: str
    name: str
    role: str
    grid: str | None
    tell: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DutyRoomSettings:
    """A duty-room file. public_url: how phones reach it; database: None means SQLite in data_dir."""

    path: Path
    id: str
    data_dir: Path
    timezone: str
    host: str
    port: int
    public_url: str
    broker: BrokerSettings
    gateways: tuple[str, ...]
    people: tuple[PersonRow, ...]
    database: Secret | None = None
    city: BrokerSettings | None = None
    warnings: tuple[Finding, ...] = ()
