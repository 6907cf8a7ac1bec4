"""``/a/<token>``: the page of one person for one incident. One big button: 我去 → 已到场 → 已处置.

Below it, smaller: 去不了 (the next person is told at once) and, for who is going, 需要支援.

GET changes nothing (chat apps fetch links). Each step is a POST with the nonce of that step, which works once: it is
derived from the key and the number of steps taken, so showing the page needs no row.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from sqlalchemy import Connection, select, update
from starlette.responses import HTMLResponse, RedirectResponse, Response

from duty_room import words
from duty_room.access import derived, digest
from duty_room.causes import causes_of
from duty_room.desk import Impossible, Stale
from duty_room.incident import Helper, Incident, State
from duty_room.ladder import Someone
from duty_room.limits import LINK_KEEP_S
from duty_room.steps import Wish
from duty_room.store import rows
from duty_room.store import tables as t
from duty_room.store.store import Tx
from duty_room.web import pages
from duty_room.web.context import Context, Ctx
from edge.model import Person, Via

router = APIRouter(include_in_schema=False)


def make_link(tx: Tx, key: bytes, incident_id: str, person_id: str) -> str:
    """The token of this person for this incident; always the same one, stored as its hash."""
    token = derived(key, "person", incident_id, person_id)
    if tx.conn.execute(select(t.links.c.hash).where(t.links.c.hash == digest(token))).first() is None:
        row = {"hash": digest(token), "incident_id": incident_id, "person_id": person_id, "steps": 0}
        tx.conn.execute(t.links.insert(), row)
        tx.chain.append(tx.now_ms, incident_id, "link_made", person_id, {})
    return token


@dataclass(frozen=True, slots=True)
class Visit:
    """A link that is alive."""

    incident: Incident
    person: Someone
    steps: int
    token: str


def _find(conn: Connection, ctx: Context, token: str) -> Visit | None:
    row = conn.execute(select(t.links).where(t.links.c.hash == digest(token))).first()
    if row is None or row.revoked_ms is not None:
        return None
    incident = rows.load(conn, row.incident_id)
    person = ctx.registry.person(row.person_id)
    if incident is None or person is None:
        return None
    if incident.closed_ms is not None and ctx.clock.wall_ms() >= incident.closed_ms + LINK_KEEP_S * 1000:
        return None
    return Visit(incident, person, row.steps, token)


def _nonce(ctx: Context, token: str, steps: int) -> str:
    return derived(ctx.key, "nonce", token, str(steps))


def _mine(visit: Visit) -> Helper | None:
    return next((h for h in visit.incident.helpers if h.id == visit.person.id), None)


def next_step(incident: Incident, mine: Helper | None) -> str | None:
    """What the one button does now; None when all is done."""
    if incident.state in (State.RESOLVED, State.CLOSED):
        return None
    if incident.state is State.UNACKNOWLEDGED or mine is None or mine.step == "dispatched":
        return "go"
    return "arrive" if mine.step == "en_route" else "resolve"


def side_steps(incident: Incident, mine: Helper | None) -> tuple[str, ...]:
    """What else this person may say now: 去不了 before he is there, 需要支援 once he has set out."""
    if incident.state in (State.RESOLVED, State.CLOSED):
        return ()
    there = mine is not None and mine.step == "on_scene"
    going = there or (mine is not None and mine.step == "en_route")
    asked = ("support",) if going and incident.state is not State.UNACKNOWLEDGED and not incident.support else ()
    return asked if there else (*asked, "pass-on")


def wishes(incident: Incident, mine: Helper | None, step: str, by: Person, at_ms: int, **more: Any) -> list[Wish]:
    """The steps behind one tap: 我去 is an acknowledge by that person and, unless already going, on the way."""
    if step in ("pass-on", "support"):
        return [Wish(step, by, at_ms, reason=more.get("note"))]
    if step == "arrive":
        return [Wish("arrive", by, at_ms)]
    if step == "resolve":
        return [Wish("resolve", by, at_ms, cause=more.get("cause"), note=more.get("note"))]
    taken = [Wish("acknowledge", by, at_ms)] if incident.state is State.UNACKNOWLEDGED else []
    going = mine is not None and mine.step in ("en_route", "on_scene")
    return taken if going else [*taken, Wish("en-route", by, at_ms)]


def _said(visit: Visit, lang: str, zone: str) -> str | None:
    """What the duty room has of this person, and since when; never more than what is written down."""
    steps = ("en_route", "on_scene", "resolved", "acknowledged", "cannot_go", "support")
    last = next(
        (s for s in reversed(visit.incident.timeline) if s.by and s.by.id == visit.person.id and s.step in steps), None
    )
    mine = _mine(visit)
    if last is not None:
        key = {"cannot_go": "page.passed", "support": "page.supported"}.get(last.step, "page.received")
        return words.say(lang, key, time=pages.clock_time(last.at_ms, zone))
    return words.say(lang, "page.received", time=pages.clock_time(mine.at_ms, zone)) if mine else None


_ADVICE = {"fire": "page.advice.fire", "gas": "page.advice.gas", "sos": "page.advice.sos"}


def _page(ctx: Context, visit: Visit, lang: str, notice: str | None = None, status: int = 200) -> HTMLResponse:
    incident, zone = visit.incident, ctx.settings.timezone
    mine = _mine(visit)
    step = next_step(incident, mine)
    button = {"go": "page.go", "arrive": "page.arrived", "resolve": "page.done"}.get(step or "")
    others = [
        {
            "name": h.name,
            "step": words.say(lang, f"page.step.{h.step}"),
            "time": pages.clock_time(h.at_ms, zone),
        }
        for h in incident.helpers
        if h.id != visit.person.id
    ]
    return pages.render(
        "person.html",
        lang,
        status,
        notice=words.say(lang, notice) if notice else None,
        hello=words.say(lang, "page.hello", name=visit.person.name),
        what=words.class_name(lang, incident.alarm_class.value),
        where=words.place_text(lang, incident.place),
        condition=words.say(lang, f"condition.{incident.condition.value}"),
        state=words.say(lang, f"state.{incident.state.value}"),
        since=pages.since(lang, incident.opened_ms, ctx.clock.wall_ms()),
        times=words.say(lang, "page.times", n=incident.repeats + 1) if incident.repeats else None,
        advice=words.say(lang, _ADVICE.get(incident.alarm_class.value.split(".")[0], "page.advice.other")),
        priority=incident.priority,
        test=incident.test,
        step=step,
        step_nonce=_nonce(ctx, visit.token, visit.steps),
        button=words.say(lang, button) if button else None,
        sides=side_steps(incident, mine),
        causes=causes_of(incident.alarm_class.value),
        over=words.say(lang, "page.closed" if incident.state is State.CLOSED else "page.over"),
        received=_said(visit, lang, zone),
        helpers=others,
    )


Token = Annotated[str, Path(max_length=64)]


@router.get("/a/{token}")
async def show(request: Request, ctx: Ctx, token: Token) -> HTMLResponse:
    """The page. Changes nothing."""
    lang = pages.language(request)
    visit = await ctx.store.read(lambda conn: _find(conn, ctx, token))
    if visit is None:
        return pages.note(lang, "page.gone", 404)
    notice = request.query_params.get("note")
    return _page(ctx, visit, lang, f"page.{notice}" if notice in ("repeated", "refused") else None)


@router.post("/a/{token}")
async def tap(request: Request, ctx: Ctx, token: Token) -> Response:
    """One tap. A second tap on the same page changes nothing and says so."""
    lang = pages.language(request)
    fields = await pages.form(request)
    step, cause = fields.get("step", ""), fields.get("cause")
    note = fields.get("note", "").strip()[:200] or None

    def job(tx: Tx) -> str:
        visit = _find(tx.conn, ctx, token)
        if visit is None:
            return "gone"
        if not hmac.compare_digest(fields.get("nonce", "").encode(), _nonce(ctx, token, visit.steps).encode()):
            return "repeated"
        mine = _mine(visit)
        fits = step == next_step(visit.incident, mine) or step in side_steps(visit.incident, mine)
        if not fits or (step == "resolve" and cause not in causes_of(visit.incident.alarm_class.value)):
            return "refused"
        by = Person(visit.person.id, visit.person.name, Via.PHONE)
        wanted = wishes(visit.incident, mine, step, by, tx.now_ms, cause=cause, note=note)
        ctx.desk.take_steps(tx, visit.incident.id, wanted, None)
        tx.conn.execute(update(t.links).where(t.links.c.hash == digest(token)).values(steps=visit.steps + 1))
        tx.chain.append(tx.now_ms, visit.incident.id, "link_used", visit.person.id, {"step": step})
        return "done"

    try:
        done = await ctx.desk.run(job)
    except (Impossible, Stale):
        done = "refused"
    if done == "gone":
        return pages.note(lang, "page.gone", 404)
    # Back to GET, so that reloading the page can never send the step again.
    where = f"/a/{token}?lang={lang}" + (f"&note={done}" if done != "done" else "")
    return RedirectResponse(where, 303, headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})


def link_url(ctx_url: str, token: str) -> str:
    """The address that is sent to the person."""
    return f"{ctx_url.rstrip('/')}/a/{token}"
