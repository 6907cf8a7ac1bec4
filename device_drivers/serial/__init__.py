"""Receivers on a serial line (kind rf433)."""

from device_drivers.serial.driver import create

__all__ = ["create"]
