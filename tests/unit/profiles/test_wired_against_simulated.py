"""Every profile of a panel, nurse call, meter or reader against its simulated device, over a real line.

What is true there is read here, and every rule can fire.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from device_drivers import registry
from device_drivers.profiles import Profile, load_profile, profile_paths
from device_drivers.profiles.wired import FAMILIES as KINDS
from edge.clock import SystemClock
from edge.model import Device, Place, PointKey, ReadRequest, RuleKind, Value
from edge.ports import Driver, Kit, LinkSettings
from simulators.building import GroundTruth
from simulators.devices import espa444, gbt26875
from simulators.devices.families import FAMILIES
from tests.unit.drivers.fire_rig import free_port

FOLDERS = ("gbt26875", "espa444", "dlt645", "cjt188", "wiegand", "osdp")
NAMES = sorted(name for name in profile_paths() if name.split("/")[0] in FOLDERS)
KIND = {family: kind for kind, family in KINDS.items()}
ADDRESS = {
    "espa444/nurse-call": "0815", "dlt645/electricity-meter": "123456789012", "wiegand/reader": "1", "osdp/reader": "3",
    "cjt188/water-meter": "00000012345678", "cjt188/gas-meter": "00000012345678",
    "gbt26875/transmitter": "510109000001", "gbt26875/panel": "510109000001/1.1",
}  # fmt: skip


def test_every_family_has_a_driver_a_simulator_and_a_profile() -> None:
    assert set(KINDS) == set(FAMILIES) and set(KINDS) <= set(registry.KINDS)
    assert {name.split("/")[0] for name in NAMES} == set(FOLDERS)


class Site:
    """One device of a profile, simulated, and the product's driver of its link."""

    def __init__(self, name: str, folder: Path) -> None:
        self.profile: Profile = load_profile(profile_paths()[name])
        p, kind = self.profile, KIND[self.profile.link]
        wire = {**p.wire, "poll_s": 0.1} if kind == "osdp" else p.wire
        address = ADDRESS.get(name, "510109000001/1.1/1204")
        self.device = Device("d", name, "link", address, Place(), p.points, p.rules, p.supervise_s, wire, p.kind)
        options: dict[str, Any] = {"port": str(folder / "line"), "parity": "N", "baudrate": 115200}
        if kind == "gbt26875-server":
            options = {"host": "127.0.0.1", "port": free_port()}
        clock = SystemClock()
        self.truth = GroundTruth([self.device], ["link"], {name: p.simulate}, 1, clock.wall_ms)
        self.far = FAMILIES[kind](options, [self.device], self.truth, 1)
        kit = Kit(clock, lambda cause: None, str(folder))
        self.known: dict[str, Value] = {}
        self.driver: Driver = registry.create(LinkSettings("link", kind, options), [self.device], kit)

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Read until it is so. known: the newest good value of each point."""
        requests: list[ReadRequest | None] = [item.request for item in self.driver.plan]
        async with asyncio.timeout(5):
            while not wanted():
                for request in requests or [None]:
                    batch = await self.driver.read(request)
                    batch.ack()
                    self.known |= {r.key.point: r.value for r in batch.readings if r.value is not None}

    async def shows(self, point: str, value: Value) -> None:
        """Wait until a point shows a value."""

        def same() -> bool:
            found = self.known.get(point)
            if isinstance(value, bool | str) or isinstance(found, bool | str | None):
                return found == value
            return math.isclose(found, value, rel_tol=1e-3, abs_tol=0.02)

        await self.until(same)

    async def event(self, point: str) -> None:
        """Somebody presses or shows something; wait until it is heard."""
        self.known.pop(point, None)
        self.truth.press(PointKey("d", point), value="101-12345")
        await self.until(lambda: point in self.known)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Site]:
    if site.profile.link == "gbt26875":  # the far end calls us
        opening = asyncio.ensure_future(site.driver.open())
        await asyncio.sleep(0.02)
        await site.far.open()
        await opening
    else:
        await site.far.open()
        await site.driver.open()
    yield site
    await site.driver.close()
    await site.far.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gbt26875, "CALL_AGAIN_S", 0.05)
    monkeypatch.setattr(gbt26875, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(espa444, "ANSWER_S", 0.3)
    monkeypatch.setattr(GroundTruth, "measured", GroundTruth.value)


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_true_there_is_read_here(name: str, tmp_path: Path) -> None:
    async with running(Site(name, tmp_path)) as site:
        for point in site.device.points:
            key = PointKey("d", point.key)
            if point.momentary:
                await site.event(point.key)
            elif point.read.get("what") == "calling":
                continue  # said with a call, see the next test of the same profile
            elif point.read and not point.read.get("duty"):
                await site.shows(point.key, site.truth.value(key))


@pytest.mark.parametrize("name", [name for name in NAMES if load_profile(profile_paths()[name]).rules])
async def test_every_rule_can_fire(name: str, tmp_path: Path) -> None:
    async with running(Site(name, tmp_path)) as site:
        points = {p.key: p for p in site.device.points}
        for rule in site.profile.rules:
            key = PointKey("d", rule.point)
            if points[rule.point].read.get("duty"):
                continue  # raised by time alone: tests/unit/drivers/test_gbt26875.py
            if rule.kind is RuleKind.PRESS:
                await site.event(rule.point)
                continue
            site.truth.set(key, rule.on_value)
            await site.shows(rule.point, rule.on_value)
            site.truth.set(key, site.truth.rest(key))
            await site.shows(rule.point, site.truth.rest(key))
