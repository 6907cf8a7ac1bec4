"""The real gateway and input that makes no sense: counted, bad quality, never a crash, a value or an alarm."""

from __future__ import annotations

import json
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from simulators.demo_brokers import mosquitto
from tests.system.bad_devices_harness import Pty, RtuSlaves, TcpSlaves, crc, rf_frame
from tests.system.gateway_harness import LINLI, House, Process, house_in, until

pytestmark = pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")
SMOKE, DANGER = {0: 1}, {0: 900}
"""Registers of a detector in alarm: whoever takes a spoilt frame for a value raises an alarm."""


def exception(frame: bytes) -> bytes:
    """Illegal data address, by RTU."""
    body = bytes((frame[0], frame[1] | 0x80, 2))
    return body + crc(body)


def another(frame: bytes) -> bytes:
    """The slave answers for another."""
    body = bytes((frame[0] + 100,)) + frame[1:-2]
    return body + crc(body)


def longer(frame: bytes) -> bytes:
    """One register too many, with a right CRC."""
    body = frame[:2] + bytes((frame[2] + 2,)) + frame[3:-2] + b"\0\1"
    return body + crc(body)


RTU: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "bad-crc": (lambda frame: frame[:-1] + bytes((frame[-1] ^ 1,)), "garbled", "bad_crc"),
    "another": (another, "garbled", "wrong_unit"),
    "torn": (lambda frame: frame[:4], "garbled", "torn"),
    "longer": (longer, "garbled", "bad_length"),
    "noise": (lambda _: bytes(range(200, 220)), "garbled", "wrong_unit"),
    "exception": (exception, "exception", ""),
    "silent": (lambda _: b"", "timeout", "timeout"),
}
"""How a slave spoils its reply: (frame → frame, cause of the point, what is counted)."""
TCP: dict[str, tuple[Callable[[bytes], bytes | None], str, str]] = {
    "another": (lambda f: f[:6] + bytes((f[6] + 100,)) + f[7:], "garbled", "wrong_unit"),
    "late": (lambda f: struct.pack(">H", (f[0] * 256 + f[1] - 1) % 65536) + f[2:], "timeout", "late_reply"),
    "function": (lambda f: f[:7] + b"\x04" + f[8:], "garbled", "wrong_function"),
    "longer": (lambda f: f[:5] + bytes((f[5] + 2,)) + f[6:8] + bytes((f[8] + 2,)) + f[9:] + b"\0\1", "garbled",
               "bad_length"),
    "protocol": (lambda f: f[:2] + b"\x13\x37" + f[4:], "garbled", "bad_header"),
    "torn": (lambda f: f[:9], "timeout", "timeout"),
    "exception": (lambda f: f[:4] + b"\0\3" + f[6:7] + bytes((f[7] | 0x80, 4)), "exception", ""),
}  # fmt: skip
JSON: tuple[tuple[bytes, str], ...] = (
    (b'{"fill_percent": NaN}', "not_finite"),
    (b'{"fill_percent": Infinity}', "not_finite"),
    (b'{"fill_percent": -Infinity}', "not_finite"),
    (b'{"fill_percent": 1e999}', "not_finite"),
    (b'{"fill_percent": "99"}', "wrong_type"),
    (b'{"fill_percent": true}', "wrong_type"),
    (b'{"fill_percent": null}', "wrong_type"),
    (b'{"fill_percent": [99]}', "wrong_type"),
    (b'{"fill_percent": {"value": 99}}', "wrong_type"),
    (b'{"fill_percent": 100.1}', "out_of_range"),
    (b'{"fill_percent": -0.1}', "out_of_range"),
    (b'{"fill_percent": 1' + b"0" * 400 + b"}", "out_of_range"),
    (b'{"fill_percent": 1' + b"0" * 9000 + b"}", "garbled"),
    (b'{"fill_percent": 20, "fill_percent": 99}', "garbled"),
    (b'{"fill_percent": 99', "garbled"),
    (b'{"fill_percent": 99}}', "garbled"),
    (b"\xff\xfe\x00\x01", "garbled"),
    (b'{"fill_percent": 99, "x": "\xc3\x28"}', "garbled"),
    (b"[" * 20000, "garbled"),
    (b'{"fill_percent": 99, "x": ' + b'{"x": ' * 50 + b"1" + b"}" * 51, "garbled"),
    (b"", "garbled"),
)
"""(payload of a bin, cause). A value of 99 would raise bin.full."""


