"""Which module speaks which format. Imported only when a building uses it: memory is for what is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, cast

from cloud_bridge.bridge import Uplink
from cloud_bridge.uplink import UplinkKit
from edge.ports import LinkSettings

KINDS = {
    "dc09": "cloud_bridge.dc09_link",
    "gbt26875": "cloud_bridge.fire_centre",
    "hj212": "cloud_bridge.hj212",
    "influx": "cloud_bridge.influx",
    "sparkplug": "cloud_bridge.sparkplug_node",
    "home_assistant": "cloud_bridge.home_assistant",
}
"""Kind under ``uplinks:`` → module with ``make``."""
Make = Callable[[Mapping[str, Any], UplinkKit], Awaitable[Uplink]]


async def create(settings: LinkSettings, kit: UplinkKit) -> Uplink:
    """One uplink, not yet running. Raises ValueError for settings that cannot work."""
    make = cast("Make", import_module(KINDS[settings.kind]).make)
    return await make(settings.options, kit)
