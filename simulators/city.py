"""City stand-in: ``python -m simulators.city --broker mqtt://HOST:PORT --port N``.

Subscribes to what gateways send the city, checks every message against the JSON Schema files of docs/schema, and
shows what it got and what was wrong: ``/`` for people (Chinese first), ``/messages`` as JSON. It knows nothing of
the product but those files.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import os
import signal
import socket
import sys
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from jsonschema import Draft202012Validator, FormatChecker

SCHEMAS = Path(__file__).resolve().parent.parent / "docs" / "schema"
KINDS = ("summary", "fact")
KEPT = 500
RETRY_S = 2.0
BODY_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Got:
    """One message: where, what, and every way in which it does not fit its schema."""

    at: str
    topic: str
    kind: str
    body: Any
    faults: tuple[str, ...]
    repeated: bool


@dataclass
class City:
    """What has come so far; the newest KEPT messages are held."""

    validators: dict[str, Draft202012Validator]
    messages: deque[Got] = field(default_factory=lambda: deque(maxlen=KEPT))
    counts: Counter[str] = field(default_factory=Counter)
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=20 * KEPT))
    connected: bool = False

    @classmethod
    def load(cls, folder: Path = SCHEMAS) -> City:
        """Read the schemas. Raises FileNotFoundError where there are none."""
        found = {}
        for kind in KINDS:
            schema = json.loads((folder / f"{kind}.schema.json").read_text(encoding="utf-8"))
            found[kind] = Draft202012Validator(schema, format_checker=FormatChecker())
        return cls(found)

    def take(self, topic: str, payload: bytes) -> Got:
        """Check one message and keep it."""
        kind = topic.rpartition("/")[2]
        body, faults = self._check(kind, payload)
        ident = ""
        if isinstance(body, dict):
            ident = f"{kind} {body.get('id') or body.get('fact_id')}"
            gateway = topic.split("/")[-2]
            if body.get("gateway") != gateway:
                faults.append(f"gateway: {body.get('gateway')!r} speaks on the topic of {gateway!r}")
        repeated = bool(ident) and ident in self.seen
        self.seen.append(ident)
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        got = Got(at, topic, kind, body, tuple(faults), repeated)
        self.messages.append(got)
        self.counts.update([kind if kind in KINDS else "other"])
        self.counts.update(["failed"] if faults else ())
        self.counts.update(["repeated"] if repeated else ())
        return got

    def _check(self, kind: str, payload: bytes) -> tuple[Any, list[str]]:
        if len(payload) > BODY_BYTES_MAX:
            return None, [f"{len(payload)} bytes"]
        try:
            body = json.loads(payload, parse_constant=_no_constant)
        except (ValueError, RecursionError) as fault:
            return payload[:200].decode(errors="replace"), [f"no JSON: {fault}"]
        validator = self.validators.get(kind)
        if validator is None:
            return body, [f"unknown kind {kind}"]
        return body, [f"{'.'.join(map(str, e.absolute_path)) or '-'}: {e.message}" for e in validator.iter_errors(body)]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


async def listen(city: City, url: str, username: str | None, password: str | None) -> None:
    """Subscribe for ever; a broker that is away is tried again."""
    parts = urlsplit(url)
    while True:
        try:
            async with aiomqtt.Client(
                parts.hostname or "127.0.0.1",
                parts.port or 1883,
                username=username,
                password=password,
                identifier=None if username is None else username,
                clean_session=False if username else None,
            ) as client:
                for kind in KINDS:
                    await client.subscribe(f"linli/v1/+/{kind}", qos=1)
                city.connected = True
                async for message in client.messages:
                    payload = message.payload if isinstance(message.payload, bytes) else str(message.payload).encode()
                    city.take(message.topic.value, payload)
        except aiomqtt.MqttError:
            city.connected = False
            await asyncio.sleep(RETRY_S)


def create_app(city: City) -> FastAPI:
    """The page and the JSON."""
    app = FastAPI(title="Linli city stand-in", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/messages")
    async def messages() -> JSONResponse:
        """Counts, then the newest messages, oldest first."""
        kept = [asdict(got) for got in city.messages]
        return JSONResponse({"connected": city.connected, "counts": dict(city.counts), "messages": kept})

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The process answers."""
        return {"ok": True}

    @app.get("/")
    async def page(lang: str = "zh") -> HTMLResponse:
        """For people."""
        return HTMLResponse(render(city, "en" if lang == "en" else "zh"))

    return app


