"""The MQTT driver with a real mosquitto: states, actions, retained, availability, sessions apart, writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from device_drivers.mqtt import create
from device_drivers.mqtt.driver import MqttDriver
from device_drivers.profiles.loader import load_profiles
from edge.errors import Unreachable
from edge.model import BadCause, Delivered, Device, Place, Point, PointKey, Reading, Refused, TryLater, Write
from edge.mqtt import MqttSession
from edge.ports import Kit, LinkSettings

if TYPE_CHECKING:
    from tests.unit.drivers.conftest import Mosquitto

PROFILES = load_profiles()


def device(name: str, profile: str, address: str) -> Device:
    known = PROFILES[profile]
    place = Place(building="12")
    return Device(name, profile, "m", address, place, known.points, known.rules, known.supervise_s, known.wire)


SMOKE = device("z1", "zigbee2mqtt/smoke", "zigbee2mqtt/z1")
BUTTON = device("b1", "zigbee2mqtt/sos-button", "zigbee2mqtt/b1")
BIN = device("bin1", "bin/mqtt-bin", "bins/1")
RADIO = [device(f"r{n}", "tasmota/rf-button", f"tele/rf/7028{n}") for n in "AB"]
Make = Callable[..., MqttDriver]


@pytest_asyncio.fixture
async def make(mosquitto: Mosquitto, kit: Kit) -> AsyncIterator[Make]:
    made: list[MqttDriver] = []

    def driver(*devices: Device, **options: Any) -> MqttDriver:
        settings = LinkSettings(
            "m", "mqtt", {"urls": (mosquitto.url,), "username": "gw", "password": "secret", **options}
        )
        new = create(settings, devices, kit)
        assert isinstance(new, MqttDriver)
        made.append(new)
        return new

    yield driver
    for each in made:
        await each.close()


async def readings(driver: MqttDriver, number: int) -> list[Reading]:
    got: list[Reading] = []
    async with asyncio.timeout(5):
        while len(got) < number:
            batch = await driver.read(None)
            got += batch.readings
            batch.ack()
    return got


async def silent(driver: MqttDriver) -> None:
    reading = asyncio.ensure_future(driver.read(None))
    await asyncio.sleep(0.2)
    assert not reading.done()
    await driver.close()
    with pytest.raises(Unreachable):
        await reading


async def test_a_smoke_report(mosquitto: Mosquitto, make: Make) -> None:
    driver = make(SMOKE)
    await driver.open()
    await mosquitto.publish("zigbee2mqtt/z1", b'{"smoke":true,"battery_low":false,"battery":93,"linkquality":87}')
    got = {reading.key.point: reading for reading in await readings(driver, 3)}
    assert (got["smoke"].value, got["battery"].value, got["battery_low"].value) == (True, 93, False)
    assert not any(reading.late or reading.momentary for reading in got.values())


async def test_a_retained_state_counts_late_and_a_retained_action_never(
    mosquitto: Mosquitto, make: Make, counts: Counter[str]
) -> None:
    await mosquitto.publish("zigbee2mqtt/z1", b'{"smoke":true}', retain=True)
    await mosquitto.publish("zigbee2mqtt/b1", b'{"action":"emergency","battery":50}', retain=True)
    driver = make(SMOKE, BUTTON)
    await driver.open()
    got = {reading.key: reading for reading in await readings(driver, 2)}
    assert got[PointKey("z1", "smoke")].value is True and got[PointKey("z1", "smoke")].late
    assert set(got) == {PointKey("z1", "smoke"), PointKey("b1", "battery")}
    assert counts["retained_action"] == 1


async def test_a_press_while_we_were_away_is_real_and_late(mosquitto: Mosquitto, make: Make) -> None:
    driver = make(BUTTON)
    await driver.open()
    await mosquitto.publish("zigbee2mqtt/b1", b'{"action":"emergency"}')
    (press,) = await readings(driver, 1)
    assert press.momentary and press.value is True and not press.late
    await driver.close()
    await mosquitto.publish("zigbee2mqtt/b1", b'{"action":"emergency"}')
    again = make(BUTTON)
    await again.open()
    (press,) = await readings(again, 1)
    assert press.momentary and press.late
    assert not again.session_lost


async def test_not_acknowledged_before_ack_and_then_in_order(mosquitto: Mosquitto, make: Make) -> None:
    driver = make(BUTTON, SMOKE)
    await driver.open()
    await mosquitto.publish("zigbee2mqtt/b1", b'{"action":"emergency"}')
    first = await driver.read(None)
    await mosquitto.publish("zigbee2mqtt/z1", b"rubbish about nothing")
    await mosquitto.publish("zigbee2mqtt/z1", b'{"smoke":true}')
    second = [await driver.read(None)]
    while second[-1].readings[-1].cause is BadCause.GARBLED:
        second.append(await driver.read(None))
    for batch in second:
        batch.ack()
    await asyncio.sleep(0.1)
    await driver.close()
    again = make(BUTTON, SMOKE)
    await again.open()
    got = await readings(again, 6)
    assert got[0].momentary and got[0].late, "later acks did not overtake the first, so all come again, in order"
    first.ack()


async def test_offline_makes_states_bad_but_no_press(mosquitto: Mosquitto, make: Make) -> None:
    driver = make(BUTTON)
    await driver.open()
    await mosquitto.publish("zigbee2mqtt/b1/availability", b'{"state":"offline"}')
    got = await readings(driver, 2)
    assert {(reading.key.point, reading.cause) for reading in got} == {
        ("battery", BadCause.OFFLINE),
        ("battery_low", BadCause.OFFLINE),
    }
    await mosquitto.publish("zigbee2mqtt/b1/availability", b'{"state":"online"}')
    await silent(driver)


async def test_one_topic_for_many_devices(mosquitto: Mosquitto, make: Make, counts: Counter[str]) -> None:
    driver = make(*RADIO)
    await driver.open()
    await mosquitto.publish("tele/rf/RESULT", b'{"Time":"x","RfReceived":{"Data":"0x7028B2"}}')
    (press,) = await readings(driver, 1)
    assert press.key == PointKey("rB", "call") and press.momentary
    await mosquitto.publish("tele/rf/RESULT", b'{"RfReceived":{"Data":"0x999999"}}')
    await mosquitto.publish("tele/rf/RESULT", b"{")
    await silent(driver)
    assert counts["nothing_for_us"] == 1 and counts["garbled"] == 1


async def test_sequence_and_time_come_along(mosquitto: Mosquitto, make: Make) -> None:
    driver = make(BIN)
    await driver.open()
    await mosquitto.publish("bins/1", b'{"fill_percent":91,"temperature":NaN,"seq":5,"time":"2026-11-21T13:05:00Z"}')
    fill, temperature = await readings(driver, 2)
    assert fill.value == 91 and fill.sequence == "5@1795266300000" and fill.observed_ms == 1_795_266_300_000
    assert temperature.value is None and temperature.cause is BadCause.NOT_FINITE


async def test_junk_without_readings_is_acknowledged_and_never_fills_the_window(
    mosquitto: Mosquitto, make: Make, counts: Counter[str]
) -> None:
    driver = make(*RADIO)
    await driver.open()
    await mosquitto.publish("tele/rf/RESULT", b"", times=700)
    await mosquitto.publish("tele/rf/RESULT", b'{"RfReceived":{"Data":"0x7028A2"}}')
    assert (await readings(driver, 1))[0].key.device == "rA"
    assert counts["nothing_for_us"] == 700


async def test_two_sessions_and_a_lost_one_is_noticed(mosquitto: Mosquitto, make: Make, counts: Counter[str]) -> None:
    options = {"readings_username": "outside", "readings_password": "secret"}
    driver = make(SMOKE, BIN, **options)
    await driver.open()
    await mosquitto.publish("zigbee2mqtt/z1", b'{"smoke":true}')
    await mosquitto.publish("bins/1", b'{"fill_percent":10}')
    assert {reading.key.device for reading in await readings(driver, 2)} == {"z1", "bin1"}
    mosquitto.kill(wipe=True)
    with pytest.raises(Unreachable):
        await readings(driver, 1)
    mosquitto.start()
    await driver.open()
    assert driver.session_lost and counts["session_lost"] == 2


async def test_writing(mosquitto: Mosquitto, make: Make) -> None:
    how = {"write": {"topic": "set", "payload": '{"state":{value}}'}}
    siren = Device(
        "s", "p", "m", "linli/siren", Place(), (Point("on", writable=True),), (), None, {"points": {"on": how}}
    )
    driver = make(siren, replace(siren, id="far", address="elsewhere/siren"))
    listener = MqttSession(
        [mosquitto.url], client_id="l", username="outside", password="secret", subscriptions=[("#", 1)], count=print
    )
    assert isinstance(await driver.write(Write(PointKey("s", "on"), True)), TryLater)
    await driver.open()
    await listener.open()
    assert isinstance(await driver.write(Write(PointKey("s", "on"), True)), Delivered)
    (received,) = await listener.receive()
    assert (received.topic, received.payload) == ("linli/siren/set", b'{"state":true}')
    assert isinstance(await driver.write(Write(PointKey("far", "on"), True)), Refused)
    assert isinstance(await driver.write(Write(PointKey("s", "other"), True)), Refused)
    await listener.close()
