"""The demo's three private brokers: accounts, rights and files of mosquitto, or of the embedded stand-in."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pwd
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from simulators.demo_building import GATEWAY_ID

SHIPPED = Path(__file__).resolve().parent.parent / "configs" / "mosquitto.conf"
OUTSIDE = "outside"
"""The account for a person who tries things out: may publish as a device, may read everything."""
PASSWORD_ROUNDS = 101
"""Iterations of PBKDF2 as mosquitto_passwd takes them; its passwords here are random and long."""


@dataclass(frozen=True, slots=True)
class User:
    """One account: topics it may read and write; ``session`` when it is one program with one session."""

    name: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    session: bool = True


ROOT_TOPIC = f"linli/v1/{GATEWAY_ID}"
ZONES: dict[str, tuple[User, ...]] = {
    "building": (
        User("gw-alarms", ("#",), ("zigbee2mqtt/+/set", "bins/+/set", "access/+/set")),
        User("gw-readings", ("#",), ()),
        User("devices", ("#",), ("#",), session=False),
        User(OUTSIDE, ("#",), ("#",), session=False),
    ),
    "duty": (
        User(
            f"{GATEWAY_ID}-duty",
            tuple(f"{ROOT_TOPIC}/{leaf}" for leaf in ("receipt", "command", "duty")),
            tuple(f"{ROOT_TOPIC}/{leaf}" for leaf in ("event", "outcome", "heartbeat", "status", "site")),
        ),
        User(
            "duty-room",
            tuple(f"linli/v1/+/{leaf}" for leaf in ("event", "outcome", "heartbeat", "status", "site")),
            tuple(f"linli/v1/+/{leaf}" for leaf in ("receipt", "command", "duty")),
        ),
        User(OUTSIDE, ("#",), (), session=False),
    ),
    "city": (
        User(f"{GATEWAY_ID}-city", (), (f"{ROOT_TOPIC}/summary", f"{ROOT_TOPIC}/fact")),
        User("city", ("linli/v1/+/summary", "linli/v1/+/fact"), (), session=False),
        User(OUTSIDE, ("#",), (), session=False),
    ),
}


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """One broker as it will run. port: one session per user; open_port: several connections per user."""

    zone: str
    port: int
    open_port: int
    command: tuple[str, ...]
    saved: Path | None
    """The file that proves that it can save; None for the embedded one, which cannot."""


def mosquitto() -> str | None:
    """The broker's program, or None; LINLI_DEMO_BROKER=amqtt leaves it aside."""
    if os.environ.get("LINLI_DEMO_BROKER") == "amqtt":
        return None
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


def outside_password(data: Path, zone: str) -> str:
    """Each trust zone has its own: whoever may look on in one learns nothing about another."""
    return password(data / "secrets", f"{OUTSIDE}-{zone}")


def password(folder: Path, user: str) -> str:
    """The user's password, made at first need and kept, so that the same data folder goes on."""
    path = folder / f"{user}.pw"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8").strip()


def password_of(data: Path, zone: str, user: User) -> str:
    """The password of one account of a zone."""
    return outside_password(data, zone) if user.name == OUTSIDE else password(data / "secrets", user.name)


def plan_broker(zone: str, data: Path, port: int, open_port: int) -> BrokerPlan:
    """Write the broker's files and say how to start it."""
    folder = data / "brokers" / zone
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    program = mosquitto()
    if program is None:
        return _plan_embedded(zone, data, folder, port)
    keep = persistence_dir(data, zone)
    write_private(folder / "passwd", _password_lines(zone, data))
    write_private(folder / "acl", _acl_lines(zone))
    own = {
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "persistence_location": f"{keep}/",
        "listener": f"{port} 127.0.0.1",
        "password_file": str(folder / "passwd"),
        "acl_file": str(folder / "acl"),
    }
    write_private(folder / "mosquitto.conf", render(SHIPPED.read_text(encoding="utf-8"), own, open_port))
    command = (program, "-c", str(folder / "mosquitto.conf"))
    return BrokerPlan(zone, port, open_port, command, keep / "mosquitto.db")