WORDS = {
    "zh": {
        "title": "市级平台（替身）",
        "lead": "楼宇网关送到市里的内容：只有分类、到网格为止的位置、时间和数量，没有姓名、电话、住户。",
        "switch": '<a href="/?lang=en">English</a>',
        "up": "已连接",
        "down": "未连接",
        "summary": "汇总",
        "fact": "报警事实",
        "failed": "不合格",
        "repeated": "重复",
        "none": "还没有收到消息。",
        "newest": "最新汇总",
        "protected": "生命安全点受保护",
        "at": "时间",
        "kind": "种类",
        "what": "内容",
        "ok": "合格",
    },
    "en": {
        "title": "City platform (stand-in)",
        "lead": "What gateways send the city: classes, places down to the grid, times and counts. No name, no flat.",
        "switch": '<a href="/">中文</a>',
        "up": "connected",
        "down": "not connected",
        "summary": "summaries",
        "fact": "alarm facts",
        "failed": "failed the schema",
        "repeated": "repeated",
        "none": "Nothing has come yet.",
        "newest": "Newest summary",
        "protected": "life-safety points protected",
        "at": "Time",
        "kind": "Kind",
        "what": "Content",
        "ok": "valid",
    },
}
ZH = {
    "smoke": "烟感",
    "gas": "燃气",
    "call_button": "呼叫按钮",
    "bin": "垃圾桶",
    "door": "门磁",
    "access": "门禁",
    "relay": "继电器",
    "air": "空气",
    "meter": "表计",
    "normal": "正常",
    "alarm": "报警",
    "fault": "故障",
    "offline": "离线",
    "unknown": "未知",
    "unsupervised": "只发不收",
}
"""Device classes and states for Chinese readers; a class that is not here shows as it is."""
FAULTS_SHOWN = 5
STYLE = """
body{font:15px/1.5 sans-serif;margin:0 auto;max-width:72rem;padding:1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}
td:last-child{overflow-wrap:anywhere}
.bad{color:#b00020;font-weight:600}.card{background:#f4f6f8;padding:.6rem 1rem;margin:1rem 0}
b.n{font-size:1.4rem;margin-right:.3rem}span.c{margin-right:1.5rem}nav{float:right}
"""


def render(city: City, lang: str) -> str:
    """The page, newest message first; renews itself every 5 s without a script."""
    word = WORDS[lang]
    counts = "".join(
        f'<span class="c{" bad" if name == "failed" and city.counts[name] else ""}">'
        f'<b class="n">{city.counts[name]}</b>{word[name]}</span>'
        for name in ("summary", "fact", "failed", "repeated")
    )
    rows = "".join(_row(got, word) for got in reversed(city.messages))
    table = (
        f"<table><tr><th>{word['at']}</th><th>{word['kind']}</th><th></th><th>{word['what']}</th></tr>{rows}</table>"
        if rows
        else f"<p>{word['none']}</p>"
    )
    return (
        f'<!doctype html><html lang="{"en" if lang == "en" else "zh-CN"}"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="5"><meta name="viewport" content="width=device-width">'
        f"<title>{word['title']}</title><style>{STYLE}</style></head><body><nav>{word['switch']}</nav>"
        f"<h1>{word['title']}</h1><p>{word['lead']}</p>"
        f"<p>{counts}<span>{word['up'] if city.connected else word['down']}</span></p>"
        f"{_newest(city, word, ZH if lang == 'zh' else {})}{table}</body></html>"
    )


def _newest(city: City, word: dict[str, str], own: dict[str, str]) -> str:
    """The newest good summary at a glance."""
    for got in reversed(city.messages):
        if got.kind == "summary" and not got.faults:
            guard = got.body["protection"]
            text = f"{guard['protected']} / {guard['life_safety_points']} {word['protected']}"
            kinds = " · ".join(
                f"{own.get(kind, kind)}: " + ", ".join(f"{own.get(state, state)} {n}" for state, n in states.items())
                for kind, states in got.body["devices"].items()
            )
            window = f"{got.body['window_start']} – {got.body['window_end']}"
            return (
                f'<div class="card"><h2>{word["newest"]}</h2><p>{html.escape(window)}</p>'
                f"<p><b>{html.escape(text)}</b></p><p>{html.escape(kinds)}</p></div>"
            )
    return ""


def _row(got: Got, word: dict[str, str]) -> str:
    verdict = (
        f'<td class="bad">{html.escape("; ".join(got.faults[:FAULTS_SHOWN]))}</td>'
        if got.faults
        else f"<td>{word['ok']}</td>"
    )
    body = html.escape(json.dumps(got.body, ensure_ascii=False))
    return f"<tr><td>{got.at}</td><td>{html.escape(got.topic)}</td>{verdict}<td>{body}</td></tr>"


async def serve(city: City, url: str, username: str | None, password: str | None, host: str, port: int) -> int:
    """Run until SIGINT or SIGTERM. Prints ``ready URL``. Exit 1 when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        print(f"{host}:{port}: {fault} (choose another --port)", file=sys.stderr)
        return 1
    listener.listen()
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn takes these while it serves and raises them again at its end; then they have done their work.
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(create_app(city), log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
    listening = asyncio.create_task(listen(city, url, username, password))
    print(f"ready http://{host}:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 good, 1 fault, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m simulators.city", description="City stand-in.")
    parser.add_argument("--broker", "--url", required=True, help="mqtt://HOST:PORT of the city's broker")
    parser.add_argument("--username", default=os.environ.get("LINLI_CITY_USERNAME"))
    parser.add_argument("--password-file", type=Path, help="else LINLI_CITY_PASSWORD of the environment")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    password = os.environ.get("LINLI_CITY_PASSWORD")
    if given.password_file is not None:
        password = given.password_file.read_text(encoding="utf-8").strip()
    try:
        city = City.load()
    except FileNotFoundError as fault:
        print(f"{fault.filename} is missing (run python -m cloud_bridge.schema)", file=sys.stderr)
        return 1
    return asyncio.run(serve(city, given.broker, given.username, password, given.host, given.port))


if __name__ == "__main__":
    sys.exit(main())
