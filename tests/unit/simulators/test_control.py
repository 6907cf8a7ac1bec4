"""The control door over HTTP, as a tester's curl sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.model import PointKey
from simulators.control import Control
from simulators.run import SimulatedBuilding
from tests.unit.simulators.conftest import make_devices, profiles


@dataclass(frozen=True)
class Link:
    """A link as a building file says it."""

    id: str
    kind: str
    options: Mapping[str, Any]


@pytest.fixture
def building(tmp_path: Path) -> SimulatedBuilding:
    """The small building on links that are not opened."""
    links = [
        Link("bus1", "modbus-rtu", {"port": str(tmp_path / "bus1"), "baudrate": 9600}),
        Link("bus2", "modbus-rtu", {"port": str(tmp_path / "bus2"), "parity": "E"}),
        Link("plc", "modbus-tcp", {"host": "127.0.0.1", "port": 0}),
        Link("zigbee", "mqtt", {"url": "mqtt://127.0.0.1:1"}),
        Link("rf", "rf433", {"port": str(tmp_path / "rf")}),
    ]
    return SimulatedBuilding(links, make_devices(), {name: p.simulate for name, p in profiles().items()}, 1)


@pytest.fixture
async def client(building: SimulatedBuilding) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the control door."""
    transport = httpx.ASGITransport(app=Control(building).app())
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000") as made:
        yield made


async def test_a_scenario_is_started_and_the_truth_tells(client: httpx.AsyncClient) -> None:
    started = await client.post("/scenarios/smoke-kitchen", json={"device": "s1"})
    assert started.status_code == 202
    (fact,) = (await client.get("/truth")).json()
    assert fact["at"].endswith("Z") and fact["run_id"] == started.json()["run_id"]
    assert (fact["device"], fact["point"], fact["value"]) == ("s1", "smoke", True)


@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_a_scenario_picks_its_device(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await client.post("/scenarios/sos", content=content)).status_code == 202
    assert [f["point"] for f in (await client.get("/truth")).json()] == ["call"]


async def test_an_unknown_scenario_is_404_with_the_list(client: httpx.AsyncClient) -> None:
    answer = await client.post("/scenarios/flood")
    assert answer.status_code == 404 and "smoke-kitchen" in answer.json()["scenarios"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/scenarios/sos", b"[1]"),
        ("/scenarios/sos", b"{"),
        ("/scenarios/sos", b'{"device": 5}'),
        ("/scenarios/sos", b'{"device": "nobody"}'),
        ("/scenarios/sos", b'{"device": "s1"}'),
        ("/scenarios/sos", b'{"gadget": "c1"}'),
        ("/points/g1/lel", b"{}"),
        ("/points/g1/lel", b'{"value": true}'),
        ("/points/g1/lel", b'{"value": NaN}'),
        ("/points/s1/smoke", b'{"value": 1}'),
        ("/devices/s1/press", b""),
        ("/devices/s1/health", b'{"health": "tired"}'),
        ("/links/bus1", b'{"up": 1}'),
        ("/scenarios/sos", b'{"device": "' + b"x" * 20000 + b'"}'),
    ],
)
async def test_a_body_that_means_nothing_is_422(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body)
    assert answer.status_code == 422 and answer.json()["detail"]
    assert (await client.get("/truth")).json() == []


@pytest.mark.parametrize("path", ["/points/nobody/lel", "/points/g1/nothing", "/devices/nobody/press", "/links/nolink"])
async def test_an_unknown_name_is_404(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.post(path, json={"value": 1.0})).status_code == 404


async def test_a_tester_writes_values_presses_and_breaks(
    client: httpx.AsyncClient, building: SimulatedBuilding
) -> None:
    for path, body in (
        ("/points/g1/lel", {"value": 25}),
        ("/points/a1/state", {"value": "held"}),
        ("/points/a1/passage", {"value": "out"}),
        ("/devices/c1/press", None),
        ("/devices/s1/health", {"health": "dead"}),
        ("/links/bus2", {"up": False}),
    ):
        assert (await client.post(path, json=body) if body else await client.post(path)).status_code == 202
    assert building.truth.value(PointKey("g1", "lel")) == 25.0
    state = (await client.get("/state?only=notable")).json()
    shown = {(p["device"], p["point"]): p["value"] for p in state["points"]}
    assert shown == {("g1", "lel"): 25.0, ("a1", "state"): "held"} | {
        ("relay1", "horn"): False,
        ("relay1", "gas_valve"): False,
    }
    assert state["unwell"] == {"s1": "dead"}
    assert {link["id"]: link["up"] for link in state["links"]}["bus2"] is False
    assert len((await client.get("/state")).json()["points"]) > 15
    assert [f["point"] for f in (await client.get("/truth?last=2")).json()] == ["answers", "link"]


async def test_foreign_pages_may_not_play(client: httpx.AsyncClient) -> None:
    foreign = await client.post("/scenarios/sos", headers={"Origin": "https://example.org"})
    own = await client.post("/scenarios/sos", headers={"Origin": "http://127.0.0.1:8080"})
    assert (foreign.status_code, own.status_code) == (403, 202)


async def test_the_page_asks_nobody_else(client: httpx.AsyncClient) -> None:
    for path in ("/", "/page/page.css", "/page/page.js"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "http://" not in answer.text and "https://" not in answer.text and " onclick=" not in answer.text
    listed = (await client.get("/scenarios")).json()
    assert {s["name"]: s["needs"] for s in listed}["sos"] == "sos.call"
    names = [s["name"] for s in listed]
    assert names[:2] == ["day", "quiet"] and len(names) == 10
    assert {d["id"] for d in (await client.get("/devices")).json()} >= {"s1", "c1"}


async def test_a_cut_link_goes_and_comes_back(building: SimulatedBuilding, tmp_path: Path) -> None:
    await building.open()
    running = asyncio.create_task(building.run())
    port = tmp_path / "bus1"
    assert port.exists()
    building.truth.set_link("bus1", False)
    while port.is_symlink():
        await asyncio.sleep(0)
    building.truth.set_link("bus1", True)
    while not port.exists():
        await asyncio.sleep(0)
    running.cancel()
    await building.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_place_comes_in_parts_for_the_words_of_its_reader(client: httpx.AsyncClient) -> None:
    for device in (await client.get("/devices")).json():
        assert device["spot"] and set(device["spot"]) <= {"building", "unit", "floor", "household", "room", "text"}
    script = (await client.get("/page/page.js")).text
    assert ".place" not in script, "the page says places in words, never in the short form for scripts"
