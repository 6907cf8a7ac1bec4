"""Errors as RFC 9457 ``application/problem+json`` with a stable ``code``."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from edge.errors import NotDurable

PROBLEM = "application/problem+json"


class Problem(Exception):
    """Ends a request with a problem body."""

    def __init__(self, status: int, code: str, detail: str = "", **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.more = more

    def body(self) -> dict[str, Any]:
        """The members of RFC 9457, then our own."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, "code": self.code,
                **self.more}  # fmt: skip


def json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(
        orjson.dumps(body), status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


def answer(problem: Problem) -> Response:
    """The problem as a response."""
    headers = {"Cache-Control": "no-store"}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(problem.body()), problem.status, headers, media_type=PROBLEM)


_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def install(app: FastAPI) -> None:
    """Every error of the application becomes a problem body."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, problem: Problem) -> Response:
        return answer(problem)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, fault: HTTPException) -> Response:
        response = answer(Problem(fault.status_code, _CODES.get(fault.status_code, "refused"), str(fault.detail)))
        response.headers.update(fault.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, fault: RequestValidationError) -> Response:
        errors = [{"at": ".".join(str(p) for p in e["loc"]), "what": e["msg"]} for e in fault.errors()]
        return answer(Problem(422, "invalid", "the request does not fit", errors=errors))

    @app.exception_handler(Exception)
    async def _ours(_request: Request, _fault: Exception) -> Response:
        # The server logs the traceback; whoever asked learns only that it is our fault.
        return answer(Problem(500, "internal", "a fault of the duty room, written to its log"))

    @app.exception_handler(NotDurable)
    async def _not_durable(_request: Request, fault: NotDurable) -> Response:
        return answer(Problem(503, "not_durable", str(fault)))
