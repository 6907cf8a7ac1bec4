"""read, watch and write through a running gateway: a stand-in for its local API on a free port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge import tools
from edge.scan import scan

Edit = Callable[..., Path]
TOKEN = "t" * 43
POINT = {
    "id": "s301/smoke", "device": "s301", "value": False, "unit": None, "quality": "good", "cause": None,
    "observed_at": None, "age_s": 0.5,
}  # fmt: skip


class StandIn(ThreadingHTTPServer):
    """Answers as the gateway does and remembers what it was asked. routes: (method, path) → (status, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any, str | None]] = []
        self.routes: dict[tuple[str, str], tuple[int, Any]] = {
            ("GET", "/healthz"): (200, {"ok": True}),
            ("GET", "/api/v1/points"): (200, [POINT, POINT | {"id": "g301/lel", "device": "g301", "value": 1.5}]),
        }


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: StandIn

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, body, self.headers.get("Authorization")))
        status, said = self.server.routes.get((self.command, self.path), (404, {"code": "not_found"}))
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer


@pytest.fixture
def gateway() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(edit: Edit, site: Path, gateway: StandIn) -> Path:
    secrets = site.parent / "data" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "api.token").write_text(TOKEN + "\n", encoding="ascii")
    relay = "  - {id: relay1, profile: relay/waveshare, link: bus1, address: 1, place: {text: here}}\n"
    return edit(("127.0.0.1:8081", f"127.0.0.1:{gateway.server_port}"), ("roster:", relay + "roster:"))


def test_read_asks_the_running_gateway_with_its_token(config: Path, gateway: StandIn) -> None:
    assert tools.read(config, "s301") == [POINT]
    assert gateway.asked[-1] == ("GET", "/api/v1/points", None, f"Bearer {TOKEN}")


def test_write_goes_through_the_running_gateway(config: Path, gateway: StandIn) -> None:
    gateway.routes["POST", "/api/v1/points/relay1/horn"] = (200, {})
    assert tools.write(config, "relay1", "horn", "on") == "relay1/horn = true"
    assert gateway.asked[-1][2]["value"] is True


def test_a_gateway_that_takes_no_writes_keeps_its_link(config: Path) -> None:
    with pytest.raises(ValueError, match="stop it before a write"):
        tools.write(config, "relay1", "horn", "on")


def test_a_refusal_is_said(config: Path, gateway: StandIn) -> None:
    gateway.routes["POST", "/api/v1/points/relay1/horn"] = (409, {"detail": "not answering"})
    with pytest.raises(ValueError, match="not answering"):
        tools.write(config, "relay1", "horn", "on")


def test_a_running_gateways_bus_is_not_scanned(config: Path) -> None:
    with pytest.raises(ValueError, match="stop it before a scan"):
        scan(config, "bus1", lambda *_: None)


def test_watch_says_each_point_once_and_then_changes(
    config: Path, gateway: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, Any]] = []
    turns = iter([True, True, None])

    def next_turn(seconds: float) -> None:
        value = next(turns)
        if value is None:
            raise KeyboardInterrupt
        gateway.routes["GET", "/api/v1/points"] = (200, [POINT | {"value": value, "age_s": 0.1}])

    monkeypatch.setattr("edge.tools.time.sleep", next_turn)
    with pytest.raises(KeyboardInterrupt):
        tools.watch(config, lambda row: said.append((row["id"], row["value"])))
    assert said == [("s301/smoke", False), ("g301/lel", 1.5), ("s301/smoke", True)]


def test_without_its_token_the_gateway_is_not_asked(config: Path, site: Path) -> None:
    (site.parent / "data" / "secrets" / "api.token").unlink()
    with pytest.raises(OSError, match="run as its user"):
        tools.read(config, "s301")


def test_points_are_shown_with_unit_quality_and_cause() -> None:
    assert tools.point_line(POINT | {"value": 12.5, "unit": "%LEL"}).split() == ["s301/smoke", "12.5", "%LEL", "good"]
    bad = POINT | {"value": None, "quality": "bad", "cause": "timeout"}
    assert tools.point_line(bad).split() == ["s301/smoke", "—", "bad", "(timeout)"]
