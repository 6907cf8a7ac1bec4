"""A driver to copy: see README.md here and docs/add-a-driver.md."""

from device_drivers.example.driver import create

__all__ = ["create"]
