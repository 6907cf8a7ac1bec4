"""Modbus RTU and TCP devices (kinds modbus-rtu, modbus-rtu-tcp, modbus-tcp)."""

from device_drivers.modbus.driver import create

__all__ = ["create"]
