"""For system tests: one real gateway with the project's mosquitto files, started, killed and looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators.demo_brokers import bring_home, password, plan_broker, write_private
from simulators.demo_child import die_with_parent

LINLI = Path(sys.executable).with_name("linli")
GATEWAY = "b12"
START_S = 30.0
"""A start takes about a second; on a machine that does many things at once, more."""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens at; all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def until(true: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    """Wait for a real process."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.02)


class Process:
    """A program of the house, with what it says on standard output. It dies with the test, however that ends."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.lines: list[str] = []
        self.log = log
        self.began_s = time.monotonic()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"},
                preexec_fn=die_with_parent(os.getpid()),
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Has it not ended?"""
        return self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Has it said that it serves?"""
        return any(line.startswith("ready ") for line in self.lines)

    def until_ready(self) -> None:
        """Wait for the ``ready`` line."""
        until(lambda: self.ready or not self.running, "ready", START_S)
        assert self.ready, f"ended with {self._process.returncode}: {self.lines} {self.tail()}"

    def ended(self, within_s: float = START_S) -> int:
        """Wait for its end; returns the exit code."""
        code = self._process.wait(within_s)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self.ended()

    def stop(self) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds it took."""
        began_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return self.ended(), time.monotonic() - began_s

    def wait_a_little(self) -> None:
        """Ten milliseconds, or until it ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.01)

    def tail(self) -> str:
        """The end of its standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


class House:
    """One building in a folder: brokers of the building and of the duty room, the gateway, and its doors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "gateway"
        self.config = folder / "building.yaml"
        names = ("gateway", "building", "building_open", "duty", "duty_open")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.brokers = {
            zone: plan_broker(zone, folder, self.ports[zone], self.ports[f"{zone}_open"])
            for zone in ("building", "duty")
        }
        self.base = f"http://127.0.0.1:{self.ports['gateway']}"
        self._processes: list[Process] = []
        self._clients: list[paho.Client] = []
        (folder / "logs").mkdir()

    def mqtt_link(self, ident: str = "zigbee", two_sessions: bool = False) -> dict[str, Any]:
        """The building's broker as a link."""
        link = {"id": ident, "kind": "mqtt", "url": f"mqtt://127.0.0.1:{self.ports['building']}",
                "username": "gw-alarms", "password": "${file:secrets/gw-alarms.pw}"}  # fmt: skip
        readings = {"readings_username": "gw-readings", "readings_password": "${file:secrets/gw-readings.pw}"}
        return link | readings if two_sessions else link

    def write(self, links: Sequence[Mapping[str, Any]], devices: Sequence[Mapping[str, Any]], **more: object) -> None:
        """The building file. JSON is YAML."""
        building = {
            "gateway": {"id": GATEWAY, "data_dir": "./gateway", "listen": f"127.0.0.1:{self.ports['gateway']}"},
            "site": {"community": "c", "building": "12", "units": ["1"], "floors": [1, 18], "households_per_floor": 2},
            "links": list(links),
            "devices": [{"place": {"unit": "1", "floor": 1}, **device} for device in devices],
            "roster": [{"id": "li", "name": "李四", "role": "grid_worker", "tell": ["json://127.0.0.1:9/"]}],
            "duty_room": {"url": f"mqtt://127.0.0.1:{self.ports['duty']}", "username": "b12-duty",
                          "password": "${file:secrets/b12-duty.pw}"},
        }  # fmt: skip
        write_private(self.config, json.dumps(building | more, ensure_ascii=False))

    def start_broker(self, zone: str) -> Process:
        """Start a broker and wait until it listens."""
        plan = self.brokers[zone]
        process = self.run(plan.command, f"broker-{zone}")
        until(lambda: _listens(plan.port) and _listens(plan.open_port), f"the {zone} broker listens")
        return process

    def start_gateway(self) -> Process:
        """Start it; it may not be ready yet."""
        return self.run((str(LINLI), "gateway", "--config", str(self.config)), "gateway")

    def run(self, command: Sequence[str], name: str) -> Process:
        """Start a process that ends with the house."""
        process = Process(command, self.folder / "logs" / f"{name}.log")
        self._processes = [one for one in self._processes if one.running] + [process]
        return process

    def client(self, zone: str, user: str) -> paho.Client:
        """A foreign MQTT client, not yet connected."""
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(user, password(self.folder / "secrets", user))
        return client

    def connect(self, client: paho.Client, zone: str) -> None:
        """Connect with a thread of its own; waits for CONNACK. Accounts of one session use their own listener."""
        own = client.username in ("duty-room", "b12-duty", "gw-alarms", "gw-readings")
        plan = self.brokers[zone]
        client.connect("127.0.0.1", plan.port if own else plan.open_port, keepalive=30)
        client.loop_start()
        self._clients.append(client)
        until(client.is_connected, f"connected to the {zone} broker")

    def get(self, path: str) -> Any:
        """GET of the local API with its token."""
        token = (self.data / "secrets" / "api.token").read_text(encoding="utf-8").strip()
        answer = httpx.get(f"{self.base}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels, as Prometheus writes it."""
        lines = httpx.get(f"{self.base}/metrics", timeout=10).text.splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def rejected(self, driver: str) -> dict[str, int]:
        """linli_input_rejected_total of one driver by cause."""
        start = 'linli_input_rejected_total{cause="'
        return {
            name[len(start) :].split('"')[0]: int(value)
            for name, value in self.metrics().items()
            if name.startswith(start) and f'driver="{driver}"' in name
        }

    def point(self, device: str, point: str) -> dict[str, Any]:
        """One point as the API shows it."""
        rows = self.get("/api/v1/points")
        return next(row for row in rows if row["device"] == device and row["id"] in (point, f"{device}/{point}"))

    def close(self) -> None:
        """End everything that is still running."""
        for client in self._clients:
            client.disconnect()
            client.loop_stop()
        for process in reversed(self._processes):
            if process.running:
                process.kill()
        for plan in self.brokers.values():
            bring_home(plan, self.folder)


@contextmanager
def house_in(folder: Path) -> Iterator[House]:
    """A house that is gone afterwards."""
    house = House(folder)
    try:
        yield house
    finally:
        house.close()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
