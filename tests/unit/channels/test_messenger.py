"""The messenger against real local services: one that takes, one that refuses, one that hangs."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge.channels.messenger import HANDED_OVER, Messenger
from edge.model import Delivered, Notice, Recipient, Refused, TryLater


@dataclass
class Service:
    """A local HTTP service that records what it was sent."""

    port: int = 0
    status: int = 200
    got: list[dict[str, object]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    hang: bool = False
    arrived: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "x") -> str:
        return f"json://someone:s3cret-word@127.0.0.1:{self.port}/{path}"


@contextmanager
def running(told: Service) -> Iterator[Service]:
    """Serve it on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.arrived.set()
            if told.hang:
                told.hold.wait(30)
            try:
                self.send_response(told.status)
                self.end_headers()
            except ConnectionError:
                return  # The child was killed meanwhile, which is what the test wanted.

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.hold.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    with running(Service()) as told:
        yield told


def notice(recipient: str = "li") -> Notice:
    return Notice("n1", "a1", 1, recipient, "messenger", "烟感报警", "12号楼 1单元 3层 301", due_ms=0)


def messenger(*urls: str, timeout_s: float = 20.0, children_max: int = 4) -> Messenger:
    return Messenger({"li": urls}.get, timeout_s=timeout_s, children_max=children_max)  # type: ignore[arg-type]


async def test_a_service_that_takes_it_is_delivered(service: Service) -> None:
    outcome = await messenger(service.url()).deliver(notice())
    assert outcome == Delivered(HANDED_OVER)
    assert [(m["title"], m["message"]) for m in service.got] == [("烟感报警", "12号楼 1单元 3层 301")]


async def test_a_refusing_service_is_try_later_and_says_the_status_but_no_secret(service: Service) -> None:
    service.status = 503
    outcome = await messenger(service.url()).deliver(notice())
    assert outcome == TryLater("the service answered 503")


async def test_nobody_listening_is_try_later(service: Service) -> None:
    outcome = await messenger("json://127.0.0.1:9/x").deliver(notice())
    assert isinstance(outcome, TryLater)


async def test_a_url_that_is_none_is_refused() -> None:
    outcome = await messenger("nosuch://s3cret-word", "::::").deliver(notice())
    assert isinstance(outcome, Refused)
    assert "s3cret" not in outcome.why


async def test_one_way_that_works_is_enough(service: Service) -> None:
    outcome = await messenger("nosuch://x", "json://127.0.0.1:9/x", service.url()).deliver(notice())
    assert outcome == Delivered(HANDED_OVER)


async def test_a_notice_with_its_own_url_goes_there_alone(service: Service) -> None:
    order = Notice("n1", "a1", 1, "li", service.url(), "烟感报警", "3层", due_ms=0)
    assert await Messenger().deliver(order) == Delivered(HANDED_OVER)
    assert len(service.got) == 1


async def test_nobody_to_tell_is_refused() -> None:
    outcome = await Messenger.of([Recipient("li", "李四", "grid_worker", ())]).deliver(notice("nobody"))
    assert isinstance(outcome, Refused)


async def test_a_hanging_service_costs_one_killed_child_and_no_secret_in_the_arguments(service: Service) -> None:
    service.hang = True
    task = asyncio.create_task(messenger(service.url(), timeout_s=3.5).deliver(notice()))
    await asyncio.to_thread(service.arrived.wait, 3.4)
    lines = children()
    assert len(lines) == 1 and "s3cret" not in lines[0]
    assert await task == TryLater("no answer in time")
    assert children() == []


async def test_a_way_that_worked_counts_although_another_hangs(service: Service) -> None:
    takes = Service()
    with running(takes):
        service.hang = True
        outcome = await messenger(service.url(), takes.url(), timeout_s=3.5).deliver(notice())
    assert outcome == Delivered(HANDED_OVER)


async def test_cancelled_leaves_no_child(service: Service) -> None:
    service.hang = True
    task = asyncio.create_task(messenger(service.url()).deliver(notice()))
    await asyncio.to_thread(service.arrived.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


async def test_children_at_once_are_bounded(service: Service) -> None:
    service.hang = True
    told = messenger(service.url(), children_max=1)
    tasks = [asyncio.create_task(told.deliver(notice())) for _ in range(3)]
    await asyncio.to_thread(service.arrived.wait, 10)
    assert len(children()) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert children() == []


def children() -> list[str]:
    """Command lines of this process's messenger children."""
    found = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open(f"/proc/{pid}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                line = cmdline.read().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if parent == os.getpid() and "messenger_child" in line:
            found.append(line)
    return found
