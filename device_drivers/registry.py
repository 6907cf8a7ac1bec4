"""Which module drives which kind of link. Adding a driver is one line here (docs/add-a-driver.md)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

from edge.model import Device
from edge.ports import Driver, DriverFactory, Kit, LinkSettings

KINDS = {
    "modbus-rtu": "device_drivers.modbus",
    "modbus-rtu-tcp": "device_drivers.modbus",
    "modbus-tcp": "device_drivers.modbus",
    "mqtt": "device_drivers.mqtt",
    "rf433": "device_drivers.serial",
    "gbt26875-server": "device_drivers.gbt26875",
    "espa444": "device_drivers.espa444",
    "dlt645": "device_drivers.meters",
    "cjt188": "device_drivers.meters",
    "wiegand-text": "device_drivers.access",
    "osdp": "device_drivers.access",
}
"""Kind of a link → package with ``create``. Imported only when a building uses it: memory is for what is there."""


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one link with its devices. No I/O. Raises ValueError for settings that cannot work."""
    module = KINDS.get(settings.kind)
    if module is None:
        raise ValueError(f"link {settings.id}: no driver for kind {settings.kind!r} (one of {', '.join(KINDS)})")
    factory = cast("DriverFactory", import_module(module).create)
    return factory(settings, devices, kit)
