"""`linli doctor --page`: each way of a person is tried with a real message, and none is shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edge.config import Building, load_building
from edge.model import Recipient
from edge.ports import ModemSettings
from edge.reach import page
from simulators.modem import ModemStandIn


class Service(BaseHTTPRequestHandler):
    bodies: list[bytes] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def told(site: Path, *ways: str, modem: str | None = None) -> Building:
    settings = ModemSettings(modem) if modem is not None else None
    return replace(load_building(site), roster=(Recipient("li", "李四", "chief", ways),), modem=settings)


def test_every_way_is_tried_by_itself(site: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    good = f"json://127.0.0.1:{server.server_port}/"
    rows = page(told(site, good, "json://127.0.0.1:9/geheim", "nonsense://x", "sms:123456"), "李四", running=False)
    server.shutdown()
    assert [row["result"] for row in rows] == ["ok", "fault", "fault", "fault"]
    assert "no modem" in rows[3]["what"] and "geheim" not in str(rows)
    assert len(Service.bodies) == 1


def test_by_the_modem(site: Path) -> None:
    async def main() -> tuple[list[dict[str, str]], list[str]]:
        stand_in = ModemStandIn()
        building = told(site, "sms:+8613800138000", modem=stand_in.start())
        rows = await asyncio.to_thread(page, building, "li", False)
        stand_in.unplug()
        return rows, [text.number for text in stand_in.texts]

    rows, numbers = asyncio.run(main())
    assert [row["result"] for row in rows] == ["ok"] and numbers == ["+8613800138000"]
    rows = page(told(site, "sms:+8613800138000", modem="/dev/none"), "li", running=False)
    assert rows[0]["result"] == "fault"
    assert page(told(site, "sms:1234567", modem="/dev/none"), "li", running=True)[0]["result"] == "warning"


def test_nobody_of_that_name(site: Path) -> None:
    with pytest.raises(ValueError, match="李四"):
        page(told(site), "wang", running=False)
