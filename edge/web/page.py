"""The local person's page ``/a/<token>`` on the gateway's own address (DESIGN §4.15).

For the hour when duty room and city are away: a page without JavaScript on which a named person of the roster
answers an alarm. A GET changes nothing (chat programs prefetch links); the one button is a POST.
"""

from __future__ import annotations

import base64
import hashlib
import html
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge.model import Command, CommandKind, Condition, Person, Recipient, Result, Via
from edge.web.secrets import person_token
from edge.web.view import AlarmView, GatewayView
from edge.words import CLASS_WORDS, place_words

CONDITION_WORDS: Final = {
    Condition.ON: ("仍在报警", "still in alarm"),
    Condition.OFF: ("现场已恢复", "no longer in alarm"),
    Condition.UNKNOWN: ("现状未知", "condition unknown"),
}
_STYLE: Final = (
    "body{font:18px/1.5 sans-serif;margin:0 auto;max-width:32rem;padding:1rem;color:#1a1a1a;background:#fff}"
    "h1{font-size:1.6rem;margin:.5rem 0}.en{color:#595959;font-size:.9em}.p1 h1{color:#b00020}"
    "dl{margin:1rem 0}dt{color:#595959;font-size:.85rem}dd{margin:0 0 .6rem}"
    "button{width:100%;min-height:4rem;font-size:1.3rem;border:0;border-radius:.5rem;background:#0b57d0;color:#fff}"
    ".note{padding:.8rem;background:#fff3cd;border-left:.3rem solid #b58100}.done{background:#e6f4ea;padding:.8rem}"
)
_CSP: Final = (
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)


@dataclass
class LocalPage:
    """Who may answer on site. secret: made at first start (``load_or_create_secret``); tokens derive from it.

    The index of tokens follows the open alarms, so a request costs no search and an old link ends with its alarm.
    """

    secret: str
    people: Sequence[Recipient]
    timezone: str = "Asia/Shanghai"
    _index: dict[str, tuple[str, Recipient]] = field(default_factory=dict)
    _indexed: set[str] = field(default_factory=set)

    def path(self, alarm_id: str, person_id: str) -> str:
        """The path to put after the gateway's address into a message, e.g. ``/a/3q2-7w…``."""
        return f"/a/{person_token(self.secret, alarm_id, person_id)}"

    def find(self, token: str, alarms: Sequence[AlarmView]) -> tuple[AlarmView, Recipient] | None:
        """The open alarm and the person a token stands for; None when it stands for nothing (any more)."""
        now_open = {alarm.alarm_id: alarm for alarm in alarms}
        if self._indexed - now_open.keys():
            self._index = {mark: found for mark, found in self._index.items() if found[0] in now_open}
            self._indexed &= now_open.keys()
        for alarm_id in now_open.keys() - self._indexed:
            for person in self.people:
                self._index[person_token(self.secret, alarm_id, person.id)] = (alarm_id, person)
            self._indexed.add(alarm_id)
        found = self._index.get(token)
        return None if found is None else (now_open[found[0]], found[1])


def mount_page(app: FastAPI, view: GatewayView, page: LocalPage) -> None:
    """Add GET and POST ``/a/<token>``."""

    @app.get("/a/{token}", include_in_schema=False)
    async def show(token: str) -> Response:
        found = page.find(token, view.alarms())
        return _gone() if found is None else _page(found[0], found[1], page.timezone)

    @app.post("/a/{token}", include_in_schema=False)
    async def answer(token: str, request: Request) -> Response:
        found = page.find(token, view.alarms())
        if found is None:
            return _gone()
        alarm, person = found
        form = parse_qs((await request.body()).decode(errors="replace"))
        if form.get("rings") != [str(alarm.rings)]:
            # It rang again after this person looked: nobody acknowledges what nobody has seen.
            return _page(
                alarm, person, page.timezone, 409, "又有新的报警，请再看一遍。", "It rang again: look once more."
            )
        command = Command(
            command_id=f"page-{uuid.uuid4().hex}",
            kind=CommandKind.ACKNOWLEDGE,
            alarm_id=alarm.alarm_id,
            by=Person(person.id, person.name, Via.PHONE),
            at_ms=view.now_ms(),
        )
        outcome = await view.command(command)
        if outcome.result is not Result.DONE:
            return _page(alarm, person, page.timezone, 409, "没有成功，请再试。", f"Not done: {outcome.message}")
        return RedirectResponse(f"/a/{token}", 303)


def _page(
    alarm: AlarmView, person: Recipient, timezone: str, status: int = 200, note_zh: str = "", note_en: str = ""
) -> Response:
    last = alarm.last
    zh, en = CLASS_WORDS[last.alarm_class]
    condition_zh, condition_en = CONDITION_WORDS[last.condition]
    raised = datetime.fromtimestamp(alarm.raised_ms / 1000, ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M:%S")
    place_zh, place_en = place_words(last.place)
    facts = [
        ("位置", "Place", f"{html.escape(place_zh)}<br>{_en(html.escape(place_en))}"),
        ("时间", "Time", raised),
        ("现状", "Condition", f"{condition_zh} {_en(condition_en)}"),
    ]
    if alarm.count > 1:
        facts.append(("次数", "Times", str(alarm.count)))
    rows = "".join(f"<dt>{a} {_en(b)}</dt><dd>{c}</dd>" for a, b, c in facts)
    note = f'<p class="note">{html.escape(note_zh)} {_en(html.escape(note_en))}</p>' if note_zh else ""
    body = (
        f'<main class="p{last.priority}"><h1>{zh} {_en(en)}</h1>{note}<dl>{rows}</dl>{_deed(alarm, person)}'
        f'<p class="en">{html.escape(person.name)}</p></main>'
    )
    return _html(f"{zh} {en}", body, status)


def _deed(alarm: AlarmView, person: Recipient) -> str:
    """The one button, or who has already pressed it."""
    taken = alarm.acknowledged
    if taken is not None:
        name = html.escape(taken.name)
        return f'<p class="done">已由 {name} 确认 {_en(f"acknowledged by {name}")}</p>'
    if not alarm.unanswered:
        return f'<p class="done">现在不需要确认 {_en("nothing to acknowledge now")}</p>'
    return (
        f'<form method="post"><input type="hidden" name="rings" value="{alarm.rings}">'
        f"<button>我知道了，我来处理<br>{html.escape('I have seen it, I deal with it')}</button></form>"
    )


def _gone() -> Response:
    why = _en("This link is over: the alarm has ended, or it was never valid.")
    text = f"<main><h1>链接已失效</h1><p>{why}</p></main>"
    return _html("链接已失效", text, 404)


def _en(text: str) -> str:
    return f'<span class="en" lang="en">{text}</span>'


def _html(title: str, body: str, status: int) -> Response:
    page = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    return HTMLResponse(page, status, {"Content-Security-Policy": _CSP})
