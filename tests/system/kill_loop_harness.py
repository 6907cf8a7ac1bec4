"""For the kill loop: the world around the gateway, with its own books of what it said and what it was told."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho

from tests.system.gateway_harness import GATEWAY, House

ROOT = f"linli/v1/{GATEWAY}"
CALL, SMOKE = "sos.call", "fire.smoke"
WITHHELD = 0.25
"""Share of deliveries after which the duty room dies before its receipt, as far as the gateway can tell."""


class Yard:
    """Buttons and detectors. Every publication is QoS 1; what the broker acknowledged is in the book."""

    def __init__(self, house: House) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[str, int]] = {}
        self._early: dict[int, Any] = {}
        self.acked: dict[str, set[int]] = defaultdict(set)
        self.refused: list[str] = []
        self.sent: Counter[str] = Counter()
        self.client = house.client("building", "devices")
        self.client.on_publish = self._on_puback
        house.connect(self.client, "building")

    def say(self, device: str, body: dict[str, Any]) -> None:
        """Publish; messages of one device are numbered from 1."""
        self.sent[device] += 1
        number = self.sent[device]
        # Not under our lock: paho calls back under its own.
        mid = self.client.publish(f"yard/{device}", json.dumps({**body, "seq": f"n{number}"}), 1).mid
        with self._lock:
            if mid in self._early:
                self._settle(device, number, self._early.pop(mid))
            else:
                self._under_way[mid] = (device, number)

    def waiting(self) -> int:
        """Publications without a PUBACK."""
        with self._lock:
            return len(self._under_way)

    def _on_puback(self, _c: paho.Client, _u: Any, mid: int, reason: Any, _p: Any) -> None:
        with self._lock:
            if mid in self._under_way:
                self._settle(*self._under_way.pop(mid), reason)
            else:
                self._early[mid] = reason

    def _settle(self, device: str, number: int, reason: Any) -> None:
        if reason.value:
            # 0x10: nobody subscribed, so the gateway's session is gone.
            self.refused.append(f"{device} {number}: {reason}")
        else:
            self.acked[device].add(number)


@dataclass
class Wish:
    """A command on its way: the same id until its outcome is there."""

    command_id: str
    body: bytes
    sent_s: float
    done_s: float | None = None


@dataclass
class DutyBook:
    """What the duty room has committed. open: newest event by alarm; newest: by device and class."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: dict[str, dict[str, Any]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    newest: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    deliveries: int = 0
    withheld: int = 0
    faults: list[str] = field(default_factory=list)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)