class Site:
    """A house with one link of each family, each with one good device among bad ones."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._there = False
        self.bus, self.radio = Pty(house.folder / "bus"), Pty(house.folder / "rf")
        rtu = {n: (SMOKE, how[0]) for n, how in enumerate(RTU.values(), 2)}
        self.slaves = RtuSlaves(self.bus, {1: ({0: 0}, bytes), **rtu})
        spoilt: dict[int, Any] = {n: (DANGER, how[0]) for n, how in enumerate(TCP.values(), 2)}
        self.host = TcpSlaves({1: ({0: 12}, bytes), 100: ({0: 2000}, bytes), **spoilt})
        house.write(
            [
                house.mqtt_link(two_sessions=True),
                {"id": "bus", "kind": "modbus-rtu", "port": "./bus", "baudrate": 115200, "timeout_s": 0.2},
                {"id": "plc", "kind": "modbus-tcp", "host": "127.0.0.1", "port": self.host.port, "timeout_s": 0.2},
                {"id": "rf", "kind": "rf433", "port": "./rf"},
            ],
            [
                {"id": "bin1", "profile": "bin/mqtt-bin", "link": "zigbee", "address": "yard/bin1"},
                {"id": "z1", "profile": "zigbee2mqtt/smoke", "link": "zigbee", "address": "yard/z1"},
                {"id": "c1", "profile": "rf433/call-button", "link": "rf", "address": "A1B2C"},
                {"id": "s-good", "profile": "example/smoke-modbus", "link": "bus", "address": 1},
                {"id": "g-good", "profile": "example/gas-modbus", "link": "plc", "address": 1},
                {"id": "g-range", "profile": "example/gas-modbus", "link": "plc", "address": 100},
                *({"id": f"s-{name}", "profile": "example/smoke-modbus", "link": "bus", "address": n}
                  for n, name in enumerate(RTU, 2)),
                *({"id": f"g-{name}", "profile": "example/gas-modbus", "link": "plc", "address": n}
                  for n, name in enumerate(TCP, 2)),
            ],
        )  # fmt: skip

    def bring(self) -> None:
        """The broker, the bus and the receiver are there, if they were not yet."""
        if not self._there:
            self._there = True
            self.house.start_broker("building")
            self.bus.plug_in()
            self.radio.plug_in()

    def close(self) -> None:
        """Everything but the house."""
        for part in (self.host, self.bus, self.radio):
            part.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Started without broker, bus and receiver: the first test brings them."""
    with house_in(tmp_path_factory.mktemp("site")) as house:
        conf = house.folder / "brokers" / "building" / "mosquitto.conf"
        text = conf.read_text(encoding="utf-8")
        # Somebody else's broker, which lets through what ours would refuse.
        conf.write_text(text.replace("max_packet_size 65536", "max_packet_size 4194304"), encoding="utf-8")
        made = Site(house)
        house.start_broker("duty")
        yield made
        made.close()


@pytest.fixture(scope="module")
def gateway(site: Site) -> Process:
    """The running gateway. No test may end it."""
    process = site.house.start_gateway()
    process.until_ready()
    return process


@pytest.fixture
def devices(site: Site, gateway: Process) -> paho.Client:
    """An MQTT client that may publish as any device."""
    site.bring()
    client = site.house.client("building", "devices")
    site.house.connect(client, "building")
    until(lambda: site.house.metrics()['linli_link_up{link="zigbee"}'] == 1, "the gateway has its broker", 25.0)
    return client


