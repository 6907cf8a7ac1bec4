"""The FastAPI application: routes, errors, bounds, health, and no cross-origin anything."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from duty_room.limits import BODY_BYTES_MAX
from duty_room.web import actions, desk_page, ledger, person, problems, rating, reads, statistics, stream
from duty_room.web.context import Context, Ctx
from duty_room.web.problems import Problem, answer, json


class BodyLimit:
    """Refuses large bodies before they are read, and guards the ones that lie about their size."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            await answer(Problem(413, "too_large", f"at most {BODY_BYTES_MAX} bytes"))(scope, receive, send)
            return
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > BODY_BYTES_MAX:
                # The rest is not read: for the application the body ends here and will not parse.
                return {"type": "http.request", "body": b"", "more_body": False}
            return message

        await self._app(scope, counted, send)


def _name(route: APIRoute) -> str:
    """Operation ids of the OpenAPI file: the function's own name, unique by module."""
    return f"{route.endpoint.__module__.rsplit('.', 1)[-1]}_{route.name}"


def create(context: Context) -> FastAPI:
    """The application over these rooms."""
    app = FastAPI(
        title="Linli duty room",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=_name,
    )
    app.state.context = context
    problems.install(app)
    app.add_middleware(BodyLimit)
    _health(app)
    for module in (actions, reads, stream, statistics, ledger, person, rating, desk_page):
        app.include_router(module.router)
    return app


def _health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz() -> Response:
        """200 while the loop runs."""
        return json({"ok": True})

    @app.get("/readyz", tags=["health"])
    async def readyz(ctx: Ctx) -> Response:
        """200 when all works, else 503; what works, by name."""
        checks = ctx.checks()
        good = all(state == "ok" for state in checks.values())
        body: dict[str, Any] = {"checks": checks}
        return json(body, 200 if good else 503)

    @app.get("/metrics", tags=["health"])
    async def metrics(ctx: Ctx) -> Response:
        """For Prometheus; no names, no places."""
        ctx.metrics.audible.set(1 if ctx.watch.audible else 0)
        for view in ctx.watch.gateways.values():
            value = {"heard": 1, "lost": 0}.get(view.state, -1)
            ctx.metrics.gateways.labels(view.id).set(value)
        return Response(ctx.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")
