"""The HTTP contract: roles, CSRF, If-Match, Idempotency-Key, snapshot, files."""

from __future__ import annotations

import io
from typing import Any

import httpx
import openpyxl
import pytest

from duty_room import access, words
from duty_room.incident import Step
from duty_room.incidents import incident_id
from edge.model import AlarmClass, CommandOutcome, EventKind, Result
from tests.unit.duty_room.conftest import T0, URL, Room, event

IID = incident_id("b12", "c502/sos.call/1")
READS = ("snapshot", "gateways", "places", "people", "grids", "statistics", "ledger.xlsx", "me", "causes",
         f"incidents/{IID}")  # fmt: skip
STEPS: dict[str, dict[str, Any]] = {
    "acknowledge": {},
    "dispatch": {"person_id": "li"},
    "en-route": {},
    "arrive": {},
    "resolve": {"cause": "real"},
    "close": {},
    "shelve": {"until": "2030-01-01T00:00:00.000Z", "reason": "x"},
    "escalate": {"reason": "x"},
}
OPEN = ("/healthz", "/readyz", "/metrics", "/openapi.json")


async def act(
    client: httpx.AsyncClient, step: str, body: dict[str, Any], version: int | None = 1, key: str | None = "k"
) -> httpx.Response:
    headers = {"If-Match": f'"{version}"'} if version is not None else {}
    if key is not None:
        headers["Idempotency-Key"] = key
    return await client.post(f"/api/v1/incidents/{IID}/{step}", json=body, headers=headers)


async def test_role_by_route(room: Room) -> None:
    await room.hear(event())
    for role in (None, *access.ROLES):
        async with room.client(role) as client:
            for path in READS:
                answer = await client.get(f"/api/v1/{path}")
                assert answer.status_code == (401 if role is None else 200), (role, path)
            for path in OPEN:
                assert (await client.get(path)).status_code == 200
            if role in (None, "viewer"):
                for step, body in STEPS.items():
                    answer = await act(client, step, body)
                    assert answer.status_code == (401 if role is None else 403), (role, step)
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert answer.json()["code"] == ("unauthorized" if role is None else "role")


async def test_garbage_tokens_are_nobody(room: Room) -> None:
    for value in ("Bearer x", "Bearer ", "Basic abc", "Bearer " + room.tokens["viewer"] + "x"):
        async with room.client(None, Authorization=value) as client:
            assert (await client.get("/api/v1/snapshot")).status_code == 401


async def test_a_token_ends(room: Room) -> None:
    token = await room.store.write(lambda tx: access.grant_token(tx, "viewer", "x", 1))
    async with room.client(None, Authorization=f"Bearer {token}") as client:
        assert (await client.get("/api/v1/me")).status_code == 200
        room.clock.now_s += 86400
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_the_whole_way_through_the_api(room: Room) -> None:
    await room.hear(event())
    version = 1
    wanted = ("acknowledged", "dispatched", "en_route", "on_scene", "resolved")
    async with room.client("duty_officer") as client:
        for step, state in zip(list(STEPS)[:5], wanted, strict=True):
            answer = await act(client, step, STEPS[step], version, key=step)
            assert answer.status_code == 200, answer.text
            assert answer.json()["state"] == state
            version = answer.json()["version"]
            assert answer.headers["etag"] == f'"{version}"'
        refused = await act(client, "close", {}, version, key="close")
        assert (refused.status_code, refused.json()["code"]) == (409, "still_in_alarm")
        await room.hear(event(EventKind.RESET, 2))
        current = (await client.get(f"/api/v1/incidents/{IID}")).json()["version"]
        assert (await act(client, "close", {}, current, key="close2")).json()["state"] == "closed"
        assert (await client.get("/api/v1/snapshot")).json()["incidents"] == []


