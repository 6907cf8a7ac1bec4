"""Devices that announce themselves on a broker: listed for a person to adopt, never trusted by themselves.

Home Assistant discovery (``homeassistant/<component>/…/config``, retained), as ESPHome, Tasmota and many bridges send
it, and Zigbee2MQTT's own list. What an announcement says decides nothing here: it names a topic, and a profile that
may fit; only the building file makes a device.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from device_drivers.mqtt.decode import Unreadable, body_of
from edge.mqtt import MqttSession
from edge.ports import LinkSettings

FILTERS = ("homeassistant/+/+/config", "homeassistant/+/+/+/config", "zigbee2mqtt/bridge/devices")
LISTEN_S = 3.0
"""Retained announcements come within milliseconds; whoever announces later is found by the next scan."""
ANNOUNCED_MAX = 2000
_SHORT = {"stat_t": "state_topic", "dev_cla": "device_class", "dev": "device", "uniq_id": "unique_id", "t": "topic"}
"""The abbreviations of Home Assistant's discovery that matter here; ``~`` stands for the base topic."""
_BY_CLASS = {
    "smoke": "fire.smoke",
    "gas": "gas.combustible",
    "carbon_monoxide": "gas.co",
    "moisture": "water.leak",
    "door": "door",
    "tamper": "device.tamper",
    "battery": "device.battery_low",
    "problem": "device.fault",
}


class Announced(NamedTuple):
    """One device: the topic it speaks on, what it says it is, and profiles that may fit."""

    address: str
    name: str
    model: str
    says: tuple[str, ...]
    profiles: tuple[str, ...]


def announced(topic: str, payload: bytes) -> list[Announced]:
    """What one announcement says. Nothing it holds raises."""
    try:
        body = body_of(payload)
    except Unreadable:
        return []
    if topic.endswith("/bridge/devices"):
        return [found for each in body if (found := _zigbee(each)) is not None] if isinstance(body, list) else []
    if not isinstance(body, dict):
        return []
    full = {_SHORT.get(key, key): value for key, value in body.items()}
    address = full.get("state_topic") or full.get("topic")
    if not isinstance(address, str):
        return []
    base = full.get("~")
    address = address.replace("~", base) if isinstance(base, str) else address
    device = full["device"] if isinstance(full.get("device"), dict) else {}
    kind = _text(full.get("device_class")) or topic.split("/")[1]
    name = _text(device.get("name")) or _text(full.get("name")) or _text(full.get("unique_id"))
    maker = _text(device.get("manufacturer") or device.get("mf"))
    model = _text(device.get("model") or device.get("mdl"))
    return [Announced(address, name, f"{maker} {model}".strip(), (_BY_CLASS.get(kind, kind),), _profiles(address))]


def _zigbee(device: Any) -> Announced | None:
    """An entry of ``zigbee2mqtt/bridge/devices``; the coordinator is none."""
    if not isinstance(device, dict) or device.get("type") == "Coordinator":
        return None
    told = device.get("definition")
    definition: Mapping[str, Any] = told if isinstance(told, dict) else {}
    name = _text(device.get("friendly_name"))
    exposes = definition.get("exposes")
    listed: Sequence[Any] = exposes if isinstance(exposes, list) else ()
    names = tuple(_text(e.get("property")) for e in listed if isinstance(e, dict) and e.get("property"))
    model = f"{_text(definition.get('vendor'))} {_text(definition.get('model'))}".strip()
    return Announced(f"zigbee2mqtt/{name}", name, model, names, _zigbee_profiles(names, _text(definition.get("model"))))


def _zigbee_profiles(names: Sequence[str], model: str) -> tuple[str, ...]:
    """Generic profiles by what the device exposes; the model's own is named after it."""
    fits = {"smoke": "smoke", "gas": "gas", "water_leak": "water-leak", "contact": "door", "action": "sos-button"}
    own = f"zigbee2mqtt/*{model.partition('/')[0].lower()}*" if model else ""
    return tuple([*([own] if own else []), *(f"zigbee2mqtt/{fits[name]}" for name in names if name in fits)])


def _profiles(address: str) -> tuple[str, ...]:
    if address.startswith("tele/"):
        return ("tasmota/*",)
    if any(part in address for part in ("/binary_sensor/", "/sensor/", "/switch/")):
        return ("esphome/*",)
    return ("zigbee2mqtt/*",) if address.startswith("zigbee2mqtt/") else ()


def _text(found: Any) -> str:
    """At most a line of it: announcements are strangers' text."""
    return "".join(letter for letter in found if letter.isprintable())[:80] if isinstance(found, str) else ""


async def discover(settings: LinkSettings, count: Callable[[str], None]) -> list[Announced]:
    """Everybody who has announced themselves on this broker. Raises Unreachable, Denied.

    The link's own session is used, because a broker that takes the user's name as client id has no other for us; what
    waits there for the gateway stays unacknowledged, and the filters are taken out again.
    """
    options = settings.options
    username = options.get("username")
    session = MqttSession(
        options.get("urls") or [options["url"]],
        client_id=str(username or f"linli-{settings.id}"),
        username=None if username is None else str(username),
        password=options.get("password"),
        subscriptions=[(name, 0) for name in FILTERS],
        count=count,
        ca=options.get("ca"),
    )
    found: dict[tuple[str, str], Announced] = {}
    await session.open()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                while len(found) < ANNOUNCED_MAX:
                    for received in await session.receive():
                        if received.topic.endswith(("/config", "/bridge/devices")):
                            found |= {(a.address, a.name): a for a in announced(received.topic, received.payload)}
    finally:
        session.unsubscribe(FILTERS)
        await session.close()
    return sorted(found.values())
