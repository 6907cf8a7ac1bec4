"""A scan from nothing: serial settings in the order of likelihood, all addresses, and what each slave may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from device_drivers.modbus.pdu import Answer, Data, Refusal, Request
from device_drivers.modbus.scan import LIKELY, SerialSettings, all_units, find_units, guess
from device_drivers.modbus.wire import RTU_REPLY_S, TCP_REPLY_S, RtuBus, TcpHost, Wire
from device_drivers.profiles import Profile
from edge.errors import Denied, Unreachable

Say = Callable[[str, int, int], None]
"""settings in words, how many addresses are done, of how many."""


class Found(NamedTuple):
    """A slave: its address, how the line spoke, and profiles that fit, the likeliest first."""

    unit: int
    settings: str
    profiles: tuple[str, ...]


async def survey(kind: str, options: Mapping[str, Any], profiles: Mapping[str, Profile], say: Say) -> list[Found]:
    """Everybody at the first settings at which anybody answers. Reads only. Raises Unreachable, Denied."""
    units = all_units(profiles.values())
    refused: Unreachable | None = None
    tried = 0
    for settings in _order(kind, options):
        wire = _wire(kind, options, settings)
        words = str(settings) if settings is not None else f"{options['host']}:{options['port']}"
        try:
            await wire.open()
        except Denied:
            raise
        except Unreachable as fault:
            # Some adapters have no other parity or speed than their own: the next settings may do.
            refused = fault
            continue
        tried += 1
        try:
            found = await _round(wire, units, profiles, settings, words, say)
        finally:
            wire.close()
        if found:
            return found
    if refused is not None and not tried:
        raise refused
    return []


async def _round(
    wire: Wire,
    units: Sequence[int],
    profiles: Mapping[str, Profile],
    settings: SerialSettings | None,
    words: str,
    say: Say,
) -> list[Found]:
    done = 0

    def next_unit(_: int) -> None:
        nonlocal done
        say(words, done, len(units))
        done += 1

    async def ask(request: Request) -> Answer | None:
        answer = await wire.exchange(request)
        if not isinstance(answer, Data | Refusal):
            await wire.clean()
        return answer

    there = await find_units(wire, units, next_unit)
    say(words, len(units), len(units))
    return [
        Found(unit, words, tuple(each.profile for each in await guess(ask, unit, profiles, settings))) for unit in there
    ]


def _order(kind: str, options: Mapping[str, Any]) -> list[SerialSettings | None]:
    """The link's own settings first. Behind TCP there are none to choose."""
    if kind != "modbus-rtu":
        return [None]
    own = SerialSettings(
        int(options.get("baudrate", 9600)), str(options.get("parity", "N")), int(options.get("stopbits", 1))
    )
    return [own, *(each for each in LIKELY if each != own)]


def _wire(kind: str, options: Mapping[str, Any], settings: SerialSettings | None) -> Wire:
    if settings is not None:
        return RtuBus.on_port(str(options["port"]), *settings, RTU_REPLY_S, _uncounted)
    host, port = str(options["host"]), int(options["port"])
    if kind == "modbus-rtu-tcp":
        return RtuBus.on_server(host, port, int(options.get("baudrate", 9600)), TCP_REPLY_S, _uncounted)
    return TcpHost(host, port, TCP_REPLY_S, _uncounted)


def _uncounted(cause: str) -> None:
    """A scan meets silence on purpose."""
