"""Every shipped profile against its simulated device: what is true there is read here, and every rule can fire.

The simulated devices have encoders of their own, so a mistake in scale, order, word or topic shows on one side only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, cast

import pytest

from device_drivers.modbus import driver as modbus_driver
from device_drivers.modbus import pdu
from device_drivers.modbus.driver import ModbusDriver
from device_drivers.modbus.pdu import Answer, Request
from device_drivers.mqtt.driver import MqttDriver
from device_drivers.profiles import Profile, load_profiles
from edge.model import CLASSES, Delivered, Device, Place, Point, PointKey, Quality, Reading, RuleKind, Value, Write
from edge.mqtt import Received
from edge.ports import Kit, LinkSettings
from simulators.building import GroundTruth
from simulators.devices import modbus_wire
from simulators.devices.modbus_unit import ModbusUnit
from simulators.devices.mqtt_sensor import MqttSensor

PROFILES = load_profiles()
MODBUS = sorted(name for name, profile in PROFILES.items() if profile.link == "modbus")
MQTT = sorted(name for name, profile in PROFILES.items() if profile.link == "mqtt")
ADDRESS = {"chirpstack": "application/7f/device/24e124136b502217", "tasmota": "tele/bridge/7028D"}


class StillClock:
    """A moment that does not pass."""

    def wall_ms(self) -> int:
        return 1_795_000_000_000

    def monotonic(self) -> float:
        return 1000.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def device_of(profile: Profile) -> Device:
    unit = str(profile.wire.get("unit") or 5)
    address = unit if profile.link == "modbus" else ADDRESS.get(profile.id.partition("/")[0], "house/d1")
    return Device(
        "d1", profile.id, "link", address, Place(), profile.points, profile.rules, profile.supervise_s, profile.wire,
        profile.kind,
    )  # fmt: skip


def truth_of(device: Device, profile: Profile) -> GroundTruth:
    return GroundTruth([device], ["link"], {profile.id: profile.simulate}, 1, lambda: 1_795_000_000_000)


class DirectWire:
    """A bus without a wire: every request reaches the simulated slave."""

    numbered = True
    reply_s = 1.0

    def __init__(self, unit: ModbusUnit) -> None:
        self.unit = unit
        self.asked: list[Request] = []

    async def open(self) -> None:
        return None

    async def exchange(self, request: Request, reply_s: float | None = None) -> Answer | None:
        self.asked.append(request)
        return pdu.answer_in(request, modbus_wire.answer(request.pdu, self.unit))

    def frames_s(self, request: Request) -> float:
        return 0.0

    async def ping(self, unit: int, wait_s: float) -> frozenset[int]:
        return frozenset({self.unit.unit})

    async def clean(self) -> None:
        return None

    def close(self) -> None:
        return None


def modbus(name: str) -> tuple[ModbusDriver, GroundTruth, Profile, DirectWire]:
    profile = PROFILES[name]
    device = device_of(profile)
    truth = truth_of(device, profile)
    wire = DirectWire(ModbusUnit(device, truth))
    kit = Kit(StillClock(), lambda cause: None, "")
    return ModbusDriver("link", [device], kit, wire, None), truth, profile, wire


def read_all(driver: ModbusDriver) -> dict[str, Reading]:
    found: dict[str, Reading] = {}
    for item in driver.plan:
        batch = asyncio.run(driver.read(item.request))
        found |= {reading.key.point: reading for reading in batch.readings}
    return found


def same(found: Value | None, true: Value, step: float = 1e-6) -> bool:
    if isinstance(true, bool) or isinstance(true, str) or isinstance(found, bool | str | None):
        return found == true
    return math.isclose(found, true, rel_tol=1e-5, abs_tol=step)


def alarming(profile: Profile) -> list[tuple[str, str, Value]]:
    """(rule, point, a value that is on) for every rule about a state or limit."""
    found: list[tuple[str, str, Value]] = []
    for rule in profile.rules:
        if rule.kind is RuleKind.STATE:
            found.append((rule.id, rule.point, rule.on_value))
        elif rule.kind is RuleKind.THRESHOLD:
            found.append((rule.id, rule.point, float(rule.limit - 1 if rule.below else rule.limit + 1)))
    return found


def is_on(profile: Profile, rule_id: str, value: Value | None) -> bool:
    rule = next(r for r in profile.rules if r.id == rule_id)
    if rule.kind is RuleKind.STATE:
        return value == rule.on_value
    assert isinstance(value, int | float)
    return value <= rule.limit if rule.below else value >= rule.limit


@pytest.mark.parametrize("name", MODBUS)
def test_modbus_values_are_those_of_the_device(name: str) -> None:
    driver, truth, profile, _ = modbus(name)
    found = read_all(driver)
    assert set(found) == {p.key for p in profile.points if p.read}
    for key, reading in found.items():
        assert reading.quality is Quality.GOOD, f"{key}: {reading.cause}"
        step = abs(float(dict(point_of(profile, key).read).get("scale", 1.0))) or 1.0
        span = point_of(profile, key)
        noise = 0.003 * (span.high - span.low) if span.high is not None and span.low is not None else 0.0
        assert same(reading.value, truth.rest(PointKey("d1", key)), step + noise), key


def point_of(profile: Profile, key: str) -> Point:
    return next(p for p in profile.points if p.key == key)


@pytest.mark.parametrize("name", MODBUS)
def test_modbus_rules_fire_when_it_is_true(name: str) -> None:
    for rule_id, point, value in alarming(PROFILES[name]):
        driver, truth, profile, _ = modbus(name)
        assert not is_on(profile, rule_id, read_all(driver)[point].value), f"{rule_id} is on at rest"
        truth.set(PointKey("d1", point), value)
        assert is_on(profile, rule_id, read_all(driver)[point].value), rule_id


@pytest.mark.parametrize("name", [n for n in MODBUS if any(p.writable for p in PROFILES[n].points)])
def test_modbus_outputs_are_set_and_read_back(name: str) -> None:
    profile = PROFILES[name]
    for point in profile.points:
        if not point.writable:
            continue
        driver, truth, _, wire = modbus(name)
        how = profile.wire["points"][point.key]["write"]
        outcome = asyncio.run(driver.write(Write(PointKey("d1", point.key), True)))
        assert isinstance(outcome, Delivered), f"{point.key}: {outcome}"
        assert truth.value(PointKey("d1", point.key)) is True
        off = asyncio.run(driver.write(Write(PointKey("d1", point.key), False)))
        assert isinstance(off, Delivered) == (how["off"] is not None), point.key
        assert all(request.unit == wire.unit.unit for request in wire.asked)


def mqtt(name: str) -> tuple[MqttDriver, MqttSensor, GroundTruth, Profile]:
    profile = PROFILES[name]
    device = device_of(profile)
    truth = truth_of(device, profile)
    settings = LinkSettings("link", "mqtt", {"url": "mqtt://127.0.0.1:1", "username": "gw", "password": "x"})
    driver = MqttDriver(settings, [device], Kit(StillClock(), lambda cause: None, ""))
    return driver, MqttSensor(device, truth, 1), truth, profile


def said(driver: MqttDriver, messages: Any) -> dict[str, Reading]:
    """What the driver makes of the sensor's messages."""
    waiting = cast("Any", driver)._waiting
    waiting.clear()
    for message in messages:
        received = Received(message.topic, message.payload, 1, message.retain, False, False, 1, 0)
        cast("Any", driver)._take(cast("Any", driver)._intakes[0], received)
    return {reading.key.point: reading for reading, _ in waiting if reading is not None}


