"""What MQTT sensors publish, against the payloads their makers document."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.model import PointKey, Value
from simulators.building import Fact, GroundTruth, Health
from simulators.devices.mqtt_fleet import told
from simulators.devices.mqtt_sensor import Message, MqttSensor, encode

MakeTruth = Callable[..., GroundTruth]


class Said:
    """A sensor and what it published."""

    def __init__(self, truth: GroundTruth, device: str) -> None:
        self.sensor = MqttSensor(truth.device(device), truth, 1)
        self.messages: list[Message] = []
        truth.watch(self._happened)

    def _happened(self, fact: Fact) -> None:
        self.messages += self.sensor.on_fact(fact)

    def last(self) -> tuple[str, Any, bool]:
        topic, payload, retain = self.messages[-1]
        return topic, json.loads(payload), retain


def test_smoke_is_a_retained_state(make_truth: MakeTruth) -> None:
    truth = make_truth("z1")
    said = Said(truth, "z1")
    truth.set(PointKey("z1", "smoke"), True)
    topic, body, retain = said.last()
    assert (topic, retain) == ("zigbee2mqtt/z1", True)
    assert isinstance(body.pop("linkquality"), int) and body.pop("battery") == pytest.approx(93, abs=0.3)
    assert body == {"smoke": True, "tamper": False, "battery_low": False}


def test_a_press_is_an_event_and_never_retained(make_truth: MakeTruth) -> None:
    truth = make_truth("b1")
    said = Said(truth, "b1")
    truth.press(PointKey("b1", "call"))
    topic, body, retain = said.last()
    assert (topic, body["action"], retain) == ("zigbee2mqtt/b1", "emergency", False)
    assert all("action" not in json.loads(m.payload) for m in said.sensor.states())


def test_an_open_door_is_contact_false(make_truth: MakeTruth) -> None:
    truth = make_truth("d1")
    said = Said(truth, "d1")
    truth.set(PointKey("d1", "open"), True)
    assert said.last()[1]["contact"] is False
    truth.set(PointKey("d1", "open"), False)
    assert said.last()[1]["contact"] is True


def test_a_remote_behind_tasmota(make_truth: MakeTruth) -> None:
    truth = make_truth("t1")
    said = Said(truth, "t1")
    truth.press(PointKey("t1", "call"))
    topic, body, retain = said.last()
    assert (topic, retain) == ("tele/rfbridge/RESULT", False)
    assert body["RfReceived"] == {"Data": "0x7028D2", "Bits": 24, "Protocol": 1, "Pulse": 238}
    assert len(body["Time"]) == 19 and list(said.sensor.states()) == []


def test_a_door_controller_says_state_and_passage(make_truth: MakeTruth) -> None:
    truth = make_truth("a1")
    said = Said(truth, "a1")
    truth.set(PointKey("a1", "state"), "forced")
    topic, first, retain = said.last()
    assert (topic, first["state"], first["time"], retain) == ("access/a1", "forced", "2026-11-21T22:26:40.000Z", True)
    truth.press(PointKey("a1", "passage"), value="out")
    topic, second, retain = said.last()
    assert (second["passage"], second["state"], retain) == ("out", "forced", False)
    assert second["seq"] > first["seq"]


def test_sequences_grow_across_a_restart(make_truth: MakeTruth, clock: Any) -> None:
    before = Said(make_truth("bin1"), "bin1")
    sequence = max(json.loads(m.payload)["seq"] for _ in range(3) for m in before.sensor.states())
    clock.now_ms += 1000
    after = Said(make_truth("bin1"), "bin1")
    assert min(json.loads(m.payload)["seq"] for m in after.sensor.states()) > sequence


def test_a_dead_sensor_is_offline_and_silent(make_truth: MakeTruth) -> None:
    truth = make_truth("z1")
    said = Said(truth, "z1")
    truth.set_health("z1", Health.DEAD)
    assert said.last() == ("zigbee2mqtt/z1/availability", {"state": "offline"}, True)
    count = len(said.messages)
    truth.set(PointKey("z1", "smoke"), True)
    assert len(said.messages) == count and list(said.sensor.states()) == []
    truth.set_health("z1", Health.WELL)
    assert [m.topic for m in said.messages[count:]] == ["zigbee2mqtt/z1/availability", "zigbee2mqtt/z1"]
    assert said.last()[1]["smoke"] is True


@pytest.mark.parametrize("health", [Health.TORN, Health.BABBLE])
def test_a_broken_sensor_sends_what_is_no_json(make_truth: MakeTruth, health: Health) -> None:
    truth = make_truth("z1")
    truth.set_health("z1", health)
    (message,) = MqttSensor(truth.device("z1"), truth, 1).states()
    with pytest.raises(ValueError):
        json.loads(message.payload)


@pytest.mark.parametrize(
    ("value", "read", "wire"),
    [
        (True, {"equals": "ON"}, "ON"),
        (False, {"equals": "ON"}, ""),
        (True, {"equals": False}, False),
        (False, {"equals": 1}, 0),
        ("open", {"map": {"1": "open", "0": "closed"}}, "1"),
        (21.5, {"scale": 0.1}, 215.0),
        (3, {"type": "number"}, 3),
        ("held", {"type": "text"}, "held"),
    ],
)
def test_a_value_becomes_json(value: Value, read: dict[str, Any], wire: Any) -> None:
    assert encode(value, read) == wire


@pytest.mark.parametrize(
    ("payload", "template", "now", "value"),
    [
        ('{"state": "true"}', '{"state": "{value}"}', False, True),
        ('{"state": false}', '{"state": {value}}', True, False),
        ("ON", None, False, True),
        ('{"state":"TOGGLE"}', None, True, False),
        ("12.5", None, 0.0, 12.5),
        ("nonsense", None, False, None),
        ("[1]", None, False, None),
    ],
)
def test_a_command_is_understood(payload: str, template: str | None, now: Value, value: Value | None) -> None:
    assert told(payload, {"payload": template}, now) == value