async def test_conditions_missing(room: Room) -> None:
    await room.hear(event())
    async with room.client("duty_officer") as client:
        assert (await act(client, "acknowledge", {}, None)).status_code == 428
        assert (await act(client, "acknowledge", {}, 1, None)).status_code == 428
        answer = await client.post(
            f"/api/v1/incidents/{IID}/acknowledge", json={}, headers={"If-Match": "x", "Idempotency-Key": "k"}
        )
        assert answer.status_code == 422
        assert (await act(client, "dance", {})).status_code == 404
        assert (await act(client, "dispatch", {})).status_code == 422
        assert (await act(client, "dispatch", {"person_id": "nobody"})).json()["code"] == "unknown_person"
        assert (await act(client, "shelve", {"until": "tomorrow", "reason": "x"})).status_code == 422
        assert (await act(client, "acknowledge", {"extra": 1}, key="newer client")).status_code == 200


async def test_the_loser_learns_who_won(room: Room) -> None:
    await room.hear(event())
    async with room.client("duty_officer") as first, room.client("administrator") as second:
        assert (await act(first, "acknowledge", {})).status_code == 200
        lost = await act(second, "acknowledge", {}, 1, "other")
        assert lost.status_code == 409
        body = lost.json()
        assert body["code"] == "stale_version"
        assert body["winner"]["by"]["name"] == "duty_officer Zhang"
        assert body["winner"]["state"] == body["incident"]["state"] == "acknowledged"
        illegal = await act(second, "acknowledge", {}, 2, "again")
        assert (illegal.status_code, illegal.json()["code"]) == (409, "already_acknowledged")


async def test_the_same_key_gets_the_first_answer(room: Room) -> None:
    await room.hear(event())
    async with room.client("duty_officer") as client:
        first = await act(client, "acknowledge", {})
        await room.hear(event(EventKind.REPEATED, 2))
        again = await act(client, "acknowledge", {})
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert len(await room.store.read(_commands)) == 1
        other = await act(client, "dispatch", {"person_id": "li"})
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    async with room.client("administrator") as client:
        # Keys belong to whoever sent them: another person's key is another key.
        assert (await act(client, "acknowledge", {}, 3)).status_code == 200


def _commands(conn: Any) -> list[Any]:
    from duty_room.store import rows

    return rows.waiting(conn)


async def test_an_outcome_is_not_a_race_lost(room: Room) -> None:
    await room.hear(event())
    async with room.client("duty_officer") as client:
        answer = (await act(client, "acknowledge", {})).json()
        assert answer["flags"] == ["pending"]
        command = (await room.store.read(_commands))[0].command_id
        assert await room.desk.outcome("b12", CommandOutcome(command, Result.DONE, "done", "", T0))
        assert not await room.desk.outcome("b12", CommandOutcome("unknown", Result.DONE, "done", "", T0))
        moved = await act(client, "dispatch", {"person_id": "li"}, answer["version"], "k2")
        assert moved.status_code == 200 and moved.json()["flags"] == []
        assert moved.json()["assignee"] == {"id": "li", "name": "李四"}


async def test_unheard_after_ten_seconds(room: Room) -> None:
    await room.hear(event())
    async with room.client("duty_officer") as client:
        await act(client, "acknowledge", {})
        for second, wanted in ((9, ["pending"]), (11, ["pending", "unheard"]), (31, ["unheard"])):
            room.clock.now_s = second
            await room.desk.tick(room.clock.wall_ms())
            assert (await client.get(f"/api/v1/incidents/{IID}")).json()["flags"] == wanted


