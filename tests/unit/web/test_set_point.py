"""Setting a point over the local API: who may what, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from device_drivers.profiles import load_profiles
from edge.model import Delivered, Device, Outcome, Place, PointKey, Refused, TryLater, Write
from edge.web import create_app
from tests.unit.web.test_web import AUTH, TOKEN, Gateway

BY = {"id": "li", "name": "李四"}


class Relays(Gateway):
    """A gateway with a relay board and a door."""

    def devices(self) -> list[Device]:
        made = []
        for name, profile in (("relay1", "relay/waveshare-8"), ("door1", "access/mqtt-door"), ("ug3", "calectro/ug-3")):
            p = load_profiles()[profile]
            wire = dict(p.wire)
            if name == "door1":
                wire["points"] = {"state": {"write": {"topic": "set", "payload": "{value}"}}}
            made.append(Device(name, p.id, "bus", "1", Place(), p.points, p.rules, 60.0, wire, p.kind))
        return made


@pytest.fixture
def relays() -> Relays:
    return Relays()


@pytest.fixture
async def web(relays: Relays) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(relays, TOKEN))
    async with httpx.AsyncClient(transport=transport, base_url="http://gw", headers=AUTH) as client:
        yield client


async def put(web: httpx.AsyncClient, point: str, value: Any, **more: Any) -> httpx.Response:
    return await web.post(f"/api/v1/points/{point}", json={"value": value, "by": BY} | more)


async def test_a_horn_is_sounded_and_silenced(web: httpx.AsyncClient, relays: Relays) -> None:
    answer = await put(web, "relay1/horn", True)
    assert answer.status_code == 200 and answer.json()["message"] == "read back"
    assert (await put(web, "relay1/horn", False)).status_code == 200
    assert relays.written == [Write(PointKey("relay1", "horn"), True), Write(PointKey("relay1", "horn"), False)]


@pytest.mark.parametrize(
    ("point", "value", "word"),
    [
        ("relay1/gas_valve", False, "only ever switched on"),
        ("relay1/gas_valve", 0, "only ever switched on"),
        ("relay1/ack_key", True, "cannot be set"),
        ("relay1/door_release_mirror", True, "opens no door"),
        ("door1/state", "open", "opens no door"),
        ("ug3/reset", False, "only ever switched on"),
        ("ug3/reset", 234, "only ever switched on"),
    ],
)
async def test_what_is_never_done_is_refused_before_the_link(
    web: httpx.AsyncClient, relays: Relays, point: str, value: Any, word: str
) -> None:
    answer = await put(web, point, value)
    assert answer.status_code == 409 and word in answer.json()["detail"]
    assert relays.written == []


async def test_a_gas_valve_is_closed(web: httpx.AsyncClient, relays: Relays) -> None:
    assert (await put(web, "relay1/gas_valve", True)).status_code == 200
    assert relays.written == [Write(PointKey("relay1", "gas_valve"), True)]


@pytest.mark.parametrize("point", ["relay9/horn", "relay1/nothing"])
async def test_an_unknown_point_is_404(web: httpx.AsyncClient, point: str) -> None:
    assert (await put(web, point, True)).json()["code"] == "unknown_point"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Refused("exception 2"), 409), (TryLater("no answer"), 503), (Delivered("echoed"), 200)],
)
async def test_the_links_own_answer_is_passed_on(
    web: httpx.AsyncClient, relays: Relays, outcome: Outcome, status: int
) -> None:
    relays.outcome = outcome
    assert (await put(web, "relay1/fan", True)).status_code == status


@pytest.mark.parametrize("body", [{}, {"value": True}, {"by": BY}, {"value": None, "by": BY}, {"value": [1], "by": BY}])
async def test_a_body_without_value_or_person_is_422(web: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await web.post("/api/v1/points/relay1/horn", json=body)).status_code == 422


async def test_the_token_is_needed(relays: Relays) -> None:
    transport = httpx.ASGITransport(create_app(relays, TOKEN))
    async with httpx.AsyncClient(transport=transport, base_url="http://gw") as nobody:
        assert (await put(nobody, "relay1/horn", True)).status_code == 401
