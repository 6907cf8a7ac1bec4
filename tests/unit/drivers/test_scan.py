"""Finding slaves and guessing what they are: simulated slaves on a pty and behind TCP, discovery on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from device_drivers.modbus import scan, survey
from device_drivers.modbus.pdu import Data, Refusal, Request, crc16, rtu_frame
from device_drivers.modbus.scan import LIKELY, SerialSettings, find_units, guess, ping_request, ping_s, units_in
from device_drivers.modbus.wire import RtuBus, TcpHost
from device_drivers.mqtt.discovery import announced, discover
from device_drivers.profiles import load_profiles
from edge.errors import Denied, Unreachable
from edge.model import Device, Place
from edge.ports import LinkSettings
from edge.scan import bare_link
from simulators.building import GroundTruth, Health
from simulators.devices import modbus_lines
from simulators.devices.modbus_unit import ModbusUnit
from simulators.devices.modbus_wire import tcp

if TYPE_CHECKING:
    from tests.unit.drivers.conftest import Mosquitto

PROFILES = load_profiles()


def units(**addresses: str) -> tuple[dict[int, ModbusUnit], GroundTruth]:
    devices = []
    for address, name in addresses.items():
        p = PROFILES[name]
        place = Place()
        devices.append(
            Device(address, p.id, "bus", address[1:], place, p.points, p.rules, p.supervise_s, p.wire, p.kind)
        )
    resting = {p.id: p.simulate for p in PROFILES.values()}
    truth = GroundTruth(devices, ["bus"], resting, 1, lambda: 1_795_000_000_000)
    return {unit.unit: unit for unit in (ModbusUnit(d, truth) for d in devices)}, truth


def quiet(what: str, done: int, of: int) -> None:
    """Nobody watches the bar."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PING_S_MAX", 0.01)
    monkeypatch.setattr(scan, "PING_S_MIN", 0.01)
    monkeypatch.setattr(modbus_lines, "LATE_S", 0.025)


def test_one_round_fits_into_thirty_seconds() -> None:
    for settings in LIKELY:
        bus = RtuBus.on_port("x", settings.baudrate, settings.parity, settings.stopbits, 0.25, lambda cause: None)
        frames_s = bus.frames_s(ping_request(1))
        assert 247 * (frames_s + ping_s(frames_s, 247)) <= 30.5, settings
    assert LIKELY[0] == SerialSettings(9600, "N", 1) and len(set(LIKELY)) == len(LIKELY)


def test_answers_are_found_in_noise() -> None:
    good = bytes.fromhex("110302000A")
    refused = bytes.fromhex("638302")
    assert units_in(b"\x00\xff" + good + crc16(good) + b"\x07" + refused + crc16(refused)) == {0x11, 0x63}
    assert units_in(good + b"\x00\x00") == frozenset()
    assert units_in(rtu_frame(ping_request(5))) == frozenset(), "our own echo is nobody's answer"


async def test_who_is_there_also_late_ones(tmp_path: Path, quick: None) -> None:
    slaves, truth = units(d3="example/smoke-modbus", d17="relay/waveshare", d90="example/gas-modbus")
    bus = modbus_lines.RtuBus(tmp_path / "port", slaves, truth, 1)
    await bus.open()
    truth.set_health("d90", Health.LATE)
    wire = RtuBus.on_port(str(tmp_path / "port"), 115200, "N", 1, 0.1, lambda cause: None)
    await wire.open()
    said: list[int] = []
    found = await find_units(wire, range(1, 120), said.append)
    wire.close()
    assert {3, 17} <= set(found) <= {3, 17, 90}
    assert said == list(range(1, 120))
    await bus.close()


async def test_a_survey_stops_at_the_first_settings_that_answer_and_guesses(tmp_path: Path, quick: None) -> None:
    slaves, truth = units(d1="eastron/sdm630", d4="senseair/s8")
    bus = modbus_lines.RtuBus(tmp_path / "port", slaves, truth, 1)
    await bus.open()
    tried: list[str] = []
    found = await survey.survey(
        "modbus-rtu",
        {"port": str(tmp_path / "port"), "baudrate": 115200},
        PROFILES,
        lambda what, *_: tried.append(what),
    )
    await bus.close()
    assert set(tried) == {"115200 8N1"}
    assert [(each.unit, each.profiles[0]) for each in found] == [(1, "eastron/sdm630"), (4, "senseair/s8")]


async def test_a_survey_tries_the_next_settings_when_nobody_answers(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SerialSettings] = []

    async def silent_port(port: str, baudrate: int, parity: str = "N", stopbits: float = 1) -> Any:
        opened.append(SerialSettings(baudrate, parity, int(stopbits)))
        raise Unreachable("the port does not take these settings")

    monkeypatch.setattr("device_drivers.modbus.wire.SerialLine.open", silent_port)
    with pytest.raises(Unreachable):
        await survey.survey("modbus-rtu", {"port": "x", "baudrate": 2400, "parity": "E"}, PROFILES, quiet)
    assert opened == [SerialSettings(2400, "E", 1), *(each for each in LIKELY if each != (2400, "E", 1))]


