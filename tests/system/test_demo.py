"""The demo as a person starts it: a real process, looked at from outside by the contract."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulators.demo import is_free
from tests.tidy.tree import ROOT

READY_S = 60.0
FACTS = {
    "base", "tokens", "phone_url", "control_url", "city_url", "gateways", "duty_room", "brokers", "links", "pids",
}  # fmt: skip
PIDS = {"gateway", "duty_room", "simulators", "broker_building", "broker_duty", "broker_city", "city"}


def until(true: Callable[[], bool], what: str, within_s: float) -> None:
    """Wait for real processes."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port nobody listens on."""
    return next(port for port in range(18080 + os.getpid() % 1000, 65000) if is_free(port))


class RunningDemo:
    """One ``linli demo`` process; its output is read all the time, so that it never blocks on a full pipe."""

    def __init__(self, data: Path, port: int, *, broker: str | None = None, scenario: str = "quiet") -> None:
        self.data = data
        environment = {**os.environ, **({"LINLI_DEMO_BROKER": broker} if broker else {})}
        command = [sys.executable, "-m", "edge.cli", "demo", "--port", str(port), "--data", str(data), "--seed", "7"]
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--scenario", scenario], cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def ready_url(self) -> str | None:
        """What the ``ready`` line says."""
        return next((line[6:] for line in self.lines if line.startswith("ready ")), None)

    def until_ready(self) -> RunningDemo:
        """Wait for the ``ready`` line."""
        until(lambda: self.ready_url is not None or self.process.poll() is not None, "ready", READY_S)
        assert self.ready_url is not None, "\n".join(self.lines)
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """demo.json as it is now."""
        return dict(json.loads((self.data / "demo.json").read_text(encoding="utf-8")))

    def family(self) -> list[psutil.Process]:
        """Everything the demo has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        """Whatever a failed test left behind."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                self.process.kill()


def get(url: str, token: str | None = None) -> Any:
    """JSON of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def post(url: str, body: object) -> tuple[int, Any]:
    """Status and JSON of a POST."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, json.loads(answer.read())


def all_gone(processes: list[psutil.Process]) -> bool:
    """None of these lives; a zombie lives no more."""
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    """A demo that is ready."""
    running = RunningDemo(tmp_path / "demo", free_port())
    try:
        yield running.until_ready()
    finally:
        running.end()


def test_from_ready_to_gone(demo: RunningDemo) -> None:
    """One demo through its life: what demo.json says, everybody answers, a killed one comes back, SIGTERM ends all."""
    check_demo_json(demo)
    check_everybody_answers(demo)
    check_a_scenario_reaches_people(demo)
    check_killed_ones_come_back(demo)
    family = demo.family()
    asked_s = time.monotonic()
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(6) == 0
    assert time.monotonic() - asked_s < 5.0
    assert all_gone(family)
    check_the_same_data_goes_on(demo)


def check_demo_json(demo: RunningDemo) -> None:
    """The shape of the contract, for its owner's eyes only."""
    path = demo.data / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    facts = demo.facts
    assert FACTS <= set(facts)
    assert set(facts["tokens"]) == {"viewer", "duty_officer", "administrator"}
    assert set(facts["gateways"][0]) == {"id", "base", "token", "config", "data_dir"}
    assert set(facts["duty_room"]) == {"config", "data_dir"}
    for zone in ("building", "duty", "city"):
        assert set(facts["brokers"][zone]) == {"host", "port", "username", "password"}
        assert facts["brokers"][zone]["username"] == "outside"
    assert set(facts["pids"]) >= PIDS
    assert all(psutil.pid_exists(facts["pids"][name]) for name in PIDS)
    assert demo.ready_url is not None and demo.ready_url.startswith(facts["base"])


def check_everybody_answers(demo: RunningDemo) -> None:
    """With the tokens of demo.json, and not without."""
    facts = demo.facts
    gateway = facts["gateways"][0]
    until(lambda: len(get(f"{gateway['base']}/api/v1/points", gateway["token"])) > 200, "points", 10)
    for role in facts["tokens"]:
        assert "seq" in get(f"{facts['base']}/api/v1/snapshot", facts["tokens"][role])
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{facts['base']}/api/v1/snapshot")
    assert refused.value.code == 401
    assert get(f"{facts['phone_url']}/messages") == []
    assert isinstance(get(f"{facts['control_url']}/truth"), list)