class DutyRoom:
    """A stand-in: commits events to its book, then receipts them or not; answers alarms by commands."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self._dice = dice
        self._lock = threading.Lock()
        self.book = DutyBook()
        self.withholding = True
        self._wishes: dict[str, Wish] = {}
        self._wished = 0
        self.client = house.client("duty", "duty-room")
        self.client.on_message = self._on_message
        house.connect(self.client, "duty")
        self.client.subscribe([(f"{ROOT}/{name}", 1) for name in ("event", "outcome", "heartbeat")])

    def newest(self, device: str, alarm_class: str) -> dict[str, Any] | None:
        """The newest event of the device's newest alarm."""
        with self._lock:
            return self.book.newest.get((device, alarm_class))

    def open(self) -> Sequence[dict[str, Any]]:
        """Newest events of alarms that a person can end, and that nobody has."""
        with self._lock:
            return [event for event in self.book.open.values() if event["class"] in (CALL, SMOKE)]

    def answer(self, now_s: float) -> None:
        """Acknowledge what rings, reset what is acknowledged and over; repeat what got no outcome in a second."""
        for event in self.open():
            ident = event["alarm_id"]
            wish = self._wishes.get(ident)
            if wish is None or (wish.done_s is not None and now_s - wish.done_s > 0.5):
                kind = self._next(event)
                if kind:
                    self._wishes[ident] = self._wish(ident, kind, now_s)
            elif wish.command_id in self.book.outcomes:
                wish.done_s = wish.done_s or now_s
            elif now_s - wish.sent_s > 1.0:
                wish.sent_s = now_s
                self.client.publish(f"{ROOT}/command", wish.body, 1)

    @staticmethod
    def _next(event: dict[str, Any]) -> str | None:
        if event["state"] in ("UNACK", "RTNUN", "LUNACK"):
            return "acknowledge"
        if event["class"] == CALL or event["condition"] == "off":
            return "reset"
        return None

    def _wish(self, ident: str, kind: str, now_s: float) -> Wish:
        self._wished += 1
        body = json.dumps({
            "v": 1, "command_id": f"w{self._wished}", "kind": kind, "alarm_id": ident, "at": "2026-11-22T00:00:00.000Z",
            "by": {"id": "zhang", "name": "张三", "via": "console"},
        }).encode()  # fmt: skip
        self.client.publish(f"{ROOT}/command", body, 1)
        return Wish(f"w{self._wished}", body, now_s)

    def _on_message(self, _c: paho.Client, _u: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        name = message.topic.rpartition("/")[2]
        if name == "heartbeat":
            duty = {"v": 1, "duty_room": "stand-in", "at": "2026-11-22T00:00:00.000Z", "audible": True,
                    "heard": {"boot_id": body["boot_id"], "seq": body["seq"]}}  # fmt: skip
            self.client.publish(f"{ROOT}/duty", json.dumps(duty))
        elif name == "outcome":
            self._note(self.book.outcomes, body["command_id"], body)
        elif self._commit(body):
            receipt = {"v": 1, "event_id": body["event_id"], "duty_room": "stand-in", "at": "2026-11-22T00:00:00.000Z"}
            self.client.publish(f"{ROOT}/receipt", json.dumps(receipt), 1)

    def _commit(self, body: dict[str, Any]) -> bool:
        """Write it down; False when the receipt is withheld."""
        with self._lock:
            self.book.deliveries += 1
            body.pop("replay")
            self._note(self.book.events, body["event_id"], body)
            self._fold(body)
            held = self.withholding and self._dice.random() < WITHHELD
            self.book.withheld += held
            return not held

    def _fold(self, body: dict[str, Any]) -> None:
        """Events may come in any order; the highest seq counts."""
        key, ident = (body["device"], body["class"]), body["alarm_id"]
        if key not in self.book.newest or self.book.newest[key]["seq"] < body["seq"]:
            self.book.newest[key] = body
        if body["state"] == "NORM":
            self.book.over.add(ident)
            self.book.open.pop(ident, None)
        elif ident not in self.book.over and body["seq"] >= self.book.open.get(ident, body)["seq"]:
            self.book.open[ident] = body

    def _note(self, page: dict[str, dict[str, Any]], ident: str, body: dict[str, Any]) -> None:
        """The same id must always carry the same content: what was told can never have been undone by a crash."""
        known = page.setdefault(ident, body)
        if known != body:
            self.book.faults.append(f"{ident} was {known}, now {body}")


class Detector:
    """A smoke detector whose day is a circle: danger, clear, answered and reset by people, danger again."""

    def __init__(self, ident: str, dice: random.Random) -> None:
        self.ident = ident
        self.dangers = 0
        self._dice = dice
        self._next_s = 0.0

    def act(self, yard: Yard, duty: DutyRoom, now_s: float, may_begin: bool) -> None:
        """One look at the clock. The danger is said once, as by a detector with a full battery and an empty radio."""
        if now_s < self._next_s:
            return
        event = duty.newest(self.ident, SMOKE)
        known = 0 if event is None else int(event["alarm_id"].rsplit("-", 1)[1])
        over = known == self.dangers and (event is None or event["state"] == "NORM")
        if over and may_begin:
            self.dangers += 1
            yard.say(self.ident, {"smoke": True})
            self._next_s = now_s + self._dice.uniform(0.05, 0.4)
        elif known == self.dangers and not over:
            yard.say(self.ident, {"smoke": False})
            self._next_s = now_s + self._dice.uniform(0.1, 0.4)


def now_s() -> float:
    """Monotonic."""
    return time.monotonic()
