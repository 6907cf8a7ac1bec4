"""``make bench``: from a device's message to the journal and to the console's stream, by real processes on loopback.

A building of 500 Zigbee devices reports 500 readings a second; five times a second somebody presses a call button.
*Committed*: until the event is on the duty broker, which it reaches only after the commit, so the figure is an upper
bound. *Screen*: until the duty room's stream hands the incident to a console.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators.demo import free_ports, saves
from simulators.demo_brokers import BrokerPlan, outside_password, password, plan_broker, write_private
from simulators.demo_child import Child

DOORS, BUTTONS = 400, 100
READINGS_PER_S, PRESSES_PER_S = 500, 5
BARS = {"committed": (99, 10.0), "screen": (95, 250.0)}
"""Percentile and milliseconds that the project promises (DESIGN §8)."""


class Stopwatch:
    """When each press left, when it was seen. One press per button is under way at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], float] = {}
        self.took_ms: dict[str, list[float]] = {name: [] for name in BARS}
        self.lost = 0

    def left(self, device: str) -> None:
        """A press leaves now."""
        now = time.perf_counter()
        with self._lock:
            for name in BARS:
                if (name, device) in self._left:
                    self.lost += 1
                self._left[name, device] = now

    def seen(self, name: str, device: str) -> None:
        """It arrived there; a second arrival of the same press does not count."""
        now = time.perf_counter()
        with self._lock:
            began = self._left.pop((name, device), None)
            if began is not None:
                self.took_ms[name].append((now - began) * 1000)


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; not a number for nothing measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


def write_site(data: Path, ports: dict[str, int]) -> None:
    """Building and duty room as files."""
    url = {zone: f"mqtt://127.0.0.1:{ports[zone]}" for zone in ("building", "duty")}
    secret = "${{file:secrets/{}.pw}}".format
    place = {"unit": "1", "floor": 1}
    devices = [("zd", "zigbee2mqtt/door", DOORS), ("zb", "zigbee2mqtt/sos-button", BUTTONS)]
    building = {
        "gateway": {"id": "b12", "data_dir": "./gateway", "listen": f"127.0.0.1:{ports['gateway']}"},
        "site": {"community": "bench", "building": "12", "units": ["1"], "floors": [1, 18], "households_per_floor": 2},
        "links": [{
            "id": "zigbee", "kind": "mqtt", "url": url["building"], "username": "gw-alarms",
            "password": secret("gw-alarms"), "readings_username": "gw-readings",
            "readings_password": secret("gw-readings"),
        }],
        "roster": [{"id": "nobody", "name": "nobody", "role": "grid_worker", "tell": ["json://127.0.0.1:9/"]}],
        "duty_room": {"url": url["duty"], "username": "b12-duty", "password": secret("b12-duty")},
        "devices": [
            {"id": f"{kind}{n:03d}", "profile": profile, "link": "zigbee",
             "address": f"zigbee2mqtt/{kind}{n:03d}", "place": place}
            for kind, profile, count in devices for n in range(count)
        ],
    }  # fmt: skip
    room = {
        "duty_room": {
            "id": "bench", "data_dir": "./duty-room", "listen": f"127.0.0.1:{ports['control']}",
            "public_url": f"http://127.0.0.1:{ports['control']}",
        },
        "broker": {"url": url["duty"], "username": "duty-room", "password": secret("duty-room")},
        "gateways": ["b12"],
        "people": "people.csv",
    }  # fmt: skip
    write_private(data / "building.yaml", json.dumps(building))
    write_private(data / "duty-room.yaml", json.dumps(room))
    write_private(data / "people.csv", "id,name,role,grid,tell\nnobody,nobody,viewer,,\n")


def connect(plan: BrokerPlan, user: str, secret: str) -> paho.Client:
    """A plain MQTT client with its own thread."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(user, secret)
    client.connect("127.0.0.1", plan.open_port)
    client.loop_start()
    return client


def watch_events(plan: BrokerPlan, data: Path, watch: Stopwatch) -> paho.Client:
    """Look on at the duty broker."""
    client = connect(plan, "outside", outside_password(data, "duty"))
    client.on_message = lambda _c, _u, message: watch.seen("committed", json.loads(message.payload)["device"])
    client.subscribe("linli/v1/b12/event", 0)
    return client


async def watch_stream(base: str, token: str, watch: Stopwatch) -> None:
    """A console without a screen: every incident the stream hands out."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=None) as client:
        async with client.stream("GET", f"{base}/api/v1/stream", headers=headers) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                body = json.loads(line[5:])
                for incident in body.get("items", ()) if isinstance(body, dict) else ():
                    for alarm in incident["alarms"]:
                        watch.seen("screen", alarm["device"])


