"""The form of a profile: one device model as data, in YAML (see any file beside this one).

From one file come the read plan, the decoding, the default alarm rules, the simulated device and the page in
docs/devices.md. Unknown keys are errors. Register and coil numbers are those on the wire, base 0.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from device_drivers.profiles.base import Part, PointForm, ProfileForm, RuleForm, Scalar, hang_together
from device_drivers.profiles.modbus_form import ModbusProfile
from device_drivers.profiles.mqtt_form import MqttProfile
from device_drivers.profiles.wired import FAMILIES as WIRED_FAMILIES
from device_drivers.profiles.wired import WiredProfile

__all__ = ["FAMILIES", "PROFILE", "Profiled", "RuleForm", "Scalar"]


class RadioRead(Part):
    """Which of the transmitter's key bits (1, 2, 4, 8) are this point."""

    keys: Annotated[list[Literal[1, 2, 4, 8]], Field(min_length=1)]


class RadioPoint(PointForm):
    """A point of a one-way 433 MHz transmitter: always a press."""

    read: RadioRead
    momentary: Literal[True] = True
    write: None = None


class RadioWire(Part):
    """Nothing: a 433 MHz code is all there is."""


class RadioProfile(ProfileForm):
    """A one-way 433 MHz transmitter behind a receiver: nothing supervises it."""

    link: Literal["rf433"]
    supervise_s: None
    wire: RadioWire = RadioWire()
    points: Annotated[list[RadioPoint], Field(min_length=1)]

    _hangs_together = model_validator(mode="after")(lambda self: hang_together(self))


Profiled = ModbusProfile | MqttProfile | RadioProfile | WiredProfile
PROFILE: TypeAdapter[Profiled] = TypeAdapter(Annotated[Profiled, Field(discriminator="link")])
"""Checks the content of one profile file."""
FAMILIES: dict[str, str] = {
    "modbus-rtu": "modbus",
    "modbus-rtu-tcp": "modbus",
    "modbus-tcp": "modbus",
    "mqtt": "mqtt",
    "rf433": "rf433",
    **WIRED_FAMILIES,
}
"""Which profiles a kind of link carries."""
