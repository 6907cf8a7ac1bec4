"""Modbus RTU and TCP: polls the registers that profiles name, and sets coils and registers with read-back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from device_drivers.modbus import pdu
from device_drivers.modbus.decode import cell, value_of
from device_drivers.modbus.patience import Patience
from device_drivers.modbus.pdu import Answer, Data, Refusal, Request
from device_drivers.modbus.plan import Limits, Span, rtu_cost_s, spans
from device_drivers.modbus.scan import UNIT_MAX, find_units
from device_drivers.modbus.wire import QUIET_AFTER_FAULT_S, RTU_REPLY_S, TCP_REPLY_S, RtuBus, TcpHost, Wire
from device_drivers.modbus.write import Setting, setting
from edge.errors import Unreachable
from edge.model import (
    BadCause,
    Batch,
    Delivered,
    Device,
    Outcome,
    Point,
    PointKey,
    PollItem,
    Quality,
    Reading,
    ReadRequest,
    Refused,
    TryLater,
    Value,
    Write,
)
from edge.ports import Driver, Kit, LinkSettings

LATE_REPLY_S = 5.0
"""For this long after an unanswered request its reply may still come; no request that it fits is made meanwhile."""
POLL_S = 2.0
"""Period of a profile that gives none."""
_REFUSED_FOR_EVER = frozenset({1, 2, 3})


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of a modbus-rtu, modbus-rtu-tcp or modbus-tcp link. No I/O. Raises ValueError."""
    options = settings.options
    wire: Wire
    baudrate: int | None = int(options.get("baudrate", 9600))
    if settings.kind == "modbus-rtu":
        wire = RtuBus.on_port(
            str(options["port"]),
            int(options.get("baudrate", 9600)),
            str(options.get("parity", "N")),
            float(options.get("stopbits", 1)),
            float(options.get("timeout_s", RTU_REPLY_S)),
            kit.count,
        )
    elif settings.kind == "modbus-rtu-tcp":
        wire = RtuBus.on_server(
            str(options["host"]),
            int(options["port"]),
            int(options.get("baudrate", 9600)),
            float(options.get("timeout_s", TCP_REPLY_S)),
            kit.count,
        )
    else:
        wire = TcpHost(
            str(options["host"]), int(options.get("port", 502)), float(options.get("timeout_s", TCP_REPLY_S)), kit.count
        )
        baudrate = None
    return ModbusDriver(settings.id, devices, kit, wire, baudrate)


