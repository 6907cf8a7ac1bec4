"""``GET /api/v1/stream``: server-sent events over the persisted log. A cut loses nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse

from duty_room.feed import Row
from duty_room.limits import STREAM_COALESCE_S, STREAM_HB_S, STREAM_PAGE_ROWS, STREAMS_MAX
from duty_room.web.context import Context, Ctx, Viewer, whoever
from duty_room.web.problems import Problem
from edge.model import rfc3339

router = APIRouter(prefix="/api/v1")
_ID = re.compile(r"([0-9a-f]{1,32})-(\d{1,18})")
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def frame(event: str, data: Any, event_id: str | None = None) -> bytes:
    """One server-sent event. orjson escapes line ends, so data is always one line."""
    head = f"id: {event_id}\n" if event_id else ""
    return head.encode() + f"event: {event}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


def _batch(epoch: str, rows: list[Row]) -> bytes:
    items = [orjson.Fragment(body) for _, _, body in rows]
    data = {"from": rows[0][0], "to": rows[-1][0], "items": items}
    return frame("batch", data, f"{epoch}-{rows[-1][0]}")


async def _cursor(ctx: Context, last: str | None) -> tuple[int, str | None]:
    """Where this stream begins, and why it had to jump (None: it continues without a hole)."""
    if not last:
        return ctx.feed.head, None
    found = _ID.fullmatch(last.strip())
    if found is None:
        return ctx.feed.head, "unknown_id"
    epoch, seq = found[1], int(found[2])
    if epoch != ctx.store.epoch:
        return ctx.feed.head, "epoch_changed"
    if seq > ctx.feed.head:
        return ctx.feed.head, "ahead"
    if seq < ctx.feed.head and seq + 1 < await ctx.feed.oldest():
        return ctx.feed.head, "too_old"
    return seq, None


async def _events(ctx: Context, request: Request, cursor: int, jumped: str | None) -> AsyncIterator[bytes]:
    clock, epoch = ctx.clock, ctx.store.epoch
    yield b"retry: 1000\n\n"
    if jumped is not None:
        yield frame("reset", {"reason": jumped, "epoch": epoch, "seq": cursor}, f"{epoch}-{cursor}")
    next_hb = clock.monotonic()
    while not ctx.stopping.is_set():
        now = clock.monotonic()
        if now >= next_hb:
            if await whoever(request, ctx) is None:
                # The alarms stay on the screen; only the right to see new ones is over.
                yield frame("auth", {})
                return
            beat = {"server_time": rfc3339(clock.wall_ms()), "seq": ctx.feed.head, "gateways": ctx.watch.bodies()}
            yield frame("hb", beat)
            next_hb = now + STREAM_HB_S
        if not await ctx.feed.wait(cursor, min(max(next_hb - clock.monotonic(), 0.0), 1.0)):
            continue
        rows = await ctx.feed.page(cursor)
        if rows and len(rows) < STREAM_PAGE_ROWS and all(priority > 1 for _, priority, _ in rows):
            await asyncio.sleep(STREAM_COALESCE_S)
            rows = await ctx.feed.page(cursor)
        if rows and rows[0][0] != cursor + 1:
            cursor = ctx.feed.head
            yield frame("reset", {"reason": "too_old", "epoch": epoch, "seq": cursor}, f"{epoch}-{cursor}")
        elif rows:
            yield _batch(epoch, rows)
            cursor = rows[-1][0]


async def _counted(ctx: Context, request: Request, cursor: int, jumped: str | None) -> AsyncIterator[bytes]:
    ctx.metrics.open_streams += 1
    ctx.metrics.streams.set(ctx.metrics.open_streams)
    try:
        async for part in _events(ctx, request, cursor, jumped):
            yield part
    finally:
        ctx.metrics.open_streams -= 1
        ctx.metrics.streams.set(ctx.metrics.open_streams)


@router.get("/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    ctx: Ctx,
    _principal: Viewer,
    after: Annotated[str | None, Query(max_length=64)] = None,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> StreamingResponse:
    """Resume by Last-Event-ID (it wins) or ``after``; without either it begins now."""
    if ctx.metrics.open_streams >= STREAMS_MAX:
        raise Problem(503, "too_many_streams", "close another tab")
    cursor, jumped = await _cursor(ctx, last_event_id or after)
    return StreamingResponse(_counted(ctx, request, cursor, jumped), media_type="text/event-stream", headers=HEADERS)
