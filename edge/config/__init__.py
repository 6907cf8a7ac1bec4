"""Settings: strict, checked without touching a device, and every fault at once with its line and column.

``load_building`` and ``load_duty_room`` give frozen settings or raise ConfigError with all findings;
``check`` says what is wrong with any file of a site and never raises.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge.config.building import read_building
from edge.config.devices import COLUMNS as DEVICE_COLUMNS
from edge.config.devices import check_rows, read_profile, table_rows
from edge.config.document import FILE_BYTES_MAX
from edge.config.duty_room import COLUMNS as PEOPLE_COLUMNS
from edge.config.duty_room import read_duty_room, read_people
from edge.config.report import CODES, Report, finding_line, language, sort_key
from edge.config.secret import Secret
from edge.config.settings import (
    BrokerSettings,
    Building,
    CitySettings,
    DutyRoomSettings,
    GatewaySettings,
    PersonRow,
    Site,
)
from edge.config.source import Source
from edge.errors import ConfigError, Finding

__all__ = [
    "CODES",
    "DEVICE_COLUMNS",
    "PEOPLE_COLUMNS",
    "BrokerSettings",
    "Building",
    "CitySettings",
    "DutyRoomSettings",
    "GatewaySettings",
    "PersonRow",
    "Secret",
    "Site",
    "check",
    "finding_line",
    "language",
    "load_building",
    "load_duty_room",
    "sort_key",
]

_TOP_KEY = re.compile(r"^([a-z_]+)\s*:", re.MULTILINE)
_TABLES = (".csv", ".xlsx", ".xlsm")


def load_building(path: Path | str, lang: str | None = None) -> Building:
    """The building of a file, secrets resolved. Raises ConfigError with all findings when one is an error."""
    report = Report(lang)
    building = read_building(Path(path), report)
    if building is None:
        raise ConfigError(report.findings)
    return building


def load_duty_room(path: Path | str, lang: str | None = None) -> DutyRoomSettings:
    """The duty room of a file, secrets resolved. Raises ConfigError with all findings when one is an error."""
    report = Report(lang)
    settings = read_duty_room(Path(path), report)
    if settings is None:
        raise ConfigError(report.findings)
    return settings


def check(path: Path | str, lang: str | None = None) -> list[Finding]:
    """All findings about a building, duty-room, profile, device-table or people file, sorted. Never raises."""
    path = Path(path)
    report = Report(lang)
    if path.suffix.lower() in _TABLES:
        _check_table(path, report)
        return report.findings
    kind = _kind(path)
    if kind == "profile":
        read_profile(Source(path, report))
    elif kind == "duty_room":
        read_duty_room(path, report)
    else:
        read_building(path, report)
    return report.findings


def _kind(path: Path) -> str:
    """What a YAML file is, by the keys at its margin that only that kind has; a building when in doubt."""
    try:
        with path.open("rb") as file:
            head = file.read(FILE_BYTES_MAX)
    except (OSError, ValueError):
        return "building"
    keys = set(_TOP_KEY.findall(head.decode("utf-8-sig", "replace")))
    if keys & {"gateway", "site", "links", "devices"}:
        return "building"
    if "profile" in keys or {"points", "kind"} <= keys:
        return "profile"
    return "duty_room" if keys & {"broker", "gateways", "people"} else "building"


def _check_table(path: Path, report: Report) -> None:
    """A table without its building: form and ids only; people are told apart by their columns."""
    people, devices = Report(report.lang), Report(report.lang)
    read_people(Source(path, people), path, str(path))
    check_rows(table_rows(path, str(path), devices), devices)
    report.add(
        min((people, devices), key=lambda r: sum(f.code in ("unknown-key", "missing-key") for f in r.findings)).findings
    )
