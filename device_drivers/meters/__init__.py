"""Meters on a bus: electricity by DL/T 645-2007 (kind dlt645), water, gas and heat by CJ/T 188 (kind cjt188)."""

from device_drivers.meters.driver import create

__all__ = ["create"]
