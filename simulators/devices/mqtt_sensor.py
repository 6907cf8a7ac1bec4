"""Simulated MQTT sensors (Zigbee2MQTT, Tasmota, bins, access controllers): JSON made from the profile's read mapping.

States are retained and repeated within the supervision time; presses are sent once and never retained. Own encoder.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from edge.model import Device, Point, PointKey, Value, rfc3339
from simulators.building import ANSWERS, Fact, GroundTruth, Health
from simulators.devices import milesight

REPORT_S_MAX = 60.0
"""A sensor repeats its state at least this often, whatever its supervision time."""
TASMOTA_KEY = 2
"""The key digit behind a remote's id in a received code."""
PLAIN_WORD = "in"
"""What an event says that has no word of its own, such as a passage."""


class Message(NamedTuple):
    """One publication."""

    topic: str
    payload: bytes
    retain: bool


def join(address: str, suffix: str | None) -> str:
    """The topic of a suffix; the empty suffix is the address itself, ``../X`` its sibling X."""
    if suffix and suffix.startswith("../"):
        return f"{address.rpartition('/')[0]}/{suffix[3:]}"
    return f"{address}/{suffix}" if suffix else address


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in a JSON object."""
    *parents, last = path.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[last] = value


def encode(value: Value, read: Mapping[str, Any]) -> Any:
    """A point's value as its JSON value: the inverse of ``equals`` and ``map``; scaled numbers are unscaled."""
    if "equals" in read and read["equals"] is not None:
        wanted = read["equals"]
        if value:
            return wanted
        return not wanted if isinstance(wanted, bool) else 0 if isinstance(wanted, (int, float)) else ""
    if read.get("map"):
        return next((wire for wire, meaning in read["map"].items() if meaning == value), value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        scaled = (value - (read.get("offset") or 0.0)) / (read.get("scale") or 1.0)
        return round(scaled, 3) if isinstance(value, float) or scaled != int(scaled) else int(scaled)
    return (not value) if read.get("invert") and isinstance(value, bool) else value


class MqttSensor:
    """One device: what it publishes when, from the truth."""

    def __init__(self, device: Device, truth: GroundTruth, seed: int) -> None:
        self.device = device
        self._truth = truth
        self._random = Random(f"{seed}/{device.id}")
        self._sequence = 0
        self._frames = 0
        self._reads: dict[str, Mapping[str, Any]] = {p.key: p.read for p in device.points if p.read}
        self.report_s = min(REPORT_S_MAX, (device.supervise_s or REPORT_S_MAX * 3) / 3)

    @property
    def bridge_topic(self) -> str | None:
        """The retained state topic of the Zigbee bridge this sensor is joined to; None for other makes."""
        base, _, name = self.device.address.rpartition("/")
        return f"{base}/bridge/state" if self.device.profile.startswith("zigbee2mqtt/") and base and name else None

    def on_fact(self, fact: Fact) -> Iterable[Message]:
        """What a change makes the sensor say at once."""
        if fact.point == ANSWERS:
            yield from self.availability(fact.value != Health.DEAD.value)
            if fact.value == Health.WELL.value:
                yield from self.states()
            return
        point = self._truth.point(PointKey(fact.device, fact.point))
        if self._truth.health(self.device.id) is Health.DEAD:
            return
        if point.momentary:
            yield from self._press(point, fact.value)
        else:
            yield from self.states(point.read.get("topic") or "")

    def availability(self, online: bool) -> Iterable[Message]:
        """The retained word about the sensor itself, where the profile has one."""
        wire: Mapping[str, Any] | None = self.device.wire.get("availability")
        if not wire:
            return
        word = wire.get("online", "online")
        if not online:
            word = wire.get("offline") or ("Offline" if word == "Online" else "offline")
        path = wire.get("path")
        payload = json.dumps({path: word}) if path else str(word)
        yield Message(join(self.device.address, wire.get("topic")), payload.encode(), True)

    def states(self, only: str | None = None) -> Iterable[Message]:
        """The state, one message per topic suffix (or only that suffix). A dead sensor says nothing."""
        health = self._truth.health(self.device.id)
        if health is Health.DEAD:
            return
        states = (p for p in self.device.points if self._is_state(p))
        for suffix in dict.fromkeys(self._reads[p.key].get("topic") or "" for p in states):
            if only is None or suffix == only:
                payload = self._body(suffix)
                if health is Health.TORN:
                    payload = payload[: len(payload) // 2]
                elif health is Health.BABBLE:
                    payload = self._random.randbytes(40)
                # A network server keeps nothing: what LoRaWAN devices say is said once.
                yield Message(join(self.device.address, suffix), payload, "decode" not in self.device.wire)

    def _is_state(self, point: Point) -> bool:
        return point.key in self._reads and not point.momentary

    def _press(self, point: Point, value: Value) -> Iterable[Message]:
        suffix = point.read.get("topic") or ""
        word = encode(value, point.read)
        if point.read.get("id_prefix"):
            word = f"0x{self.device.address.rpartition('/')[2]}{TASMOTA_KEY:X}"
        elif word is True and point.read.get("type", "text") == "text":
            word = PLAIN_WORD
        yield Message(join(self.device.address, suffix), self._body(suffix, point.read.get("path"), word), False)

    def _body(self, suffix: str, pressed_path: str | None = None, word: Any = None) -> bytes:
        body: dict[str, Any] = {}
        points = [p for p in self.device.points if self._is_state(p) and (p.read.get("topic") or "") == suffix]
        taken: dict[str, bool] = {}
        for point in points:
            value = self._truth.measured(PointKey(self.device.id, point.key))
            path = point.read.get("path")
            if not path:
                raw = encode(value, point.read)
                return (raw if isinstance(raw, str) else json.dumps(raw)).encode()
            if not taken.get(path):
                put(body, path, encode(value, point.read))
                taken[path] = bool(value)
        if word is not None:
            if not pressed_path:
                return (word if isinstance(word, str) else json.dumps(word)).encode()
            put(body, pressed_path, word)
        self._extras(body)
        self._pack(body)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def _extras(self, body: dict[str, Any]) -> None:
        """What the make adds to every message, and the profile's sequence and time fields."""
        self._sequence = max(self._sequence + 1, self._truth.wall_ms())  # Grows across restarts of the simulator too.
        observed = rfc3339(self._truth.wall_ms())
        if self.device.profile.startswith("zigbee2mqtt/"):
            body["linkquality"] = self._random.randrange(60, 220)
        if isinstance(body.get("RfReceived"), dict):  # Tasmota: its own fields, and a time without a zone.
            body["RfReceived"] |= {"Bits": 24, "Protocol": 1, "Pulse": 238}
            observed = observed[:19] if observed else None
        if self.device.wire.get("sequence"):
            put(body, self.device.wire["sequence"], self._sequence)
        if self.device.wire.get("observed"):
            put(body, self.device.wire["observed"], observed)

    def _pack(self, body: dict[str, Any]) -> None:
        """A LoRaWAN device sends bytes; the network server adds what it knows of the frame (ChirpStack v4)."""
        how: Mapping[str, Any] | None = self.device.wire.get("decode")
        if how is None:
            return
        frame = milesight.encode(body.pop(how["into"], {}))
        body[how["path"]] = base64.b64encode(frame).decode()
        self._frames += 1
        body |= {"fCnt": self._frames, "fPort": 85, "deduplicationId": str(UUID(int=self._random.getrandbits(128)))}
        body["deviceInfo"] = {"devEui": self.device.address.rpartition("/")[2], "deviceName": self.device.id}

    def command_topics(self) -> Mapping[str, list[tuple[PointKey, Mapping[str, Any]]]]:
        """Topics by which points are set, with the points and their write mappings."""
        topics: dict[str, list[tuple[PointKey, Mapping[str, Any]]]] = {}
        for key, mapping in self.device.wire.get("points", {}).items():
            if mapping.get("write"):
                topic = join(self.device.address, mapping["write"].get("topic", "set"))
                topics.setdefault(topic, []).append((PointKey(self.device.id, key), mapping["write"]))
        return topics