async def load(client: paho.Client, seconds: float, watch: Stopwatch, seed: int) -> None:
    """Readings at an even pace, presses between them."""
    chance = random.Random(seed)
    began = time.perf_counter()
    sent = pressed = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        while sent < elapsed * READINGS_PER_S:
            door = f"zd{chance.randrange(DOORS):03d}"
            client.publish(f"zigbee2mqtt/{door}", json.dumps({"contact": chance.random() < 0.5, "linkquality": 90}), 0)
            sent += 1
        if pressed < elapsed * PRESSES_PER_S:
            button = f"zb{pressed % BUTTONS:03d}"
            watch.left(button)
            client.publish(f"zigbee2mqtt/{button}", json.dumps({"action": "emergency", "linkquality": 90}), 1)
            pressed += 1
        await asyncio.sleep(0.002)
    await asyncio.sleep(1.0)


async def measure(data: Path, seconds: float, seed: int) -> int:
    """Start everything, load it, print. Exit code 0 when something was measured."""
    ports = free_ports(data / "ports.json")
    plans = {zone: plan_broker(zone, data, ports[zone], ports[f"{zone}_open"]) for zone in ("building", "duty")}
    for user in ("gw-alarms", "gw-readings", "b12-duty", "duty-room"):
        password(data / "secrets", user)
    write_site(data, ports)
    children: list[Child] = []

    async def start(name: str, command: Sequence[str], plan: BrokerPlan | None = None) -> Child:
        probe = saves(plan, 0) if plan and plan.saved else None
        child = Child(name, command, data / "logs" / f"{name}.log", lambda: None, probe=probe)
        children.append(child)
        child.start()
        await child.until_ready(30.0)
        return child

    linli = (sys.executable, "-m", "edge.cli")
    try:
        for zone, plan in plans.items():
            await start(zone, plan.command, plan)
        await start("duty-room", (*linli, "duty-room", "--config", str(data / "duty-room.yaml")))
        gateway = await start("gateway", (*linli, "gateway", "--config", str(data / "building.yaml")))
        token = await make_token(data)
        watch = Stopwatch()
        looking = watch_events(plans["duty"], data, watch)
        stream = asyncio.create_task(watch_stream(f"http://127.0.0.1:{ports['control']}", token, watch))
        devices = connect(plans["building"], "devices", password(data / "secrets", "devices"))
        await asyncio.sleep(2.0)
        await load(devices, seconds, watch, seed)
        memory_mb = psutil.Process(gateway.pid).memory_info().rss / 1e6
        stream.cancel()
        for client in (looking, devices):
            client.disconnect()
            client.loop_stop()
    finally:
        for child in reversed(children):
            await child.stop(3.0)
    return report(watch, memory_mb, seconds)


async def make_token(data: Path) -> str:
    """A viewer's bearer token."""
    command = (sys.executable, "-m", "edge.cli", "token", "--role", "viewer", "--name", "bench")
    process = await asyncio.create_subprocess_exec(
        *command, "--config", str(data / "duty-room.yaml"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().split()[-1]


def report(watch: Stopwatch, memory_mb: float, seconds: float) -> int:
    """The figures beside the bars."""
    print(f"{seconds:.0f} s, {READINGS_PER_S} readings/s, {PRESSES_PER_S} presses/s, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for name, (percent, bar_ms) in BARS.items():
        took = watch.took_ms[name]
        figures = "  ".join(f"p{p} {percentile(took, p):7.1f} ms" for p in (50, 95, 99))
        verdict = "holds" if percentile(took, percent) < bar_ms else "MISSED"
        print(f"press -> {name:9}  {figures}  n={len(took)}  bar p{percent} < {bar_ms:.0f} ms: {verdict}")
    print(f"gateway memory {memory_mb:.0f} MB; presses not seen in time: {watch.lost}")
    return 0 if all(watch.took_ms.values()) else 1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="15 s instead of 45 s")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as folder:
        return asyncio.run(measure(Path(folder), 15.0 if given.quick else 45.0, given.seed))


if __name__ == "__main__":
    sys.exit(main())
