"""The city link against a real mosquitto, and the stand-in that checks what comes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest

from cloud_bridge.bridge import Bridge
from cloud_bridge.city import LANES, CityLink
from edge.clock import SystemClock
from edge.model import AlarmClass, EventKind
from edge.ports import Entry
from edge.store.outbox import Outbox
from simulators.city import City, create_app, render
from simulators.city_words import CLASSES, EVENTS
from tests.unit.bridge.samples import Broker, event
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.test_schema import SAMPLES
from tests.unit.bridge.test_summary import FRAME, snapshot

pytestmark = pytest.mark.timeout(60)


class Gateway:
    """An outbox in a folder and the links under test."""

    def __init__(self, folder: Path, broker: Broker, every_s: float = 300.0, bytes_max: int = 1 << 20) -> None:
        self.counts: Counter[str] = Counter()
        self.box = Outbox(folder / "city.db", LANES, bytes_max)
        self.link = CityLink(
            FRAME,
            broker,
            every_s,
            SystemClock(),
            self.box,
            snapshot=snapshot,
            salt=b"salt",
            count=lambda cause: self.counts.update([cause]),
        )
        self.bridge = Bridge([self.link])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.box.open()
        task = asyncio.create_task(self.bridge.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.box.close()


@asynccontextmanager
async def city(broker: Broker) -> AsyncIterator[list[dict[str, Any]]]:
    got: list[dict[str, Any]] = []

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes) and message.qos == 1 and not message.retain
            got.append(json.loads(message.payload))

    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("linli/v1/b12/#", 1)
        task = asyncio.create_task(listen(client))
        yield got
        task.cancel()


async def test_facts_and_summaries_reach_the_city(tmp_path: Path, broker: Broker) -> None:
    gateway = Gateway(tmp_path, broker, every_s=1.0)
    async with city(broker) as got, gateway.running():
        await until(lambda: gateway.link.connected)
        gateway.bridge.saved(Entry())
        gateway.bridge.saved(Entry(events=(event(1), event(2))))
        await until(lambda: len([body for body in got if "fact_id" in body]) == 2)
        await until(lambda: [body for body in got if "window_start" in body])
        facts = [body for body in got if "fact_id" in body]
        assert [body["seq"] for body in facts] == [1, 2] and not any(body["replay"] for body in facts)
        summary = next(body for body in got if "window_start" in body)
        assert summary["alarms"]["fire.smoke"]["raised"] == 2 and summary["id"].startswith("b12/")
        assert summary["config_hash"] == "abc" and summary["clock"] == "synced"


async def test_what_the_city_missed_comes_later_in_order_and_marked(tmp_path: Path, broker: Broker) -> None:
    broker.stop()
    first = Gateway(tmp_path, broker)
    async with first.running():
        first.link.offer([event(seq) for seq in range(1, 101)])
        await until(lambda: first.counts["unreachable"])
    second = Gateway(tmp_path, broker)
    broker.start()
    async with city(broker) as got, second.running():
        await until(lambda: len(got) == 100)
        assert [body["seq"] for body in got] == list(range(1, 101)) and all(body["replay"] for body in got)
        second.link.offer([event(101)])
        await until(lambda: len(got) == 101)
        assert got[-1]["replay"] is False
        fill = None
        while fill is None or fill.rows:
            fill = await second.box.fill()


async def test_nothing_is_lost_when_the_broker_dies_in_between(tmp_path: Path, broker: Broker) -> None:
    gateway = Gateway(tmp_path, broker)
    async with gateway.running():
        async with city(broker) as got:
            await until(lambda: gateway.link.connected)
            gateway.link.offer([event(seq) for seq in range(1, 200)])
            await until(lambda: len(got) >= 20)
            early = {body["seq"] for body in got}
        broker.stop()
        gateway.link.offer([event(seq) for seq in range(200, 300)])
        await until(lambda: not gateway.link.connected)
        # A real city keeps a session; this one must be there before the gateway comes back.
        broker.start()
        async with city(broker) as got:
            await until(lambda: 299 in {body["seq"] for body in got}, timeout_s=20)
            late = [body["seq"] for body in got]
        assert late == sorted(late) and late[-1] == 299
        assert set(range(200, 300)) <= set(late) and early


async def test_a_long_outage_is_bounded_and_says_what_it_cost(tmp_path: Path, broker: Broker) -> None:
    broker.stop()
    gateway = Gateway(tmp_path, broker, every_s=1.0, bytes_max=8_000)
    async with gateway.running():
        gateway.link.offer([event(seq) for seq in range(1, 101)])
        await until(lambda: gateway.counts["shed_queued"] > 60)
        assert (await gateway.box.fill()).bytes <= 8_000
        broker.start()
        async with city(broker) as got:
            await until(lambda: any("lost" in body and body["lost"]["facts"] > 60 for body in got))
            assert [body["seq"] for body in got if "seq" in body][-1] == 100


def test_the_stand_in_takes_what_fits_and_names_what_does_not() -> None:
    stand_in = City.load()
    for name in ("summary", "fact"):
        assert stand_in.take(f"linli/v1/b12/{name}", SAMPLES[name].encode()).faults == ()
    assert stand_in.take("linli/v1/b12/fact", SAMPLES["fact"].encode()).repeated
    good = json.loads(SAMPLES["fact"].encode())
    for bad in (
        b"",
        b"nonsense",
        b"NaN",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        json.dumps({**good, "v": 2}).encode(),
        json.dumps({**good, "class": "ufo"}).encode(),
        json.dumps({**good, "gateway": "other"}).encode(),
        b"x" * 300_000,
    ):
        assert stand_in.take("linli/v1/b12/fact", bad).faults, bad[:50]
    assert stand_in.take("linli/v1/b12/ghost", b"{}").faults
    assert stand_in.counts == {"summary": 1, "fact": 12, "failed": 11, "repeated": 4, "other": 1}


async def test_the_page_is_chinese_first_and_escapes() -> None:
    stand_in = City.load()
    stand_in.take("linli/v1/b12/summary", SAMPLES["summary"].encode())
    stand_in.take("linli/v1/b12/fact", b"<script>alert(1)</script>")
    transport = httpx.ASGITransport(create_app(stand_in))
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        page = (await client.get("/")).text
        assert "市级平台" in page and "English" in page and "<script" not in page and "3 / 5" in page
        assert "City platform" in (await client.get("/?lang=en")).text
        told = (await client.get("/messages")).json()
        assert told["counts"] == {"summary": 1, "fact": 1, "failed": 1}
        assert told["messages"][0]["body"]["gateway"] == "b12"
    assert "还没有收到消息" in render(City.load(), "zh")


async def test_every_message_is_one_sentence_and_its_json_is_folded() -> None:
    stand_in = City.load()
    stand_in.take("linli/v1/b12/summary", SAMPLES["summary"].encode())
    fact = json.loads(SAMPLES["fact"].encode())
    fact |= {"kind": "raised", "class": "sos.call", "priority": 1, "answered": False, "at": "2026-11-20T16:30:00.000Z"}
    fact |= {"late": False, "replay": False, "test": False, "clock": "synced"}
    fact["place"] = {"community": "新盛", "grid": "XS-03"}
    assert stand_in.take("linli/v1/b12/fact", json.dumps(fact).encode()).faults == ()
    for kind in ("cleared", "acknowledged", "re_alarmed", "out_of_service"):
        assert stand_in.take("linli/v1/b12/fact", json.dumps(fact | {"kind": kind}).encode()).faults == ()
    chinese, english = render(stand_in, "zh"), render(stand_in, "en")
    assert "新盛 网格 XS-03：一键呼叫报警，1 级，尚无人应答。" in chinese
    assert "新盛 grid XS-03: call for help raised, priority 1, nobody has answered yet." in english
    plain = re.sub(r"<details>.*?</details>", "", chinese, flags=re.S)
    assert "11-21 00:30:00" in chinese and "2026-11-20T16:30" not in plain
    for page in (chinese, english):
        assert page.count("<details>") == len(stand_in.messages)
        assert "{" not in re.sub(r"<details>.*?</details>|<style>.*?</style>", "", page, flags=re.S)
    assert "refresh" in chinese and 'http-equiv="refresh"' not in render(stand_in, "zh", still=True)


def test_the_words_cover_all_classes_and_events() -> None:
    assert set(CLASSES) == {str(name) for name in AlarmClass} and set(EVENTS) == {str(kind) for kind in EventKind}


async def test_the_stand_in_runs_alone_and_ends_cleanly(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "city.pw").write_text("secret\n")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulators.city", "--broker", broker.urls[0], "--port", "0"),
        *("--username", "city", "--password-file", str(tmp_path / "city.pw")),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    try:
        line = (await asyncio.wait_for(child.stdout.readline(), 20)).decode().split()
        assert line[0] == "ready"
        gateway = Gateway(tmp_path, broker)
        async with httpx.AsyncClient(base_url=line[1]) as client, gateway.running():
            while not (await client.get("/messages")).json()["connected"]:
                await asyncio.sleep(0.05)
            gateway.link.offer([event(1)])
            while not (told := (await client.get("/messages")).json())["messages"]:
                await asyncio.sleep(0.05)
            assert told["counts"] == {"fact": 1}, told
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 5) == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
