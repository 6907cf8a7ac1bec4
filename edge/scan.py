"""``linli scan``: who answers on a link, and what they may be. Reads only, adopts nothing.

Works before anything is configured: the link may be a port (``/dev/serial/by-id/…``) or ``HOST:PORT`` instead of a
name in a building file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device_drivers.profiles import Profile, load_profiles
from edge.config import Building, load_building
from edge.ports import Driver, LinkSettings, Prober
from edge.tools import GatewayApi, link_of, with_driver

Row = dict[str, Any]
Say = Callable[[str, int, int], None]
"""What is tried, how much of it is done, of how much."""
SERIAL_BUS = ("modbus-rtu", "modbus-rtu-tcp", "modbus-tcp")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^\[\]:/\s]+):([0-9]{1,5})")


def scan(config: Path | None, link: str, say: Say) -> list[Row]:
    """What is found, a row each: address, the device the file has there, settings or name, and profiles that may fit.

    Raises ConfigError, LinkError, ValueError.
    """
    bare = bare_link(link)
    if bare is not None:
        return _slaves(bare, load_profiles(), {}, say)
    if config is None:
        raise ValueError(f"{link!r} is neither a port nor HOST:PORT: give the building file with --config")
    building = load_building(config)
    settings = link_of(building, link)
    known = {d.address: d.id for d in building.devices if d.link == link}
    if GatewayApi(building).runs():
        raise ValueError(f"the gateway is running and owns {link}: stop it before a scan")
    if settings.kind in SERIAL_BUS:
        return _slaves(settings, load_profiles() | dict(building.profiles), known, say)
    if settings.kind == "mqtt":
        return _announced(settings, known)
    return _others(building, settings, known)


def bare_link(text: str) -> LinkSettings | None:
    """A port or HOST:PORT as a link of its own; None for a name."""
    if text.startswith(("/", "./", "../")) or re.fullmatch(r"COM[0-9]+", text):
        return LinkSettings("scan", "modbus-rtu", {"port": text})
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        return None
    return LinkSettings("scan", "modbus-tcp", {"host": found[1].strip("[]"), "port": int(found[2])})


def _slaves(settings: LinkSettings, profiles: dict[str, Profile], known: dict[str, str], say: Say) -> list[Row]:
    from device_drivers.modbus.survey import survey

    found = asyncio.run(survey(settings.kind, settings.options, profiles, say))
    return [
        {
            "address": str(each.unit),
            "device": known.get(str(each.unit)),
            "settings": each.settings,
            "profiles": list(each.profiles),
        }
        for each in found
    ]


def _announced(settings: LinkSettings, known: dict[str, str]) -> list[Row]:
    from device_drivers.mqtt.discovery import discover

    return [
        {
            "address": each.address,
            "device": known.get(each.address),
            "name": each.name,
            "model": each.model,
            "says": list(each.says),
            "profiles": list(each.profiles),
        }
        for each in asyncio.run(discover(settings, lambda cause: None))
    ]


def _others(building: Building, settings: LinkSettings, known: dict[str, str]) -> list[Row]:
    async def probe(driver: Driver) -> list[str]:
        if not isinstance(driver, Prober):
            raise ValueError(
                f"a {settings.kind} link cannot be scanned: its devices speak by themselves (`linli watch`)"
            )
        return list(await driver.probe())

    found = asyncio.run(with_driver(building, settings, probe))
    return [{"address": address, "device": known.get(address)} for address in found]


def row_line(row: Row) -> str:
    """One finding for a terminal."""
    about = row.get("settings") or " ".join(x for x in (row.get("name"), row.get("model")) if x)
    fits = ", ".join(row["profiles"]) or "no profile fits" if "profiles" in row else ""
    return f"{row['address']:<28} {row['device'] or '—':<12} {about}  {fits}".rstrip()


def progress(stream: Any) -> Say:
    """A bar on a terminal; elsewhere one line for each setting."""
    last = ""

    def say(what: str, done: int, of: int) -> None:
        nonlocal last
        if stream.isatty():
            width = 30 * done // max(of, 1)
            end = "\n" if done >= of else ""
            stream.write(f"\r{what:<16} [{'#' * width}{'.' * (30 - width)}] {done}/{of}{end}")
        elif what != last:
            stream.write(f"trying {what}\n")
        last = what
        stream.flush()

    return say
