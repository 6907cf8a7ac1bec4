"""The demo's building: what the issue asks for is there, and ``linli check`` has nothing against it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edge.config import check, load_building, load_duty_room
from simulators.demo_amqtt import covers
from simulators.demo_brokers import SHIPPED, render
from simulators.demo_building import Broker, Wiring, building_yaml, devices, duty_room_yaml, households, people_csv

WIRING = Wiring(
    gateway_port=18081,
    duty_room_port=18080,
    plc_port=1502,
    phone_url="http://127.0.0.1:18090",
    alarms=Broker("mqtt://127.0.0.1:1883", "gw-alarms", ""),
    readings=Broker("mqtt://127.0.0.1:1883", "gw-readings", ""),
    duty=Broker("mqtt://127.0.0.1:1884", "b12-duty", ""),
    desk=Broker("mqtt://127.0.0.1:1884", "duty-room", ""),
    city=Broker("mqtt://127.0.0.1:1885", "b12-city", ""),
    city_every_s=30,
)


def written(folder: Path) -> Path:
    """The files as the demo writes them."""
    (folder / "secrets").mkdir()
    for user in ("gw-alarms", "gw-readings", "b12-duty", "duty-room", "b12-city"):
        secret = folder / "secrets" / f"{user}.pw"
        secret.write_text("a-password")
        secret.chmod(0o600)
    (folder / "building.yaml").write_text(building_yaml(WIRING), encoding="utf-8")
    (folder / "duty-room.yaml").write_text(duty_room_yaml(WIRING), encoding="utf-8")
    (folder / "people.csv").write_text(people_csv(WIRING.phone_url), encoding="utf-8")
    return folder


def test_the_building_has_what_the_issue_asks_for() -> None:
    counts = Counter(device["profile"] for device in devices())
    assert len(list(households())) == 72
    assert counts["example/smoke-modbus"] >= 90
    assert counts["example/gas-modbus"] == 72
    assert counts["zigbee2mqtt/smoke"] + counts["zigbee2mqtt/door"] == 24
    assert counts["bin/mqtt-bin"] == 12
    assert counts["access/mqtt-door"] == 4
    assert counts["rf433/call-button"] == 30
    assert counts["relay/waveshare"] == 1


def test_no_device_shares_an_id_or_an_address() -> None:
    everything = list(devices())
    assert len({device["id"] for device in everything}) == len(everything)
    assert len({(device["link"], device["address"]) for device in everything}) == len(everything)


def test_check_has_nothing_against_the_files(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for name in ("building.yaml", "duty-room.yaml", "people.csv"):
        errors = [finding for finding in check(folder / name) if finding.severity == "error"]
        assert not errors, errors


def test_the_files_load_as_meant(tmp_path: Path) -> None:
    folder = written(tmp_path)
    building = load_building(folder / "building.yaml")
    assert building.site.floors == (1, 18)
    assert [str(key) for key in building.ack_keys] == ["relay1/ack_key"]
    assert {str(sounder.point) for sounder in building.sounders} == {"relay1/horn"}
    assert [str(linkage.point) for linkage in building.linkages] == ["relay1/gas_valve"]
    assert building.city is not None and building.city.every_s == 30
    people = load_duty_room(folder / "duty-room.yaml").people
    assert {person.grid for person in people if person.role == "grid_worker"} == {"XS-03-07", "XS-03-08"}


def test_the_shipped_broker_file_is_what_runs() -> None:
    shipped = SHIPPED.read_text(encoding="utf-8")
    own = {"listener": "2883 127.0.0.1", "password_file": "/x/passwd", "persistence_location": "/x/"}
    lines = render(shipped, own, 2884).splitlines()
    settings = [text for text in lines if text and not text.startswith("#")]
    assert "set_tcp_nodelay true" in settings and "autosave_interval 1" in settings
    assert "max_queued_messages 100000" in settings
    assert settings.count("allow_anonymous false") == 2 and "allow_anonymous true" not in settings
    assert settings.index("listener 2883 127.0.0.1") < settings.index("use_username_as_clientid true")
    assert settings.index("use_username_as_clientid true") < settings.index("listener 2884 127.0.0.1")
    assert settings.count("password_file /x/passwd") == 2


def test_rights_of_the_embedded_broker() -> None:
    assert covers("#", "linli/v1/b12/event")
    assert covers("linli/v1/+/event", "linli/v1/b12/event")
    assert covers("linli/v1/+/event", "linli/v1/+/event")
    assert not covers("linli/v1/b12/event", "linli/v1/+/event")
    assert not covers("linli/v1/+/event", "linli/v1/b12/receipt")
    assert not covers("linli/v1/+", "linli/v1/b12/event")
    assert not covers("linli/v1/+/event", "#")
