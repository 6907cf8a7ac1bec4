"""The gate before every route: bearer token, size of the body, headers. Nothing behind it runs unasked."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from fastapi.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX: Final = 16 * 1024
"""No verb of the local API needs more."""
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
PERSON_PREFIX: Final = "/a/"
"""Pages of named persons carry their own token in the path."""
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def problem(status: int, code: str, detail: str, **more: object) -> JSONResponse:
    """An error as RFC 9457, with a stable code."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


class Gate:
    """ASGI middleware. Compares the token in constant time and counts the bytes of every body."""

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401 or 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        headers = dict(scope["headers"])
        if not self._may_pass(scope["path"], headers.get(b"authorization", b"")):
            refusal = problem(401, "unauthorized", "the bearer token of data_dir/secrets/api.token is needed")
            await refusal(scope, receive, answer)
            return
        body = await _read(receive)
        if body is None:
            await problem(413, "too_large", f"at most {BODY_BYTES_MAX} bytes")(scope, receive, answer)
            return
        given = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, answer)

    def _may_pass(self, path: str, authorization: bytes) -> bool:
        if path in OPEN_PATHS or path.startswith(PERSON_PREFIX):
            return True
        scheme, _, given = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when it goes over its bound. What a client sends is never held beyond the bound."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return bytes(body)
