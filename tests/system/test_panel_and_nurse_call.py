"""A real gateway with a simulated fire panel, nurse call, meter and readers: nothing is lost over kill -9."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edge.model import AlarmClass, EventKind
from edge.store.inspect import show, verify
from tests.system.gateway_harness import LINLI, Process, free_ports, until

BUILDING = """\
gateway: {{id: h12, data_dir: ./data, listen: "127.0.0.1:{api}"}}
site: {{community: 新盛, building: "12", units: ["1"], floors: [1, 18], households_per_floor: 2}}
links:
  - {{id: fire, kind: gbt26875-server, listen: "127.0.0.1:{fire}"}}
  - {{id: ward, kind: espa444, tcp: "127.0.0.1:{ward}", role: control}}
  - {{id: power, kind: dlt645, port: ./dev/power, parity: N}}
  - {{id: doors, kind: osdp, port: ./dev/doors}}
  - {{id: old, kind: wiegand-text, port: ./dev/old}}
devices:
  - {{id: tx, profile: gbt26875/transmitter, link: fire, address: 510109000001, place: {{text: 消控室}}}}
  - {{id: panel, profile: gbt26875/panel, link: fire, address: 510109000001/1.1, place: {{text: 消控室}}}}
  - {{id: k1, profile: gbt26875/smoke, link: fire, address: 510109000001/1.1/1204, place: {{floor: 12}}}}
  - {{id: n1, profile: espa444/nurse-call, link: ward, address: "0815", place: {{floor: 3}}}}
  - {{id: e1, profile: dlt645/electricity-meter, link: power, address: "123456789012"}}
  - {{id: r1, profile: osdp/reader, link: doors, address: 3}}
  - {{id: r2, profile: wiegand/reader, link: old, address: "1"}}
roster: [{{id: li, name: 李四, role: grid_worker, tell: ["json://127.0.0.1:9/li"]}}]
"""


class Site:
    """One building file with its two programs."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        api, fire, ward, control = free_ports(4)
        self.config = folder / "building.yaml"
        self.config.write_text(BUILDING.format(api=api, fire=fire, ward=ward), encoding="utf-8")
        self._log = folder / "log"
        self._control, self._api = f"http://127.0.0.1:{control}", f"http://127.0.0.1:{api}"
        serve = [sys.executable, "-m", "simulators.serve", "--config", str(self.config), "--control-port", str(control)]
        self.devices = Process([*serve, "--seed", "1", "--scenario", "quiet"], self._log)
        self.gateway = self.start()

    def start(self) -> Process:
        self.gateway = Process([str(LINLI), "gateway", "--config", str(self.config)], self._log)
        return self.gateway

    def play(self, scenario: str) -> None:
        httpx.post(f"{self._control}/scenarios/{scenario}", trust_env=False).raise_for_status()

    def values(self) -> dict[str, object]:
        """Every point's good value."""
        token = (self.data / "secrets" / "api.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        rows = httpx.get(f"{self._api}/api/v1/points", headers=headers, trust_env=False).json()
        return {row["id"]: row["value"] for row in rows if row["quality"] == "good"}

    def counted(self, alarm_class: AlarmClass, kind: EventKind) -> int:
        if not (self.data / "alarms.db").is_file():
            return 0
        return sum(e.alarm_class is alarm_class and e.kind is kind for e in show(self.data, 1000))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for process in (made.gateway, made.devices):
        if process.running:
            process.kill()


def test_fire_and_call_are_carried_over_a_kill_and_every_point_is_known(site: Site) -> None:
    site.devices.until_ready()
    site.gateway.until_ready()
    known = {"tx/fire", "panel/fire", "k1/smoke", "e1/energy", "e1/power", "r1/tamper", "tx/duty_unanswered"}
    until(lambda: known <= site.values().keys(), "every link speaks", 15)
    site.play("sos")
    until(lambda: site.counted(AlarmClass.SOS_CALL, EventKind.RAISED) == 1, "the nurse call is in the journal")
    site.gateway.kill()
    site.play("sos")
    site.play("smoke-kitchen")
    site.start()
    site.gateway.until_ready()
    until(lambda: site.counted(AlarmClass.SOS_CALL, EventKind.REPEATED) == 1, "the call made meanwhile rings", 15)
    until(lambda: site.counted(AlarmClass.FIRE_SMOKE, EventKind.RAISED) == 1, "the fire that began meanwhile", 15)
    assert verify(site.data) == []


def test_without_a_panel_the_gateway_still_stops_in_time(site: Site) -> None:
    site.devices.until_ready()
    site.devices.kill()
    site.gateway.until_ready()
    code, took_s = site.gateway.stop()
    assert code == 0 and took_s < 5.5