class ModbusDriver:
    """One bus or host with its devices."""

    def __init__(self, link: str, devices: Sequence[Device], kit: Kit, wire: Wire, baudrate: int | None) -> None:
        self._link, self._kit, self._wire = link, kit, wire
        self._devices = {device.id: device for device in devices}
        self._spans = {device.id: _spans_of(device, tcp=baudrate is None) for device in devices}
        self._plan = tuple(
            _poll_item(device, index, span, wire.reply_s, baudrate)
            for device in devices
            for index, span in enumerate(self._spans[device.id])
        )
        shapes = Counter(span.request.shape for each in self._spans.values() for span in each)
        self._twins = {shape for shape, times in shapes.items() if times > 1}
        self._patience: defaultdict[int, Patience] = defaultdict(Patience)
        self._good: dict[int, Request] = {}
        self._late: list[tuple[Request, float]] = []
        self._dirty = False

    @property
    def plan(self) -> Sequence[PollItem]:
        """One item for each range of each device."""
        return self._plan

    async def open(self) -> None:
        """Open the port or connect. Raises Unreachable, Denied."""
        self._dirty = False
        await self._wire.open()

    async def read(self, request: ReadRequest | None) -> Batch:
        """One exchange. A device's own failure is bad readings; raises Unreachable when the link is gone."""
        if request is None:
            raise ValueError("a Modbus link is polled: read needs a request of the plan")
        span = self._spans[request.device][request.plan]
        answer: Answer | None = None
        if self._late_reply_fits(span.request):
            self._kit.count("held_back")
        else:
            answer = await self._exchange(span.request)
        return Batch(self._link, self._readings(request.device, span, answer), _nothing_to_acknowledge)

    async def write(self, write: Write) -> Outcome:
        """One write, and the same coil or register read back."""
        device = self._devices.get(write.key.device)
        how = {} if device is None else device.wire.get("points", {}).get(write.key.point, {}).get("write")
        if device is None or not how:
            return Refused(f"{write.key} cannot be set")
        try:
            wanted = setting(_unit(device), how, write.value)
        except ValueError as fault:
            return Refused(f"{write.key}: {fault}")
        try:
            return await self._set(wanted)
        except Unreachable as fault:
            return TryLater(str(fault))

    async def probe(self) -> Sequence[str]:
        """Unit numbers that answer a harmless read (holding register 0); an exception is an answer too."""
        return [str(unit) for unit in await find_units(self._wire, range(1, UNIT_MAX + 1))]

    async def close(self) -> None:
        """Safe always."""
        self._wire.close()

    async def _exchange(self, request: Request) -> Answer | None:
        """One exchange; after a fault the bus is made clean before anything else is asked."""
        if self._dirty:
            self._dirty = False
            await self._wire.clean()
        answer = await self._ask(request)
        if not isinstance(answer, Data | Refusal):
            await self._make_clean(request)
        return answer

    async def _ask(self, request: Request) -> Answer | None:
        """Send, and remember whose reply may still be under way."""
        patience, started_s = self._patience[request.unit], self._kit.clock.monotonic()
        answer = await self._wire.exchange(request, patience.reply_s(self._wire.reply_s))
        self._good.pop(request.unit, None)
        if answer is None:
            patience.silent()
        if isinstance(answer, Data | Refusal):
            patience.answered(self._kit.clock.monotonic() - started_s - self._wire.frames_s(request))
            if request.fc in pdu.READS:
                # Put at the end: the canary is the device that answered last. Never a write: it would act again.
                self._good[request.unit] = request
            late = self._late_replies(request.unit, request.fc)
            if request in late or (late and isinstance(answer, Refusal)):
                # This may have been the late answer (an exception names no register), and ours is still to come.
                self._remember(request)
        else:
            self._remember(request)
        return answer

    async def _make_clean(self, failed: Request) -> None:
        """Quiet, drain, reopen, and a canary: another device's register, whose reply no late one can pass for."""
        await self._wire.clean()
        canary = next((good for good in reversed(self._good.values()) if good.unit != failed.unit), None)
        if self._wire.numbered or canary is None or self._late_reply_fits(canary):
            return
        self._dirty = not isinstance(await self._ask(canary), Data | Refusal)

    def _remember(self, unanswered: Request) -> None:
        if not self._wire.numbered:
            now_s = self._kit.clock.monotonic()
            self._late = [(request, until_s) for request, until_s in self._late if until_s > now_s]
            self._late.append((unanswered, now_s + LATE_REPLY_S))

    def _late_reply_fits(self, request: Request) -> bool:
        """A late reply could be taken for the answer to this request, and carry another register's value.

        Two requests of one device with replies of one shape are twins. They are not even repeated while a reply is
        missing: the missing one would answer the repetition, whose own answer would then be the one that is late.
        """
        return any(
            late.shape == request.shape and (late != request or request.shape in self._twins)
            for late in self._late_replies(request.unit, request.fc)
        )

    def _late_replies(self, unit: int, fc: int) -> list[Request]:
        """Requests of this unit and function whose reply may still come."""
        now_s = self._kit.clock.monotonic()
        return [late for late, until_s in self._late if until_s > now_s and (late.unit, late.fc) == (unit, fc)]

    async def _set(self, wanted: Setting) -> Outcome:
        answer: Answer | None = None
        for step in wanted.steps:
            answer = await self._exchange(step)
            if isinstance(answer, Refusal):
                text = f"the device refuses with exception {answer.code}"
                return Refused(text) if answer.code in _REFUSED_FOR_EVER else TryLater(text)
            if not isinstance(answer, Data):
                return TryLater("no answer" if answer is None else f"a reply that is none ({answer.cause})")
        back = wanted.back
        if back is None:
            return Delivered("confirmed; nothing shows whether it took")
        if wanted.steps[-1].fc != pdu.WRITE_AND_READ:
            if self._late_replies(back.unit, back.fc):
                return Delivered("echoed; not read back while a late reply may come")
            answer = await self._exchange(back)
        if isinstance(answer, Refusal):
            return Delivered(f"echoed; the device does not let it be read (exception {answer.code})")
        if not isinstance(answer, Data):
            return TryLater("written, but nobody answered when it was read back")
        if wanted.shown(answer.data):
            return Delivered("read back")
        return TryLater("written, but not read back as written", disagrees=True)

    def _readings(self, device: str, span: Span, answer: Answer | None) -> tuple[Reading, ...]:
        wall_ms, now_s = self._kit.clock.wall_ms(), self._kit.clock.monotonic()
        made = []
        for each in span.cells:
            found: Value | BadCause = _cause(answer)
            if isinstance(answer, Data):
                found = value_of(each, span.request.address, answer.data)
            key = PointKey(device, each.point.key)
            if isinstance(found, BadCause):
                made.append(Reading(key, None, Quality.BAD, found, wall_ms, now_s))
            else:
                made.append(Reading(key, found, Quality.GOOD, None, wall_ms, now_s, momentary=each.point.momentary))
        return tuple(made)


def _cause(answer: Answer | None) -> BadCause:
    if answer is None:
        return BadCause.TIMEOUT
    return BadCause.EXCEPTION if isinstance(answer, Refusal) else BadCause.GARBLED


def _unit(device: Device) -> int:
    return int(device.address)


def _spans_of(device: Device, tcp: bool) -> tuple[Span, ...]:
    """The device's requests. Raises ValueError for an address or a mapping that cannot be."""
    unit = _unit(device)
    own = device.wire.get("unit") == unit
    if not (0 if tcp else 1) <= unit <= (255 if tcp or own else 247):
        raise ValueError(f"device {device.id}: {unit} is no unit number on this link")
    readable: list[Point] = [point for point in device.points if point.read]
    return spans(unit, (cell(point) for point in readable), Limits.of(device.wire))


def _poll_item(device: Device, index: int, span: Span, reply_s: float, baudrate: int | None) -> PollItem:
    """timeout_s is all that a dead device costs the bus: its silence, the quiet after it, and the canary."""
    period_s = float(device.wire.get("poll_s") or POLL_S)
    cost_s = 0.01 if baudrate is None else rtu_cost_s(span.request, baudrate)
    timeout_s = reply_s if baudrate is None else reply_s + QUIET_AFTER_FAULT_S + 2 * cost_s
    return PollItem(ReadRequest(device.id, index), period_s, device.life_safety, timeout_s, cost_s)


def _nothing_to_acknowledge() -> None:
    """A polled device waits for no acknowledgement."""
