"""Home Assistant: a share sees its own points and no others, and cannot set anything."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import aiomqtt
import pytest

from cloud_bridge import home_assistant
from cloud_bridge.home_assistant import HomeAssistantLink, HomeAssistantSettings, discovery
from edge.model import AlarmClass, Device, Place, Point, Quality, Rule, RuleKind
from edge.pki import acl
from tests.unit.bridge.samples import Broker
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.uplinks import House

SMOKE = Device(
    "s301",
    "example/smoke",
    "bus",
    "1",
    Place(household="301"),
    (Point("smoke"), Point("battery", unit="%"), Point("press", momentary=True)),
    (Rule("smoke", "smoke", AlarmClass.FIRE_SMOKE, RuleKind.STATE),),
    60.0,
)
OTHER = Device("s302", "example/smoke", "bus", "2", Place(household="302"), (Point("smoke"),), (), 60.0)


def point(ident: str, name: str, value: object, quality: Quality = Quality.GOOD) -> object:
    return SimpleNamespace(device=ident, point=name, value=value, quality=quality, unit=None, age_s=1.0)


def test_discovery_says_what_it_is_and_nothing_that_could_be_set() -> None:
    found = discovery("b12", "h301", SMOKE, SMOKE.points[0], "homeassistant")
    assert found is not None
    topic, body = found
    assert topic == "homeassistant/binary_sensor/h301/b12-s301-smoke/config"
    assert body["device_class"] == "smoke" and body["state_topic"] == "linli/home/h301/s301/smoke"
    assert not any("command" in key for key in body)
    number = discovery("b12", "h301", SMOKE, SMOKE.points[1], "homeassistant")
    assert number is not None and number[0].startswith("homeassistant/sensor/") and "device_class" not in number[1]
    assert discovery("b12", "h301", SMOKE, SMOKE.points[2], "homeassistant") is None, "a press is no state"


async def test_a_share_shows_its_own_devices_and_their_doubts(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_assistant, "SAMPLE_S", 0.05)
    house = House(tmp_path, [SMOKE, OTHER])
    house.values = [point("s301", "smoke", False), point("s301", "battery", 93), point("s302", "smoke", True)]
    got: dict[str, str] = {}

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            got[message.topic.value] = message.payload.decode()

    link = HomeAssistantLink(HomeAssistantSettings(broker, {"h301": ["s301"]}), house.kit)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("#", 1)
        task = asyncio.create_task(listen(client))
        async with house.running(link):
            await until(lambda: got.get("linli/home/h301/s301/battery") == "93")
            assert got["linli/home/h301/s301/smoke"] == "OFF" and got["linli/home/h301/status"] == "online"
            house.values[0] = point("s301", "smoke", True)
            await until(lambda: got["linli/home/h301/s301/smoke"] == "ON")
            house.values[0] = point("s301", "smoke", None, Quality.BAD)
            await until(lambda: got["linli/home/h301/s301/smoke/good"] == "offline")
            assert link.connected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not any("s302" in topic or "302" in text for topic, text in got.items())
    configs = [json.loads(text) for topic, text in got.items() if topic.endswith("/config")]
    assert len(configs) == 2 and all("301" in config["state_topic"] for config in configs)


def test_the_rights_end_at_the_share() -> None:
    text = acl("home", ["b12"], devices=["h301", "h302"])
    own = text.partition("user h301\n")[2].partition("\nuser")[0].split("\n")
    assert [line for line in own if line] == [
        "topic read linli/home/h301/#",
        "topic read homeassistant/+/h301/+/config",
    ]
