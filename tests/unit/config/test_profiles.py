"""The shipped profiles: every one loads, says where it comes from, and respects the traps of its devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from device_drivers.profiles import load_profile, load_profiles, profile_paths
from device_drivers.profiles.schema import PROFILE
from edge.model import CLASSES, AlarmClass, RuleKind

PROFILES = load_profiles()
NAMED = {
    "example/smoke-modbus", "example/gas-modbus", "zigbee2mqtt/smoke", "zigbee2mqtt/door", "zigbee2mqtt/sos-button",
    "zigbee2mqtt/gas", "zigbee2mqtt/water-leak", "rf433/call-button", "bin/mqtt-bin", "access/mqtt-door",
    "relay/waveshare", "tasmota/rf-button", "air/mqtt-air",
}  # fmt: skip


def test_every_promised_profile_is_there_under_its_own_name() -> None:
    assert set(PROFILES) >= NAMED
    assert all(profile.id == name for name, profile in PROFILES.items())


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_profile_hangs_together(name: str) -> None:
    profile = PROFILES[name]
    assert profile.source and profile.status in ("confirmed", "recalled")
    assert profile.title["zh"] and profile.title["en"]
    by_key = {p.key: p for p in profile.points}
    for rule in profile.rules:
        point = by_key[rule.point]
        if rule.kind is RuleKind.THRESHOLD and point.low is not None and point.high is not None:
            assert point.low <= rule.limit <= point.high, "the rule could never fire"
    for key, value in profile.simulate.items():
        point = by_key[key]
        assert not point.momentary, "an event has no value at rest"
        assert all(value != r.on_value for r in profile.rules if r.point == key and r.kind is RuleKind.STATE)
        if point.low is not None and point.high is not None and not isinstance(value, str):
            assert point.low <= value <= point.high
    if any(CLASSES[r.alarm_class].life_safety for r in profile.rules) and profile.poll_s is not None:
        assert profile.poll_s <= 5, "a polled life-safety device must be seen within 10 s with one poll lost"


def test_the_contract_of_the_example_smoke_detector() -> None:
    points = PROFILES["example/smoke-modbus"].wire["points"]
    assert (points["smoke"]["read"]["fc"], points["smoke"]["read"]["register"]) == (3, 0)
    assert (points["smoke"]["read"]["bit"], points["fault"]["read"]["bit"]) == (0, 1)
    assert points["fault"]["read"]["register"] == 0


def test_the_contract_of_the_example_gas_detector() -> None:
    profile = PROFILES["example/gas-modbus"]
    lel = profile.points[0]
    raw = lel.read["scale"]
    rules = {r.id: r for r in profile.rules}
    assert lel.unit == "%LEL"
    assert lel.low == 0 and lel.high == pytest.approx(1000 * raw)
    assert rules["gas-low"].limit == pytest.approx(100 * raw) and rules["gas-low"].level == 2
    assert rules["gas-high"].limit == pytest.approx(250 * raw) and rules["gas-high"].level == 1
    assert profile.points[1].read == PROFILES["example/gas-modbus"].wire["points"]["fault"]["read"]
    assert (profile.points[1].read["register"], profile.points[1].read["bit"]) == (1, 0)


def test_a_zigbee_contact_is_true_when_the_door_is_closed() -> None:
    read = PROFILES["zigbee2mqtt/door"].wire["points"]["open"]["read"]
    assert (read["path"], read["equals"]) == ("contact", False)


def test_presses_are_events_and_never_states() -> None:
    for name in ("zigbee2mqtt/sos-button", "rf433/call-button", "tasmota/rf-button"):
        call = next(p for p in PROFILES[name].points if p.key == "call")
        rule = next(r for r in PROFILES[name].rules if r.point == "call")
        assert call.momentary and rule.kind is RuleKind.PRESS and rule.alarm_class is AlarmClass.SOS_CALL
    assert PROFILES["rf433/call-button"].supervise_s is None
    assert set(PROFILES["rf433/call-button"].wire["points"]["call"]["read"]["keys"]) == {1, 2, 4, 8}


def test_batteries_and_tampering_are_alarms_of_the_device() -> None:
    for name in ("zigbee2mqtt/smoke", "zigbee2mqtt/door", "zigbee2mqtt/water-leak"):
        classes = {r.alarm_class for r in PROFILES[name].rules}
        assert {AlarmClass.DEVICE_BATTERY_LOW, AlarmClass.DEVICE_TAMPER} <= classes


def test_the_gas_valve_is_only_ever_closed() -> None:
    points = PROFILES["relay/waveshare"].wire["points"]
    assert points["gas_valve"]["write"] == {"fc": 5, "coil": 1, "on": True, "off": None}
    assert points["horn"]["write"]["off"] is False
    assert "write" not in points["ack_key"]


def test_a_sites_own_profile_comes_before_the_shipped_one(tmp_path: Path) -> None:
    shipped = profile_paths()["example/smoke-modbus"]
    own = tmp_path / "example" / "smoke-modbus.yaml"
    own.parent.mkdir()
    own.write_text(shipped.read_text(encoding="utf-8").replace("poll_s: 2.0", "poll_s: 4.0"), encoding="utf-8")
    assert load_profiles([tmp_path])["example/smoke-modbus"].poll_s == 4.0


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"a: 1", b"x" * 300_000])
def test_a_broken_profile_is_a_value_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"p\.yaml"):
        load_profile(path)


def form(**changes: Any) -> dict[str, Any]:
    """A right profile with changes."""
    base: dict[str, Any] = {
        "profile": "a/b", "title": {"zh": "甲", "en": "a"}, "kind": "smoke", "link": "modbus", "source": "here",
        "status": "recalled", "poll_s": 1.0, "supervise_s": 60.0,
        "points": [{"key": "smoke", "read": {"fc": 3, "register": 0, "type": "bit", "bit": 0}}],
        "rules": [{"id": "smoke", "class": "fire.smoke", "point": "smoke", "state": True}],
    }  # fmt: skip
    return base | changes


def test_a_right_form_is_right() -> None:
    PROFILE.validate_python(form())


@pytest.mark.parametrize(
    "changes",
    [
        {"points": [{"key": "smoke", "read": {"fc": 3, "coil": 0, "type": "bit"}}]},
        {"points": [{"key": "smoke", "read": {"fc": 3, "register": 0, "type": "bit"}}]},
        {"points": [{"key": "smoke", "read": {"fc": 1, "coil": 0, "type": "u16"}}]},
        {"points": [{"key": "smoke", "read": {"fc": 3, "register": 0, "scale": 0.0}}]},
        {"points": [{"key": "smoke", "read": {"fc": 3, "register": 70000}}]},
        {"points": [{"key": "smoke", "read": {"fc": 3, "register": 0}, "valid": [5, 1]}]},
        {"points": form()["points"] * 2},
        {"rules": [{"id": "x", "class": "fire.smoke", "point": "other", "state": True}]},
        {"rules": [{"id": "x", "class": "fire.smoke", "point": "smoke"}]},
        {"rules": [{"id": "x", "class": "fire.smoke", "point": "smoke", "press": True}]},
        {"rules": [{"id": "x", "class": "link.down", "point": "smoke", "state": True}]},
        {"rules": [{"id": "x", "class": "fire.smoke", "point": "smoke", "above": float("nan")}]},
        {"simulate": {"other": 1}},
        {"link": "rf433"},
        {"colour": "red"},
        {"poll_s": "fast"},
    ],
)
def test_a_wrong_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PROFILE.validate_python(form(**changes))