def check_a_scenario_reaches_people(demo: RunningDemo) -> None:
    """A press of a button: the incident is on the desk, and the grid worker's phone has a message with a link."""
    facts = demo.facts
    status, answer = post(f"{facts['control_url']}/scenarios/sos", {})
    assert status == 202 and answer["run_id"]

    def told() -> bool:
        return any(message["links"] for message in get(f"{facts['phone_url']}/messages"))

    def on_the_desk() -> bool:
        incidents = get(f"{facts['base']}/api/v1/snapshot", facts["tokens"]["viewer"])["incidents"]
        return any(incident["class"] == "sos.call" for incident in incidents)

    until(on_the_desk, "the call on the desk", 15)
    until(told, "a message with a link", 30)


def check_killed_ones_come_back(demo: RunningDemo) -> None:
    """Each program is back within 2 s, and demo.json knows its new id."""
    before = demo.facts["pids"]
    for name in sorted(PIDS):
        os.kill(before[name], signal.SIGKILL)

        def back(name: str = name) -> bool:
            pid = demo.facts["pids"][name]
            return bool(pid != before[name] and psutil.pid_exists(pid))

        until(back, f"{name} is back", 2.0)
    facts = demo.facts

    def answers() -> bool:
        try:
            get(f"{facts['gateways'][0]['base']}/healthz")
            get(f"{facts['base']}/healthz")
        except (OSError, ValueError):
            return False
        return True

    until(answers, "gateway and duty room answer again", 20)


def check_the_same_data_goes_on(demo: RunningDemo) -> None:
    """Same passwords, same tokens, same incidents; ready within 10 s at the second start."""
    before = demo.facts
    again = RunningDemo(demo.data, free_port())
    try:
        again.until_ready()
        assert time.monotonic() - again.started_s < 10.0 * slow_machine()
        after = again.facts
        assert after["tokens"] == before["tokens"]
        assert after["gateways"][0]["token"] == before["gateways"][0]["token"]
        assert after["brokers"]["duty"]["password"] == before["brokers"]["duty"]["password"]
        incidents = get(f"{after['base']}/api/v1/snapshot", after["tokens"]["viewer"])["incidents"]
        assert any(incident["class"] == "sos.call" for incident in incidents)
        family = again.family()
        again.process.send_signal(signal.SIGKILL)
        until(lambda: all_gone(family), "no child of a killed demo lives", 10.0)
    finally:
        again.end()


def slow_machine() -> float:
    """1 on an idle machine; more when others compute at the same time."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_without_mosquitto_the_demo_says_so_and_works(tmp_path: Path) -> None:
    running = RunningDemo(tmp_path / "demo", free_port(), broker="amqtt")
    try:
        running.until_ready()
        assert any("amqtt" in line for line in running.lines)
        facts = running.facts

        def building_lives() -> bool:
            points = get(f"{facts['gateways'][0]['base']}/api/v1/points", facts["gateways"][0]["token"])
            return any(point["id"].startswith("zs01/") and point["quality"] == "good" for point in points)

        def desk_hears_gateway() -> bool:
            gateways = get(f"{facts['base']}/api/v1/snapshot", facts["tokens"]["viewer"])["gateways"]
            return any(gateway["state"] == "heard" for gateway in gateways)

        until(building_lives, "a Zigbee sensor through the embedded broker", 30)
        until(desk_hears_gateway, "a heartbeat through the embedded broker", 30)
        family = running.family()
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(6) == 0
        assert all_gone(family)
    finally:
        running.end()


def test_a_taken_port_and_a_second_demo_are_refused(tmp_path: Path) -> None:
    running = RunningDemo(tmp_path / "demo", free_port())
    try:
        until((tmp_path / "demo" / "demo.lock").exists, "the first has begun", 20)
        second = RunningDemo(tmp_path / "demo", free_port())
        assert second.process.wait(20) == 1
        until(lambda: any("another demo" in line for line in second.lines), "the reason", 5)
        running.until_ready()
        third = RunningDemo(tmp_path / "other", int(running.facts["base"].rpartition(":")[2]))
        assert third.process.wait(20) == 1
        until(lambda: any("taken" in line for line in third.lines), "the reason", 5)
    finally:
        running.end()
