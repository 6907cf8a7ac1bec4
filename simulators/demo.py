"""``linli demo``: a living building. Starts brokers, simulators, gateway, duty room, city and phone, and keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from simulators.demo_brokers import (
    OUTSIDE,
    ZONES,
    BrokerPlan,
    bring_home,
    mosquitto,
    outside_password,
    password,
    plan_broker,
    write_private,
)
from simulators.demo_building import (
    GATEWAY_ID,
    OFFICER,
    PEOPLE,
    UNITS,
    Broker,
    Wiring,
    building_yaml,
    duty_room_yaml,
    people_csv,
)
from simulators.demo_child import Child, ChildFailed, die_with_parent
from simulators.demo_play import SELF_STARTING, play_when_heard

Probe = Callable[[], bool]
CITY_EVERY_S = 30
"""A real city gets a summary every 5 minutes; who looks at a demo does not wait that long."""
READY_WITHIN_S = 60.0
ROLES = ("viewer", "duty_officer", "administrator")
STOP_S, STOP_BROKERS_S = 3.0, 1.0
"""Together below the 5 s in which all must be gone."""
PORTS = (
    "gateway", "plc", "phone", "control", "city_page",
    "building", "building_open", "duty", "duty_open", "city", "city_open",
)  # fmt: skip


class CannotStart(Exception):
    """The demo cannot start; the text says why and what to do."""


def run_demo(port: int, data: Path | None, seed: int, scenario: str | None, duration: float | None) -> int:
    """Run the demo until SIGINT, SIGTERM or for duration seconds. Exit code 0, or 1 when it cannot start.

    data: where everything is kept; the same folder goes on where it stopped. Default: demo-data here.
    """
    folder = (data or Path("demo-data")).resolve()
    try:
        with locked(folder):
            return asyncio.run(Demo(port, folder, seed, scenario or "day").run(duration))
    except (CannotStart, ChildFailed) as why:
        print(f"linli demo: {why}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One demo per data folder. Raises CannotStart."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"another demo runs with {folder} (stop it, or give another --data)") from None
        yield


def is_free(port: int) -> bool:
    """Can a server listen on this port of the loopback?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(kept: Path) -> dict[str, int]:
    """A free port for each name; those of the last run where they are still free."""
    ports: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        ports = {k: v for k, v in json.loads(kept.read_text()).items() if k in PORTS and is_free(v)}
    with contextlib.ExitStack() as held:
        for name in PORTS:
            if name not in ports:
                probe = held.enter_context(socket.socket())
                probe.bind(("127.0.0.1", 0))
                ports[name] = probe.getsockname()[1]
    write_private(kept, json.dumps(ports))
    return ports


@dataclass
class Access:
    """How a person gets in: bearer tokens by role, and the first browser's link."""

    tokens: dict[str, str]
    sign_in: str


