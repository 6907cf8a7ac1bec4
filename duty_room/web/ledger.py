"""``/api/v1/ledger.xlsx``: one row per incident, and a second sheet with every step. Written off the event loop."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import xlsxwriter
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, select

from duty_room import wire, words
from duty_room.incident import Incident
from duty_room.limits import LEDGER_ROWS_MAX
from duty_room.store import tables as t
from duty_room.web import pages
from duty_room.web.context import Ctx, Viewer

router = APIRouter(prefix="/api/v1")
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
INCIDENTS = (
    "id", "opened", "class", "priority", "place", "state", "acknowledged_by", "acknowledged_at", "assignee",
    "resolved_at", "cause", "note", "repeats", "test",
)  # fmt: skip
STEPS = ("id", "at", "step", "by", "reason")


class _Sheet:
    """One sheet, written row by row. Text stays text: a value that begins with ``=`` is never a formula."""

    def __init__(self, book: xlsxwriter.Workbook, name: str, zone: ZoneInfo) -> None:
        self._sheet = book.add_worksheet(name)
        self._bold = book.add_format({"bold": True})
        self._time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._zone = zone
        self._row = 0
        self._sheet.set_column(0, 20, 20)

    def line(self, *values: object, bold: bool = False) -> None:
        """One row; datetimes become time cells of the site's zone."""
        for column, value in enumerate(values):
            if isinstance(value, datetime):
                local = value.astimezone(self._zone).replace(tzinfo=None)
                self._sheet.write_datetime(self._row, column, local, self._time)
            elif isinstance(value, int) and not isinstance(value, bool):
                self._sheet.write_number(self._row, column, value)
            elif value is not None:
                self._sheet.write_string(self._row, column, str(value), self._bold if bold else None)
        self._row += 1


def _at(at_ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(at_ms / 1000, tz=ZoneInfo("UTC")) if at_ms is not None else None


def _word(lang: str, kind: str, code: str | None) -> str | None:
    """The word for a code; a code of somebody else's making is shown as it is."""
    return words.catalogue(lang).get(f"{kind}.{code}", code)


def _line(lang: str, i: Incident) -> list[Any]:
    answer = i.first_answer
    return [
        i.id,
        _at(i.opened_ms),
        words.class_name(lang, i.alarm_class.value),
        i.priority,
        words.place_text(lang, i.place),
        words.say(lang, f"state.{i.state.value}"),
        answer.by.name if answer else None,
        _at(answer.at_ms) if answer else None,
        i.assignee.name if i.assignee else None,
        _at(i.resolved.at_ms) if i.resolved else None,
        _word(lang, "cause", i.cause),
        i.note,
        i.repeats,
        words.say(lang, "yes" if i.test else "no"),
    ]


def write(lang: str, zone: str, incidents: Sequence[Incident], head: Sequence[str]) -> bytes:
    """The workbook. head: lines above the table (range, exporter)."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"constant_memory": True, "in_memory": True}) as book:
        first = _Sheet(book, words.say(lang, "ledger.incidents"), ZoneInfo(zone))
        for text in head:
            first.line(text)
        first.line(*(words.say(lang, f"ledger.head.{name}") for name in INCIDENTS), bold=True)
        for incident in incidents:
            first.line(*_line(lang, incident))
        second = _Sheet(book, words.say(lang, "ledger.steps"), ZoneInfo(zone))
        second.line(*(words.say(lang, f"ledger.head.{name}") for name in STEPS), bold=True)
        for incident in incidents:
            for step in incident.timeline:
                by = step.by.name if step.by else None
                what = _word(lang, "step", step.step)
                second.line(incident.id, _at(step.at_ms), what, by, words.reason_text(lang, step))
    return target.getvalue()


@router.get("/ledger.xlsx", response_class=Response)
async def ledger(
    request: Request, ctx: Ctx, principal: Viewer, days: Annotated[int, Query(ge=1, le=366)] = 30
) -> Response:
    """The ledger of the last days. It holds names, so every export is logged."""
    lang, zone = pages.language(request), ctx.settings.timezone
    now_ms = ctx.clock.wall_ms()
    first_ms = now_ms - days * 86_400_000

    def job(conn: Connection) -> bytes:
        query = select(t.incidents.c.body).where(t.incidents.c.opened_ms >= first_ms)
        query = query.order_by(t.incidents.c.opened_ms).limit(LEDGER_ROWS_MAX)
        found = [wire.from_row(text) for text in conn.execute(query).scalars()]
        moments = [datetime.fromtimestamp(ms / 1000, tz=ZoneInfo(zone)) for ms in (first_ms, now_ms)]
        local = [moment.strftime("%Y-%m-%d %H:%M") for moment in moments]
        head = (
            words.say(lang, "ledger.filter", first=local[0], last=local[1], n=len(found)),
            words.say(lang, "ledger.by", name=principal.name, time=local[1]),
        )
        return write(lang, zone, found, head)

    body = await ctx.store.read(job)
    facts = {"days": days, "bytes": len(body)}
    await ctx.store.write(lambda tx: tx.chain.append(tx.now_ms, "access", "ledger", principal.name, facts))
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="ledger.xlsx"'}
    return Response(body, headers=headers, media_type=KIND)
