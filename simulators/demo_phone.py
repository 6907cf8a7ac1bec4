"""``python -m simulators.demo_phone``: a stand-in for everybody's phone. Apprise posts come in, messages are shown.

POST /to/PERSON (Apprise ``json://``) · GET /messages[?person=ID] · GET / the phones, side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import re
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BODY_BYTES_MAX = 64 * 1024
MESSAGES_MAX = 2000
"""A demo left alone for days keeps the newest."""
PAGE = Path(__file__).parent / "page" / "phone.html"
LINK = re.compile(r"https?://[^\s<>\"']+")


class Inbox:
    """Messages of all people, oldest first; kept in a file, so that a restart loses none."""

    def __init__(self, keep: Path | None, people: list[dict[str, str]]) -> None:
        self.people = people
        self._keep = keep
        self._lock = threading.Lock()
        self._messages: list[dict[str, Any]] = []
        if keep is not None and keep.exists():
            self._load(keep)

    def _load(self, keep: Path) -> None:
        """A kill may tear the last line; what was answered to Apprise is whole. The file is written anew, short."""
        for line in keep.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                self._messages.append(json.loads(line))
        self._messages = self._messages[-MESSAGES_MAX:]
        keep.write_text("".join(json.dumps(m, ensure_ascii=False) + "\n" for m in self._messages), encoding="utf-8")

    def add(self, person: str, body: dict[str, Any]) -> dict[str, Any]:
        """Keep one message as Apprise sends it (title, message, type)."""
        title, text = str(body.get("title") or ""), str(body.get("message") or body.get("body") or "")
        now = datetime.fromtimestamp(time.time(), tz=UTC)
        message: dict[str, Any] = {
            "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "person": person,
            "title": title,
            "body": text,
            "type": str(body.get("type") or "info"),
            "links": LINK.findall(f"{title} {text}"),
        }
        with self._lock:
            message["id"] = self._messages[-1]["id"] + 1 if self._messages else 1
            self._messages = [*self._messages[-MESSAGES_MAX + 1 :], message]
            if self._keep is not None:
                with self._keep.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(message, ensure_ascii=False) + "\n")
        return message

    def messages(self, person: str | None, after: int = 0) -> list[dict[str, Any]]:
        """Messages of one person or all, with an id above ``after``."""
        with self._lock:
            return [m for m in self._messages if m["id"] > after and person in (None, m["person"])]


class PhoneHandler(BaseHTTPRequestHandler):
    """One request."""

    inbox: Inbox
    server_version = "linli-phone"
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_POST(self) -> None:
        """A message for a person."""
        path = urlsplit(self.path).path
        length = self.headers.get("Content-Length", "")
        if not path.startswith("/to/") or not path[4:]:
            return self._json(404, {"error": "messages go to /to/PERSON"})
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            return self._json(413, {"error": f"a message has at most {BODY_BYTES_MAX} bytes and says its length"})
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return self._json(422, {"error": "a message is a JSON object with title and message"})
        return self._json(200, self.inbox.add(unquote(path[4:]).strip("/"), body))

    def do_GET(self) -> None:
        """The list, the people, or the page."""
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/messages":
            after = query.get("after", ["0"])[0]
            person = query.get("person", [None])[0]
            return self._json(200, self.inbox.messages(person, int(after) if after.isdigit() else 0))
        if url.path == "/people":
            return self._json(200, self.inbox.people)
        if url.path == "/healthz":
            return self._json(200, {})
        if url.path == "/":
            return self._send(200, "text/html; charset=utf-8", PAGE.read_bytes())
        return self._json(404, {"error": "try /, /messages or /people"})

    def _json(self, status: int, body: object) -> None:
        self._send(status, "application/json", json.dumps(body, ensure_ascii=False).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the messages are the log."""


def read_people(path: Path | None) -> list[dict[str, str]]:
    """Id, name, role and grid of everybody in people.csv."""
    if path is None:
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return [{k: row[k] for k in ("id", "name", "role", "grid")} for row in csv.DictReader(lines)]


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed. Exit code 1 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m simulators.demo_phone", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keep", type=Path, help="file in which messages are kept")
    parser.add_argument("--people", type=Path, help="people.csv")
    given = parser.parse_args(arguments)
    PhoneHandler.inbox = Inbox(given.keep, read_people(given.people))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", given.port), PhoneHandler)
    except OSError as why:
        print(f"error: port {given.port}: {why}", file=sys.stderr)
        return 1
    server.daemon_threads = True
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    with server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
