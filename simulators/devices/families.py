"""The simulated far ends of the links beside Modbus, MQTT and 433 MHz, by the kind of link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from edge.model import Device
from simulators.building import GroundTruth
from simulators.devices.espa444 import NursePanel
from simulators.devices.gbt26875 import TransmitterFleet
from simulators.devices.meters import MeterLine
from simulators.devices.osdp import OsdpBus, WiegandConverter


class FarEnd(Protocol):
    """One simulated link."""

    @property
    def where(self) -> str:
        """What a person or a gateway connects to."""
        ...

    async def open(self) -> None:
        """Be there. Raises PortRefused."""
        ...

    async def close(self) -> None:
        """Be gone. Safe twice."""
        ...


Make = Callable[[Mapping[str, Any], Sequence[Device], GroundTruth, int], FarEnd]


def _fire(options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int) -> FarEnd:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(options["host"]), str(options["host"]))
    return TransmitterFleet(host, int(options["port"]), devices, truth, seed)


def _electric(options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int) -> FarEnd:
    return MeterLine(options, devices, truth, seed, electric=True)


def _water(options: Mapping[str, Any], devices: Sequence[Device], truth: GroundTruth, seed: int) -> FarEnd:
    return MeterLine(options, devices, truth, seed, electric=False)


FAMILIES: Mapping[str, Make] = {
    "gbt26875-server": _fire,
    "espa444": NursePanel,
    "dlt645": _electric,
    "cjt188": _water,
    "wiegand-text": WiegandConverter,
    "osdp": OsdpBus,
}
"""Kind of a link → its far end."""
