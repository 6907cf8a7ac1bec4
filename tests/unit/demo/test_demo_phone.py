"""The stand-in phone: what Apprise posts is kept and shown, and nothing a message says can run on the page."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from simulators.demo_phone import BODY_BYTES_MAX, MESSAGES_MAX, Inbox, PhoneHandler


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """A phone server on a free port."""

    class Handler(PhoneHandler):
        inbox = Inbox(tmp_path / "phone.jsonl", [{"id": "li", "name": "李四", "role": "grid_worker", "grid": "XS-03"}])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(server: ThreadingHTTPServer, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """One request; JSON answers come decoded."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if answer.headers["Content-Type"] == "application/json" else text.decode()


def test_a_message_arrives_with_its_links(phone: ThreadingHTTPServer) -> None:
    sent = {"title": "一键呼叫", "message": "2 单元 502 http://127.0.0.1:8080/a/abc", "type": "warning", "version": 1.0}
    assert ask(phone, "POST", "/to/li", json.dumps(sent).encode())[0] == 200
    status, messages = ask(phone, "GET", "/messages")
    assert status == 200
    (message,) = messages
    assert (message["person"], message["title"], message["body"]) == ("li", sent["title"], sent["message"])
    assert message["links"] == ["http://127.0.0.1:8080/a/abc"]
    assert ask(phone, "GET", "/messages?person=wang") == (200, [])
    assert ask(phone, "GET", "/messages?after=1") == (200, [])


@pytest.mark.parametrize(("path", "body", "status"), [
    ("/to/", b"{}", 404),
    ("/", b"{}", 404),
    ("/to/li", b"{", 422),
    ("/to/li", b"[1]", 422),
    ("/to/li", b"x" * (BODY_BYTES_MAX + 1), 413),
])  # fmt: skip
def test_what_is_no_message_is_refused(phone: ThreadingHTTPServer, path: str, body: bytes, status: int) -> None:
    assert ask(phone, "POST", path, body)[0] == status
    assert ask(phone, "GET", "/messages") == (200, [])


def test_the_page_builds_no_markup_from_messages(phone: ThreadingHTTPServer) -> None:
    status, page = ask(phone, "GET", "/")
    assert status == 200
    assert "innerHTML" not in page and "insertAdjacentHTML" not in page
    assert "大家的手机" in page and "Everybody's phones" in page


def test_messages_survive_a_restart_and_a_torn_line(tmp_path: Path) -> None:
    keep = tmp_path / "phone.jsonl"
    Inbox(keep, []).add("li", {"title": "a", "message": "b"})
    with keep.open("a") as out:
        out.write('{"id": 2, "per')
    again = Inbox(keep, [])
    assert [m["title"] for m in again.messages(None)] == ["a"]
    again.add("li", {"title": "c"})
    assert [m["title"] for m in Inbox(keep, []).messages(None)] == ["a", "c"]


def test_the_oldest_messages_go_first() -> None:
    inbox = Inbox(None, [])
    for number in range(MESSAGES_MAX + 5):
        inbox.add("li", {"title": str(number)})
    kept = inbox.messages(None)
    assert len(kept) == MESSAGES_MAX and kept[0]["title"] == "5"