class Demo:
    """All processes of the demo, and the file that says where they are."""

    def __init__(self, port: int, data: Path, seed: int, scenario: str) -> None:
        self.port, self.data, self.seed, self.scenario = port, data, seed, scenario
        self.ports: dict[str, int] = {}
        self.brokers: list[BrokerPlan] = []
        self.children: dict[str, Child] = {}
        self.access: Access | None = None

    async def run(self, duration: float | None) -> int:
        """Start, say ``ready``, keep, stop."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        starting = asyncio.create_task(self._start(), name="start")
        stopping = asyncio.create_task(stopped.wait(), name="signals")
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), duration)
        finally:
            starting.cancel()
            stopping.cancel()
            await self._stop()
        return 0

    async def _start(self) -> None:
        if not is_free(self.port):
            raise CannotStart(f"port {self.port} is taken (stop what listens there, or give another --port)")
        self.ports = free_ports(self.data / "ports.json")
        self.brokers = [
            plan_broker(zone, self.data, self.ports[zone], self.ports[f"{zone}_open"]) for zone in ZONES
        ]  # fmt: skip
        self._write_files()
        if mosquitto() is None:
            print(
                "mosquitto is not installed or not wanted: the demo uses its embedded broker amqtt "
                "(MQTT 3.1.1, keeps nothing when it dies). For a real site: apt-get install mosquitto",
                flush=True,
            )
        await self._start_brokers()
        for child in self._programs():
            child.start()
        await asyncio.gather(*(child.until_ready(READY_WITHIN_S) for child in self.children.values()))
        self.access = Access(
            *await asyncio.gather(self._tokens(), self._linli("sign-in", "--role", "administrator", "--name", OFFICER))
        )
        self._write_demo_json()
        self._say_ready()
        if self.scenario not in SELF_STARTING:
            await play_when_heard(self.ports["gateway"], self.ports["control"], self.scenario)

    async def _start_brokers(self) -> None:
        """Brokers first: they must be able to save before anything is entrusted to them."""
        began = [plan.saved.stat().st_mtime_ns if plan.saved and plan.saved.exists() else 0 for plan in self.brokers]
        for plan, before in zip(self.brokers, began, strict=True):
            probe = None if plan.saved is None else saves(plan, before)
            self._add(f"broker_{plan.zone}", plan.command, probe=probe).start()
        for plan in self.brokers:
            child = self.children[f"broker_{plan.zone}"]
            try:
                await child.until_ready(5.0)
            except ChildFailed as why:
                where = plan.saved.parent if plan.saved else self.data
                raise CannotStart(f"the {plan.zone} broker does not answer or cannot save in {where}: {why}") from why

    def _add(
        self, name: str, command: tuple[str, ...], environment: dict[str, str] | None = None, probe: Probe | None = None
    ) -> Child:
        log = self.data / "logs" / f"{name}.log"
        child = Child(name, command, log, self._write_demo_json, environment, probe)
        self.children[name] = child
        return child

    def _programs(self) -> list[Child]:
        """Everything but the brokers."""
        python, data, ports = sys.executable, self.data, self.ports
        linli = (python, "-m", "edge.cli")
        city = next(plan for plan in self.brokers if plan.zone == "city")
        return [
            self._add("phone", (
                python, "-m", "simulators.demo_phone", "--port", str(ports["phone"]),
                "--keep", str(data / "phone.jsonl"), "--people", str(data / "people.csv"),
            )),
            self._add("city", (
                python, "-m", "simulators.city", "--broker", f"mqtt://127.0.0.1:{city.open_port}",
                "--port", str(ports["city_page"]),
            ), {"LINLI_CITY_USERNAME": "city", "LINLI_CITY_PASSWORD": password(data / "secrets", "city")}),
            self._add("simulators", (
                python, "-m", "simulators.serve", "--config", str(data / "simulated.yaml"),
                "--control-port", str(ports["control"]), "--seed", str(self.seed),
                "--scenario", self.scenario if self.scenario in SELF_STARTING else "quiet",
            )),
            self._add("gateway", (*linli, "gateway", "--config", str(data / "building.yaml"))),
            self._add("duty_room", (*linli, "duty-room", "--config", str(data / "duty-room.yaml"))),
        ]  # fmt: skip

    def _wiring(self) -> Wiring:
        def account(zone: str, user: str) -> Broker:
            return Broker(f"mqtt://127.0.0.1:{self.ports[zone]}", user, password(self.data / "secrets", user))

        return Wiring(
            gateway_port=self.ports["gateway"],
            duty_room_port=self.port,
            plc_port=self.ports["plc"],
            phone_url=f"http://127.0.0.1:{self.ports['phone']}",
            alarms=account("building", "gw-alarms"),
            readings=account("building", "gw-readings"),
            duty=account("duty", f"{GATEWAY_ID}-duty"),
            desk=account("duty", "duty-room"),
            city=account("city", f"{GATEWAY_ID}-city"),
            city_every_s=CITY_EVERY_S,
        )

    def _write_files(self) -> None:
        """What a site engineer would write by hand."""
        wiring = self._wiring()
        devices = Broker(self._open_url("building"), "devices", password(self.data / "secrets", "devices"))
        write_private(self.data / "building.yaml", building_yaml(wiring))
        # The same building as the devices see it: they sign in as themselves, never as the gateway.
        write_private(self.data / "simulated.yaml", building_yaml(replace(wiring, alarms=devices, readings=None)))
        write_private(self.data / "duty-room.yaml", duty_room_yaml(wiring))
        write_private(self.data / "people.csv", people_csv(wiring.phone_url))
        (self.data / "dev").mkdir(exist_ok=True)

    def _open_url(self, zone: str) -> str:
        plan = next(plan for plan in self.brokers if plan.zone == zone)
        return f"mqtt://127.0.0.1:{plan.open_port}"

    async def _tokens(self) -> dict[str, str]:
        """One bearer token per role, made at the first start and kept."""
        kept = self.data / "secrets" / "tokens.json"
        if kept.exists():
            return dict(json.loads(kept.read_text()))
        made = await asyncio.gather(*(self._linli("token", "--role", role, "--name", f"demo {role}") for role in ROLES))
        tokens = dict(zip(ROLES, made, strict=True))
        write_private(kept, json.dumps(tokens))
        return tokens

    async def _linli(self, *arguments: str) -> str:
        """The last word a command of the duty room prints. Raises CannotStart."""
        command = (sys.executable, "-m", "edge.cli", *arguments, "--config", str(self.data / "duty-room.yaml"))
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent(os.getpid()),
        )
        out, err = await process.communicate()
        words = out.decode().split()
        if process.returncode != 0 or not words:
            raise CannotStart(f"linli {arguments[0]} failed: {err.decode().strip() or out.decode().strip()}")
        return words[-1]

    def _write_demo_json(self) -> None:
        """Where everything is, for scripts and tests; written again whenever a process has a new id."""
        if self.access is None:
            return
        data, ports = self.data, self.ports
        gateway = {
            "id": GATEWAY_ID,
            "base": f"http://127.0.0.1:{ports['gateway']}",
            "token": (data / "gateway" / "secrets" / "api.token").read_text().strip(),
            "config": str(data / "building.yaml"),
            "data_dir": str(data / "gateway"),
        }
        facts = {
            "base": f"http://127.0.0.1:{self.port}",
            "tokens": self.access.tokens,
            "phone_url": f"http://127.0.0.1:{ports['phone']}",
            "control_url": f"http://127.0.0.1:{ports['control']}",
            "city_url": f"http://127.0.0.1:{ports['city_page']}",
            "gateways": [gateway],
            "duty_room": {"config": str(data / "duty-room.yaml"), "data_dir": str(data / "duty-room")},
            "brokers": {
                plan.zone: {
                    "host": "127.0.0.1",
                    "port": plan.open_port,
                    "username": OUTSIDE,
                    "password": outside_password(data, plan.zone),
                }
                for plan in self.brokers
            },
            "links": {
                **{f"bus{unit}": str(data / "dev" / f"bus{unit}") for unit in UNITS},
                "plc": f"127.0.0.1:{ports['plc']}",
                "zigbee": self._open_url("building").removeprefix("mqtt://"),
                "rf": str(data / "dev" / "rf"),
            },
            "pids": {name: child.pid for name, child in self.children.items()},
        }
        write_private(data / "demo.json", json.dumps(facts, indent=2, ensure_ascii=False))

    def _say_ready(self) -> None:
        """Where to look, then the line that scripts wait for."""
        assert self.access is not None
        names = ", ".join(name for _person, name, _role, _grid in PEOPLE)
        print(f"phone of {names}: http://127.0.0.1:{self.ports['phone']}")
        print(f"make things happen: http://127.0.0.1:{self.ports['control']}")
        print(f"what the city sees: http://127.0.0.1:{self.ports['city_page']}")
        print(f"everything else: {self.data / 'demo.json'}")
        print(f"ready {self.access.sign_in}", flush=True)

    async def _stop(self) -> None:
        """Programs first, brokers last, so that everybody can say goodbye."""
        brokers = [child for name, child in self.children.items() if name.startswith("broker_")]
        programs = [child for child in self.children.values() if child not in brokers]
        await asyncio.gather(*(child.stop(STOP_S) for child in programs))
        await asyncio.gather(*(child.stop(STOP_BROKERS_S) for child in brokers))
        for plan in self.brokers:
            bring_home(plan, self.data)


def saves(plan: BrokerPlan, before_ns: int) -> Probe:
    """A probe: the broker listens, and the file in which it keeps messages is newer than its start."""

    def proved() -> bool:
        if plan.saved is None or not plan.saved.exists() or plan.saved.stat().st_mtime_ns <= before_ns:
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", plan.port)) == 0

    return proved