async def test_signing_in_once_and_csrf(room: Room) -> None:
    await room.hear(event())
    secret = await room.store.write(lambda tx: access.grant_sign_in(tx, "administrator", "陈七"))
    async with room.client() as client:
        answer = await client.get(f"/sign-in/{secret}")
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert (await client.get(f"/sign-in/{secret}")).status_code == 403
        me = (await client.get("/api/v1/me")).json()
        assert me["id"] == "chen"
        token = {"X-CSRF-Token": me["csrf"]}
        evil = {"Origin": "http://evil.test", **token}
        for headers in ({}, {"Origin": URL}, token, evil, {"Origin": URL, "X-CSRF-Token": "x"}):
            client.headers.update(headers)
            assert (await act(client, "acknowledge", {})).status_code == 403
            for name in headers:
                del client.headers[name]
        client.headers.update({"Origin": URL, "X-CSRF-Token": me["csrf"]})
        done = await act(client, "acknowledge", {})
        assert done.json()["acknowledged"]["by"] == {"id": "chen", "name": "陈七", "via": "console"}
        assert (await client.post("/api/v1/sessions/end")).status_code == 200
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_an_idle_session_ends(room: Room) -> None:
    secret = await room.store.write(lambda tx: access.grant_sign_in(tx, "viewer", "wall"))
    async with room.client() as client:
        await client.get(f"/sign-in/{secret}")
        room.clock.now_s += 11 * 3600
        assert (await client.get("/api/v1/me")).status_code == 200
        room.clock.now_s += 11 * 3600
        assert (await client.get("/api/v1/me")).status_code == 200
        room.clock.now_s += 2 * 3600
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_only_a_console_that_can_answer_is_audible(room: Room) -> None:
    report = {"sound": True, "stream": True, "seq": 0}
    async with room.client("viewer") as client:
        assert (await client.post("/api/v1/consoles/health", json=report)).json()["audible"] is False
    async with room.client("duty_officer") as client:
        assert (await client.post("/api/v1/consoles/health", json=report)).json()["audible"] is True
        assert room.watch.duty("b12").audible
        room.clock.now_s += 31
        assert not room.watch.duty("b12").audible and room.watch.on_duty == []


async def test_the_ledger_is_text_where_people_wrote(room: Room) -> None:
    await room.hear(event(), event(event_id="x1", alarm_id="t", test=True, alarm_class=AlarmClass.TEST))
    async with room.client("duty_officer") as client:
        version = (await act(client, "acknowledge", {})).json()["version"]
        await act(client, "resolve", {"cause": "helped", "note": "=1+1"}, version, "k2")
        book = openpyxl.load_workbook(io.BytesIO((await client.get("/api/v1/ledger.xlsx")).content))
        assert len(book.worksheets) == 2
        cells = [cell for row in book.worksheets[0].iter_rows() for cell in row]
        assert any(cell.value == "=1+1" and cell.data_type == "s" for cell in cells)
        figures = (await client.get("/api/v1/statistics")).json()
        assert (figures["incidents"], figures["tests"]) == (1, 1)
        assert figures["response_s"]["n"] == 1 and figures["by_cause"] == {"helped": 1}


def test_a_reason_is_said_in_words() -> None:
    def said(step: str, reason: str | None, **more: Any) -> str | None:
        return words.reason_text("zh-CN", Step(T0, step, None, reason, **more))

    assert said("raised", "call") is None and said("cleared", "gas-high") is None and said("told", None) is None
    assert said("raised", "gas-low", value=26.5, unit="%LEL") == "26.5 %LEL"
    assert said("reset", "real") == "属实" and said("resolved", "false_cooking: 油烟") == "误报：做饭: 油烟"
    assert said("overdue", "unacknowledged") == "未确认" and said("escalated", "一个人不够") == "一个人不够"


async def test_a_measured_value_stands_on_the_timeline(room: Room) -> None:
    gas: dict[str, Any] = {"alarm_class": AlarmClass.GAS_COMBUSTIBLE, "unit": "%LEL", "reason": "gas-low"}
    await room.hear(event(value=26.5, **gas), event(EventKind.REPEATED, 2, value=None, **gas))
    async with room.client("viewer") as client:
        lines = (await client.get(f"/api/v1/incidents/{IID}")).json()["timeline"]
    assert (lines[0]["value"], lines[0]["unit"]) == (26.5, "%LEL") and "value" not in lines[1]


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b'{"person_id": 7}', b"[" * 50_000, b"x" * 70_000])
async def test_bad_bodies(room: Room, body: bytes) -> None:
    await room.hear(event())
    async with room.client("duty_officer") as client:
        answer = await client.post(
            f"/api/v1/incidents/{IID}/dispatch", content=body, headers={"If-Match": "1", "Idempotency-Key": "k"}
        )
        assert answer.status_code == (413 if len(body) > 65536 else 422)
        assert answer.json()["code"]
