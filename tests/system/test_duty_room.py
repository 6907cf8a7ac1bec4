"""The real duty room with a real broker: what got a receipt is never lost, and what people do reaches the building."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest

from simulators.demo_brokers import mosquitto

LINLI = Path(sys.executable).with_name("linli")
BASE = "linli/v1/b12"
pytestmark = pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class House:
    """A broker, a duty-room file, and processes that are started and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker_port, self.port = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.config = folder / "duty-room.yaml"
        self.data = folder / "data"
        (folder / "broker.conf").write_text(
            f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n"
            "max_inflight_messages 500\n"
        )
        (folder / "people.csv").write_text(
            "id,name,role,grid,tell\nli,李四,grid_worker,XS-03,json://127.0.0.1:9/\n", encoding="utf-8"
        )
        self.config.write_text(
            "duty_room: {id: xinsheng, data_dir: ./data, timezone: Asia/Shanghai, "
            f'listen: "127.0.0.1:{self.port}", public_url: "{self.base}"}}\n'
            f'broker: {{url: "mqtt://127.0.0.1:{self.broker_port}"}}\ngateways: [b12]\npeople: people.csv\n',
            encoding="utf-8",
        )
        self.broker: subprocess.Popen[bytes] | None = None
        self.room: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def start_broker(self) -> None:
        program = mosquitto()
        assert program is not None
        self.broker = subprocess.Popen([program, "-c", str(self.folder / "broker.conf")], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.broker_port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the broker does not listen")

    def start_room(self) -> None:
        command = [str(LINLI), "duty-room", "--config", str(self.config)]
        self.room = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.room.stdout is not None
        for line in self.room.stdout:
            self.said.append(line.strip())
            if line.startswith("ready "):
                return
        raise AssertionError(f"the duty room ended with {self.room.wait()}: {self.said}")

    def kill_room(self) -> None:
        assert self.room is not None
        self.room.kill()
        self.room.wait()

    def token(self, role: str) -> str:
        command = [str(LINLI), "token", "--config", str(self.config), "--role", role, "--name", "张三"]
        return subprocess.check_output(command, text=True).strip()

    def stop(self) -> None:
        for process in (self.room, self.broker):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    @asynccontextmanager
    async def gateway(self, *subscriptions: str) -> AsyncIterator[aiomqtt.Client]:
        async with aiomqtt.Client("127.0.0.1", self.broker_port) as client:
            for name in subscriptions:
                await client.subscribe(f"{BASE}/{name}", qos=1)
            yield client


@contextmanager
def made(folder: Path) -> Iterator[House]:
    house = House(folder)
    try:
        yield house
    finally:
        house.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with its broker and duty room running."""
    with made(tmp_path) as one:
        one.start_broker()
        one.start_room()
        yield one


def wire(number: int, **changes: Any) -> str:
    return json.dumps(
        {
            "v": 1, "event_id": f"e{number}", "seq": number, "alarm_id": f"a{number}", "kind": "raised",
            "class": "sos.call", "priority": 2, "state": "UNACK", "condition": "on", "device": f"c{number}",
            "point": "press", "place": {"building": "12", "floor": 5, "household": "502"}, "value": True, "unit": None,
            "observed_at": None, "received_at": "2026-11-22T00:00:00.000Z", "clock": "synced", "by": None,
            "reason": None, "late": False, "test": True, "replay": False, **changes,
        }
    )  # fmt: skip


async def body(client: aiomqtt.Client, name: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        async for message in client.messages:
            if str(message.topic) == f"{BASE}/{name}":
                assert isinstance(message.payload, bytes | bytearray)
                found: dict[str, Any] = json.loads(message.payload)
                return found
    raise AssertionError(name)


async def test_from_event_to_outcome(house: House) -> None:
    token = await asyncio.to_thread(house.token, "duty_officer")
    async with (
        house.gateway("receipt", "command") as gateway,
        httpx.AsyncClient(base_url=house.base, headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        await gateway.publish(f"{BASE}/event", wire(1), qos=1)
        receipt = await body(gateway, "receipt")
        assert (receipt["event_id"], receipt["duty_room"]) == ("e1", "xinsheng")
        snapshot = (await client.get("/api/v1/snapshot")).json()
        (incident,) = snapshot["incidents"]
        assert incident["state"] == "unacknowledged"
        path = f"/api/v1/incidents/{incident['id']}/acknowledge"
        answer = await client.post(path, json={}, headers={"If-Match": '"1"', "Idempotency-Key": "k"})
        assert answer.status_code == 200 and "pending" in answer.json()["flags"]
        command = await body(gateway, "command")
        assert (command["kind"], command["alarm_id"], command["by"]["name"]) == ("acknowledge", "a1", "张三")
        again = await body(gateway, "command")
        assert again == command, "without an outcome the same command comes again"
        outcome = {"v": 1, "command_id": command["command_id"], "result": "done", "code": "done", "message": "",
                   "at": "2026-11-22T00:00:01.000Z"}  # fmt: skip
        await gateway.publish(f"{BASE}/outcome", json.dumps(outcome), qos=1)
        last = f"{snapshot['epoch']}-{snapshot['seq']}"
        async with client.stream("GET", "/api/v1/stream", headers={"Last-Event-ID": last}) as stream:
            flags: list[str] = ["pending"]
            async with asyncio.timeout(10):
                async for line in stream.aiter_lines():
                    if line.startswith("data: ") and '"items"' in line:
                        flags = json.loads(line[6:])["items"][-1]["flags"]
                    if "pending" not in flags:
                        break
        assert "pending" not in flags


async def test_kill_9_loses_nothing_that_got_a_receipt(house: House) -> None:
    dice = random.Random(20261122)
    receipted: set[str] = set()
    sent = 0

    async def listen(gateway: aiomqtt.Client) -> None:
        async for message in gateway.messages:
            assert isinstance(message.payload, bytes | bytearray)
            receipted.add(json.loads(message.payload)["event_id"])

    async with house.gateway("receipt") as gateway:
        listening = asyncio.create_task(listen(gateway))
        for _ in range(6):
            for _ in range(dice.randint(20, 60)):
                sent += 1
                await gateway.publish(f"{BASE}/event", wire(sent), qos=1)
            await asyncio.sleep(dice.random() * 0.15)
            await asyncio.to_thread(house.kill_room)
            before = set(receipted)
            with sqlite3.connect(house.data / "duty.db") as conn:
                kept = {row[0] for row in conn.execute("SELECT event_id FROM events")}
            assert before <= kept, "a receipt without its row"
            await asyncio.to_thread(house.start_room)
        async with asyncio.timeout(30):
            while len(receipted) < sent:
                # What the gateway does: without a receipt the same event comes again.
                for number in range(1, sent + 1):
                    if f"e{number}" not in receipted:
                        await gateway.publish(f"{BASE}/event", wire(number), qos=1)
                await asyncio.sleep(0.5)
        listening.cancel()
    with sqlite3.connect(house.data / "duty.db") as conn:
        rows = conn.execute("SELECT event_id, count(*) FROM events GROUP BY event_id").fetchall()
        incidents = conn.execute("SELECT count(*) FROM incidents WHERE \"class\" = 'sos.call'").fetchone()[0]
    assert dict(rows) == {f"e{number}": 1 for number in range(1, sent + 1)}
    assert incidents == sent


async def test_duty_message_echoes_the_heartbeat(house: House) -> None:
    beat = {"v": 1, "boot_id": "boot7", "seq": 41, "head": 3, "clock": "synced", "links": {"bus1": "up"}, "open": 0,
            "outbox": 0, "durable": True}  # fmt: skip
    async with house.gateway("duty") as gateway:
        await gateway.publish(f"{BASE}/heartbeat", json.dumps(beat))
        async with asyncio.timeout(25):
            while True:
                duty = json.loads((await anext(aiter(gateway.messages))).payload)
                if duty["heard"]:
                    break
    assert duty["heard"] == {"boot_id": "boot7", "seq": 41}
    assert duty["audible"] is False and duty["on_duty"] == []


def test_first_start_prints_one_sign_in_link_and_no_second(house: House) -> None:
    links = [line for line in house.said if line.startswith("sign-in ")]
    assert len(links) == 1
    house.kill_room()
    house.start_room()
    assert [line for line in house.said if line.startswith("sign-in ")] == links


def test_without_a_broker_it_runs_and_finds_it_later(tmp_path: Path) -> None:
    with made(tmp_path) as house:
        house.start_room()
        assert httpx.get(f"{house.base}/healthz").status_code == 200
        ready = httpx.get(f"{house.base}/readyz")
        assert ready.status_code == 503 and ready.json()["checks"]["broker"] != "ok"
        house.start_broker()
        until = time.monotonic() + 20
        while httpx.get(f"{house.base}/readyz").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_sigterm_ends_it_in_time_with_an_open_stream(house: House) -> None:
    headers = {"Authorization": f"Bearer {house.token('viewer')}"}
    with httpx.stream("GET", f"{house.base}/api/v1/stream", headers=headers, timeout=10) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        assert house.room is not None
        begun = time.monotonic()
        house.room.send_signal(signal.SIGTERM)
        assert house.room.wait(timeout=10) == 0
        assert time.monotonic() - begun < 5


def test_a_second_one_on_the_same_data_is_refused(house: House) -> None:
    command = [str(LINLI), "duty-room", "--config", str(house.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, "LANG": "C"})
    assert second.returncode == 1
    assert str(house.room.pid if house.room else 0) in second.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with made(tmp_path) as house, socket.socket() as taken:
        taken.bind(("127.0.0.1", house.port))
        taken.listen()
        command = [str(LINLI), "duty-room", "--config", str(house.config)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert answer.returncode == 1 and str(house.port) in answer.stderr
