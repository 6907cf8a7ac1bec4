"""Telling people by short message through a GSM modem, and hearing their answers.

Every message carries a code; whoever sends it back acknowledges the alarm by name. Short messages are best effort:
handed over is not arrived, and arrived is not answered, so the ladder goes on until somebody answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from edge.channels.modem import Modem, ModemError, Unasked
from edge.channels.pdu import BadPdu, Received, Report, parse, submits
from edge.errors import Denied, Unreachable
from edge.limits import LINK_BACKOFF_S_MAX, LINK_BACKOFF_S_MIN
from edge.model import Delivered, Notice, Outcome, Recipient, Refused, TryLater
from edge.ports import Clockwork, ModemSettings

SCHEME = "sms:"
CHECK_S = 30.0
"""How often the network and the message store are looked at without being told to."""
NO_SUCH_NUMBER = frozenset({1, 28, 30, 304})
"""+CMS errors that no repetition mends: unassigned, unknown or malformed number. All others may pass."""
AWAITED_MAX = 512
"""Delivery reports waited for; a network may never send them."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the channel asks of the gateway.

    code: the answer code of a notice, None when nothing is left to answer. answered: a message came from this number;
    gives the text to send back, if any, after what it causes is committed. state: the modem works, or why not.
    count: one more of this cause.
    """

    code: Callable[[Notice], str | None]
    answered: Callable[[str, str], Awaitable[str | None]]
    state: Callable[[bool, str], None]
    count: Callable[[str], None]


def numbers(person: Recipient) -> tuple[str, ...]:
    """The person's numbers for short messages."""
    ways = ("".join(way).strip() for way in person.tell)
    return tuple(way.removeprefix(SCHEME) for way in ways if way.startswith(SCHEME))


class Sms:
    """ports.Channel over one modem. run() for ever: keeps the modem open, hears answers and reports."""

    def __init__(self, settings: ModemSettings, roster: Sequence[Recipient], wiring: Wiring, clock: Clockwork) -> None:
        self._settings = settings
        self._numbers: Mapping[str, tuple[str, ...]] = {person.id: numbers(person) for person in roster}
        self._wiring = wiring
        self._clock = clock
        self._modem: Modem | None = None
        self._why = "the modem is not open yet"
        self._reference = 0
        self._awaited: dict[tuple[str, int], str] = {}
        self.undelivered: dict[str, str] = {}
        """Recipient → what the network said of their last message, until one arrives."""

    async def deliver(self, notice: Notice) -> Outcome:
        """Hand the notice to the network, once, for every number of the recipient."""
        targets = self._numbers.get(notice.recipient, ())
        if not targets:
            return Refused(f"{notice.recipient} has no number for short messages")
        code = self._wiring.code(notice)
        text = notice.body if code is None else f"{notice.body}\n回复 {code} 表示由您处理 / reply {code} to take it on"
        refused: list[str] = []
        later: list[str] = []
        taken = 0
        for number in targets:
            try:
                await self._send(number, text, notice.recipient)
                taken += 1
            except (ModemError, BadPdu) as fault:
                final = isinstance(fault, BadPdu) or fault.code in NO_SUCH_NUMBER
                (refused if final else later).append(str(fault))
            except Unreachable as fault:
                later.append(str(fault))
        if taken:
            return Delivered("handed to the network")
        return TryLater("; ".join(later)) if later else Refused("; ".join(refused))

    async def run(self) -> None:
        """Until cancelled: open the modem, listen, open it again when it is gone."""
        wait_s, pin = LINK_BACKOFF_S_MIN, self._settings.pin
        while True:
            modem = Modem(self._settings.port, self._settings.baudrate)
            try:
                await modem.open(pin)
                wait_s = LINK_BACKOFF_S_MIN
                await self._serve(modem)
            except Unreachable as fault:
                self._lost(str(fault))
            except Denied as fault:
                self._lost(str(fault))
                pin = None  # three wrong ones lock the card, so it is tried once; the next start tries again
            finally:
                self._modem = None
                modem.close()
            await self._clock.sleep(wait_s)
            wait_s = min(wait_s * 2, LINK_BACKOFF_S_MAX)

    async def _serve(self, modem: Modem) -> None:
        while True:
            if await modem.registered():
                self._modem, self._why = modem, ""
                self._wiring.state(True, "")
            else:
                self._lost("the modem finds no network (antenna, SIM card, coverage)")
            try:
                await self._sweep(modem)
            except ModemError:
                self._wiring.count("sms_store")
            end_s = self._clock.monotonic() + CHECK_S
            while (left_s := end_s - self._clock.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        unasked = await modem.heard()
                    await self._take(modem, unasked)

    def _lost(self, why: str) -> None:
        self._modem, self._why = None, why
        self._wiring.state(False, why)

    async def _send(self, number: str, text: str, recipient: str | None) -> None:
        modem = self._modem
        if modem is None:
            raise Unreachable(self._why)
        self._reference = self._reference % 255 + 1
        for part in submits(number, text, self._reference, report=recipient is not None):
            try:
                reference = await modem.submit(part.hex, part.octets)
            except Unreachable:
                modem.close()  # mute: run() opens it anew
                raise
            if recipient is not None:
                if len(self._awaited) >= AWAITED_MAX:
                    self._awaited.pop(next(iter(self._awaited)))
                self._awaited[number[-8:], reference] = recipient

    async def _take(self, modem: Modem, unasked: Unasked) -> None:
        if unasked.body:
            await self._message(unasked.body)
        elif unasked.line.startswith(("+CMTI", "+CDSI")):
            try:
                await self._sweep(modem)
            except ModemError:
                self._wiring.count("sms_store")

    async def _sweep(self, modem: Modem) -> None:
        """Every stored message: take it in, then delete it; a full store would block all that follow."""
        index: str | None = None
        for line in await modem.ask("AT+CMGL=4", 15.0):
            if line.startswith("+CMGL:"):
                index = line.removeprefix("+CMGL:").split(",")[0].strip()
            elif index is not None:
                await self._message(line)
                await modem.ask(f"AT+CMGD={index}")
                index = None

    async def _message(self, pdu: str) -> None:
        try:
            message = parse(pdu)
        except BadPdu:
            self._wiring.count("sms_garbled")
            return
        match message:
            case Received(number, text):
                reply = await self._wiring.answered(number, text)
                if reply is not None:
                    with contextlib.suppress(ModemError, Unreachable, BadPdu):  # the acknowledgement itself stands
                        await self._send(number, reply, None)
            case Report():
                self._reported(message)

    def _reported(self, report: Report) -> None:
        recipient = self._awaited.get((report.number[-8:], report.reference))
        if recipient is None or not report.final:
            return
        del self._awaited[report.number[-8:], report.reference]
        if report.arrived:
            self.undelivered.pop(recipient, None)
        else:
            self._wiring.count("sms_undelivered")
            self.undelivered[recipient] = f"the network could not deliver (status {report.status:#04x})"