def alarms(house: House, *classes: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Open alarms by (device, class); all classes when none is given."""
    rows = house.get("/api/v1/alarms")
    return {(row["device"], row["class"]): row for row in rows if not classes or row["class"] in classes}


def shown(house: House, device: str, point: str) -> tuple[Any, str, str | None]:
    """(value, quality, cause) of a point."""
    row = house.point(device, point)
    return row["value"], row["quality"], row["cause"]


def test_what_is_missing_at_the_start_is_said_and_comes_back(site: Site, gateway: Process) -> None:
    house = site.house
    until(lambda: shown(house, "g-good", "lel") == (1.2, "good", None), "the host that is there runs")
    missing = ("zigbee", "bus", "rf")
    until(lambda: set(alarms(house, "link.down")) == {(link, "link.down") for link in missing}, "said", 12.0)
    said = {key[0]: row["value"] for key, row in alarms(house, "link.down").items()}
    assert said == {"zigbee": 2, "bus": 1 + len(RTU), "rf": 1}, "each says how many life-safety devices it leaves"
    ready = house.metrics()
    assert all(ready[f'linli_link_up{{link="{link}"}}'] == 0 for link in missing)
    site.bring()
    until(lambda: not any(row["condition"] == "on" for row in alarms(house, "link.down").values()), "back", 25.0)
    until(lambda: shown(house, "s-good", "smoke") == (False, "good", None), "the bus is read")
    assert gateway.running


def test_json_that_is_no_value(site: Site, gateway: Process, devices: paho.Client) -> None:
    house = site.house
    before = house.rejected("mqtt")
    for payload, cause in JSON:
        devices.publish("yard/bin1", b'{"fill_percent": 20}', 1)
        until(lambda: shown(house, "bin1", "fill_percent") == (20, "good", None), "a good value")
        devices.publish("yard/bin1", payload, 1)
        until(lambda: shown(house, "bin1", "fill_percent")[1] == "bad", f"bad: {payload[:40]!r}")
        assert shown(house, "bin1", "fill_percent") == (None, "bad", cause), payload[:40]
    after = house.rejected("mqtt")
    for cause in ("not_finite", "wrong_type", "out_of_range", "garbled"):
        wanted = sum(each == cause for _, each in JSON)
        assert after.get(cause, 0) - before.get(cause, 0) >= wanted, (cause, after)
    assert not alarms(house, "bin.full")


def test_messages_beyond_every_bound(site: Site, gateway: Process, devices: paho.Client) -> None:
    house = site.house
    for topic, payload in (
        ("yard/z1", b'{"smoke": true, "x": "' + b"x" * (1 << 20) + b'"}'),
        ("yard/z1", b"\0" * (1 << 20)),
        ("yard/nobody", b'{"smoke": true}'),
        ("yard/z1/set", b'{"smoke": true}'),
        ("yard/z1/availability", b"\xff\xff"),
        ("yard/z1/availability", b'{"state": 7}'),
        ("yard/" + "x" * 5000, b'{"smoke": true}'),
    ):
        devices.publish(topic, payload, 1).wait_for_publish(10)
    assert not alarms(house, "fire.smoke"), "none of these is smoke"
    devices.publish("yard/z1", b'{"smoke": true}', 1)
    until(lambda: ("z1", "fire.smoke") in alarms(house), "and the detector behind them is heard")
    counted = house.rejected("mqtt")
    assert counted["oversize"] >= 2, counted
    assert gateway.running


def test_frames_of_a_bus_that_are_no_answer(site: Site, gateway: Process) -> None:
    site.bring()
    check_modbus(site.house, "modbus-rtu", "s", "smoke", RTU)
    assert shown(site.house, "s-good", "smoke") == (False, "good", None)
    assert not [key for key in alarms(site.house, "fire.smoke") if key[0].startswith("s-")]


def test_frames_of_a_host_that_are_no_answer(site: Site, gateway: Process) -> None:
    check_modbus(site.house, "modbus-tcp", "g", "lel", TCP)
    assert shown(site.house, "g-range", "lel") == (None, "bad", "out_of_range")
    until(lambda: shown(site.house, "g-good", "lel") == (1.2, "good", None), "the good one goes on")
    assert not alarms(site.house, "gas.combustible")


def check_modbus(house: House, driver: str, letter: str, point: str, table: dict[str, tuple[Any, str, str]]) -> None:
    """Each spoilt reply is a bad point with its cause, and counted."""

    def wrong() -> dict[str, tuple[Any, str, str | None]]:
        found = {name: shown(house, f"{letter}-{name}", point) for name in table}
        return {name: each for name, each in found.items() if each != (None, "bad", table[name][1])}

    end = time.monotonic() + 25.0
    while wrong() and time.monotonic() < end:
        time.sleep(0.2)
    assert not wrong()
    counted = house.rejected(driver)
    missing = {cause for _, _, cause in table.values() if cause} - set(counted)
    assert not missing, counted


def test_noise_on_the_receiver_and_then_a_call(site: Site, gateway: Process) -> None:
    house, dice = site.house, random.Random(433)
    write = site.radio.fd
    site.bring()
    until(lambda: house.metrics()['linli_link_up{link="rf"}'] == 1, "the receiver is open", 25.0)
    good = rf_frame(0xA1B2C8)
    for noise in (
        bytes(dice.randrange(256) for _ in range(1500)).replace(good[8:11], b""),
        good[:-1] + b"\0",
        good[:7],
        b"\xaa" * 100,
        b"\x55" * 100,
        rf_frame(0xFFFFF1),
        b"\xaa\xa4" * 50,
    ):
        os.write(write, noise)
    time.sleep(0.5)
    assert not alarms(house, "sos.call"), "noise is no call"
    os.write(write, good)
    until(lambda: ("c1", "sos.call") in alarms(house), "the call behind the noise is heard")
    counted = house.rejected("rf433")
    assert counted["garbled"] >= 4 and counted["unknown_id"] >= 1, counted


def test_a_second_gateway_is_refused(site: Site, gateway: Process) -> None:
    house = site.house
    second = house.run((str(LINLI), "gateway", "--config", str(house.config)), "second")
    assert second.ended() == 1
    assert str(gateway.pid) in second.tail() and "data_dir" in second.tail()
    other = house.folder / "other.yaml"
    building = json.loads(house.config.read_text(encoding="utf-8"))
    building["gateway"]["data_dir"] = "./other"
    other.write_text(json.dumps(building), encoding="utf-8")
    third = house.run((str(LINLI), "gateway", "--config", str(other)), "third")
    assert third.ended() == 1 and str(house.ports["gateway"]) in third.tail()
    assert gateway.running and not second.ready and not third.ready


def test_a_config_with_faults_starts_nothing(tmp_path: Path) -> None:
    bad = Path(__file__).resolve().parents[2] / "configs" / "bad" / "every-fault-at-once.yaml"
    config = tmp_path / "building.yaml"
    config.write_bytes(bad.read_bytes())
    process = Process((str(LINLI), "gateway", "--config", str(config)), tmp_path / "log")
    assert process.ended() == 1
    errors = [line for line in process.lines if ": error: " in line]
    assert len(errors) == 8, process.lines
    for line in errors:
        name, row, column, _ = line.removeprefix(str(config.parent) + "/").split(":", 3)
        assert name.endswith("building.yaml") and int(row) >= 1 and int(column) >= 1
        assert line.endswith(")"), "each says what to do"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["building.yaml", "log"]


def test_the_site_ends_as_asked(site: Site, gateway: Process) -> None:
    assert "Traceback" not in gateway.tail()
    code, took_s = gateway.stop()
    assert code == 0 and took_s < 5.0
