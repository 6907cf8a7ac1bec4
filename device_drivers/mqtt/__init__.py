"""Devices that publish to the building broker (kind mqtt)."""

from device_drivers.mqtt.driver import create

__all__ = ["create"]
