"""Nurse-call systems that speak ESPA 4.4.4 (kind espa444)."""

from device_drivers.espa444.driver import create

__all__ = ["create"]
