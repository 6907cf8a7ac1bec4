"""Stand in for every device of a building file: for the demo, for tests, and for trying any other gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edge.config import load_building
from edge.config.secret import Secret
from edge.errors import ConfigError
from edge.model import Device, Value
from simulators.building import LINK, Fact, GroundTruth
from simulators.devices.families import FAMILIES, FarEnd
from simulators.devices.modbus_lines import RtuBus, SerialServer, TcpHost
from simulators.devices.modbus_unit import ModbusUnit
from simulators.devices.mqtt_fleet import Account, Broker, MqttFleet
from simulators.devices.pty_line import PortRefused
from simulators.devices.rf433 import RfReceiver
from simulators.scenarios import NAMES, Cannot, ScriptPlayer

USER_ENV, PASSWORD_ENV = "LINLI_DEVICES_USERNAME", "LINLI_DEVICES_PASSWORD"
"""The sensors' own account at the broker. Without it they use the link's, which a broker that makes client ids from
user names takes for the gateway itself."""


class SimulatedLink(Protocol):
    """A link as the building file says it."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def account_of(options: Mapping[str, object]) -> Account:
    """As whom the sensors of an mqtt link sign in."""
    if USER_ENV in os.environ:
        return Account(os.environ[USER_ENV], os.environ.get(PASSWORD_ENV))
    return Account(plain(options.get("username")), plain(options.get("password")))


def plain(text: object) -> str | None:
    """The text itself where the configuration only shows stars."""
    if text is None or not isinstance(text, Secret):
        return None if text is None else str(text)
    return text.reveal()


class SimulatedBuilding:
    """All simulated links and devices of one building, their ground truth and its script."""

    def __init__(
        self,
        links: Sequence[SimulatedLink],
        devices: Sequence[Device],
        resting: Mapping[str, Mapping[str, Value]],
        seed: int,
    ) -> None:
        self.links = {link.id: link for link in links}
        self.truth = GroundTruth(devices, list(self.links), resting, seed, lambda: time.time_ns() // 1_000_000)
        self.player = ScriptPlayer(self.truth, {link.id: link.kind for link in links}, seed)
        self.lines: dict[str, FarEnd] = {}
        for n, link in enumerate(links):
            mine = [d for d in devices if d.link == link.id]
            self.lines[link.id] = self._line(link, mine, seed + n)
        self._wake = asyncio.Event()
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self.truth.watch(self._happened)

    @classmethod
    def from_file(cls, path: Path, seed: int) -> SimulatedBuilding:
        """All devices of a building file. Raises ConfigError."""
        building = load_building(path)
        resting = {name: profile.simulate for name, profile in building.profiles.items()}
        return cls(building.links, building.devices, resting, seed)

    def _line(self, link: SimulatedLink, devices: Sequence[Device], seed: int) -> FarEnd:
        options = link.options
        if link.kind == "mqtt":
            first = options["url"] if isinstance(options["url"], str) else options["url"][0]
            broker = Broker(plain(first) or "", account_of(options), plain(options.get("ca")))
            return MqttFleet(link.id, broker, devices, self.truth, seed)
        if link.kind == "rf433":
            return RfReceiver(Path(str(options["port"])), devices, self.truth, seed)
        if link.kind in FAMILIES:
            return FAMILIES[link.kind](options, devices, self.truth, seed)
        units = {unit.unit: unit for unit in (ModbusUnit(d, self.truth) for d in devices)}
        if link.kind == "modbus-tcp":
            return TcpHost(str(options["host"]), int(options["port"]), units, self.truth, seed)
        if link.kind == "modbus-rtu":
            bits = 10 + (options.get("parity", "N") != "N") + (int(options.get("stopbits", 1)) - 1)
            character_s = bits / int(options.get("baudrate", 9600))
            return RtuBus(Path(str(options["port"])), units, self.truth, seed, character_s)
        if link.kind == "modbus-rtu-tcp":
            return SerialServer(str(options["host"]), int(options["port"]), units, self.truth, seed)
        raise ValueError(f"link {link.id}: no simulator for kind {link.kind!r}")

    def start(self, name: str, target: str | None = None) -> str:
        """Begin a scenario now. Raises KeyError or Cannot."""
        run_id = self.player.start(name, time.monotonic(), target)
        self._wake.set()
        return run_id

    async def open(self) -> None:
        """Put every link in place. Raises PortRefused with nothing left behind."""
        try:
            for line in self.lines.values():
                await line.open()
        except PortRefused:
            await self.close()
            raise

    async def close(self) -> None:
        """Take everything away again. Safe twice."""
        for line in self.lines.values():
            await line.close()

    async def run(self) -> None:
        """Play the script and cut and mend links until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._play(), name="script")
            tasks.create_task(self._mend(), name="links")

    async def _play(self) -> None:
        while True:
            self._wake.clear()
            self.player.advance(time.monotonic())
            due_s = self.player.due_s()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due_s is None else max(0.0, due_s - time.monotonic())):
                    await self._wake.wait()

    async def _mend(self) -> None:
        while True:
            link = await self._changed.get()
            if self.truth.link_up(link):
                await self.lines[link].open()
            else:
                await self.lines[link].close()

    def _happened(self, fact: Fact) -> None:
        if fact.point == LINK:
            self._changed.put_nowait(fact.device)


def stop_signals() -> asyncio.Event:
    """Set by SIGINT or SIGTERM from now on: called before anything is put in place, so that all is taken away again."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def run_until(building: SimulatedBuilding, stopped: asyncio.Event) -> None:
    """Run the building until stopped, then take it away."""
    running = asyncio.create_task(building.run(), name="building")
    waiting = asyncio.create_task(stopped.wait(), name="signals")
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        waiting.cancel()
        await building.close()


def describe(building: SimulatedBuilding) -> list[str]:
    """One line per link: what it is, where it is, how many devices answer there."""
    counts = {link: sum(d.link == link for d in building.truth.devices.values()) for link in building.lines}
    return [
        f"{link}: {building.links[link].kind} at {line.where}, {counts[link]} devices"
        for link, line in building.lines.items()
    ]


async def _simulate(path: Path, scenario: str | None, seed: int) -> int:
    stopped = stop_signals()
    building = SimulatedBuilding.from_file(path, seed)
    building.truth.watch(lambda fact: print(f"{fact.device}/{fact.point} = {fact.value}", flush=True))
    await building.open()
    print("\n".join(describe(building)), flush=True)
    if scenario is not None:
        try:
            print(f"scenario {building.start(scenario)}", flush=True)
        except Cannot as why:
            await building.close()
            print(f"error: {why}")
            return 1
    await run_until(building, stopped)
    return 0


def simulate(path: Path, scenario: str | None, seed: int) -> int:
    """``linli simulate``: run until SIGINT or SIGTERM.

    Exit code 0; 1 for a faulty file or a refused port; 2 for a wrong name.
    """
    if scenario is not None and scenario not in NAMES:
        print(f"error: no scenario {scenario!r} (there are: {' '.join(NAMES)})")
        return 2
    try:
        return asyncio.run(_simulate(path, scenario, seed))
    except ConfigError as faults:
        for f in faults.findings:
            print(f"{f.file}:{f.line}:{f.column}: {f.severity}: {f.message} ({f.remedy})")
        return 1
    except PortRefused as why:
        print(f"error: {why}")
        return 1
