"""The page of one person: one button, no JavaScript, GET changes nothing, every tap once."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from duty_room.causes import CAUSES, causes_of
from duty_room.desk import Heard
from duty_room.incident import Incident
from duty_room.incidents import incident_id
from duty_room.store import rows
from duty_room.web.person import make_link
from duty_room.web.rating import make_token
from edge.model import AlarmClass, EventKind
from tests.unit.duty_room.conftest import URL, Room, event

IID = incident_id("b12", "c502/sos.call/1")


async def link(room: Room, person: str = "li") -> str:
    return await room.store.write(lambda tx: make_link(tx, room.context.key, IID, person))


async def incident(room: Room) -> Incident:
    found = await room.store.read(lambda conn: rows.load(conn, IID))
    assert found is not None
    return found


def fields(page: str, step: str | None = None) -> dict[str, str]:
    """The hidden fields of the form for that step; of the first form where none is named."""
    forms = [
        dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
        for form in re.findall(r"<form.*?</form>", page, re.S)
    ]
    return next(form for form in forms if step in (None, form["step"]))


async def tap(client: httpx.AsyncClient, path: str, step: str | None = None, **more: str) -> str:
    page = (await client.get(path)).text
    answer = await client.post(path, data={**fields(page, step), **more})
    assert answer.status_code == 303
    return (await client.get(answer.headers["location"])).text


async def test_three_taps(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        page = (await client.get(path)).text
        assert "我去" in page and "502 户" in page and "c502" not in page
        page = await tap(client, path)
        assert "已到场" in page
        now = await incident(room)
        assert now.state.value == "en_route"
        assert now.acknowledged is not None and now.acknowledged.by.name == "李四"
        assert now.acknowledged.by.via.value == "phone"
        page = await tap(client, path)
        assert (await incident(room)).state.value == "on_scene"
        page = await tap(client, path, cause="helped", note="扶起")
        now = await incident(room)
        assert (now.state.value, now.cause, now.note) == ("resolved", "helped", "扶起")
        assert "<form" not in page


async def test_looking_changes_nothing(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    head = room.feed.head
    async with room.client() as client:
        first = await client.get(path)
        for _ in range(20):
            await client.get(path)
        assert fields((await client.get(path)).text) == fields(first.text)
    assert room.feed.head == head
    assert first.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in first.headers["x-robots-tag"] and "noindex" in first.text
    assert "script" not in first.text
    assert len(first.content) <= 30_000


async def test_each_tap_works_once(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        form = fields((await client.get(path)).text)
        assert (await client.post(path, data=form)).headers["location"] == f"{path}?lang=zh-CN"
        again = await client.post(path, data=form)
        assert "note=repeated" in again.headers["location"]
        assert "已经收到" in (await client.get(again.headers["location"])).text
        assert (await incident(room)).state.value == "en_route"
        for wrong in ({}, {"step": "arrive"}, {"nonce": "é", "step": "arrive"}):
            await client.post(path, data=wrong)
        assert (await incident(room)).state.value == "en_route"


async def test_a_new_press_asks_again(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        await tap(client, path)
        await room.hear(event(EventKind.REPEATED, 2))
        assert "我去" in (await client.get(path)).text
        await tap(client, path)
        assert (await incident(room)).state.value == "acknowledged"


async def test_two_people_see_each_other(room: Room) -> None:
    await room.hear(event())
    async with room.client() as client:
        await tap(client, f"/a/{await link(room)}")
        page = await tap(client, f"/a/{await link(room, 'zhao')}")
        assert "李四" in page
    assert [h.id for h in (await incident(room)).helpers] == ["li", "zhao"]


async def test_the_link_dies_a_day_after_closing_and_other_links_never_live(room: Room) -> None:
    await room.hear(event(priority=3))
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        await tap(client, path)
        await tap(client, path)
        await tap(client, path, cause="helped")
        await room.hear(event(EventKind.RESET, 2, priority=3))
        room.clock.now_s += 3601
        await room.desk.tick(room.clock.wall_ms())
        assert (await incident(room)).state.value == "closed"
        assert (await client.get(path)).status_code == 200
        room.clock.now_s += 86_401
        assert (await client.get(path)).status_code == 404
        assert (await client.post(path, data={"step": "go"})).status_code == 404
        assert (await client.get("/a/AAAAAAAAAAAAAAAAAAAAAA")).status_code == 404


async def told(room: Room) -> list[str]:
    """Who has a notice waiting, in the order they were put there."""
    due = await room.store.read(lambda conn: rows.due_notices(conn, room.clock.wall_ms(), 99))
    return sorted(one.recipient for one in due)


async def test_who_cannot_go_is_replaced_at_once(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        page = await tap(client, path)
        assert "去不了" in page and "需要支援" in page
        before = await told(room)
        page = await tap(client, path, "pass-on")
    assert "值班室已知道您去不了" in page and "我去" in page
    now = await incident(room)
    # Answered it stays, but nobody is on the way any more: somebody must be sent.
    assert (now.state.value, now.helpers, now.assignee) == ("acknowledged", (), None)
    assert (now.timeline[-1].step, now.timeline[-1].by.name if now.timeline[-1].by else "") == ("cannot_go", "李四")
    fresh = await told(room)
    for name in before:
        fresh.remove(name)
    assert fresh == ["wang", "zhao"]


async def test_who_cannot_go_leaves_the_others_going(room: Room) -> None:
    await room.hear(event())
    async with room.client() as client:
        mine, other = f"/a/{await link(room)}", f"/a/{await link(room, 'zhao')}"
        await tap(client, mine)
        await tap(client, other)
        await tap(client, mine, "pass-on")
    now = await incident(room)
    assert now.state.value == "en_route" and [h.id for h in now.helpers] == ["zhao"]
    assert now.assignee is not None and now.assignee.id == "zhao"


async def test_before_anybody_has_answered_it_goes_on_ringing(room: Room) -> None:
    await room.hear(event())
    async with room.client() as client:
        await tap(client, f"/a/{await link(room)}", "pass-on")
    assert (await incident(room)).ringing


async def test_support_is_asked_for_once_and_ends_when_somebody_is_sent(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        await tap(client, path)
        await tap(client, path)
        page = await tap(client, path, "support")
        assert "值班室已收到您的支援请求" in page and 'value="support"' not in page and 'value="pass-on"' not in page
        form = fields(page) | {"step": "support"}
        assert "note=refused" in (await client.post(path, data=form)).headers["location"]
    now = await incident(room)
    assert now.state.value == "on_scene" and {"support", "escalated"} <= set(now.flags)
    officer = room.client("duty_officer", **{"If-Match": f'"{now.version}"', "Idempotency-Key": "k"})
    sent = await officer.post(f"/api/v1/incidents/{IID}/dispatch", json={"person_id": "zhao"})
    assert sent.status_code == 200 and "support" not in sent.json()["flags"]


def test_causes_fit_what_happened_and_are_those_of_the_console() -> None:
    assert "misuse" not in causes_of("fire.smoke") and "helped" not in causes_of("gas.combustible")
    source = Path(__file__).parents[3] / "duty_room" / "console" / "src" / "app" / "words.ts"
    text = source.read_text(encoding="utf-8").split("const CAUSES", 1)[1].split("};", 1)[0]
    found = {name: tuple(re.findall(r'"(\w+)"', listed)) for name, listed in re.findall(r"(\w+): \[(.*?)\]", text)}
    assert found == dict(CAUSES)
    for alarm_class in AlarmClass:
        assert 2 < len(causes_of(alarm_class.value)) <= 9


async def test_every_page_stays_small(room: Room) -> None:
    await room.hear(event(alarm_class=AlarmClass.FIRE_SMOKE))
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        await tap(client, path)
        page = await tap(client, path)
    assert len(page.encode()) <= 30_000 and "误报：做饭" in page and "误按" not in page and "script" not in page


async def test_english(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    async with room.client() as client:
        assert "I am going" in (await client.get(path, headers={"Accept-Language": "en-GB,en;q=0.8"})).text
        assert "I am going" in (await client.get(f"{path}?lang=en")).text


async def test_rating_once_editable_for_a_day(room: Room) -> None:
    await room.hear(event())
    path = f"/a/{await link(room)}"
    rate = f"/r/{make_token(room.context.key, IID)}"
    asked = f"/api/v1/incidents/{IID}/rating-link"
    assert (await room.client("duty_officer").get(asked)).status_code == 404
    async with room.client() as client:
        assert (await client.get(rate)).status_code == 404
        await tap(client, path)
        await tap(client, path)
        await tap(client, path, cause="helped")
        assert (await room.client("viewer").get(asked)).status_code == 403
        assert (await room.client("duty_officer").get(asked)).json() == {"url": f"{URL}{rate}"}
        assert "★★★★★" in (await client.get(rate)).text
        assert "已记录" in (await client.post(rate, data={"stars": "4", "words": "谢谢<b>"})).text
        assert "谢谢&lt;b&gt;" in (await client.post(rate, data={"stars": "5", "words": "谢谢<b>"})).text
        await client.post(rate, data={"stars": "9"})
        room.clock.now_s += 86_400
        assert "不能再修改" in (await client.post(rate, data={"stars": "1"})).text
        figures = (await room.client("viewer").get("/api/v1/statistics")).json()
        assert figures["satisfaction"]["n"] == 1 and figures["satisfaction"]["mean"] is None
        assert (await client.get(rate + "x")).status_code == 404


async def test_the_desk_refuses_a_step_of_nobody(room: Room) -> None:
    await room.desk.events([Heard("b12", event())])
    async with room.client() as client:
        assert (await client.get("/?plain=1")).status_code == 401
