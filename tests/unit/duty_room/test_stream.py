"""The live stream: a cursor over the log. Cut anywhere, nothing is lost and nothing comes twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import orjson
import pytest
from starlette.requests import Request

from duty_room import feed
from duty_room.retention import sweep
from duty_room.web import stream
from edge.model import EventKind
from tests.unit.duty_room.conftest import Room, event


def request(room: Room, role: str = "viewer") -> Request:
    token = f"Bearer {room.tokens[role]}".encode()
    return Request({"type": "http", "headers": [(b"authorization", token)], "method": "GET", "path": "/"})


async def open_at(room: Room, last: str | None) -> AsyncIterator[bytes]:
    cursor, jumped = await stream._cursor(room.context, last)
    return stream._counted(room.context, request(room), cursor, jumped)


def parse(frame: bytes) -> tuple[str, str | None, dict[str, object]]:
    lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n") if ": " in line)
    return lines.get("event", ""), lines.get("id"), orjson.loads(lines.get("data", "{}"))


async def test_cut_at_random_places_loses_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(7)
    for module in (feed, stream):
        monkeypatch.setattr(module, "STREAM_PAGE_ROWS", 7)
    for seq in range(1, 301):
        await room.hear(event(EventKind.REPEATED if seq > 1 else EventKind.RAISED, seq))
    last = f"{room.store.epoch}-0"
    got: list[int] = []
    while len(got) < 300:
        frames = await open_at(room, last)
        for _ in range(dice.randint(1, 4)):
            if len(got) == 300:
                break
            kind, frame_id, data = parse(await anext(frames))
            if kind == "batch":
                assert data["from"] == len(got) + 1
                items = data["items"]
                assert isinstance(items, list) and frame_id is not None
                got.extend(item["version"] for item in items)
                last = frame_id
        await frames.aclose()  # type: ignore[attr-defined]
    assert got == list(range(1, 301))
    assert room.metrics.open_streams == 0


async def test_priority_1_comes_at_once(room: Room) -> None:
    frames = await open_at(room, None)
    assert parse(await anext(frames))[0] == ""
    assert parse(await anext(frames))[0] == "hb"
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    await room.hear(event())
    kind, frame_id, data = parse(await asyncio.wait_for(waiting, 1))
    assert (kind, frame_id, data["from"], data["to"]) == ("batch", f"{room.store.epoch}-1", 1, 1)


async def test_an_id_that_cannot_be_continued_is_said(room: Room) -> None:
    await room.hear(event(), event(EventKind.REPEATED, 2))
    reasons = {"0-1": "epoch_changed", f"{room.store.epoch}-99": "ahead", "nonsense": "unknown_id"}
    for last, reason in reasons.items():
        frames = await open_at(room, last)
        await anext(frames)
        kind, frame_id, data = parse(await anext(frames))
        assert (kind, data["reason"], frame_id) == ("reset", reason, f"{room.store.epoch}-2")


async def test_too_old_after_retention(room: Room) -> None:
    await room.hear(event())
    room.clock.now_s += 8 * 86400
    await room.store.write(sweep)
    await room.hear(event(EventKind.REPEATED, 2))
    assert (await stream._cursor(room.context, f"{room.store.epoch}-0"))[1] == "too_old"
    assert (await stream._cursor(room.context, f"{room.store.epoch}-1"))[1] is None


async def test_the_end_of_the_right_to_look_is_said(room: Room) -> None:
    room.tokens["viewer"] = "gone"
    frames = await open_at(room, None)
    await anext(frames)
    assert parse(await anext(frames))[0] == "auth"
    assert [frame async for frame in frames] == []


async def test_stopping_ends_it(room: Room) -> None:
    frames = await open_at(room, None)
    await anext(frames)
    await anext(frames)
    room.context.stopping.set()
    assert [frame async for frame in frames] == []
