"""``linli doctor --page NAME``: a real message to one person by each of their ways, to prove that they work."""

from __future__ import annotations

import asyncio
from typing import Any

from edge.channels.messenger import Messenger
from edge.channels.modem import Modem, ModemError
from edge.channels.pdu import BadPdu, submits
from edge.config import Building
from edge.errors import LinkError
from edge.model import Delivered, Notice, Refused

TITLE = "测试 / Test"
BODY = "邻里网关测试：请告诉安装人员您已收到。无需处理。/ A test of the Linli gateway: please say that it has arrived."
Row = dict[str, Any]


def page(building: Building, name: str, running: bool) -> list[Row]:
    """One row per way, in the form of doctor.examine. running: the gateway has the modem. Raises ValueError."""
    person = next((one for one in building.roster if name in (one.id, one.name)), None)
    if person is None:
        known = ", ".join(f"{one.id} ({one.name})" for one in building.roster) or "nobody"
        raise ValueError(f"nobody on the roster is called {name!r} (there: {known})")
    return asyncio.run(_all(building, person.tell, running))


async def _all(building: Building, ways: tuple[str, ...], running: bool) -> list[Row]:
    return [await _one(building, "".join(way).strip(), running) for way in ways]


async def _one(building: Building, way: str, running: bool) -> Row:
    scheme = way.partition(":")[0]  # the rest is a secret or a number
    if scheme == "sms":
        if running:
            remedy = "stop the gateway for this test: the modem is its own while it runs"
            return {"result": "warning", "what": "sms: not tried", "remedy": remedy}
        why = await _by_modem(building, way.removeprefix("sms:"))
    else:
        outcome = await Messenger().deliver(Notice("page", "page", 0, "page", way, TITLE, BODY, 0))
        why = None if isinstance(outcome, Delivered) else outcome.why
        if isinstance(outcome, Refused):
            return {"result": "fault", "what": f"{scheme}: {why}", "remedy": "correct the address in the roster"}
    if why is not None:
        return {"result": "fault", "what": f"{scheme}: {why}", "remedy": "is the service reachable from this box?"}
    return {"result": "ok", "what": f"{scheme}: handed over", "remedy": "ask the person whether it has arrived"}


async def _by_modem(building: Building, number: str) -> str | None:
    """Why it did not go out; None when the network took it."""
    if building.modem is None:
        return "this building has no modem"
    modem = Modem(building.modem.port, building.modem.baudrate)
    try:
        await modem.open(building.modem.pin)
        if not await modem.registered():
            return "the modem finds no network (antenna, SIM card, coverage)"
        for part in submits(number, BODY, 1, report=False):
            await modem.submit(part.hex, part.octets)
    except (LinkError, ModemError, BadPdu) as fault:
        return str(fault)
    finally:
        modem.close()
    return None
