"""``linli doctor``: everything that would keep a gateway from working on this machine, and what to do about each."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.clock import ClockTrust, SystemClock
from edge.config import Building, finding_line, load_building
from edge.config.bus import BUS_KINDS, DEAD_BORNE, DETECT_S, load
from edge.config.ports import stable_ports
from edge.errors import ConfigError, Denied
from edge.model import Clock, Recipient
from edge.mqtt.tls import Tls, plain
from edge.ports import LinkSettings
from edge.tools import GatewayApi

CONNECT_S = 3.0
"""A broker in the same house that takes longer is not there."""
FREE_BYTES_MIN = 500 * 1024 * 1024
"""A month of journal and readings, with room for a backup."""
PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443}
Row = dict[str, Any]
OK, DOUBT, FAULT = "ok", "warning", "fault"


def examine(path: Path) -> list[Row]:
    """One row per thing looked at: result (ok, warning, fault), what, remedy. Changes nothing, never raises."""
    try:
        building = load_building(path)
    except ConfigError as error:
        return [_row(FAULT if f.severity == "error" else DOUBT, finding_line(f), "") for f in error.findings]
    rows = [_row(OK, f"{path}: {len(building.devices)} devices on {len(building.links)} links", "")]
    rows += [_row(DOUBT, finding_line(f), "") for f in building.warnings]
    running = GatewayApi(building).runs()
    rows.append(_row(OK, "the gateway is running" if running else "no gateway is running", ""))
    if building.modem is not None:
        rows.append(_port(LinkSettings("modem", "modem", {"port": building.modem.port})))
    for part in (_data_dir, _secrets, _listen, _links, _buses, _brokers, _uplinks, _roster, _clock):
        rows += part(building, running)
    return rows


def page(path: Path, name: str) -> list[Row]:
    """A real message to one person by each of their ways. Raises ConfigError, ValueError for an unknown name."""
    from edge.reach import page as send

    building = load_building(path)
    return send(building, name, GatewayApi(building).runs())


def _row(result: str, what: str, remedy: str) -> Row:
    return {"result": result, "what": what, "remedy": remedy}


def _data_dir(building: Building, running: bool) -> Iterator[Row]:
    folder = building.gateway.data_dir
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield _row(FAULT, f"data directory {folder} cannot be written", f"give the gateway's user rights on {there}")
        return
    free = shutil.disk_usage(there).free
    result = OK if free >= FREE_BYTES_MIN else DOUBT
    yield _row(result, f"data directory {folder}: {free // 1024**2} MB free", "" if result == OK else "make room")


def _secrets(building: Building, running: bool) -> Iterator[Row]:
    """Secret files of the building file that others on this machine can read."""
    names = re.findall(r"\$\{file:([^}]*)\}", building.path.read_text(encoding="utf-8-sig"))
    for path in sorted({building.path.parent / name for name in names}):
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield _row(DOUBT, f"{path} can be read by other users", f"chmod 600 {path}")


def _listen(building: Building, running: bool) -> Iterator[Row]:
    host, port = building.gateway.host, building.gateway.port
    if not running and port != 0:
        yield _free("local API", host, port)


def _links(building: Building, running: bool) -> Iterator[Row]:
    for link in building.links:
        if link.kind == "mqtt":
            files = (link.options.get(name) for name in ("ca", "cert", "key"))
            yield from _broker(f"link {link.id}", link.options["urls"], Tls(*files))
        elif link.kind in ("modbus-tcp", "modbus-rtu-tcp"):
            yield _reach(f"link {link.id}", str(link.options["host"]), int(link.options["port"]))
        elif link.kind == "gbt26875-server":
            if not running:
                yield _free(f"link {link.id}", str(link.options["host"]), int(link.options["port"]))
        elif link.options.get("tcp"):
            host, _, port = str(link.options["tcp"]).rpartition(":")
            yield _reach(f"link {link.id}", host.strip("[]"), int(port))
        else:
            yield _port(link)


def _buses(building: Building, running: bool) -> Iterator[Row]:
    """How long each bus needs in the worst case, also while slaves die."""
    for link in building.links:
        mine = [device for device in building.devices if device.link == link.id]
        if link.kind not in BUS_KINDS or not mine:
            continue
        o = link.options
        speaks = (int(o["baudrate"]), str(o["parity"]), int(o["stopbits"]), float(o["timeout_s"]))
        bus = load(mine, *speaks)
        dying = ", ".join(f"{load(mine, *speaks, dead=k).dead_s:.1f} s while {k} die" for k in (1, DEAD_BORNE))
        what = f"link {link.id}: an alarm is seen within {bus.detect_s:.1f} s ({dying}), all within {bus.round_s:.1f} s"
        good = bus.life_safety == 0 or load(mine, *speaks, dead=DEAD_BORNE).dead_s <= DETECT_S
        yield _row(OK if good else DOUBT, what, "" if good else "lower timeout_s, raise the baud rate or move devices")


def _free(name: str, host: str, port: int) -> Row:
    """Whether we can listen there."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return _row(FAULT, f"{name} cannot listen at {host}:{port}: {error.strerror}", "choose another `listen`")
    return _row(OK, f"{name} can listen at {host}:{port}", "")


