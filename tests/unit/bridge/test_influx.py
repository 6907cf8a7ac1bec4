"""InfluxDB's write API with every fault a server can have: nothing is lost, nothing private is sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloud_bridge import influx
from cloud_bridge.influx import InfluxBucket, InfluxLink, InfluxSettings, Lines, field, tag
from cloud_bridge.uplink import EventQueue
from edge import limits
from edge.clock import SystemClock
from edge.model import Device, Place, Point, Quality
from edge.store.readings import Readings
from tests.unit.bridge.http_server import Taker, taking
from tests.unit.bridge.samples import event
from tests.unit.bridge.test_duty_room_link import until
from tests.unit.bridge.uplinks import House


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_BACKOFF_S_MIN", 0.05)


def device(ident: str, kind: str, point: str) -> Device:
    return Device(ident, "x/y", "bus", "1", Place(household="301"), (Point(point),), (), 60.0, kind=kind)


DEVICES = (device("t1", "air", "temperature"), device("d1", "door", "state"))


def reading(ident: str, point: str, value: object, quality: Quality = Quality.GOOD) -> object:
    return SimpleNamespace(device=ident, point=point, value=value, quality=quality, unit=None, age_s=1.0)


class Site:
    """A house with a readings file and the link."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, DEVICES)
        points = lambda: self.house.values  # noqa: E731
        self.readings = Readings(folder / "readings.db", DEVICES, points, SystemClock())  # type: ignore[arg-type]

    async def link(self, *takers: Taker, every_s: float = 0.05) -> InfluxLink:
        settings = InfluxSettings([taker.url for taker in takers], "grid", "b12", "secret-token", every_s)
        lines = Lines("b12", DEVICES)
        alarms = EventQueue(await self.house.queue("influx"), lines.alarm, self.house.kit.count)
        return InfluxLink(settings, self.house.kit, self.readings, InfluxBucket(settings), lines, alarms)

    async def measure(self, *values: float) -> None:
        for value in values:
            self.house.values = [reading("t1", "temperature", value), reading("d1", "state", "open")]
            self.readings.sample()
        await self.readings.flush()


def test_line_protocol() -> None:
    lines = Lines("b12", DEVICES)
    assert lines.reading("t1", "temperature", 5, 21) == (
        "reading,gateway=b12,device=t1,kind=air,point=temperature value=21.0,good=true 5"
    )
    assert lines.reading("t1", "temperature", 5, None) is not None
    assert lines.reading("d1", "state", 5, "open") is None, "who comes and goes is nobody's business"
    assert tag("a b,c=d\n") == "a\\ b\\,c\\=d\\ " and field('a"b\\') == '"a\\"b\\\\"' and field(True) == "true"
    alarm = lines.alarm(event(7)).decode()
    assert "301" not in alarm and "s301" not in alarm and "seq=7i" in alarm


async def test_newest_values_alarms_and_all_that_was_missed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.readings.open()
    await site.measure(20.0, 21.0, 22.0)
    async with taking() as taker:
        link = await site.link(taker)
        async with site.house.running(link):
            link.offer([event(1)])
            await until(lambda: link.connected and any(line.startswith("alarm") for line in taker.lines))
            values = [line for line in taker.lines if line.startswith("reading")]
            assert [v.split("value=")[1].split(",")[0] for v in values] == ["22.0", "20.0", "21.0", "22.0"]
            assert [line.split(" ")[1] for line in taker.lines if line.startswith("span")] == [
                "least=20.0,mean=21.0,most=22.0"
            ]
            taker.posts.clear()
            await site.measure(23.0)
            await until(lambda: sum("value=23.0" in line for line in taker.lines) == 2)
            assert not any("20.0" in line and "reading" in line for line in taker.lines)
        post = taker.posts[0]
        assert post.headers["authorization"] == "Token secret-token" and "bucket=b12" in post.path
    await site.readings.close()


@pytest.mark.parametrize(
    "fault", ["429 Too Many\r\nRetry-After: 0", "503 Busy", "cut", "forget", "502 Bad", "slow"]
)
async def test_every_fault_is_outlived_and_nothing_is_lost(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx, "TIMEOUT_MS", 200)
    site = Site(tmp_path)
    await site.readings.open()
    await site.measure(1.0, 2.0)
    async with taking() as taker:
        taker.faults = [fault]
        link = await site.link(taker)
        async with site.house.running(link):
            link.offer([event(1)])
            await until(lambda: link.connected)
            assert site.house.counts["unreachable"] >= 1
            found = [line.split("value=")[1].split(",")[0] for line in taker.lines if "value=" in line]
            assert found[-2:] == ["1.0", "2.0"] and sum(line.startswith("alarm") for line in taker.lines) == 1
    await site.readings.close()


async def test_a_wrong_token_is_said_and_a_wrong_line_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.readings.open()
    await site.measure(1.0, 666.0, 3.0)
    async with taking() as taker:
        taker.faults = ["401 Unauthorized"]
        taker.refuse = b"=666.0"
        link = await site.link(taker)
        async with site.house.running(link):
            await until(lambda: site.house.counts["denied"] == 1)
            assert "token, org or bucket" in link.why
            await until(lambda: link.connected)
            assert site.house.counts["refused"] == 2, "the change and its span"
            assert any("value=1.0" in line for line in taker.lines) and any("value=3.0" in line for line in taker.lines)
    await site.readings.close()


async def test_a_second_server_takes_over(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.readings.open()
    await site.measure(1.0)
    async with taking() as taker:
        link = await site.link(Taker(port=9), taker)
        async with site.house.running(link):
            await until(lambda: link.connected)
    await site.readings.close()


async def test_back_fill_takes_twenty_thousand_points_a_second(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.readings.open()
    await site.measure(*(float(n) for n in range(40_000)))
    async with taking() as taker:
        link = await site.link(taker)
        begun_s = time.perf_counter()
        while await link.fill():
            pass
        took_s = time.perf_counter() - begun_s
        await link._bucket.close()
        assert len(taker.lines) == 40_001
    for box in site.house.boxes:
        await box.close()
    await site.readings.close()
    rate = 40_000 / took_s
    print(f"back-fill {rate:,.0f} points/s")
    # The promise is 20,000; a machine shared with seven others must not fail the test.
    assert rate > 5_000
    await asyncio.sleep(0)


def test_the_dashboard_asks_for_what_is_written() -> None:
    import json
    import re

    board = json.loads(Path("configs/grafana/building.json").read_text(encoding="utf-8"))
    asked = " ".join(target["query"] for panel in board["panels"] for target in panel["targets"])
    assert set(re.findall(r'_measurement == "(\w+)"', asked)) == {"alarm", "span", "reading"}
    assert set(re.findall(r'_field == "(\w+)"', asked)) == {"seq", "state", "mean", "good"}
