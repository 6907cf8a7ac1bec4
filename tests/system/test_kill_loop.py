"""kill -9 of the real gateway, again and again, at random moments under load: nothing that was acknowledged is lost.

The judge is outside: a publisher that counts PUBACKs, a duty room that keeps its own book, and the journal's file.
LINLI_KILL_SEED repeats a run as far as real processes can be repeated; LINLI_KILLS makes it longer.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.demo_brokers import mosquitto
from tests.system.gateway_harness import LINLI, House, Process, house_in, until
from tests.system.kill_loop_harness import CALL, SMOKE, Detector, DutyRoom, Yard, now_s

KILLS = int(os.environ.get("LINLI_KILLS", "30"))
SEED = int(os.environ.get("LINLI_KILL_SEED", "20261122"))
EARLY, AT_ONCE = 0.3, 0.4
"""Shares of kills while it starts, and just after it is ready, when it takes what waited in the broker."""
NUMBERED = [f"n{n}" for n in range(6)]
PLAIN = [f"p{n}" for n in range(4)]
SMOKES = [f"s{n}" for n in range(8)]
PRESS_EVERY_S = 0.012
NUMBERED_PROFILE = """\
profile: site/numbered-button
title: {zh: 带序号的按钮, en: Button that numbers its presses}
kind: call_button
link: mqtt
source: "made for this test"
status: confirmed
supervise_s: 90000
wire: {sequence: seq}
points:
  - {key: call, momentary: true, read: {path: action, equals: emergency}}
rules:
  - {id: call, class: sos.call, point: call, press: true}
"""
pytestmark = pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Brokers and a building with buttons and detectors; the gateway is not started."""
    with house_in(tmp_path) as made:
        profiles = tmp_path / "profiles" / "site"
        profiles.mkdir(parents=True)
        (profiles / "numbered-button.yaml").write_text(NUMBERED_PROFILE, encoding="utf-8")
        kinds = ((NUMBERED, "site/numbered-button"), (PLAIN, "zigbee2mqtt/sos-button"), (SMOKES, "zigbee2mqtt/smoke"))
        devices = [
            {"id": ident, "profile": profile, "link": "zigbee", "address": f"yard/{ident}"}
            for idents, profile in kinds
            for ident in idents
        ]
        made.write([made.mqtt_link()], devices, profiles=["./profiles"])
        made.start_broker("building")
        made.start_broker("duty")
        yield made


class Loop:
    """The loop, its load and its dice."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.dice = random.Random(SEED)
        self.duty = DutyRoom(house, random.Random(SEED + 1))
        self.yard = Yard(house)
        self.detectors = [Detector(ident, random.Random(f"{SEED} {ident}")) for ident in SMOKES]
        self.kills: Counter[str] = Counter()
        self._press_s = now_s()

    def world(self, seconds: float, gateway: Process, until_ready: bool = False, calm: bool = False) -> None:
        """Let the world live this long, or until the gateway is ready. calm: nobody presses, no new danger."""
        end_s = now_s() + seconds
        while now_s() < end_s and not (until_ready and gateway.ready):
            assert gateway.running, f"ended on its own: {gateway.tail()}"
            while not calm and self._press_s < now_s():
                self._press_s += self.dice.expovariate(1 / PRESS_EVERY_S)
                self.yard.say(self.dice.choice(NUMBERED + PLAIN), {"action": "emergency"})
            self._press_s = max(self._press_s, now_s() - 0.5)
            for detector in self.detectors:
                detector.act(self.yard, self.duty, now_s(), not calm)
            self.duty.answer(now_s())
            gateway.wait_a_little()

    def kill_again_and_again(self) -> Process:
        """Returns the last gateway, alive."""
        gateway = self.house.start_gateway()
        gateway.until_ready()
        usual_s = now_s() - gateway.began_s
        for _ in range(KILLS):
            when = self.dice.random()
            if when < EARLY:
                self.world(self.dice.uniform(0.2, 1.0) * usual_s, gateway, until_ready=True)
            else:
                self.world(30.0, gateway, until_ready=True)
                assert gateway.ready, gateway.tail()
                self.world(self.dice.uniform(0.0, 0.15 if when < EARLY + AT_ONCE else 1.0), gateway)
            self.kills["ready" if gateway.ready else "starting"] += 1
            gateway.kill()
            gateway = self.house.start_gateway()
        gateway.until_ready()
        return gateway

    def calm_down(self, gateway: Process) -> None:
        """Everything said is heard, answered and over; then a clean stop, and a start in which every receipt comes."""
        end_s = now_s() + 25.0
        while now_s() < end_s and (self.yard.waiting() or not self._all_over()):
            self.world(0.3, gateway, calm=True)
        code, took_s = gateway.stop()
        assert code == 0 and took_s < 5.0, (code, took_s, gateway.tail())
        self.duty.withholding = False
        gateway = self.house.start_gateway()
        gateway.until_ready()
        until(lambda: self.house.metrics()["linli_outbox_rows"] == 0, "every event has its receipt", 20.0)
        shown = {row["alarm_id"] for row in self.house.get("/api/v1/alarms")}
        assert shown == {row["alarm_id"] for row in open_alarms(journal(self.house))}
        code, took_s = gateway.stop()
        assert code == 0 and took_s < 5.0, (code, took_s, gateway.tail())

    def _all_over(self) -> bool:
        return not self.duty.open() and all(
            (event := self.duty.newest(d.ident, SMOKE)) is not None
            and int(event["alarm_id"].rsplit("-", 1)[1]) == d.dangers
            for d in self.detectors
        )


def journal(house: House) -> list[dict[str, Any]]:
    """Every event as it stands in the file, in order; through sqlite, because the wire form leaves out the cause."""
    with sqlite3.connect(f"file:{house.data / 'alarms.db'}?mode=ro", uri=True) as db:
        return [json.loads(body) for (body,) in db.execute("SELECT body FROM events ORDER BY seq")]


def open_alarms(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest event of each alarm that is not over."""
    newest = {event["alarm_id"]: event for event in events}
    return [event for event in newest.values() if event["state"] != "NORM"]