def render(shipped: str, own: dict[str, str], open_port: int) -> str:
    """The shipped file with our values, and a second listener where one user may connect many times."""
    lines = []
    for text in shipped.splitlines():
        key = text.split(" ", 1)[0]
        lines.append(f"{key} {own[key]}" if key in own else text)
    start = next(number for number, text in enumerate(lines) if text.startswith("listener "))
    second = [f"listener {open_port} 127.0.0.1", *(x for x in lines[start + 1 :] if not x.startswith("use_username"))]
    why = "# The same for devices and for people who look on: many connections per user."
    return "\n".join([*lines, "", why, *second, ""])


def persistence_dir(data: Path, zone: str) -> Path:
    """Where the broker saves: a tmpfs, which outlives the broker and wears no flash; else the data folder.

    What a former run moved to the data folder when it stopped is put back.
    """
    name = "linli-demo-" + hashlib.sha256(str(data).encode()).hexdigest()[:12]
    disk = data / "brokers" / zone / "saved"
    for memory in (Path("/dev/shm"), Path("/run")):
        keep = memory / name / zone
        try:
            (memory / name).mkdir(mode=0o700, exist_ok=True)
            keep.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if (memory / name).stat().st_uid == os.geteuid():
            write_private(memory / name / "data", str(data))
            _sweep(memory)
            if (disk / "mosquitto.db").exists() and not (keep / "mosquitto.db").exists():
                shutil.copy2(disk / "mosquitto.db", keep / "mosquitto.db")
            return keep
    disk.mkdir(parents=True, exist_ok=True, mode=0o700)
    return disk


def bring_home(plan: BrokerPlan, data: Path) -> None:
    """After the broker has stopped: what it saved moves from memory to the data folder."""
    disk = data / "brokers" / plan.zone / "saved"
    if plan.saved is None or plan.saved.parent == disk:
        return
    if plan.saved.exists():
        disk.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(plan.saved, disk / "mosquitto.db")
    shutil.rmtree(plan.saved.parent, ignore_errors=True)
    if not any(path.is_dir() for path in plan.saved.parent.parent.iterdir()):
        shutil.rmtree(plan.saved.parent.parent, ignore_errors=True)


def _sweep(memory: Path) -> None:
    """What killed demos left in memory goes once their data folder is gone."""
    for left in memory.glob("linli-demo-*/data"):
        with contextlib.suppress(OSError):  # Another demo may sweep at the same time.
            if left.stat().st_uid == os.geteuid() and not Path(left.read_text(encoding="utf-8")).exists():
                shutil.rmtree(left.parent, ignore_errors=True)


def _password_lines(zone: str, data: Path) -> str:
    """The format of mosquitto_passwd: PBKDF2 with SHA-512."""
    lines = []
    for user in ZONES[zone]:
        salt = secrets.token_bytes(12)
        text = password_of(data, zone, user).encode()
        digest = hashlib.pbkdf2_hmac("sha512", text, salt, PASSWORD_ROUNDS, 64)
        lines.append(
            f"{user.name}:$7${PASSWORD_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
        )
    return "\n".join(lines) + "\n"


def _acl_lines(zone: str) -> str:
    """What each account may read and write."""
    lines = []
    for user in ZONES[zone]:
        lines.append(f"user {user.name}")
        lines += [f"topic read {topic}" for topic in user.read]
        lines += [f"topic write {topic}" for topic in user.write]
        if user.read == ("#",):
            lines.append("topic read $SYS/#")
    return "\n".join(lines) + "\n"


def _plan_embedded(zone: str, data: Path, folder: Path, port: int) -> BrokerPlan:
    """amqtt in a process of its own. It knows one connection per client id only, so one port is enough."""
    settings = {
        "port": port,
        "users": {user.name: password_of(data, zone, user) for user in ZONES[zone]},
        "read": {user.name: list(user.read) for user in ZONES[zone]},
        "write": {user.name: list(user.write) for user in ZONES[zone]},
    }
    write_private(folder / "amqtt.json", json.dumps(settings))
    command = (sys.executable, "-m", "simulators.demo_amqtt", str(folder / "amqtt.json"))
    return BrokerPlan(zone, port, port, command, None)


def write_private(path: Path, text: str) -> None:
    """A file only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(fresh, path)
