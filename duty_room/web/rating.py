"""``/r/<token>``: how content were you? One rating per incident, given within a week, editable for a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection, Row, select, update
from starlette.responses import HTMLResponse

from duty_room import words
from duty_room.access import derived
from duty_room.incident import Incident, State
from duty_room.limits import RATING_EDIT_S, RATING_LIFE_S
from duty_room.store import rows
from duty_room.store import tables as t
from duty_room.store.store import Tx
from duty_room.web import pages
from duty_room.web.context import Context, Ctx, Officer
from duty_room.web.problems import Problem, json

router = APIRouter(include_in_schema=False)
Token = Annotated[str, Path(max_length=128)]


def make_token(key: bytes, incident_id: str) -> str:
    """The rating link of an incident: its id, and 128 bits that prove that we made the link."""
    return f"{incident_id}.{derived(key, 'rating', incident_id)}"


@dataclass(frozen=True, slots=True)
class Ask:
    """A link that is alive. given: the rating so far. fixed: it can no longer be changed."""

    incident: Incident
    given: Row[tuple[str, ...]] | None
    fixed: bool


def _find(conn: Connection, ctx: Context, token: str) -> Ask | None:
    incident_id, _, _ = token.partition(".")
    if token != make_token(ctx.key, incident_id):
        return None
    incident = rows.load(conn, incident_id)
    if incident is None or incident.state not in (State.RESOLVED, State.CLOSED) or incident.resolved is None:
        return None
    now_ms = ctx.clock.wall_ms()
    if now_ms >= incident.resolved.at_ms + RATING_LIFE_S * 1000:
        return None
    given = conn.execute(select(t.ratings).where(t.ratings.c.incident_id == incident_id)).first()
    return Ask(incident, given, given is not None and now_ms >= given.first_ms + RATING_EDIT_S * 1000)


def _page(ctx: Context, ask: Ask, lang: str, notice: str | None) -> HTMLResponse:
    incident, given = ask.incident, ask.given
    opened = datetime.fromtimestamp(incident.opened_ms / 1000, tz=ZoneInfo(ctx.settings.timezone))
    came = [h.name for h in incident.helpers if h.step == "on_scene"]
    key = "rate.fixed" if ask.fixed else notice
    return pages.render(
        "rate.html",
        lang,
        what=words.class_name(lang, incident.alarm_class.value),
        where=words.place_text(lang, incident.place),
        when=opened.strftime("%Y-%m-%d %H:%M"),
        came="、".join(came),
        notice=words.say(lang, key) if key else None,
        open=not ask.fixed,
        stars=given.stars if given else 0,
        words=given.words if given else "",
        call_back=bool(given and given.call_back),
    )


@router.get("/api/v1/incidents/{incident_id}/rating-link", include_in_schema=True)
async def rating_link(ctx: Ctx, _principal: Officer, incident_id: Annotated[str, Path(max_length=64)]) -> Response:
    """The link to give to the caller or the family once the incident is resolved."""
    token = make_token(ctx.key, incident_id)
    if await ctx.store.read(lambda conn: _find(conn, ctx, token)) is None:
        raise Problem(404, "not_found", "there is no resolved incident with that id that may still be rated")
    return json({"url": f"{ctx.settings.public_url.rstrip('/')}/r/{token}"})


@router.get("/r/{token}")
async def show(request: Request, ctx: Ctx, token: Token) -> HTMLResponse:
    """The page. Changes nothing."""
    lang = pages.language(request)
    ask = await ctx.store.read(lambda conn: _find(conn, ctx, token))
    return _page(ctx, ask, lang, None) if ask else pages.note(lang, "rate.gone", 404)


@router.post("/r/{token}")
async def rate(request: Request, ctx: Ctx, token: Token) -> HTMLResponse:
    """Give or change the rating."""
    lang = pages.language(request)
    fields = await pages.form(request)
    stars = int(fields["stars"]) if fields.get("stars") in ("1", "2", "3", "4", "5") else 0
    said = fields.get("words", "").strip()[:200]

    def job(tx: Tx) -> Ask | None:
        ask = _find(tx.conn, ctx, token)
        if ask is None or ask.fixed or not stars:
            return ask
        row = {"stars": stars, "words": said, "call_back": fields.get("call_back") == "1", "changed_ms": tx.now_ms}
        incident_id = ask.incident.id
        if ask.given is None:
            tx.conn.execute(t.ratings.insert().values(incident_id=incident_id, first_ms=tx.now_ms, **row))
        else:
            tx.conn.execute(update(t.ratings).where(t.ratings.c.incident_id == incident_id).values(**row))
        tx.chain.append(tx.now_ms, incident_id, "rated", None, {"stars": stars})
        return _find(tx.conn, ctx, token)

    ask = await ctx.store.write(job)
    if ask is None:
        return pages.note(lang, "rate.gone", 404)
    return _page(ctx, ask, lang, "rate.thanks" if stars else None)
