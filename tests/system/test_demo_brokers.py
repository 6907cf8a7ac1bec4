"""The demo's brokers as real processes: who may do what, what survives, and who dies with whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators.demo import free_ports, saves
from simulators.demo_brokers import ZONES, BrokerPlan, bring_home, outside_password, password, plan_broker
from simulators.demo_child import Child, ChildFailed
from tests.tidy.tree import ROOT

WAIT_S = 10.0


def until(true: Callable[[], bool], what: str, within_s: float = WAIT_S) -> None:
    """Wait for a real process."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class Client:
    """A foreign MQTT client: what it got, and the reason code of its connection."""

    def __init__(self, plan: BrokerPlan, user: str, secret: str, protocol: int, port: int | None = None) -> None:
        self.codes: list[str] = []
        self.got: list[tuple[str, bytes]] = []
        self.subscribed: list[bool] = []
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(protocol))
        client.username_pw_set(user, secret)
        client.on_connect = lambda _c, _u, _f, code, _p: self.codes.append(str(code))
        client.on_message = lambda _c, _u, message: self.got.append((message.topic, bytes(message.payload)))
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self.subscribed.append(not codes[0].is_failure)
        client.connect("127.0.0.1", port or plan.open_port, keepalive=30)
        client.loop_start()
        self.client = client

    def __enter__(self) -> Client:
        until(lambda: bool(self.codes), "an answer to CONNECT")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic: str) -> None:
        """Subscribe and wait for the answer."""
        self.client.subscribe(topic, 1)
        until(lambda: bool(self.subscribed), "SUBACK")


@pytest.fixture(params=["mosquitto", "amqtt"])
async def zone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A function that starts the broker of a zone; all are gone afterwards."""
    monkeypatch.setenv("LINLI_DEMO_BROKER", request.param)
    ports = free_ports(tmp_path / "ports.json")
    children: list[Child] = []
    plans: list[BrokerPlan] = []

    async def start(name: str) -> BrokerPlan:
        plan = plan_broker(name, tmp_path, ports[name], ports[f"{name}_open"])
        probe = saves(plan, 0) if plan.saved else None
        child = Child(name, plan.command, tmp_path / f"{name}.log", lambda: None, probe=probe)
        child.start()
        children.append(child)
        plans.append(plan)
        await child.until_ready(WAIT_S)
        return plan

    yield start
    for child in children:
        await child.stop(3.0)
    for plan in plans:
        bring_home(plan, tmp_path)


async def test_accounts_and_rights(zone: Callable[[str], asyncio.Future[BrokerPlan]], tmp_path: Path) -> None:
    plan = await zone("duty")
    protocol = 5 if plan.saved else 4
    await asyncio.to_thread(check_rights, plan, tmp_path / "secrets", protocol)


def check_rights(plan: BrokerPlan, secrets: Path, protocol: int) -> None:
    """A gateway may speak as itself only; who looks on may not speak at all."""
    with Client(plan, "outside", "wrong", protocol) as refused:
        assert refused.codes[0] != "Success"
    outside = Client(plan, "outside", outside_password(secrets.parent, "duty"), protocol)
    gateway = Client(plan, "b12-duty", password(secrets, "b12-duty"), protocol, plan.port)
    desk = Client(plan, "duty-room", password(secrets, "duty-room"), protocol, plan.port)
    with outside, gateway, desk:
        assert [client.codes[0] for client in (outside, gateway, desk)] == ["Success"] * 3
        outside.subscribe("linli/v1/#" if plan.saved else "#")
        desk.subscribe("linli/v1/+/event")
        outside.client.publish("linli/v1/b12/event", b"forged", 1)
        gateway.client.publish("linli/v1/b13/event", b"another's name", 1)
        gateway.client.publish("linli/v1/b12/receipt", b"not mine to give", 1)
        gateway.client.publish("linli/v1/b12/event", b"true", 1)
        until(lambda: len(desk.got) > 0 and len(outside.got) > 0, "the true event")
        assert desk.got == [("linli/v1/b12/event", b"true")]
        assert outside.got == [("linli/v1/b12/event", b"true")]


@pytest.mark.skipif(sys.platform != "linux", reason="dying with the parent is a promise of Linux")
@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_a_broker_dies_with_a_killed_demo(kind: str, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from simulators.demo import free_ports\n"
        "from simulators.demo_brokers import plan_broker\n"
        "from simulators.demo_child import Child\n"
        "data = Path(sys.argv[1]); ports = free_ports(data / 'ports.json')\n"
        "plan = plan_broker('building', data, ports['building'], ports['building_open'])\n"
        "async def run():\n"
        "    child = Child('broker', plan.command, data / 'log', lambda: None)\n"
        "    child.start()\n"
        "    while child.pid is None: await asyncio.sleep(0.01)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(run())\n"
    )
    environment = {**os.environ, "LINLI_DEMO_BROKER": kind}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        broker = int(parent.stdout.readline())
        assert psutil.pid_exists(broker)
        until(lambda: len(psutil.Process(broker).net_connections("tcp")) > 0, "the broker listens")
        parent.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(broker), "the broker is gone", 5.0)


async def test_a_killed_child_is_back_within_two_seconds(tmp_path: Path) -> None:
    pids: list[int | None] = []
    child = Child(
        "sleeper", (sys.executable, "-c", "print('ready x', flush=True); import time; time.sleep(60)"),
        tmp_path / "log", lambda: pids.append(child.pid),
    )  # fmt: skip
    child.start()
    await child.until_ready(WAIT_S)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    while len(pids) < 2:
        assert time.monotonic() < killed_s + 2.0
        await asyncio.sleep(0.02)
    assert pids[0] != pids[1]
    await child.stop(2.0)
    await child.stop(2.0)
    assert not psutil.pid_exists(pids[1] or 0)


async def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('the port is taken')")
    child = Child("broken", command, tmp_path / "log", lambda: None)
    child.start()
    with pytest.raises(ChildFailed, match="the port is taken"):
        await child.until_ready(WAIT_S)
    await child.stop(1.0)


def test_every_zone_has_one_account_per_session_and_an_onlooker() -> None:
    for users in ZONES.values():
        names = [user.name for user in users]
        assert len(set(names)) == len(names) and "outside" in names
