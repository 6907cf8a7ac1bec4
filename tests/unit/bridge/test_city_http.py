"""The city over HTTP with a server that fails in every way; late summaries; cases that come back."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from cloud_bridge import city_http
from cloud_bridge.city import LANES, CityLink
from cloud_bridge.city_http import CityPost
from cloud_bridge.city_messages import Lost, SummaryMessage
from cloud_bridge.summary import Snapshot, Tally, coalesce, mark_of
from edge import limits
from edge.clock import SystemClock
from edge.store.outbox import Outbox
from tests.unit.bridge.http_server import Taker, taking
from tests.unit.bridge.samples import Broker, event
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.test_summary import FRAME, snapshot
from tests.unit.bridge.uplinks import House

HOUR_MS = 3_600_000
BEGIN_MS = 1_790_000_000_000 // HOUR_MS * HOUR_MS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_BACKOFF_S_MIN", 0.05)


@dataclass(frozen=True)
class Where:
    """The city's part of a building file."""

    urls: tuple[str, ...]
    username: str | None = "b12"
    password: str | None = "pw"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class City:
    """A gateway's link to the city, and what it counted."""

    def __init__(self, folder: Path, kind: type[CityLink], where: Any) -> None:
        self.counts: Counter[str] = Counter()
        self.box = Outbox(folder / "city.db", LANES, 1 << 22)
        self.house = House(folder)
        self.link = kind(
            FRAME, where, 300.0, SystemClock(), self.box, snapshot=snapshot, salt=b"salt", count=self._count
        )

    def _count(self, cause: str) -> None:
        self.counts[cause] += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.box.open()
        async with self.house.running(self.link):
            yield
        await self.box.close()


def posting(folder: Path, *takers: Taker) -> City:
    return City(folder, CityPost, Where(tuple(f"{taker.url}/in?site=1" for taker in takers)))


def bodies(taker: Taker) -> list[dict[str, Any]]:
    return [message["body"] for post in taker.posts for message in json.loads(post.body)["messages"]]


async def test_facts_are_posted_in_order_with_a_key(tmp_path: Path) -> None:
    async with taking() as taker:
        city = posting(tmp_path, taker)
        async with city.running():
            city.link.offer([event(seq) for seq in range(1, 101)])
            await until(lambda: len(bodies(taker)) == 100)
            await until(lambda: city.link.connected)
    assert [body["seq"] for body in bodies(taker)] == list(range(1, 101))
    post = taker.posts[0]
    assert post.path == "/in?site=1" and post.headers["content-encoding"] == "gzip"
    assert post.headers["authorization"] == "Basic YjEyOnB3" and len(post.headers["idempotency-key"]) == 32
    assert len({p.headers["idempotency-key"] for p in taker.posts}) == len(taker.posts)


