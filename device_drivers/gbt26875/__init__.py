"""The building's fire transmission device (用户信息传输装置) calls us by GB/T 26875.3 (kind gbt26875-server)."""

from device_drivers.gbt26875.driver import create

__all__ = ["create"]