@pytest.mark.parametrize("name", MQTT)
def test_mqtt_values_are_those_of_the_device(name: str) -> None:
    driver, sensor, truth, profile = mqtt(name)
    found = said(driver, sensor.states())
    assert set(found) == {p.key for p in profile.points if p.read and not p.momentary}
    for key, reading in found.items():
        point = point_of(profile, key)
        assert reading.quality is Quality.GOOD, f"{key}: {reading.cause}"
        noise = 0.003 * (point.high - point.low) if point.high is not None and point.low is not None else 0.0
        assert same(reading.value, truth.rest(PointKey("d1", key)), 1.0 + noise), key


@pytest.mark.parametrize("name", MQTT)
def test_mqtt_rules_fire_when_it_is_true(name: str) -> None:
    for rule_id, point, value in alarming(PROFILES[name]):
        driver, sensor, truth, profile = mqtt(name)
        truth.set(PointKey("d1", point), value)
        found = said(driver, sensor.states())
        assert is_on(profile, rule_id, found[point].value), rule_id


@pytest.mark.parametrize("name", [n for n in MQTT if any(p.momentary for p in PROFILES[n].points)])
def test_mqtt_presses_are_heard_live_and_never_from_the_retained_store(name: str) -> None:
    driver, sensor, truth, profile = mqtt(name)
    key = PointKey("d1", next(p.key for p in profile.points if p.momentary))
    presses: list[Any] = []
    truth.watch(lambda fact: presses.extend(sensor.on_fact(fact)))
    truth.press(key)
    assert presses and not any(press.retain for press in presses)
    found = said(driver, presses)
    assert found[key.point].momentary and found[key.point].quality is Quality.GOOD
    kept = said(driver, [press._replace(retain=True) for press in presses])
    assert key.point not in kept


def test_every_class_of_device_has_a_profile_and_thirty_are_real_models() -> None:
    classes = {rule.alarm_class for profile in PROFILES.values() for rule in profile.rules}
    needed = {c for c in CLASSES if c.value.partition(".")[0] in ("fire", "gas", "sos", "door", "water", "bin", "air")}
    assert not needed - classes, f"no profile raises {sorted(c.value for c in needed - classes)}"
    makers = ("example/", "bin/", "access/", "display/")
    real = [name for name in PROFILES if not name.startswith(makers)]
    assert len(real) >= 30, sorted(real)
    assert all(PROFILES[name].source for name in real)


def test_a_refused_function_is_bad_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _, _, wire = modbus("eastron/sdm630")

    def refuse(request_pdu: bytes, unit: ModbusUnit) -> bytes:
        return bytes((request_pdu[0] | 0x80, 2))

    monkeypatch.setattr(modbus_wire, "answer", refuse)
    found: Mapping[str, Reading] = read_all(driver)
    assert all(reading.value is None and reading.quality is Quality.BAD for reading in found.values())
    assert wire.asked and modbus_driver.LATE_REPLY_S > 0