@pytest.mark.parametrize("fault", ["429 Slow\r\nRetry-After: 0", "503 Busy", "cut", "forget", "slow", "302 Found"])
async def test_every_fault_is_outlived_in_order_and_once(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(city_http, "TIMEOUT_S", 0.2)
    async with taking() as taker:
        taker.faults = [fault]
        city = posting(tmp_path, taker)
        async with city.running():
            city.link.offer([event(1), event(2)])
            await until(lambda: city.counts["unreachable"] == 1)
            city.link.offer([event(3)])
            await until(lambda: bool(taker.posts) and bodies(taker)[-1]["seq"] == 3)
            await until(lambda: city.link.connected)
    # A server that goes by the key, as it must, has each fact once.
    once = {post.headers["idempotency-key"]: post for post in taker.posts}
    assert [m["body"]["seq"] for post in once.values() for m in json.loads(post.body)["messages"]] == [1, 2, 3]


async def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    async with taking() as taker:
        taker.faults = ["503 Busy\r\nRetry-After: 1"]
        city = posting(tmp_path, taker)
        async with city.running():
            begun_s = time.monotonic()
            city.link.offer([event(1)])
            await until(lambda: bool(taker.posts))
            assert time.monotonic() - begun_s >= 1.0


async def test_what_the_city_refuses_is_parked_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with taking() as taker:
        taker.refuse = b'"fact_id": "b12/5"'
        city = posting(tmp_path, taker)
        async with city.running():
            city.link.offer([event(seq) for seq in range(1, 10)])
            await until(lambda: len(bodies(taker)) == 8)
            await until(lambda: city.counts["parked"] == 1)
            assert await city.box.parked() == [("b12/5", "400: ")]
            asked = taker.asked
            city.link.offer([event(10)])
            await until(lambda: len(bodies(taker)) == 9)
            assert taker.asked == asked + 1, "what is parked is not tried again"
    assert [body["seq"] for body in bodies(taker)] == [1, 2, 3, 4, 6, 7, 8, 9, 10]


async def test_a_wrong_password_is_said_in_plain_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with taking() as taker:
        taker.faults = ["401 Unauthorized"]
        city = posting(tmp_path, taker)
        async with city.running():
            city.link.offer([event(1)])
            await until(lambda: city.counts["denied"] == 1)
            await until(lambda: bool(taker.posts))
    assert "look at username and password" in caplog.text


async def test_the_next_address_takes_over(tmp_path: Path) -> None:
    async with taking() as taker:
        city = posting(tmp_path, Taker(port=9), taker)
        async with city.running():
            city.link.offer([event(1)])
            await until(lambda: bool(taker.posts))


async def test_a_drain_takes_more_than_two_hundred_events_a_second(tmp_path: Path) -> None:
    async with taking() as taker:
        city = posting(tmp_path, taker)
        taker.faults = ["503 Busy"]
        async with city.running():
            begun_s = time.monotonic()
            city.link.offer([event(seq) for seq in range(1, 2001)])
            await until(lambda: len(bodies(taker)) == 2000)
            rate = 2000 / (time.monotonic() - begun_s)
    print(f"drain {rate:,.0f} events/s")
    assert rate > 200


# Late summaries


def summary(n: int, **changes: Any) -> SummaryMessage:
    """The n-th five minutes since BEGIN_MS; one smoke alarm is raised in each."""
    tally = Tally(BEGIN_MS + n * 300_000, BEGIN_MS + (n + 1) * 300_000, 0.0)
    tally.note(event(n + 1))
    tally.look({"bus1": "up" if n % 2 else "down"}, 300.0)
    now: Snapshot = snapshot(**changes)
    return tally.summary(FRAME, now, Lost(), 300.0)


def test_late_windows_become_one_and_nothing_is_lost_in_the_sum() -> None:
    windows = [summary(n) for n in range(12)]
    whole = coalesce(windows)
    assert whole.windows == 12 and whole.alarms["fire.smoke"].raised == 12  # type: ignore[index]
    assert (whole.window_start, whole.window_end) == (windows[0].window_start, windows[-1].window_end)
    assert whole.covered_s == 3600.0 and whole.links == {"bus1": 0.5}
    assert whole.id == f"{windows[0].id}+12" and whole.protection == windows[-1].protection
    assert coalesce(windows[:1]) is windows[0]
    again = coalesce([coalesce(windows[:5]), coalesce(windows[5:])])
    assert again.alarms == whole.alarms and again.windows == 12


async def test_after_a_day_without_city_it_gets_facts_first_and_one_summary_an_hour(tmp_path: Path) -> None:
    async with taking() as taker:
        city = posting(tmp_path, taker)
        await city.box.open()
        made = [summary(n) for n in range(288)]
        await city.box.put([("summary", s.id, "linli/v1/b12/summary", s.encode(), BEGIN_MS) for s in made])
        await city.box.put([("fact", "b12/9", "linli/v1/b12/fact", b'{"fact_id": "b12/9"}', BEGIN_MS)])
        async with city.running():
            await until(lambda: len(bodies(taker)) == 25)
    first, *rest = bodies(taker)
    assert first["fact_id"] == "b12/9" and first["replay"] is True
    assert all(body["replay"] for body in rest) and [body["windows"] for body in rest] == [12] * 24
    assert [body["window_start"] for body in rest] == sorted(body["window_start"] for body in rest)
    assert sum(body["alarms"]["fire.smoke"]["raised"] for body in rest) == 288


# Cases


async def test_a_case_of_the_city_comes_back_and_closes_nothing(tmp_path: Path, broker: Broker) -> None:
    city = City(tmp_path, CityLink, broker)
    alarm_id = event(1).alarm_id
    mark = mark_of("b12", alarm_id, b"salt")
    async with city.running(), aiomqtt.Client("127.0.0.1", broker.port) as client:
        await until(lambda: city.link.connected)
        for state in ("filed", "dispatched", "closed"):
            body = {"v": 1, "alarm": mark, "case": "2026-7", "state": state, "at": "2026-11-21T13:05:00.000Z"}
            await client.publish("linli/v1/b12/case", json.dumps(body), 1)
        await client.publish("linli/v1/b12/case", b"nonsense", 1)
        await until(lambda: city.counts["malformed"] == 1)
    case = city.link.case_of(alarm_id)
    assert case is not None and (case.case, case.state) == ("2026-7", "closed")
    assert city.link.case_of("another") is None


async def test_cases_come_with_the_answer_too(tmp_path: Path) -> None:
    city = posting(tmp_path, Taker(port=9))
    assert isinstance(city.link, CityPost)
    case = {"v": 1, "alarm": mark_of("b12", "a1", b"salt"), "case": "7", "state": "filed", "at": "2026-11-21T13:05:00Z"}
    for body in (b"", b"[]", b"nonsense", b'{"cases": 7}', json.dumps({"cases": [case, {}]}).encode()):
        city.link._cases_in(body)
    found = city.link.case_of("a1")
    assert found is not None and found.state == "filed" and city.counts["malformed"] == 1


