"""The building file: what the daemon gets from a right one, and what check finds in others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import Secret, check, finding_line, load_building
from edge.errors import ConfigError
from edge.model import AlarmClass, Linkage, Place, PointKey, SounderStart

Edit = Callable[..., Path]
RELAY = "  - {id: relay1, profile: relay/waveshare, link: bus1, address: 1, place: {text: 值班室}}\n"
ROSTER = 'roster: [{id: li, name: 李四, role: grid_worker, tell: ["${env:LI_URL}"]}]\n'


def codes(path: Path) -> list[str]:
    return [f.code for f in check(path, "en")]


def errors(path: Path) -> list[tuple[int, int, str]]:
    return [(f.line, f.column, f.code) for f in check(path, "en") if f.severity == "error"]


def test_the_minimal_file_is_without_error_when_its_secrets_exist(site: Path) -> None:
    assert [(f.severity, f.code) for f in check(site, "en")] == [("warning", "unwatched-device")]


def test_the_minimal_file_as_settings(site: Path) -> None:
    building = load_building(site)
    gateway = building.gateway
    assert (gateway.id, gateway.host, gateway.port, gateway.timezone) == ("b12", "127.0.0.1", 8081, "Asia/Shanghai")
    assert gateway.data_dir == site.parent / "data"
    assert building.site.units == ("1", "2") and building.site.floors == (1, 18)
    assert [link.kind for link in building.links] == ["modbus-rtu", "modbus-tcp", "mqtt", "rf433"]
    assert building.links[0].options["port"] == str(site.parent / "dev/bus1")
    assert building.links[2].options["urls"] == ("mqtt://127.0.0.1:1883",)
    assert building.links[2].options["password"] == "geheim-eins"
    smoke, gas, zigbee, button = building.devices
    assert smoke.address == "31" and smoke.life_safety and smoke.kind == "smoke"
    assert smoke.place == Place("新盛", "12", "1", 3, "301")
    assert gas.wire["poll_s"] == 2.0 and gas.wire["points"]["lel"]["read"]["scale"] == 0.1
    assert zigbee.wire["availability"]["topic"] == "availability"
    assert button.address == "A1B2C" and button.supervise_s is None
    assert building.roster[0].tell == ("json://127.0.0.1:9/li",)
    assert building.duty_room is not None and building.duty_room.password == "geheim-zwei"
    assert building.city is not None and building.city.every_s == 300 and building.city.broker.username is None
    assert building.sounders == () and building.linkages == () and building.ack_keys == ()
    assert set(building.profiles) == {d.profile for d in building.devices}


def test_no_secret_is_ever_printed(site: Path) -> None:
    shown = repr(load_building(site)) + str(load_building(site))
    assert "geheim" not in shown and "json://" not in shown and "***" in shown


def test_the_hash_follows_the_file_and_its_profiles_but_no_secret(site: Path, edit: Edit) -> None:
    first = load_building(site).config_hash
    (site.parent / "gw.pw").write_text("another", encoding="utf-8")
    assert load_building(site).config_hash == first
    assert load_building(edit(("floors: [1, 18]", "floors: [1, 19]"))).config_hash != first
    assert len(first) == 16


def test_a_config_error_carries_every_finding(edit: Edit) -> None:
    path = edit(("address: 31", "address: 0"), ("link: plc", "link: pcl"), ("floor: 5", "floor: 55"))
    with pytest.raises(ConfigError) as caught:
        load_building(path)
    assert [f.code for f in caught.value.findings if f.severity == "error"] == [
        "bad-value", "unknown-link", "unknown-place",
    ]  # fmt: skip


def test_a_horn_sounds_for_the_usual_classes_when_nothing_is_said(edit: Edit) -> None:
    building = load_building(edit(("roster:", RELAY + "roster:")))
    at_once, ladder = building.sounders
    assert at_once.point == PointKey("relay1", "horn") and at_once.start is SounderStart.AT_ONCE
    assert {AlarmClass.FIRE_SMOKE, AlarmClass.GAS_CO, AlarmClass.BIN_OVERHEAT} <= set(at_once.classes)
    assert ladder.start is SounderStart.LADDER
    assert ladder.classes == (AlarmClass.SOS_CALL, AlarmClass.DUTY_ROOM_UNHEARD)
    assert building.ack_keys == (PointKey("relay1", "ack_key"),)


def test_a_horn_alone_is_enough_for_every_class_of_the_minimal_file(edit: Edit) -> None:
    assert not errors(edit((ROSTER, RELAY)))


def test_without_roster_and_sounder_nobody_on_site_is_told(edit: Edit) -> None:
    path = edit((ROSTER, ""))
    untold = [f.message for f in check(path, "en") if f.code == "untold-class"]
    assert len(untold) == 4
    for name in ("fire.smoke", "gas.combustible", "sos.call", "duty_room.unheard"):
        assert any(name in message for message in untold)


def test_a_sounder_for_some_classes_leaves_the_others_untold(edit: Edit) -> None:
    path = edit((ROSTER, RELAY), more="sounders: [{point: relay1/horn, classes: [fire.*, gas.*, duty_room.*]}]\n")
    assert [f.message for f in check(path, "en") if f.code == "untold-class"] == [
        "nobody on site would be told of sos.call (priority 1)"
    ]


def test_an_override_changes_a_device_after_its_profile(edit: Edit) -> None:
    rules = "rules:\n  example/gas-modbus: {gas-low: {limit: 8, deadband: 2}}\n  g301: {gas-low: {limit: 9.0}}\n"
    gas = load_building(edit(more=rules)).devices[1]
    low = next(r for r in gas.rules if r.id == "gas-low")
    assert (low.limit, low.deadband, low.level) == (9.0, 2.0, 2)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("x: {smoke: {priority: 1}}", "neither a device nor a profile"),
        ("s301: {smok: {priority: 1}}", "has no rule"),
        ("s301: {smoke: {limit: 1}}", "no limit to change"),
        ("g301: {gas-high: {limit: 250}}", "would never alarm"),
        ("s301: {smoke: {on_delay_s: 600}}", "delay on a life-safety rule"),
        ("s301: {smoke: {limt: 1}}", "unknown key"),
    ],
)
def test_an_override_that_cannot_work_is_found(edit: Edit, rules: str, words: str) -> None:
    findings = [f for f in check(edit(more=f"rules:\n  {rules}\n"), "en") if f.severity == "error"]
    assert len(findings) == 1 and words in findings[0].message and findings[0].line == 17


def test_a_linkage_closes_the_gas_valve(edit: Edit) -> None:
    linkage = "linkages: [{classes: [gas.*], priority: 1, point: relay1/gas_valve, value: true}]\n"
    building = load_building(edit(("roster:", RELAY + "roster:"), more=linkage))
    classes = (AlarmClass.GAS_COMBUSTIBLE, AlarmClass.GAS_CO)
    assert building.linkages == (Linkage(PointKey("relay1", "gas_valve"), True, classes, 1),)


@pytest.mark.parametrize("value", ["false", "open", '"true"', "0", "1"])
def test_nothing_else_is_ever_written_to_a_valve(edit: Edit, value: str) -> None:
    linkage = f"linkages: [{{classes: [gas.*], point: relay1/gas_valve, value: {value}}}]\n"
    path = edit(("roster:", RELAY + "roster:"), more=linkage)
    assert [f.message for f in check(path, "en") if f.severity == "error"] == [
        "the gateway closes a gas valve, it never opens one"
    ]


@pytest.mark.parametrize("point", ["relay1/ack_key", "relay1/hron", "s301/smoke", "nothing"])
def test_only_a_point_that_can_be_set_sounds(edit: Edit, point: str) -> None:
    path = edit(("roster:", RELAY + "roster:"), more=f"sounders: [{{point: {point}, classes: [fire.*]}}]\n")
    assert [code for _, _, code in errors(path)] == ["bad-value"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("address: 31", "address: 248", "bad-value"),
        ("address: 31", "address: 3.1", "bad-value"),
        ("address: 31", "address: ３１", "bad-value"),
        ("address: zigbee2mqtt/z1", "address: zigbee2mqtt/+", "bad-value"),
        ("address: zigbee2mqtt/z1", "address: zigbee2mqtt/", "bad-value"),
        ("address: zigbee2mqtt/z1", 'address: "a/#"', "bad-value"),
        ("address: A1B2C", "address: A1B2", "bad-value"),
        ("address: A1B2C", "address: G1B2C", "bad-value"),
        ("profile: rf433/call-button, link: rf", "profile: rf433/call-button, link: bus1", "bad-value"),
        ("timezone: Asia/Shanghai", "timezone: ../etc/passwd", "bad-value"),
        ("listen: 127.0.0.1:8081", "listen: 8081", "wrong-type"),
        ("listen: 127.0.0.1:8081", "listen: 127.0.0.1:99999", "bad-value"),
        ("mqtt://127.0.0.1:1883", "http://127.0.0.1:1883", "bad-value"),
        ("mqtt://127.0.0.1:1883", "mqtt://u:p@127.0.0.1:1883", "bad-secret"),
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:port", "bad-value"),
        ('password: "${file:gw.pw}"', "password: plain", "bad-secret"),
        ("${env:LI_URL}", "${env:NOT_SET_ANYWHERE}", "bad-secret"),
        ("${env:LI_URL}", "just words", "bad-value"),
        ("port: ./dev/rf", "port: ./dev/bus1", "duplicate-address"),
        ("every_s: 300", "every_s: .nan", "bad-value"),
        ("every_s: 300", "every_s: 0", "bad-value"),
        ("stopbits: 1", "stopbits: true", "wrong-type"),
        ('household: "502"', 'household: "512"', "unknown-place"),
        ("floor: 5, ", "", "unknown-place"),
        ("floor: 5", "floor: 0", "unknown-place"),
        ("kind: rf433", "kind: rf443", "bad-value"),
        ("kind: rf433, ", "", "missing-key"),
    ],
)
def test_what_cannot_work_is_found_where_it_stands(edit: Edit, old: str, new: str, code: str) -> None:
    found = errors(edit((old, new)))
    assert [c for _, _, c in found] == [code], found


def test_a_code_of_figures_only_and_one_like_a_number_are_codes(edit: Edit) -> None:
    for text in ("00123", "1E234", "'12345'", "a1b2c"):
        path = edit((next(t for t in ("A1B2C", "00123", "1E234", "'12345'") if f"address: {t}" in _text(edit)), text))
        assert load_building(path).devices[3].address == text.strip("'").upper()


def _text(edit: Edit) -> str:
    return edit().read_text(encoding="utf-8")


def test_yaml_1_1_booleans_are_text(edit: Edit) -> None:
    path = edit(('building: "12"', "building: no"), ('units: ["1", "2"]', 'units: ["1", "2", on]'))
    assert load_building(path).site.building == "no" and load_building(path).site.units[2] == "on"


def test_a_bare_serial_port_is_a_warning_that_names_by_id(edit: Edit) -> None:
    found = [f for f in check(edit(("port: ./dev/bus1", "port: /dev/ttyUSB0")), "en") if f.code == "bad-value"]
    assert [f.severity for f in found] == ["warning"] and "/dev/serial/by-id" in found[0].remedy


def test_a_bus_is_too_slow_only_when_it_is(edit: Edit) -> None:
    many = "".join(
        f'  - {{id: t{n}, profile: example/smoke-modbus, link: bus1, address: {n}, place: {{unit: "1", floor: 2}}}}\n'
        for n in range(100, 200)
    )
    path = edit(("roster:", many + "roster:"))
    assert "too-slow-bus" not in codes(path)
    edit(("baudrate: 9600", "baudrate: 2400"))
    assert "too-slow-bus" in codes(path)


def test_a_slow_bus_of_meters_is_measured_by_their_silence(edit: Edit) -> None:
    relays = "".join(f"  - {{id: r{n}, profile: relay/waveshare, link: bus1, address: {n}}}\n" for n in range(100, 230))
    path = edit(("roster:", relays + "roster:"), ("baudrate: 9600", "baudrate: 1200"))
    assert [f.message for f in check(path, "en") if f.code == "too-slow-bus"][0].startswith("link 'bus1' needs")


def test_a_sites_own_profile_folder(edit: Edit, site: Path) -> None:
    own = site.parent / "profiles" / "haus" / "smoke.yaml"
    own.parent.mkdir(parents=True)
    shipped = Path("device_drivers/profiles/example/smoke-modbus.yaml").read_text(encoding="utf-8")
    own.write_text(shipped.replace("example/smoke-modbus", "haus/smoke"), encoding="utf-8")
    path = edit(("example/smoke-modbus", "haus/smoke"), more="profiles: [profiles]\n")
    assert load_building(path).devices[0].profile == "haus/smoke"
    own.write_text(shipped.replace("fc: 3", "fc: 9"), encoding="utf-8")
    found = check(path, "en")
    assert any(f.file == str(own) and f.code == "bad-value" for f in found)
    assert any(f.file == str(path) and f.code == "unknown-profile" for f in found)


def test_chinese_is_chosen_by_the_environment(edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    path = edit(("address: 31", "address: 0"))
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    line = next(finding_line(f) for f in check(path) if f.severity == "error")
    assert "不是 Modbus 地址" in line and ": error: " in line


def test_a_secret_behaves_as_text_and_prints_as_stars() -> None:
    secret = Secret("geheim")
    assert secret == "geheim" and secret.encode() == b"geheim" and "mqtt:" + secret == "mqtt:geheim"
    assert f"{secret}" == str(secret) == "***" and repr(secret) == "'***'" and "%s" % secret == "***"  # noqa: UP031
    assert secret.reveal() == "geheim" and type(secret.reveal()) is str


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\0b", b"x" * 20_000])
def test_a_secret_file_that_holds_none_is_found(edit: Edit, site: Path, content: bytes) -> None:
    (site.parent / "gw.pw").write_bytes(content)
    assert [c for _, _, c in errors(site)] == ["bad-secret"]
