"""Simulated MQTT sensors on a real mosquitto, watched and commanded by mosquitto_sub and mosquitto_pub."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.model import PointKey
from simulators.building import GroundTruth, Health
from simulators.devices.mqtt_fleet import Account, Broker, MqttFleet

MakeTruth = Callable[..., GroundTruth]
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin") or ""
pytestmark = pytest.mark.skipif(not MOSQUITTO or not shutil.which("mosquitto_sub"), reason="mosquitto is not installed")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealBroker:
    """One mosquitto process that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and wait until it accepts."""
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(self._config), stdout=quiet, stderr=quiet
        )
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
        raise AssertionError("mosquitto did not start")

    async def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()
            self._process = None

    async def run(self, tool: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start mosquitto_sub or mosquitto_pub against it."""
        return await asyncio.create_subprocess_exec(
            tool, "-p", str(self.port), "-h", "127.0.0.1", *arguments, stdout=asyncio.subprocess.PIPE
        )

    async def heard(self, topic: str, count: int) -> list[tuple[str, Any, bool]]:
        """The next messages of a topic: (topic, body, retained)."""
        listener = await self.run(
            "mosquitto_sub", "-t", topic, "-C", str(count), "-W", "10", "-F", "%t %r %p", "-q", "1"
        )
        out, _ = await listener.communicate()
        rows = [line.split(" ", 2) for line in out.decode().splitlines()]
        return [(name, json.loads(body), retained == "1") for name, retained, body in rows]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RealBroker]:
    """A running mosquitto."""
    real = RealBroker(tmp_path)
    await real.start()
    yield real
    await real.stop()


@pytest.fixture
async def fleet(broker: RealBroker, make_truth: MakeTruth) -> AsyncIterator[tuple[GroundTruth, MqttFleet]]:
    """Every MQTT device of the small building on that broker."""
    truth = make_truth()
    mine = [d for d in truth.devices.values() if d.link == "zigbee"]
    made = MqttFleet("zigbee", Broker(f"mqtt://127.0.0.1:{broker.port}", Account(None, None)), mine, truth, 1)
    await made.open()
    yield truth, made
    await made.close()


async def test_states_are_there_for_whoever_comes_later(
    broker: RealBroker, fleet: tuple[GroundTruth, MqttFleet]
) -> None:
    heard = {topic: body for topic, body, _ in await broker.heard("#", 11)}
    assert heard["zigbee2mqtt/bridge/state"] == {"state": "online"}
    assert heard["zigbee2mqtt/z1/availability"] == {"state": "online"}
    assert heard["zigbee2mqtt/z1"]["smoke"] is False and heard["access/a1"]["state"] == "closed"


async def test_a_change_and_a_press_are_heard_at_once(broker: RealBroker, fleet: tuple[GroundTruth, MqttFleet]) -> None:
    truth, _ = fleet
    await broker.heard("zigbee2mqtt/z1", 1)
    live = await broker.run("mosquitto_sub", "-t", "zigbee2mqtt/+", "-C", "5", "-W", "10", "-F", "%t %r %p")
    assert live.stdout is not None
    retained = [await live.stdout.readline() for _ in range(3)]
    assert all(b" 1 {" in line for line in retained)
    truth.set(PointKey("z1", "smoke"), True)
    truth.press(PointKey("b1", "call"))
    out, _ = await live.communicate()
    first, second = (line.split(" ", 2) for line in out.decode().splitlines())
    assert first[:2] == ["zigbee2mqtt/z1", "0"] and json.loads(first[2])["smoke"] is True
    assert second[:2] == ["zigbee2mqtt/b1", "0"] and json.loads(second[2])["action"] == "emergency"


async def test_the_will_says_that_the_bridge_is_gone(broker: RealBroker, fleet: tuple[GroundTruth, MqttFleet]) -> None:
    await broker.heard("zigbee2mqtt/bridge/state", 1)
    await fleet[1].close()
    assert await broker.heard("zigbee2mqtt/bridge/state", 1) == [
        ("zigbee2mqtt/bridge/state", {"state": "offline"}, True)
    ]


async def test_after_the_broker_died_states_come_again(
    broker: RealBroker, fleet: tuple[GroundTruth, MqttFleet]
) -> None:
    truth, _ = fleet
    await broker.heard("zigbee2mqtt/z1", 1)
    await broker.stop()
    truth.set(PointKey("z1", "smoke"), True)
    truth.set_health("d1", Health.DEAD)
    await broker.start()
    heard = {topic: body for topic, body, _ in await broker.heard("zigbee2mqtt/#", 6)}
    assert heard["zigbee2mqtt/z1"]["smoke"] is True
    assert heard["zigbee2mqtt/d1/availability"] == {"state": "offline"}


async def test_a_point_is_set_by_a_command(broker: RealBroker, make_truth: MakeTruth) -> None:
    truth = make_truth("d1")
    plain = truth.device("d1")
    wire = {
        "points": {"open": {"read": plain.points[0].read, "write": {"topic": "set", "payload": '{"open": {value}}'}}}
    }
    device = dataclasses.replace(plain, wire=wire)
    made = MqttFleet("zigbee", Broker(f"mqtt://127.0.0.1:{broker.port}", Account(None, None)), [device], truth, 1)
    await made.open()
    await broker.heard("zigbee2mqtt/d1", 1)
    happened = asyncio.Event()
    truth.watch(lambda _: happened.set())
    for _ in range(50):
        await (await broker.run("mosquitto_pub", "-t", "zigbee2mqtt/d1/set", "-m", '{"open": true}', "-q", "1")).wait()
        if happened.is_set():
            break
    assert truth.value(PointKey("d1", "open")) is True
    await made.close()
