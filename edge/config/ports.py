"""Names of serial ports that stay: which path under /dev/serial means the same adapter after the next start.

udev names an adapter by what it says of itself (by-id) and by the socket it sits in (by-path). Two adapters that say
the same of themselves share one by-id name, and it moves to whichever was plugged in last: then only by-path holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DEV = Path("/dev")
SYS = Path("/sys/class/tty")
_USB = ("ttyUSB", "ttyACM")


class Advice(NamedTuple):
    """key: which finding (see texts.py). near: the path to write, None when udev gives none."""

    key: str
    near: str | None


def advise(port: str) -> Advice | None:
    """What is wrong with naming a port so; None when the name stays."""
    path = Path(port)
    bare = path.name
    if path.parent == DEV / "serial" / "by-id":
        name = path.resolve().name
        other = _link("by-path", name) if name.startswith(_USB) and _shared(name) else None
        return Advice("port-shared", other) if other else None
    if not (path.parent == DEV and bare.startswith(_USB)) and port != bare.strip("."):
        return None
    near = stable_name(bare)
    return Advice("port-name-near", near) if near else Advice("port-name", None)


def stable_name(name: str) -> str | None:
    """The path that stays for an adapter's kernel name such as ttyUSB0; None when there is none."""
    folders = ("by-path", "by-id") if _shared(name) else ("by-id", "by-path")
    return next((found for folder in folders if (found := _link(folder, name)) is not None), None)


def stable_ports() -> list[str]:
    """The path that stays for every adapter that is plugged in."""
    try:
        names = sorted(path.name for path in SYS.iterdir() if path.name.startswith(_USB))
    except OSError:
        return []
    return [stable_name(name) or str(DEV / name) for name in names]


def _link(folder: str, name: str) -> str | None:
    """The first link of a folder under /dev/serial that leads to this port."""
    try:
        links = sorted((DEV / "serial" / folder).iterdir())
    except OSError:
        return None
    return next((str(link) for link in links if link.resolve().name == name), None)


def _shared(name: str) -> bool:
    """Does another adapter say the same of itself?"""
    mine = _said(name)
    if mine is None:
        return False
    try:
        others = [path.name for path in SYS.iterdir() if path.name.startswith(_USB) and path.name != name]
    except OSError:
        return False
    found = [_said(other) for other in others]
    return any(it is not None and it[0] != mine[0] and it[1:] == mine[1:] for it in found)


def _said(name: str) -> tuple[Path, str, str, str] | None:
    """The adapter a port belongs to (its place in /sys) and what it says of itself: vendor, product, serial number."""
    device = (SYS / name / "device").resolve()
    for folder in (device, *device.parents):
        if (folder / "idVendor").is_file():
            vendor, product, serial = (_text(folder / part) for part in ("idVendor", "idProduct", "serial"))
            return folder, vendor, product, serial
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
