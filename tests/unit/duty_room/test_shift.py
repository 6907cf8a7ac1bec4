"""Who is on duty: the steps carry that person's name, and the account stays in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select

from duty_room import access
from duty_room.incidents import incident_id
from duty_room.store import tables as t
from edge.model import EventKind
from tests.unit.duty_room.conftest import URL, Room, Settings, event

Browser = httpx.AsyncClient
IID = incident_id("b12", "c502/sos.call/1")


@asynccontextmanager
async def signed_in(room: Room, role: str = "administrator", name: str = "administrator") -> AsyncIterator[Browser]:
    """A browser at the console, with what its own page would send."""
    secret = await room.store.write(lambda tx: access.grant_sign_in(tx, role, name))
    async with room.client() as client:
        await client.get(f"/sign-in/{secret}")
        me = (await client.get("/api/v1/me")).json()
        client.headers.update({"Origin": URL, "X-CSRF-Token": me["csrf"]})
        yield client


async def log(room: Room) -> list[dict[str, Any]]:
    query = select(t.log.c.body).order_by(t.log.c.n)
    return [orjson.loads(text) for text in await room.store.read(lambda conn: list(conn.execute(query).scalars()))]


async def acknowledge(client: Browser, key: str = "k") -> dict[str, Any]:
    version = (await client.get(f"/api/v1/incidents/{IID}")).json()["version"]
    headers = {"If-Match": f'"{version}"', "Idempotency-Key": key}
    answer = await client.post(f"/api/v1/incidents/{IID}/acknowledge", json={}, headers=headers)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def test_a_step_carries_the_name_of_who_is_on_duty(room: Room) -> None:
    await room.hear(event())
    async with signed_in(room) as client:
        answer = await client.post("/api/v1/me/shift", json={"names": [" 周敏 ", "陈建国", "周敏"]})
        assert (answer.status_code, answer.json()) == (200, {"shift": ["周敏", "陈建国"]})
        me = (await client.get("/api/v1/me")).json()
        assert (me["name"], me["account"], me["shift"]) == ("周敏", "administrator", ["周敏", "陈建国"])
        assert me["timezone"] == "Asia/Shanghai"
        by = (await acknowledge(client))["acknowledged"]["by"]
        assert by == {"id": "administrator", "name": "周敏", "via": "console"}
        # The next officer takes over without signing out; a person of people.csv keeps the id.
        await client.post("/api/v1/me/shift", json={"names": ["陈七"]})
        await room.hear(event(EventKind.REPEATED, 2))
        assert (await acknowledge(client, "k2"))["acknowledged"]["by"]["id"] == "chen"
    lines = await log(room)
    changes = [line for line in lines if line["step"] == "shift"]
    assert [(line["person"], line["before"], line["names"]) for line in changes] == [
        ("administrator", [], ["周敏", "陈建国"]),
        ("administrator", ["周敏", "陈建国"], ["陈七"]),
    ]
    taken = [line for line in lines if line["subject"] == IID and line["step"] == "acknowledged"]
    assert [line["account"] for line in taken] == ["administrator", "administrator"]


async def test_the_gateway_is_told_who_is_on_duty(room: Room) -> None:
    async with signed_in(room) as client:
        await client.post("/api/v1/me/shift", json={"names": ["周敏"]})
        await client.post("/api/v1/consoles/health", json={"sound": True, "stream": True})
        assert room.watch.duty("b12").on_duty == ["周敏"]
        await client.post("/api/v1/me/shift", json={"names": []})
        await client.post("/api/v1/consoles/health", json={"sound": True, "stream": True})
        assert room.watch.duty("b12").on_duty == ["administrator"]


async def test_a_shift_ends_with_its_session_and_belongs_to_it_alone(room: Room) -> None:
    async with signed_in(room) as first, signed_in(room) as second:
        await first.post("/api/v1/me/shift", json={"names": ["周敏"]})
        assert (await second.get("/api/v1/me")).json()["name"] == "administrator"
    async with signed_in(room) as again:
        assert (await again.get("/api/v1/me")).json()["shift"] == []


@pytest.mark.parametrize("names", [[""], ["  "], ["x" * 65], ["a"] * 13, "周敏", None])
async def test_names_are_checked(room: Room, names: Any) -> None:
    async with signed_in(room) as client:
        assert (await client.post("/api/v1/me/shift", json={"names": names})).status_code == 422


async def test_who_may_not_act_has_no_shift(room: Room) -> None:
    async with signed_in(room, "viewer", "wall") as viewer:
        assert (await viewer.post("/api/v1/me/shift", json={"names": ["周敏"]})).status_code == 403
    async with room.client("administrator") as program:
        answer = await program.post("/api/v1/me/shift", json={"names": ["周敏"]})
        assert (answer.status_code, answer.json()["code"]) == (403, "session_only")
    async with signed_in(room) as client:
        del client.headers["X-CSRF-Token"]
        assert (await client.post("/api/v1/me/shift", json={"names": ["周敏"]})).status_code == 403


def test_a_command_that_comes_first_leaves_no_file_open_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    access.make_sign_in(Settings(folder), "duty_officer", "周敏")
    assert (folder / "duty.db").is_file()
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
