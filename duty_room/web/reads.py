"""Everything that only looks: snapshot, incidents, gateways, places, people, grids, who am I."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from duty_room import access, wire
from duty_room.access import COOKIE
from duty_room.incident import Helper
from duty_room.registry import site_body
from duty_room.store import rows
from duty_room.store import tables as t
from duty_room.web.context import Context, Ctx, Officer, Viewer, person
from duty_room.web.problems import Problem, json
from edge.model import rfc3339

router = APIRouter(prefix="/api/v1")

CAUSES = (
    "real", "false_cooking", "false_steam", "false_dust", "device_fault", "helped", "misuse", "test", "recovered"
)  # fmt: skip
"""Numbered choices of the console and the person's page; a resolve may carry other words too."""


def _open(conn: Connection) -> list[tuple[str, str]]:
    query = select(t.incidents.c.body, t.incidents.c.wire).where(t.incidents.c.closed_ms.is_(None))
    query = query.order_by(t.incidents.c.priority, t.incidents.c.opened_ms)
    return [(r.body, r.wire) for r in conn.execute(query)]


def people_body(ctx: Context, helpers: dict[str, tuple[Helper, str]]) -> list[dict[str, Any]]:
    """People without their addresses: who they are, their grid, and whether they are on the way somewhere."""
    people: list[dict[str, Any]] = []
    for one in ctx.registry.people:
        busy = helpers.get(one.id)
        people.append(
            {
                "id": one.id,
                "name": one.name,
                "role": one.role,
                "grid": one.grid,
                "reachable": bool(one.tell),
                "status": busy[0].step if busy else "free",
                "since": rfc3339(busy[0].at_ms) if busy else None,
                "incident": busy[1] if busy else None,
            }
        )
    return people


def _helpers(conn: Connection) -> dict[str, tuple[Helper, str]]:
    """Who is on the way where: the newest step of each person in an incident that is not yet resolved."""
    found: dict[str, tuple[Helper, str]] = {}
    states = ("dispatched", "en_route", "on_scene", "acknowledged", "unacknowledged")
    query = select(t.incidents.c.body).where(t.incidents.c.closed_ms.is_(None) & t.incidents.c.state.in_(states))
    for text in conn.execute(query).scalars():
        incident = wire.from_row(text)
        for helper in incident.helpers:
            if helper.id not in found or found[helper.id][0].at_ms < helper.at_ms:
                found[helper.id] = (helper, incident.id)
    return found


@router.get("/snapshot")
async def snapshot(ctx: Ctx, _principal: Viewer) -> Response:
    """All that the duty screen needs, from one read transaction; continue with ``stream`` after ``epoch``-``seq``."""

    def job(conn: Connection) -> tuple[int, list[tuple[str, str]], dict[str, tuple[Helper, str]]]:
        head = conn.execute(select(t.stream.c.seq).order_by(t.stream.c.seq.desc()).limit(1)).scalar()
        return int(head or rows.meta(conn, "stream_head") or 0), _open(conn), _helpers(conn)

    head, found, helpers = await ctx.store.read(job)
    return json(
        {
            "epoch": ctx.store.epoch,
            "seq": head,
            "server_time": rfc3339(ctx.clock.wall_ms()),
            "incidents": [orjson.Fragment(wired) for _, wired in found],
            "gateways": ctx.watch.bodies(),
            "people": people_body(ctx, helpers),
            "on_duty": ctx.watch.on_duty,
            "audible": ctx.watch.audible,
        }
    )


@router.get("/incidents/{incident_id}")
async def incident(ctx: Ctx, _principal: Viewer, incident_id: Annotated[str, Path(max_length=64)]) -> Response:
    """One incident, open or closed."""
    found = await ctx.store.read(lambda conn: rows.load(conn, incident_id))
    if found is None:
        raise Problem(404, "not_found", f"there is no incident {incident_id}")
    return json(wire.body(found), headers={"ETag": f'"{found.version}"'})


@router.get("/gateways")
async def gateways(ctx: Ctx, _principal: Viewer) -> Response:
    """The gateways, with the shape of their buildings."""
    sites = ctx.registry.sites
    bodies = [{**g, "site": site_body(sites[g["id"]]) if g["id"] in sites else None} for g in ctx.watch.bodies()]
    return json(bodies)


@router.get("/places")
async def places(ctx: Ctx, _principal: Viewer) -> Response:
    """The buildings as their gateways describe them."""
    return json(ctx.registry.places())


@router.get("/people")
async def people(ctx: Ctx, _principal: Viewer) -> Response:
    """The people of people.csv, without addresses, and what they are doing."""
    return json(people_body(ctx, await ctx.store.read(_helpers)))


@router.get("/grids")
async def grids(ctx: Ctx, _principal: Viewer) -> Response:
    """Grids, their people and buildings."""
    return json(ctx.registry.grids())


@router.get("/causes")
async def causes(_principal: Viewer) -> Response:
    """The numbered causes of a resolve."""
    return json(list(CAUSES))


@router.get("/me")
async def me(ctx: Ctx, principal: Viewer) -> Response:
    """Who I am; csrf goes into X-CSRF-Token of every POST of a browser session."""
    who = person(ctx, principal)
    communities = sorted({site.community for site in ctx.registry.sites.values()})
    return json(
        {
            "id": who.id,
            "name": who.name,
            "role": principal.role,
            "csrf": principal.csrf,
            "duty_room": ctx.settings.id,
            "site": "、".join(communities) or None,
            "timezone": ctx.settings.timezone,
            "account": principal.name,
            "shift": list(principal.shift),
        }
    )


class Shift(BaseModel):
    """Who is on duty at this console; the steps taken there carry the first name."""

    model_config = ConfigDict(extra="ignore")
    names: list[Annotated[str, Field(min_length=1, max_length=64, pattern=r"\S")]] = Field(max_length=12)


@router.post("/me/shift")
async def shift(request: Request, ctx: Ctx, principal: Officer, body: Shift) -> Response:
    """Begin a shift (the names of the people on duty) or end it (no names). For browser sessions; kept in the log."""
    session = request.cookies.get(COOKIE)
    if principal.csrf is None or session is None:
        raise Problem(403, "session_only", "a shift belongs to a browser session; a token is one name already")
    names = list(dict.fromkeys(" ".join(name.split()) for name in body.names))
    if names != list(principal.shift):
        await ctx.store.write(lambda tx: access.set_shift(tx, session, principal, names))
    return json({"shift": names})


class Health(BaseModel):
    """What a console says of itself every 10 s."""

    sound: bool
    stream: bool
    seq: int = Field(default=0, ge=0)
    on_duty: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=12)


@router.post("/consoles/health")
async def health(ctx: Ctx, principal: Viewer, body: Health) -> Response:
    """A console reports whether somebody can hear it. A screen that may only look is nobody who answers."""
    counts = principal.may("duty_officer")
    names = principal.shift or tuple(body.on_duty)
    ctx.watch.console(principal.key, principal.name, body.sound and counts, body.stream, names)
    return json({"audible": ctx.watch.audible, "on_duty": ctx.watch.on_duty, "seq": ctx.feed.head})


@router.post("/sessions/end")
async def end(request: Request, ctx: Ctx, _principal: Viewer) -> Response:
    """Sign out."""
    session = request.cookies.get(COOKIE)
    if session:
        await ctx.store.write(lambda tx: access.end_session(tx, session))
    response = json({})
    response.delete_cookie(COOKIE, path="/")
    return response
