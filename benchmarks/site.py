"""The building of the benchmark: real brokers, gateway, duty room and load, started and stopped."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from simulators.demo import free_ports, saves
from simulators.demo_brokers import BrokerPlan, bring_home, password, plan_broker, write_private
from simulators.demo_child import Child

DOORS, BUTTONS, GAS = 350, 100, 49
MQTT_PER_S, MODBUS_PER_S = 451, 49
"""Together 500 readings a second; each gas detector is polled every 2 s and gives two."""
LINLI = (sys.executable, "-m", "edge.cli")


class Site:
    """Processes and doors of one run. users: account → password file."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ports = free_ports(data / "ports.json")
        self.plans = {z: plan_broker(z, data, self.ports[z], self.ports[f"{z}_open"]) for z in ("building", "duty")}
        self.modbus_port = self.ports["city"]
        self.gateway: Child | None = None
        self.desk = f"http://127.0.0.1:{self.ports['control']}"
        self.door = f"http://127.0.0.1:{self.ports['gateway']}"
        self._children: list[Child] = []
        for user in ("gw-alarms", "gw-readings", "b12-duty", "duty-room", "devices"):
            password(data / "secrets", user)
        write_files(data, self.ports, self.modbus_port)

    async def start(self) -> None:
        """Brokers, load and duty room; the gateway comes later."""
        for zone, plan in self.plans.items():
            await self._child(zone, plan.command, plan)
        secret = str(self.data / "secrets" / "devices.pw")
        numbers = (self.plans["building"].open_port, self.modbus_port, MQTT_PER_S, DOORS)
        await self._child("load", (sys.executable, "-m", "benchmarks.load", *map(str, numbers), secret))
        await self._child("duty-room", (*LINLI, "duty-room", "--config", str(self.data / "duty-room.yaml")))

    async def start_gateway(self) -> float:
        """Returns the seconds from its start to its first good reading."""
        began_s = time.perf_counter()
        self.gateway = await self._child("gateway", (*LINLI, "gateway", "--config", str(self.data / "building.yaml")))
        async with httpx.AsyncClient() as client:
            while (await scrape(client, self.door)).get('linli_points{quality="good"}', 0) < 1:
                await asyncio.sleep(0.01)
        return time.perf_counter() - began_s

    async def stop_gateway(self) -> None:
        """SIGTERM."""
        if self.gateway is not None:
            await self.gateway.stop(5.0)
            self._children.remove(self.gateway)

    async def stop(self) -> None:
        """Everything."""
        for child in reversed(self._children):
            await child.stop(3.0)
        for plan in self.plans.values():
            bring_home(plan, self.data)

    async def token(self) -> str:
        """A duty officer's bearer token."""
        command = (*LINLI, "token", "--role", "duty_officer", "--name", "bench")
        process = await asyncio.create_subprocess_exec(
            *command, "--config", str(self.data / "duty-room.yaml"), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode().split()[-1]

    async def _child(self, name: str, command: Sequence[str], plan: BrokerPlan | None = None) -> Child:
        probe = saves(plan, 0) if plan and plan.saved else None
        child = Child(name, command, self.data / "logs" / f"{name}.log", lambda: None, probe=probe)
        self._children.append(child)
        child.start()
        await child.until_ready(30.0)
        return child


async def scrape(client: httpx.AsyncClient, door: str) -> dict[str, float]:
    """Samples of /metrics by name with labels; empty while nobody answers."""
    try:
        text = (await client.get(f"{door}/metrics", timeout=5)).text
    except httpx.TransportError:
        return {}
    pairs = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def write_files(data: Path, ports: dict[str, int], modbus_port: int) -> None:
    """Building and duty room as files. JSON is YAML."""
    url = {zone: f"mqtt://127.0.0.1:{ports[zone]}" for zone in ("building", "duty")}
    secret = "${{file:secrets/{}.pw}}".format
    place = {"unit": "1", "floor": 1}
    mqtt = [
        ("zd", "zigbee2mqtt/door", DOORS),
        ("zb", "zigbee2mqtt/sos-button", BUTTONS),
        ("last", "access/mqtt-door", 1),
    ]
    building = {
        "gateway": {"id": "b12", "data_dir": "./gateway", "listen": f"127.0.0.1:{ports['gateway']}"},
        "site": {"community": "bench", "building": "12", "units": ["1"], "floors": [1, 18], "households_per_floor": 2},
        "links": [
            {"id": "zigbee", "kind": "mqtt", "url": url["building"], "username": "gw-alarms",
             "password": secret("gw-alarms"), "readings_username": "gw-readings",
             "readings_password": secret("gw-readings")},
            {"id": "plc", "kind": "modbus-tcp", "host": "127.0.0.1", "port": modbus_port},
        ],
        "roster": [{"id": "nobody", "name": "nobody", "role": "grid_worker", "tell": ["json://127.0.0.1:9/"]}],
        "duty_room": {"url": url["duty"], "username": "b12-duty", "password": secret("b12-duty")},
        "devices": [
            *({"id": f"{kind}{n:03d}", "profile": profile, "link": "zigbee", "address": f"yard/{kind}{n:03d}",
               "place": place} for kind, profile, count in mqtt for n in range(count)),
            *({"id": f"g{n:03d}", "profile": "example/gas-modbus", "link": "plc", "address": n + 1, "place": place}
              for n in range(GAS)),
        ],
    }  # fmt: skip
    room = {
        "duty_room": {"id": "bench", "data_dir": "./duty-room", "listen": f"127.0.0.1:{ports['control']}",
                      "public_url": f"http://127.0.0.1:{ports['control']}"},
        "broker": {"url": url["duty"], "username": "duty-room", "password": secret("duty-room")},
        "gateways": ["b12"],
        "people": "people.csv",
    }  # fmt: skip
    write_private(data / "building.yaml", json.dumps(building))
    write_private(data / "duty-room.yaml", json.dumps(room))
    write_private(data / "people.csv", "id,name,role,grid,tell\nnobody,nobody,viewer,,\n")