def _port(link: LinkSettings) -> Row:
    path = Path(link.options["port"])
    try:
        mode = path.stat().st_mode
    except OSError as error:
        there = ", ".join(stable_ports())
        shown = f"adapters here: {there}" if there else "`ls -l /dev/serial/by-id` shows what is there"
        return _row(FAULT, f"link {link.id}: {path}: {error.strerror}", f"plug the adapter in; {shown}")
    if not stat.S_ISCHR(mode):
        return _row(FAULT, f"link {link.id}: {path} is not a serial port", "correct `port`")
    if not os.access(path, os.R_OK | os.W_OK):
        return _row(FAULT, f"link {link.id}: no rights on {path}", "add the gateway's user to the group `dialout`")
    return _row(OK, f"link {link.id}: {path} is there", "")


def _brokers(building: Building, running: bool) -> Iterator[Row]:
    if building.duty_room is not None:
        settings = building.duty_room
        yield from _broker("duty room", settings.urls, Tls(settings.ca, settings.cert, settings.key))
    else:
        yield _row(DOUBT, "no duty room", "only the roster and the sounders tell of an alarm")
    if building.city is not None:
        city = building.city.broker
        yield from _broker("city", city.urls, Tls(city.ca, city.cert, city.key))


def _uplinks(building: Building, running: bool) -> Iterator[Row]:
    """Whether each answers, and trusts us as we trust it."""
    for settings in building.uplinks:
        options = settings.options
        tls = Tls(options["ca"], options["cert"], options["key"])
        yield from _broker(f"uplink {settings.id}", options.get("urls", ()), tls)
        for host, port in options.get("addresses", ()):
            yield _reach(f"uplink {settings.id}", host, port, tls if options["tls"] or tls != Tls() else None)


def _broker(name: str, urls: tuple[str, ...], tls: Tls | None = None) -> Iterator[Row]:
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
        yield _reach(name, parts.hostname or "", port, (tls or Tls()) if parts.scheme.endswith("s") else None)


def _reach(name: str, host: str, port: int, tls: Tls | None = None) -> Row:
    try:
        with socket.create_connection((host, port), CONNECT_S) as sock:
            if tls is not None:
                tls.context(SystemClock().wall_ms()).wrap_socket(sock, server_hostname=host).close()
    except ssl.SSLError as error:
        return _row(FAULT, f"{name}: {host}:{port}: {plain(error)}", "see docs/uplinks.md, Certificates")
    except Denied as denied:
        return _row(FAULT, f"{name}: {denied}", "see docs/uplinks.md, Certificates")
    except OSError as error:
        why = error.strerror or str(error)
        return _row(FAULT, f"{name}: {host}:{port} does not answer: {why}", "is it running, and is the cable in?")
    return _row(OK, f"{name}: {host}:{port} answers", "")


def _roster(building: Building, running: bool) -> Iterator[Row]:
    if not building.roster:
        yield _row(DOUBT, "no roster", "without it only the sounder tells when the duty room is silent")
        return
    known = _apprise()
    for person in building.roster:
        yield _person(person, known)


def _apprise() -> Callable[[str], bool]:
    from apprise import Apprise

    return lambda url: Apprise.instantiate(url, suppress_exceptions=True) is not None


def _person(person: Recipient, known: Callable[[str], bool]) -> Row:
    """Whether the message service takes each address. Nothing is sent."""
    urls = [(n, "".join(way)) for n, way in enumerate(person.tell, 1) if not way.startswith("sms:")]
    bad = [n for n, url in urls if not known(url)]
    if bad:
        return _row(FAULT, f"roster {person.id}: address {bad[0]} is of no known service", "see the list of Apprise")
    return _row(OK, f"roster {person.id}: {len(person.tell)} ways to be told", "")


def _clock(building: Building, running: bool) -> Iterator[Row]:
    trust = ClockTrust(SystemClock())()
    if trust is Clock.SYNCED:
        yield _row(OK, "the clock is synchronised", "")
    else:
        yield _row(DOUBT, f"the clock is {trust.value}", "set up an NTP server; alarms do not wait for it")
