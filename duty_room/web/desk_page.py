"""The console's files, signing in, and the plain page that stands in where the console was not built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from duty_room import access, wire, words
from duty_room.access import COOKIE
from duty_room.desk import Impossible, NoIncident, Stale
from duty_room.incident import Incident, State
from duty_room.limits import SESSION_MAX_S
from duty_room.steps import Wish
from duty_room.store import tables as t
from duty_room.web import pages
from duty_room.web.context import Context, Ctx, person, same_origin, whoever

router = APIRouter(include_in_schema=False)
DIST = Path(__file__).parent / "dist"
CONSOLE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
KINDS = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".map": "application/json",
}


@router.get("/sign-in/{secret}")
async def sign_in(request: Request, ctx: Ctx, secret: str) -> Response:
    """Use a one-time link: the browser gets a session and goes to the console."""
    done = await ctx.store.write(lambda tx: access.sign_in(tx, secret))
    if done is None:
        return pages.note(pages.language(request), "desk.sign_in_used", 403)
    session, _principal = done
    response = RedirectResponse("/", 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    response.set_cookie(
        COOKIE,
        session,
        max_age=round(SESSION_MAX_S),
        httponly=True,
        samesite="lax",
        secure=ctx.settings.public_url.startswith("https:"),
        path="/",
    )
    return response


@router.get("/")
async def console(request: Request, ctx: Ctx) -> Response:
    """The console; the plain page where it was not built, or with ``?plain=1``."""
    index = DIST / "index.html"
    if index.is_file() and "plain" not in request.query_params:
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": CONSOLE_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return FileResponse(index, headers=headers, media_type="text/html; charset=utf-8")
    return await _plain(request, ctx)


@router.get("/assets/{name:path}")
async def assets(name: str) -> Response:
    """Files of the console: their names carry their hash, so browsers may keep them."""
    path = (DIST / "assets" / name).resolve()
    if not path.is_relative_to(DIST.resolve()) or not path.is_file() or path.suffix not in KINDS:
        return Response(status_code=404)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Security-Policy": CONSOLE_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return FileResponse(path, headers=headers, media_type=KINDS[path.suffix])


async def _plain(request: Request, ctx: Context, notice: str | None = None) -> HTMLResponse:
    lang = pages.language(request)
    principal = await whoever(request, ctx)
    if principal is None:
        return pages.note(lang, "desk.signed_out", 401)

    query = t.incidents.select().where(t.incidents.c.closed_ms.is_(None))
    query = query.order_by(t.incidents.c.priority, t.incidents.c.opened_ms).limit(200)
    found = await ctx.store.read(lambda conn: [wire.from_row(r.body) for r in conn.execute(query)])
    found.sort(key=lambda i: (i.state is not State.UNACKNOWLEDGED, i.priority, i.opened_ms))
    may = principal.may("duty_officer") and principal.csrf is not None
    now_ms = ctx.clock.wall_ms()
    return pages.render(
        "desk.html",
        lang,
        rows=[_row(lang, incident, now_ms, may) for incident in found],
        csrf=principal.csrf or "",
        notice=words.say(lang, notice) if notice else None,
    )


def _row(lang: str, incident: Incident, now_ms: int, may: bool) -> dict[str, Any]:
    return {
        "id": incident.id,
        "version": incident.version,
        "priority": incident.priority,
        "what": words.class_name(lang, incident.alarm_class.value),
        "where": words.place_text(lang, incident.place),
        "condition": words.say(lang, f"condition.{incident.condition.value}"),
        "state": words.say(lang, f"state.{incident.state.value}"),
        "by": incident.acknowledged.by.name if incident.acknowledged else None,
        "since": pages.since(lang, incident.opened_ms, now_ms),
        "repeats": incident.repeats,
        "flags": " · ".join(incident.flags),
        "may_acknowledge": may and incident.state is State.UNACKNOWLEDGED,
    }


@router.post("/plain/acknowledge")
async def acknowledge(request: Request, ctx: Ctx) -> Response:
    """The acknowledge form of the plain page."""
    lang = pages.language(request)
    principal = await whoever(request, ctx)
    if principal is None:
        return pages.note(lang, "desk.signed_out", 401)
    fields = await pages.form(request)
    ours = principal.csrf is not None and fields.get("csrf") == principal.csrf
    if not ours or not same_origin(request, ctx.settings.public_url) or not principal.may("duty_officer"):
        return pages.note(lang, "desk.signed_out", 403)
    wish = Wish("acknowledge", person(ctx, principal), ctx.clock.wall_ms(), account=principal.name)
    seen = int(fields["version"]) if fields.get("version", "").isdecimal() else 0
    try:
        await ctx.desk.run(lambda tx: ctx.desk.take_steps(tx, fields.get("id", ""), [wish], seen))
    except (Stale, Impossible, NoIncident):
        return await _plain(request, ctx, "desk.lost")
    return await _plain(request, ctx, "desk.done")
