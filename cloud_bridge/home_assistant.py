"""Home Assistant discovery: a household's or school's own system shows its own points, and only its own, read-only.

Each share is a user of that broker; its rights end at ``linli/home/<share>/#`` and at the discovery topics of its own
node (``linli pki acl home``). Nothing is subscribed, so nothing can be set.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud_bridge.settings import BrokerLike
from cloud_bridge.sparkplug_node import Where
from cloud_bridge.uplink import Reconnect, UplinkKit
from edge.model import AlarmEvent, Device, Point, Quality, RuleKind, Value
from edge.mqtt import MqttSession, Will

SAMPLE_S = 1.0
REPEAT_S = 600.0
"""Every state is said again this often, so that a reader may take silence for what it is."""
CLASSES = {
    "fire": "smoke",
    "gas.co": "carbon_monoxide",
    "gas": "gas",
    "water": "moisture",
    "door": "door",
    "device.tamper": "tamper",
    "device.battery_low": "battery",
    "device": "problem",
    "sos": "safety",
}
"""device_class by the alarm class (or its group) of the rule on a point."""


@dataclass(frozen=True, slots=True)
class HomeAssistantSettings:
    """shares: name → devices. prefix: Home Assistant's discovery prefix."""

    broker: BrokerLike
    shares: Mapping[str, Sequence[str]]
    prefix: str = "homeassistant"


def discovery(gateway: str, share: str, device: Device, point: Point, prefix: str) -> tuple[str, dict[str, Any]] | None:
    """Topic and body of one entity; None for a press: it is an event, not a state."""
    if point.momentary:
        return None
    rule = next((r for r in device.rules if r.point == point.key), None)
    binary = rule is not None and rule.kind is RuleKind.STATE
    base = f"linli/home/{share}"
    ident = f"{gateway}-{device.id}-{point.key}".replace(".", "_")
    body: dict[str, Any] = {
        "name": point.key,
        "unique_id": f"linli-{ident}",
        "state_topic": f"{base}/{device.id}/{point.key}",
        "availability": [{"topic": f"{base}/status"}, {"topic": f"{base}/{device.id}/{point.key}/good"}],
        "availability_mode": "all",
        "expire_after": round(3 * REPEAT_S),
        "device": {"identifiers": [f"linli-{gateway}-{device.id}"], "name": device.id, "model": device.profile},
    }
    if binary and rule is not None:
        group = str(rule.alarm_class).partition(".")[0]
        kind = CLASSES.get(str(rule.alarm_class)) or CLASSES.get(group)
        body |= {"payload_on": "ON", "payload_off": "OFF"} | ({"device_class": kind} if kind else {})
    elif point.unit:
        body["unit_of_measurement"] = point.unit
    return f"{prefix}/{'binary_sensor' if binary else 'sensor'}/{share}/{ident}/config", body


def shown(device: Device, point: str, value: Value) -> str:
    """A state as Home Assistant reads it."""
    rule = next((r for r in device.rules if r.point == point and r.kind is RuleKind.STATE), None)
    if rule is not None:
        return "ON" if value == rule.on_value else "OFF"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


class HomeAssistantLink:
    """Runs until cancelled. Event loop thread only."""

    def __init__(self, settings: HomeAssistantSettings, kit: UplinkKit) -> None:
        self._settings, self._kit = settings, kit
        self._reconnect = Reconnect("Home Assistant", kit.clock, kit.count)
        by_id = {device.id: device for device in kit.devices}
        self._shares = {
            share: [by_id[name] for name in names if name in by_id] for share, names in settings.shares.items()
        }

    @property
    def connected(self) -> bool:
        """The broker took everything so far."""
        return self._reconnect.connected

    @property
    def why(self) -> str:
        """Why it is not connected."""
        return self._reconnect.why

    def offer(self, events: Sequence[AlarmEvent]) -> None:
        """States say it too."""

    async def run(self) -> None:
        """Announce, then tell what changes; for ever."""
        async with asyncio.TaskGroup() as tasks:
            for share, devices in self._shares.items():
                # A will is one topic: a session for each share, so that each sees when it is cut off.
                tasks.create_task(self._reconnect.keep(lambda s=share, d=devices: self._once(s, d)))  # type: ignore[misc]

    async def _once(self, share: str, devices: Sequence[Device]) -> None:
        broker, base = self._settings.broker, f"linli/home/{share}"
        session = MqttSession(
            tuple(broker.urls),
            client_id=f"linli-{self._kit.gateway}-home-{share}",
            username=broker.username,
            password=broker.password,
            will=Will(f"{base}/status", b"offline", 1, True),
            count=self._kit.count,
            session_expiry_s=0,
            ca=broker.ca,
            cert=broker.cert,
            key=broker.key,
        )
        try:
            await session.open()
            await self._announce(session, share, devices)
            await session.publish(f"{base}/status", b"online", 1, True)
            self._reconnect.up()
            await self._tell(session, base, {device.id: device for device in devices})
        finally:
            await session.close()

    async def _announce(self, session: MqttSession, share: str, devices: Sequence[Device]) -> None:
        for device in devices:
            for point in device.points:
                found = discovery(self._kit.gateway, share, device, point, self._settings.prefix)
                if found is not None:
                    await session.publish(found[0], json.dumps(found[1], ensure_ascii=False).encode(), 1, True)

    async def _tell(self, session: MqttSession, base: str, devices: Mapping[str, Device]) -> None:
        said: dict[str, tuple[str, float]] = {}
        momentary = {(d.id, p.key) for d in devices.values() for p in d.points if p.momentary}
        while True:
            now_s = self._kit.clock.monotonic()
            for point in self._kit.points():
                device = devices.get(point.device)
                if device is None or (point.device, point.point) in momentary:
                    continue
                topic = f"{base}/{point.device}/{point.point}"
                good = point.quality is not Quality.BAD and point.value is not None
                states = {f"{topic}/good": "online" if good else "offline"}
                if good and point.value is not None:
                    states[topic] = shown(device, point.point, point.value)
                for name, text in states.items():
                    before = said.get(name)
                    if before is None or before[0] != text or now_s - before[1] >= REPEAT_S:
                        await session.publish(name, text.encode(), 1, True)
                        said[name] = (text, now_s)
            await self._kit.clock.sleep(SAMPLE_S)


async def make(options: Mapping[str, Any], kit: UplinkKit) -> HomeAssistantLink:
    """From the building file."""
    where = Where(*(options.get(name) for name in ("urls", "username", "password", "ca", "cert", "key")))  # type: ignore[arg-type]
    return HomeAssistantLink(HomeAssistantSettings(where, options["shares"], options["prefix"]), kit)
