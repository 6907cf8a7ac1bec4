"""What every route needs, and who is asking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from duty_room import access
from duty_room.access import COOKIE, Principal
from duty_room.desk import Desk
from duty_room.feed import Feed
from duty_room.metrics import Metrics
from duty_room.registry import Registry
from duty_room.settings import Settings
from duty_room.store.store import Store
from duty_room.watch import Watch
from duty_room.web.problems import Problem
from edge.model import Person, Via
from edge.ports import Clockwork


@dataclass(slots=True)
class Context:
    """The rooms behind the routes."""

    settings: Settings
    store: Store
    desk: Desk
    registry: Registry
    watch: Watch
    feed: Feed
    metrics: Metrics
    clock: Clockwork
    key: bytes
    checks: Callable[[], dict[str, str]]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def context(request: Request) -> Context:
    """The context of this application."""
    found: Context = request.app.state.context
    return found


Ctx = Annotated[Context, Depends(context)]


def same_origin(request: Request, public_url: str) -> bool:
    """Does the browser say that our own page made this request?"""
    origin = request.headers.get("origin")
    if not origin or origin == "null":
        return False
    said = urlsplit(origin)
    ours = urlsplit(public_url)
    return (said.scheme, said.netloc) == (ours.scheme, ours.netloc) or said.netloc == request.headers.get("host")


def bearer(request: Request) -> str | None:
    """The token of the Authorization header."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


async def whoever(request: Request, ctx: Context) -> Principal | None:
    """Who asks, by token or by session; None: nobody we know."""
    now_ms = ctx.clock.wall_ms()
    token = bearer(request)
    if token is not None:
        return await ctx.store.read(lambda conn: access.by_token(conn, token, now_ms))
    session = request.cookies.get(COOKIE)
    if session is None:
        return None
    found = await ctx.store.read(lambda conn: access.by_session(conn, session, now_ms))
    if found is None:
        return None
    principal, used_ms = found
    if now_ms - used_ms > 300_000:
        await ctx.store.write(lambda tx: access.touch(tx, session))
    return principal


def needs(role: str) -> Callable[..., Awaitable[Principal]]:
    """A dependency: somebody of at least this role, and for cookies proof that our own page asks."""

    async def check(request: Request, ctx: Ctx) -> Principal:
        principal = await whoever(request, ctx)
        if principal is None:
            raise Problem(401, "unauthorized", "sign in, or send a bearer token")
        if request.method not in ("GET", "HEAD") and principal.csrf is not None:
            if not same_origin(request, ctx.settings.public_url):
                raise Problem(403, "origin", "the request does not come from our own page")
            if request.headers.get("x-csrf-token") != principal.csrf:
                raise Problem(403, "csrf", "X-CSRF-Token is missing or wrong")
        if not principal.may(role):
            raise Problem(403, "role", f"needs the role {role}")
        return principal

    return check


Viewer = Annotated[Principal, Depends(needs("viewer"))]
Officer = Annotated[Principal, Depends(needs("duty_officer"))]


def person(ctx: Context, principal: Principal) -> Person:
    """The person who acts: the first one on duty at that console, else the account itself.

    The id is that of people.csv where the name fits, else the account's.
    """
    via = Via.CONSOLE if principal.csrf is not None else Via.API
    name = principal.shift[0] if principal.shift else principal.name
    for one in ctx.registry.people:
        if name in (one.id, one.name):
            return Person(one.id, one.name, via)
    return Person(principal.name, name, via)
