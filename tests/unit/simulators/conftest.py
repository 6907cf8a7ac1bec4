"""A small building made of shipped profiles, with a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from device_drivers.profiles import Profile, load_profiles
from edge.model import Device, Place
from simulators.building import GroundTruth

START_MS = 1_795_300_000_000
LINKS = {"bus1": "modbus-rtu", "bus2": "modbus-rtu", "plc": "modbus-tcp", "zigbee": "mqtt", "rf": "rf433"}


class StandingClock:
    """Wall time in milliseconds, moved by hand."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@cache
def profiles() -> dict[str, Profile]:
    """Every shipped profile, read once."""
    return load_profiles()


def make_device(device: str, profile: str, link: str, address: str, household: str | None = None) -> Device:
    """A device of a shipped profile."""
    p = profiles()[profile]
    place = Place(building="12", unit="1", floor=3, household=household)
    return Device(device, profile, link, address, place, p.points, p.rules, p.supervise_s, p.wire, p.kind)


def make_devices() -> list[Device]:
    """One building with every kind of device."""
    return [
        make_device("s1", "example/smoke-modbus", "bus1", "1", "301"),
        make_device("s2", "example/smoke-modbus", "bus2", "2", "302"),
        make_device("relay1", "relay/waveshare", "bus1", "100"),
        make_device("g1", "example/gas-modbus", "plc", "1", "301"),
        make_device("z1", "zigbee2mqtt/smoke", "zigbee", "zigbee2mqtt/z1"),
        make_device("d1", "zigbee2mqtt/door", "zigbee", "zigbee2mqtt/d1"),
        make_device("b1", "zigbee2mqtt/sos-button", "zigbee", "zigbee2mqtt/b1", "303"),
        make_device("t1", "tasmota/rf-button", "zigbee", "tele/rfbridge/7028D"),
        make_device("a1", "access/mqtt-door", "zigbee", "access/a1"),
        make_device("bin1", "bin/mqtt-bin", "zigbee", "bins/bin1"),
        make_device("c1", "rf433/call-button", "rf", "A1B2C", "502"),
    ]


@pytest.fixture
def clock() -> StandingClock:
    """The clock the truth is made with."""
    return StandingClock()


@pytest.fixture
def make_truth(clock: StandingClock) -> Callable[..., GroundTruth]:
    """A ground truth over the small building, or over some of its devices."""

    def make(*only: str, seed: int = 1) -> GroundTruth:
        devices = [d for d in make_devices() if not only or d.id in only]
        resting = {name: p.simulate for name, p in profiles().items()}
        return GroundTruth(devices, list(LINKS), resting, seed, clock)

    return make