async def test_behind_tcp_a_gateways_own_word_is_no_slave(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    slaves, truth = units(d2="enapter/wps104")
    host = modbus_lines.TcpHost("127.0.0.1", 0, slaves, truth, 1)
    original = host.reply

    def with_gateway(transaction: int, unit: int, pdu: bytes) -> Any:
        body = bytes((pdu[0] | 0x80, 11))
        return original(transaction, unit, pdu) or modbus_lines.Reply(tcp(transaction, unit, body), 0)

    monkeypatch.setattr(host, "reply", with_gateway)
    await host.open()
    found = await survey.survey("modbus-tcp", {"host": "127.0.0.1", "port": host.port}, PROFILES, quiet)
    await host.close()
    assert [each.unit for each in found] == [2]


async def test_a_profile_whose_map_is_refused_is_not_guessed() -> None:
    async def ask(request: Request) -> Data | Refusal:
        return Data(bytes(request.data_bytes)) if request.fc == 2 else Refusal(2)

    names = [each.profile for each in await guess(ask, 9, PROFILES)]
    assert names and all(PROFILES[name].points[0].read["fc"] == 2 for name in names)


def test_a_port_or_host_needs_no_building_file() -> None:
    assert bare_link("bus1") is None
    port, host = bare_link("/dev/serial/by-id/usb-x"), bare_link("10.0.0.7:502")
    assert port is not None and (port.kind, port.options["port"]) == ("modbus-rtu", "/dev/serial/by-id/usb-x")
    assert host is not None and (host.kind, host.options["host"], host.options["port"]) == (
        "modbus-tcp",
        "10.0.0.7",
        502,
    )


async def test_a_missing_port_is_said_once_and_plainly(tmp_path: Path) -> None:
    bus = RtuBus.on_port(str(tmp_path / "ttyX"), 9600, "N", 1, 0.1, lambda cause: None)
    with pytest.raises(Unreachable) as fault:
        await bus.open()
    assert str(fault.value).count("ttyX") == 1 and "Errno" not in str(fault.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unreachable, match="no serial port"):
        await RtuBus.on_port(str(tmp_path / "file"), 9600, "N", 1, 0.1, lambda cause: None).open()


HEIMAN = {
    "name": "Smoke", "unique_id": "b3-2-1204-smoke", "state_topic": "gw/510104/b3/2/1204/smoke",
    "device_class": "smoke", "device": {"identifiers": ["b3-2-1204"], "manufacturer": "HEIMAN", "model": "HS1SA"},
}  # fmt: skip


def test_an_announcement_names_topic_model_and_class() -> None:
    (found,) = announced("homeassistant/binary_sensor/b3/smoke/config", json.dumps(HEIMAN).encode())
    assert (found.address, found.model, found.says) == ("gw/510104/b3/2/1204/smoke", "HEIMAN HS1SA", ("fire.smoke",))


def test_short_names_and_the_base_topic_are_understood() -> None:
    short = {"~": "hall", "stat_t": "~/sensor/co2/state", "name": "CO2", "dev": {"mf": "Espressif", "mdl": "esp32"}}
    (found,) = announced("homeassistant/sensor/hall/co2/config", json.dumps(short).encode())
    assert (found.address, found.model, found.profiles) == ("hall/sensor/co2/state", "Espressif esp32", ("esphome/*",))


@pytest.mark.parametrize("payload", [b"", b"[", b"7", b"{}", b'{"state_topic": 7}', b'{"state_topic":"a","device":7}'])
def test_an_announcement_that_makes_no_sense_is_nothing(payload: bytes) -> None:
    announced("homeassistant/sensor/x/config", payload)
    announced("zigbee2mqtt/bridge/devices", payload)


async def test_discovery_lists_and_leaves_the_session_as_it_was(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_drivers.mqtt.discovery.LISTEN_S", 0.5)
    topic = "homeassistant/binary_sensor/b3/smoke/config"
    await mosquitto.publish(topic, json.dumps(HEIMAN).encode(), retain=True)
    listed = [{"type": "Coordinator"}, {"friendly_name": "hall", "definition": {"vendor": "HEIMAN", "model": "HS1SA-E",
              "exposes": [{"property": "smoke"}, {"property": "battery"}]}}]  # fmt: skip
    await mosquitto.publish("zigbee2mqtt/bridge/devices", json.dumps(listed).encode(), retain=True)
    settings = LinkSettings("z", "mqtt", {"url": mosquitto.url, "username": "gw", "password": "secret"})
    counts: Counter[str] = Counter()
    found = await discover(settings, lambda cause: counts.update([cause]))
    assert [each.address for each in found] == ["gw/510104/b3/2/1204/smoke", "zigbee2mqtt/hall"]
    assert found[1].profiles == ("zigbee2mqtt/*hs1sa-e*", "zigbee2mqtt/smoke")
    await asyncio.sleep(0)
    wrong = LinkSettings("z", "mqtt", {"url": mosquitto.url, "username": "gw", "password": "wrong"})
    with pytest.raises(Denied):
        await discover(wrong, lambda cause: None)


async def test_tcp_pings_skip_late_answers() -> None:
    assert TcpHost("127.0.0.1", 1, 0.1, lambda cause: None).frames_s(ping_request(1)) == 0.0
