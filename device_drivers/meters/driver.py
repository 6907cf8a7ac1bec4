"""A bus of meters: one question and its answer at a time, each matched by address and data identifier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from device_drivers.lines import Line, open_line
from device_drivers.meters import cjt188, dlt645
from device_drivers.meters.frames import CJT188, DLT645, Layout, split
from edge.errors import Unreachable
from edge.model import BadCause, Batch, Device, Point, PointKey, PollItem, Quality, Reading, ReadRequest, Value
from edge.ports import Driver, Kit, LinkSettings

BAUDRATE, PARITY = 2400, "E"
TIMEOUT_S = 1.0
POLL_S = 60.0
ANSWER_BYTES = 40
"""Longest usual answer, for the time it takes on the wire."""
CHARACTER_BITS = 11
WHO_S = 2.0
"""How long probe() waits for answers."""

Data = bytes | BadCause


class Question(NamedTuple):
    """One exchange: what is sent, who reads its answer, and the points that are in it."""

    device: Device
    sent: bytes
    answer: Callable[[bytes], Data | None]
    points: tuple[Point, ...]


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one bus. No I/O. Raises ValueError for an address that is no meter number."""
    if settings.kind == "dlt645":
        questions = [q for device in devices for q in _dlt_questions(device)]
        return MeterBus(settings, kit, DLT645, questions, dlt645.value)
    return MeterBus(settings, kit, CJT188, [_cjt_question(device) for device in devices], cjt188.value)


def _dlt_questions(device: Device) -> list[Question]:
    items: dict[str, list[Point]] = {}
    for point in device.points:
        items.setdefault(str(point.read["di"]), []).append(point)

    def reader(di: str) -> Callable[[bytes], Data | None]:
        return lambda frame: dlt645.answer(frame, device.address, di)

    return [
        Question(device, dlt645.request(device.address, di), reader(di), tuple(points)) for di, points in items.items()
    ]


def _cjt_question(device: Device) -> Question:
    kind, di = int(device.wire["meter_type"]), str(device.wire.get("di", "901F"))
    return Question(
        device,
        cjt188.request(kind, device.address, di),
        lambda frame: cjt188.answer(frame, kind, device.address, di),
        device.points,
    )


class MeterBus:
    """One bus with its meters."""

    def __init__(
        self,
        settings: LinkSettings,
        kit: Kit,
        layout: Layout,
        questions: Sequence[Question],
        value: Callable[[bytes, Mapping[str, Any]], Value | BadCause],
    ) -> None:
        self._settings, self._kit, self._layout, self._value = settings, kit, layout, value
        self._line: Line | None = None
        self._questions: dict[ReadRequest, Question] = {}
        self._plan: list[PollItem] = []
        character_s = CHARACTER_BITS / int(settings.options.get("baudrate", BAUDRATE))
        timeout_s = float(settings.options.get("timeout_s", TIMEOUT_S))
        counts: dict[str, int] = {}
        for question in questions:
            device = question.device
            number = counts[device.id] = counts.get(device.id, -1) + 1
            request = ReadRequest(device.id, number)
            self._questions[request] = question
            wire_s = (len(question.sent) + ANSWER_BYTES) * character_s
            period_s = float(device.wire.get("poll_s") or POLL_S)
            self._plan.append(PollItem(request, period_s, device.life_safety, timeout_s + wire_s, wire_s))
        self._timeouts = {item.request: item.timeout_s for item in self._plan}

    @property
    def plan(self) -> Sequence[PollItem]:
        """One item for each data identifier of each meter."""
        return self._plan

    async def open(self) -> None:
        """Open the line. Raises Unreachable, Denied."""
        await self.close()
        self._line = await open_line(self._settings.options, BAUDRATE, PARITY)

    async def read(self, request: ReadRequest | None) -> Batch:
        """Ask one meter for one item. Its silence or refusal is a bad reading; only the line's end raises."""
        if self._line is None or request is None:
            raise Unreachable("not open")
        question = self._questions[request]
        data = await self._ask(self._line, question, self._timeouts[request])
        if isinstance(data, BadCause):
            self._kit.count(data.value)
        return Batch(self._settings.id, tuple(self._reading(question, p, data) for p in question.points), lambda: None)

    async def probe(self) -> Sequence[str]:
        """The address of an electricity meter, when it is the only one on the line; nothing by CJ/T 188."""
        if self._line is None:
            raise Unreachable("not open")
        found: dict[str, None] = {}
        if self._layout is DLT645:
            self._line.drain()
            self._line.write(dlt645.who())
            until_s = asyncio.get_running_loop().time() + WHO_S
            rest = b""
            while received := await self._line.read(until_s):
                frames, rest, _ = split(self._layout, rest + received)
                found |= dict.fromkeys(dlt645.address_of(f) for f in frames if f[8] == dlt645.ADDRESS_REPLY)
        return list(found)

    async def close(self) -> None:
        """Safe always."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _ask(self, line: Line, question: Question, timeout_s: float) -> Data:
        """One exchange. An answer names its address and item, so a late one is never taken for another's value."""
        line.drain()
        line.write(question.sent)
        until_s = asyncio.get_running_loop().time() + timeout_s
        rest, garbled = b"", False
        while True:
            received = await line.read(until_s)
            if not received:
                return BadCause.GARBLED if garbled or rest else BadCause.TIMEOUT
            frames, rest, faults = split(self._layout, rest + received)
            garbled = garbled or faults > 0
            for frame in frames:
                data = question.answer(frame)
                if data is not None:
                    return data
                # Our own question, heard back on a two-wire bus, is no answer either and worth no word.
                if frame not in question.sent:
                    self._kit.count("late_reply")

    def _reading(self, question: Question, point: Point, data: Data) -> Reading:
        found: Value | BadCause = data if isinstance(data, BadCause) else self._value(data, point.read)
        if isinstance(found, BadCause) and not isinstance(data, BadCause):
            self._kit.count(found.value)
        low, high = point.low, point.high
        if not isinstance(found, (BadCause, str)) and low is not None and high is not None and not low <= found <= high:
            found = BadCause.OUT_OF_RANGE
            self._kit.count(found.value)
        bad = isinstance(found, BadCause)
        return Reading(
            PointKey(question.device.id, point.key),
            None if isinstance(found, BadCause) else found,
            Quality.BAD if bad else Quality.GOOD,
            found if isinstance(found, BadCause) else None,
            self._kit.clock.wall_ms(),
            self._kit.clock.monotonic(),
        )
