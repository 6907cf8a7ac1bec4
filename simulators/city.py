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
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiomqtt
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from jsonschema import Draft202012Validator, FormatChecker

from simulators.city_words import WORDS, ZH, fact_sentence, local_time, summary_sentence

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
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))

    @classmethod
    def load(cls, folder: Path = SCHEMAS, zone: str = "Asia/Shanghai") -> City:
        """Read the schemas. Raises FileNotFoundError where there are none, ZoneInfoNotFoundError for no such zone."""
        found = {}
        for kind in KINDS:
            schema = json.loads((folder / f"{kind}.schema.json").read_text(encoding="utf-8"))
            found[kind] = Draft202012Validator(schema, format_checker=FormatChecker())
        return cls(found, zone=ZoneInfo(zone))

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
    async def page(lang: str = "zh", still: bool = False) -> HTMLResponse:
        """For people. ``?still=1`` does not renew itself: what was unfolded stays so."""
        return HTMLResponse(render(city, "en" if lang == "en" else "zh", still))

    return app


FAULTS_SHOWN = 5
STYLE = """
body{font:15px/1.5 sans-serif;margin:0 auto;max-width:72rem;padding:1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}
td{overflow-wrap:anywhere}td:first-child,td:last-child{white-space:nowrap}details{color:#52606d;font-size:.85rem}
pre{white-space:pre-wrap;margin:.3rem 0}
.bad{color:#b00020;font-weight:600}.card{background:#f4f6f8;padding:.6rem 1rem;margin:1rem 0}
b.n{font-size:1.4rem;margin-right:.3rem}span.c{margin-right:1.5rem}nav{float:right}
"""


def render(city: City, lang: str, still: bool = False) -> str:
    """The page, newest message first; renews itself every 5 s without a script."""
    renew = "" if still else '<meta http-equiv="refresh" content="5">'
    hold = f'<a href="/?lang={lang}{"" if still else "&amp;still=1"}">{WORDS[lang]["go_on" if still else "hold"]}</a>'
    word = WORDS[lang]
    counts = "".join(
        f'<span class="c{" bad" if name == "failed" and city.counts[name] else ""}">'
        f'<b class="n">{city.counts[name]}</b>{word[name]}</span>'
        for name in ("summary", "fact", "failed", "repeated")
    )
    rows = "".join(_row(got, lang, city.zone) for got in reversed(city.messages))
    table = (
        f"<table><tr><th>{word['at']}</th><th>{word['what']}</th><th></th></tr>{rows}</table>"
        if rows
        else f"<p>{word['none']}</p>"
    )
    return (
        f'<!doctype html><html lang="{"en" if lang == "en" else "zh-CN"}"><head><meta charset="utf-8">'
        f'{renew}<meta name="viewport" content="width=device-width">'
        f"<title>{word['title']}</title><style>{STYLE}</style></head><body><nav>{hold} · {word['switch']}</nav>"
        f"<h1>{word['title']}</h1><p>{word['lead']}</p>"
        f"<p>{counts}<span>{word['up'] if city.connected else word['down']}</span></p>"
        f"{_newest(city, lang)}{table}</body></html>"
    )


def _newest(city: City, lang: str) -> str:
    """The newest good summary at a glance."""
    word, own = WORDS[lang], ZH if lang == "zh" else {}
    for got in reversed(city.messages):
        if got.kind == "summary" and not got.faults:
            text = summary_sentence(got.body, lang, city.zone)
            kinds = " · ".join(
                f"{own.get(kind, kind)}: " + ", ".join(f"{own.get(state, state)} {n}" for state, n in states.items())
                for kind, states in got.body["devices"].items()
            )
            return (
                f'<div class="card"><h2>{word["newest"]}</h2>'
                f"<p><b>{html.escape(text)}</b></p><p>{html.escape(kinds)}</p></div>"
            )
    return ""


def _row(got: Got, lang: str, zone: ZoneInfo) -> str:
    """One message: the sentence first, what really came folded beneath it."""
    word = WORDS[lang]
    body = html.escape(json.dumps(got.body, ensure_ascii=False, indent=1))
    raw = f"<details><summary>{word['raw']} · {html.escape(got.topic)}</summary><pre>{body}</pre></details>"
    if got.faults:
        verdict = f'<td class="bad">{word["failed"]}</td>'
        text = "; ".join(got.faults[:FAULTS_SHOWN])
    else:
        verdict = f"<td>{word['ok']}{word['comma'] + word['repeated'] if got.repeated else ''}</td>"
        text = fact_sentence(got.body, lang) if got.kind == "fact" else summary_sentence(got.body, lang, zone)
    at = got.body["at"] if got.kind == "fact" and not got.faults else got.at
    return f"<tr><td>{html.escape(local_time(at, zone))}</td><td>{html.escape(text)}{raw}</td>{verdict}</tr>"


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
    parser.add_argument("--timezone", default="Asia/Shanghai", help="whose time of day the page shows")
    given = parser.parse_args(arguments)
    password = os.environ.get("LINLI_CITY_PASSWORD")
    if given.password_file is not None:
        password = given.password_file.read_text(encoding="utf-8").strip()
    try:
        city = City.load(zone=given.timezone)
    except ZoneInfoNotFoundError:
        print(f"--timezone {given.timezone}: no such time zone (write it like Asia/Shanghai)", file=sys.stderr)
        return 2
    except FileNotFoundError as fault:
        print(f"{fault.filename} is missing (run python -m cloud_bridge.schema)", file=sys.stderr)
        return 1
    return asyncio.run(serve(city, given.broker, given.username, password, given.host, given.port))


if __name__ == "__main__":
    sys.exit(main())