def raised_twice(events: list[dict[str, Any]]) -> list[str]:
    """Alarms raised while one of their device and class was open, or under a name already used."""
    faults: list[str] = []
    is_open: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    for event in events:
        key = (event["device"], event["alarm_class"])
        if event["kind"] == "raised":
            if key in is_open or event["alarm_id"] in names:
                faults.append(f"{event['alarm_id']} at {event['seq']} while {is_open.get(key)} is open")
            names.add(event["alarm_id"])
            is_open[key] = event["alarm_id"]
        elif is_open.get(key) != event["alarm_id"]:
            faults.append(f"{event['kind']} of {event['alarm_id']} at {event['seq']}, which is not open")
        if event["state"] == "NORM":
            is_open.pop(key, None)
    return faults


def presses(events: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """Events that a press caused."""
    return [e for e in events if e["device"] == device and e["alarm_class"] == CALL and e["kind"] in
            ("raised", "repeated")]  # fmt: skip


def check_presses(loop: Loop, events: list[dict[str, Any]]) -> int:
    """Each numbered press exactly once, each other at least once. Returns how many rang once more than pressed."""
    again = 0
    for device in NUMBERED:
        counted = Counter(event["cause"] for event in presses(events, device))
        assert set(counted) == {f"call:n{number}" for number in loop.yard.acked[device]}, device
        assert set(counted.values()) == {1}, counted.most_common(3)
    for device in PLAIN:
        extra = len(presses(events, device)) - len(loop.yard.acked[device])
        assert extra >= 0, f"{device}: {-extra} presses lost"
        again += extra
    return again


@pytest.mark.timeout(240)
def test_kill_9_loses_nothing_and_raises_nothing_twice(house: House) -> None:
    print(f"seed {SEED}")
    began_s = now_s()
    loop = Loop(house)
    loop.calm_down(loop.kill_again_and_again())
    events, book = journal(house), loop.duty.book
    assert sum(loop.kills.values()) >= KILLS and loop.kills["ready"] >= KILLS // 2
    assert not loop.yard.refused and not loop.yard.waiting()
    again = check_presses(loop, events)
    assert not raised_twice(events)
    for detector in loop.detectors:
        raised = [e for e in events if (e["device"], e["kind"]) == (detector.ident, "raised")]
        smoke = [e for e in raised if e["alarm_class"] == SMOKE]
        assert len(smoke) == detector.dangers > 0, f"{detector.ident}: {len(smoke)} for {detector.dangers}"
    assert not book.faults, book.faults[:3]
    assert {e["event_id"] for e in events} == set(book.events), "the duty room's book and the journal differ"
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert book.withheld > 0 and book.deliveries > len(events)
    verified = subprocess.run([LINLI, "journal", "verify", house.data], capture_output=True, text=True, timeout=60)
    assert (verified.returncode, verified.stdout) == (0, "ok\n"), verified
    command: list[str | Path] = [LINLI, "journal", "show", house.data, "--json", "--limit", "1000000"]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert {row["event_id"]: row["seq"] for row in shown} == {e["event_id"]: e["seq"] for e in events}
    print(
        f"{dict(loop.kills)} kills in {now_s() - began_s:.0f} s; {sum(map(len, loop.yard.acked.values()))} messages, "
        f"{len(events)} events, {book.deliveries} deliveries, {book.withheld} receipts withheld, "
        f"{len(book.outcomes)} commands; lost 0, alarms raised twice 0, plain presses that rang once more {again}"
    )
