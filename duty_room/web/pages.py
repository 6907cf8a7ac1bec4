"""Rendering of the pages that work without JavaScript: one request, a strict policy, no referrer."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from fastapi import Request
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse

from duty_room import words

_TEMPLATES = Environment(
    loader=PackageLoader("duty_room.web", "templates"), autoescape=select_autoescape(default=True), trim_blocks=True
)


def language(request: Request) -> str:
    """The language of this visitor."""
    return words.choose(request.query_params.get("lang"), request.headers.get("accept-language"))


def clock_time(at_ms: int, timezone: str) -> str:
    """Hours, minutes and seconds at the site."""
    return datetime.fromtimestamp(at_ms / 1000, tz=ZoneInfo(timezone)).strftime("%H:%M:%S")


async def form(request: Request) -> dict[str, str]:
    """The fields of a plain form; the last one wins. Other kinds of bodies are empty."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    return {name: values[-1] for name, values in fields.items()}


def since(lang: str, at_ms: int, now_ms: int) -> str:
    """How long ago, in words."""
    minutes = max(0, (now_ms - at_ms) // 60_000)
    return words.say(lang, "page.since", minutes=minutes) if minutes else words.say(lang, "page.now")


def render(template: str, lang: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. Its one style block carries a nonce; nothing else may run or load."""
    nonce = secrets.token_urlsafe(12)
    text = _TEMPLATES.get_template(template).render(lang=lang, nonce=nonce, t=partial(words.say, lang), **values)
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(text, status, headers)


def note(lang: str, key: str, status: int) -> HTMLResponse:
    """A page with one sentence."""
    return render("note.html", lang, status, text=words.say(lang, key))
