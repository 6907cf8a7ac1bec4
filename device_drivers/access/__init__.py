"""Access-control readers: Wiegand behind a converter (kind wiegand-text), OSDP on RS-485 (kind osdp)."""

from __future__ import annotations

from collections.abc import Sequence

from edge.model import Device
from edge.ports import Driver, Kit, LinkSettings


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one line of readers. No I/O. Raises ValueError."""
    if settings.kind == "osdp":
        from device_drivers.access.osdp_driver import OsdpDriver

        return OsdpDriver(settings, devices, kit)
    from device_drivers.access.wiegand_driver import WiegandDriver

    return WiegandDriver(settings, devices, kit)


__all__ = ["create"]
