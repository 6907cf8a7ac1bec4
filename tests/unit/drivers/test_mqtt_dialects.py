"""What Zigbee2MQTT, Tasmota, ESPHome and ChirpStack really say (their documentation), through the shipped profiles."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_drivers.mqtt import codecs, decode
from device_drivers.mqtt.driver import MqttDriver
from device_drivers.profiles import load_profiles
from edge.model import BadCause, Device, Place, Quality, Reading
from edge.mqtt import Received
from edge.ports import Kit, LinkSettings
from tests.unit.drivers.conftest import RealClock

PROFILES = load_profiles()
EUI = "application/7f/device/24e124136b502217"


def driver_of(profile_name: str, address: str, counts: Counter[str]) -> MqttDriver:
    p = PROFILES[profile_name]
    device = Device("d", p.id, "m", address, Place(), p.points, p.rules, p.supervise_s, p.wire, p.kind)
    settings = LinkSettings("m", "mqtt", {"url": "mqtt://127.0.0.1:1", "username": "gw", "password": "x"})
    return MqttDriver(settings, [device], Kit(RealClock(), lambda cause: counts.update([cause]), ""))


def heard(driver: MqttDriver, topic: str, payload: bytes, retain: bool = False) -> dict[str, Reading]:
    inside = cast("Any", driver)
    inside._waiting.clear()
    inside._take(inside._intakes[0], Received(topic, payload, 1, retain, False, False, 1, 0))
    return {reading.key.point: reading for reading, _ in inside._waiting if reading is not None}


def uplink(hex_frame: str, counter: int = 1, **more: Any) -> bytes:
    body = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-11-21T05:05:00.123+00:00",
        "deviceInfo": {"devEui": "24e124136b502217"},
        "fCnt": counter,
        "fPort": 85,
        "data": base64.b64encode(bytes.fromhex(hex_frame)).decode(),
    }
    return json.dumps(body | more).encode()


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        ("01 75 64 FF 2E 01", {"battery": 100, "press": "short"}),
        ("01 75 10 FF 2E 03", {"battery": 16, "press": "double"}),
        ("05 8E 01 06 01 00 07 01 01", {"gas_status": "abnormal", "valve": "close", "relay": "open"}),
        ("FF 3F 05", {"alarm": "sensor failed"}),
        ("08 90 80 51 01 00", {"life_remain": 86400}),
        ("01755C 03673401 046865 050000", {"battery": 92, "temperature": 30.8, "leakage_status": "normal"}),
        ("0175640367180104686D077DC501", {"battery": 100, "temperature": 28.0, "humidity": 54.5, "co2": 453}),
        ("01 75 64 03 00 01 04 00 01", {"battery": 100, "state": "open", "install": "no"}),
        ("83 67 58 02 01 84 82 90 01 01", {"temperature": 60.0, "distance": 400}),
        ("0367FEFF", {"temperature": -0.2}),
    ],
)  # fmt: skip
def test_milesight_frames_as_their_makers_print_them(frame: str, wanted: dict[str, Any]) -> None:
    values, whole = codecs.milesight(bytes.fromhex(frame))
    assert whole
    assert {name: values[name] for name in wanted} == wanted


def test_what_stands_before_an_unknown_channel_is_kept() -> None:
    values, whole = codecs.milesight(bytes.fromhex("05 8E 01 20 CE 01 02"))
    assert (values, whole) == ({"gas_status": "abnormal"}, False)


@given(st.binary(max_size=260))
def test_no_frame_raises(frame: bytes) -> None:
    codecs.milesight(frame)


def test_a_press_on_lorawan_is_a_call_with_the_networks_own_id() -> None:
    counts: Counter[str] = Counter()
    found = heard(driver_of("chirpstack/milesight-ws101", EUI, counts), f"{EUI}/event/up", uplink("017564FF2E02"))
    call = found["call"]
    assert call.momentary and call.value is True and call.quality is Quality.GOOD
    assert call.sequence is not None and call.sequence.startswith("3ac7e3c4-4401-4b8d-9386-a5c902f9202d")
    assert call.observed_ms == 1795237500123
    assert found["battery"].value == 100


def test_frames_that_never_came_are_counted() -> None:
    counts: Counter[str] = Counter()
    driver = driver_of("chirpstack/milesight-gs101", EUI, counts)
    for counter in (10, 11, 11, 15, 3):
        heard(driver, f"{EUI}/event/up", uplink("058E00", counter))
    assert counts["lost_frame"] == 3


def test_what_the_server_decoded_itself_is_kept() -> None:
    found = heard(
        driver_of("chirpstack/milesight-gs101", EUI, Counter()),
        f"{EUI}/event/up",
        uplink("058E00", object={"gas_status": "abnormal"}),
    )
    assert found["gas"].value is True


@pytest.mark.parametrize("data", ["***", 7, "A" * 4000])
def test_bytes_that_are_none_are_bad_readings(data: Any) -> None:
    counts: Counter[str] = Counter()
    found = heard(driver_of("chirpstack/milesight-gs101", EUI, counts), f"{EUI}/event/up", uplink("00", data=data))
    assert found["gas"].cause is BadCause.GARBLED and counts["garbled"] == 1


def test_a_frame_without_data_says_nothing() -> None:
    counts: Counter[str] = Counter()
    assert not heard(driver_of("chirpstack/milesight-gs101", EUI, counts), f"{EUI}/event/up", uplink("", data=None))


def test_esphome_speaks_in_words_and_bare_numbers() -> None:
    smoke = driver_of("esphome/smoke", "kitchen", Counter())
    assert heard(smoke, "kitchen/binary_sensor/smoke/state", b"ON", retain=True)["smoke"].value is True
    assert heard(smoke, "kitchen/binary_sensor/smoke/state", b"OFF")["smoke"].value is False
    air = driver_of("esphome/air", "hall", Counter())
    assert heard(air, "hall/sensor/co2/state", b"612.5")["co2"].value == 612.5
    assert heard(air, "hall/sensor/co2/state", b"nan")["co2"].quality is Quality.BAD
    assert heard(air, "hall/status", b"offline", retain=True)["co2"].cause is BadCause.OFFLINE


def test_tasmota_sensors_and_their_last_will() -> None:
    driver = driver_of("tasmota/scd40", "tele/hall", Counter())
    said = b'{"Time":"2026-11-21T13:05:00","SCD40":{"CarbonDioxide":615,"eCO2":600,"Temperature":22.1,"Humidity":45.2}}'
    found = heard(driver, "tele/hall/SENSOR", said)
    assert (found["co2"].value, found["temperature"].value, found["humidity"].value) == (615, 22.1, 45.2)
    assert heard(driver, "tele/hall/LWT", b"Offline", retain=True)["co2"].cause is BadCause.OFFLINE
    assert not heard(driver, "tele/hall/LWT", b"Online", retain=True)


def test_a_let_go_button_is_no_press() -> None:
    driver = driver_of("zigbee2mqtt/aqara-wxkg11lm", "zigbee2mqtt/bell", Counter())
    assert heard(driver, "zigbee2mqtt/bell", b'{"action":"hold","battery":95}')["call"].value is True
    assert "call" not in heard(driver, "zigbee2mqtt/bell", b'{"action":"release","battery":95}')
    assert "call" not in heard(driver, "zigbee2mqtt/bell", b'{"action":"single"}', retain=True)


def test_a_path_reaches_into_lists() -> None:
    body = {"rxInfo": [{"rssi": -60}, {"rssi": -90}]}
    assert decode.at(body, "rxInfo.1.rssi") == -90
    assert decode.at(body, "rxInfo.2.rssi") is decode.ABSENT
    assert decode.at({"1": "key"}, "1") == "key"
