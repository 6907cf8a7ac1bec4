"""GB/T 26875.3 as the monitoring centre: what the transmission device uploads is confirmed after our commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from device_drivers.gbt26875 import codec
from device_drivers.gbt26875.book import Address, Book, Found
from device_drivers.gbt26875.codec import Frame, Item
from device_drivers.gbt26875.door import Caller, Door
from edge.errors import NobodyCalls, Unreachable
from edge.limits import BATCH_READINGS_MAX
from edge.model import (
    BadCause,
    Batch,
    Delivered,
    Device,
    Outcome,
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

CALL_WAIT_S = 4.0
"""How long open() waits for the device's call: below the 5 s that a shutdown may take."""
ABSENT_S = 10.0
"""A device whose connection is gone this long is lost; shorter is a reconnection."""
REPLY_S = 10.0
"""The standard's own limit for a reply (§6.5.4)."""


def create(settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> Driver:
    """The driver of one listening address. No I/O. Raises ValueError."""
    return Gbt26875Driver(settings, devices, kit)


class Heard(NamedTuple):
    """Readings that are confirmed together; done when they are committed, None when nobody waits for it."""

    readings: list[Reading]
    done: Callable[[], None] | None


class Gbt26875Driver:
    """One listening address with the transmission devices that call it, their systems and components."""

    def __init__(self, settings: LinkSettings, devices: Sequence[Device], kit: Kit) -> None:
        self._settings, self._kit = settings, kit
        self._book = Book(devices)
        self._door: Door | None = None
        self._heard: deque[Heard] = deque()
        self._caller_of: dict[int, tuple[Caller, Frame]] = {}
        self._gone_s: dict[int, float] = {}
        self._questions: deque[tuple[int, bytes]] = deque()
        self._asked: tuple[int, float] | None = None
        self._waiting: dict[tuple[int, int], asyncio.Future[bool]] = {}
        self._duty_s: dict[int, float] = {}
        self._serial = 0

    @property
    def plan(self) -> Sequence[PollItem]:
        """Empty: the device uploads by itself."""
        return ()

    @property
    def port(self) -> int:
        """The port we listen at."""
        return self._door.port if self._door is not None else 0

    async def open(self) -> None:
        """Listen and wait for a call. Raises NobodyCalls when there is none, Unreachable, Denied."""
        await self.close()
        host, port = str(self._settings.options["host"]), int(self._settings.options["port"])
        door = self._door = Door(self._kit.count, self._replied)
        try:
            await door.open(host, port)
            await self._called(door, CALL_WAIT_S)
        except BaseException:
            await self.close()
            raise

    async def read(self, request: ReadRequest | None) -> Batch:
        """Wait for uploads, then all that are there. Raises NobodyCalls when no device is connected any more."""
        door = self._door
        while not self._heard:
            if door is None or not door.is_open:
                raise Unreachable("not open")
            door.changed.clear()
            while door.inbox:
                self._take(*door.take())
            self._look_at_time(door)
            if self._heard:
                break
            if not door.callers:
                await self._called(door, ABSENT_S)
                continue
            await _wait(door.changed, self._next_s())
        return self._batch()

    async def write(self, write: Write) -> Outcome:
        """Ask for a duty check (查岗); the value is the time to answer in minutes."""
        found = next((a for a, d in self._book.at.items() if d.id == write.key.device), None)
        if found is None or isinstance(write.value, (str, float)) or not 1 <= int(write.value) <= 255:
            return Refused(f"{write.key}: a duty check takes 1 to 255 minutes")
        there = self._caller_of.get(found.source)
        if there is None:
            return TryLater("the transmission device is not connected")
        minutes = int(write.value)
        answered = await self._control(*there, codec.duty_check(minutes))
        if answered is None:
            return TryLater(f"the transmission device did not confirm within {REPLY_S:.0f} s")
        if not answered:
            return Refused("the transmission device refuses the duty check")
        self._duty_s[found.source] = self._kit.clock.monotonic() + 60.0 * minutes
        if self._door is not None:
            self._door.changed.set()
        return Delivered(f"duty check asked, {minutes} min to answer")

    async def close(self) -> None:
        """Safe always."""
        if self._door is not None:
            self._door.close()
            self._door = None
        for future in self._waiting.values():
            if not future.done():
                future.cancel()
        self._waiting.clear()
        self._caller_of.clear()
        self._heard.clear()
        self._questions.clear()
        self._asked = None

    async def _called(self, door: Door, within_s: float) -> None:
        until_s = self._kit.clock.monotonic() + within_s
        while not door.callers and door.is_open:
            left_s = until_s - self._kit.clock.monotonic()
            if left_s <= 0:
                raise NobodyCalls(f"no transmission device has called port {door.port}")
            door.changed.clear()
            await _wait(door.changed, left_s)

    def _take(self, caller: Caller, frame: Frame) -> None:
        """One frame that is no reply: deny it, confirm it at once, or read it and confirm it after the commit."""
        if frame.why:
            self._kit.count(frame.why)
            caller.send(codec.reply(frame, codec.DENY))
            return
        if frame.command not in (codec.SEND, codec.ANSWER):
            self._kit.count("unknown_command")
            caller.send(codec.reply(frame, codec.DENY))
            return
        if frame.source not in self._book.sources:
            self._kit.count("unknown_id")
            caller.send(codec.reply(frame, codec.DENY))
            return
        self._note(caller, frame)
        objects = codec.items(frame.data)
        if objects is None:
            self._kit.count("garbled")
            caller.send(codec.reply(frame, codec.DENY))
            return
        readings = [reading for number, item in enumerate(objects) for reading in self._read(frame, item, number)]
        done = (lambda: _confirm(caller, frame)) if frame.command == codec.SEND else None
        if frame.command == codec.ANSWER and self._asked is not None:
            self._asked = None
        if readings:
            self._heard.append(Heard(readings, done))
        elif done is not None:
            done()

    def _note(self, caller: Caller, frame: Frame) -> None:
        """Who speaks on which connection. A device that has just come is asked how everything is."""
        known = self._caller_of.get(frame.source)
        if known is None or known[0] is not caller:
            self._questions += [(frame.source, q) for q in self._all_questions(frame.source)]
            if frame.source not in self._duty_s:
                self._say(self._duty(frame.source, False))
        self._caller_of[frame.source] = (caller, frame)
        self._gone_s.pop(frame.source, None)

    def _all_questions(self, source: int) -> list[bytes]:
        return [codec.question(a.system, a.component) for a, _ in self._book.of(source) if a.system is not None]

    def _read(self, frame: Frame, item: Item, number: int) -> list[Reading]:
        found = self._book.read(frame.source, item)
        if not found and item.what == codec.COMPONENT_STATE:
            self._kit.count("unknown_component")
        if item.what == codec.DEVICE_OPERATION and item.value >> codec.DUTY_ANSWER_BIT & 1:
            self._duty_s.pop(frame.source, None)
            found += self._duty(frame.source, False)
        if item.what == codec.COMPONENT_STATE and item.system and item.component and not item.value & 0b110:
            # What is over is believed when it is said twice, and the device says it once: it is asked.
            address = Address(frame.source, item.system, item.component[1])
            if address in self._book.at and frame.command == codec.SEND:
                self._questions.append((frame.source, codec.question(item.system, item.component[1])))
        # Without a clock a device that starts anew would repeat its own ids, and a new fire pass for an old one.
        timed = codec.label_ms(frame.label) is not None
        sequence = f"{frame.serial}-{frame.label.hex()}-{number}" if timed else None
        return [self._reading(f, codec.label_ms(item.label), sequence) for f in found]

    def _duty(self, source: int, unanswered: bool) -> list[Found]:
        device = self._book.at.get(Address(source))
        points = device.points if device is not None else ()
        return [Found(device, p, unanswered) for p in points if device is not None and p.read.get("duty")]

    def _reading(self, found: Found, observed_ms: int | None, sequence: str | None) -> Reading:
        value: Value | None = found.value
        cause, quality = found.cause, Quality.GOOD
        low, high = found.point.low, found.point.high
        if isinstance(value, (int, float)) and low is not None and high is not None and not low <= value <= high:
            value, cause = None, BadCause.OUT_OF_RANGE
        if value is None:
            quality = Quality.BAD
            self._kit.count((cause or BadCause.GARBLED).value)
        return Reading(
            PointKey(found.device.id, found.point.key),
            value,
            quality,
            cause,
            self._kit.clock.wall_ms(),
            self._kit.clock.monotonic(),
            observed_ms,
            sequence if found.point.momentary else None,
            found.point.momentary,
        )

    def _look_at_time(self, door: Door) -> None:
        """Duty checks that ran out, devices that are gone, the next question."""
        now_s = self._kit.clock.monotonic()
        for source in [s for s, at_s in self._duty_s.items() if at_s <= now_s]:
            del self._duty_s[source]
            self._say(self._duty(source, True))
        for source in [s for s, (caller, _) in self._caller_of.items() if caller not in door.callers]:
            del self._caller_of[source]
            self._gone_s[source] = now_s + ABSENT_S
        for source in [s for s, at_s in self._gone_s.items() if at_s <= now_s]:
            del self._gone_s[source]
            lost = [(d, p) for _, d in self._book.of(source) for p in d.points if not p.momentary]
            self._say([Found(d, p, None, BadCause.OFFLINE) for d, p in lost])
        if self._asked is not None and self._asked[1] <= now_s:
            self._kit.count("timeout")
            self._asked = None
        while self._asked is None and self._questions:
            source, data = self._questions.popleft()
            there = self._caller_of.get(source)
            if there is not None:
                self._asked = (self._send(*there, codec.REQUEST, data), now_s + REPLY_S)

    def _say(self, found: list[Found]) -> None:
        readings = [self._reading(f, None, None) for f in found]
        for at in range(0, len(readings), BATCH_READINGS_MAX):
            self._heard.append(Heard(readings[at : at + BATCH_READINGS_MAX], None))

    def _next_s(self) -> float | None:
        times = [*self._duty_s.values(), *self._gone_s.values()]
        times += [self._asked[1]] if self._asked is not None else []
        return max(0.0, min(times) - self._kit.clock.monotonic()) if times else None

    def _batch(self) -> Batch:
        """As many frames as fit; a frame has at most 22 components of a few points."""
        readings: list[Reading] = []
        confirms: list[Callable[[], None]] = []
        while self._heard and len(readings) + len(self._heard[0].readings) <= BATCH_READINGS_MAX:
            heard = self._heard.popleft()
            readings += heard.readings
            confirms += [heard.done] if heard.done is not None else []
        if not readings:
            more = self._heard.popleft()
            readings = more.readings[:BATCH_READINGS_MAX]
            self._heard.appendleft(Heard(more.readings[BATCH_READINGS_MAX:], more.done))

        def ack() -> None:
            while confirms:
                confirms.pop(0)()

        return Batch(self._settings.id, tuple(readings), ack)

    async def _control(self, caller: Caller, frame: Frame, data: bytes) -> bool | None:
        """True: confirmed, False: denied, None: no reply in time."""
        serial = self._send(caller, frame, codec.CONTROL, data)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[id(caller), serial] = future
        done, _ = await asyncio.wait({future}, timeout=REPLY_S)
        self._waiting.pop((id(caller), serial), None)
        return future.result() if done and not future.cancelled() else None

    def _replied(self, caller: Caller, frame: Frame) -> None:
        """A confirmation or denial; a denied question is answered as well as it will ever be."""
        future = self._waiting.get((id(caller), frame.serial))
        if future is not None and not future.done():
            future.set_result(frame.command == codec.CONFIRM)
        elif self._asked is not None and self._asked[0] == frame.serial:
            self._asked = None
            self._kit.count("question_denied")
            if self._door is not None:
                self._door.changed.set()
        else:
            self._kit.count("unasked_reply")

    def _send(self, caller: Caller, frame: Frame, command: int, data: bytes) -> int:
        """Send as the centre the device speaks to; returns the serial number."""
        self._serial = (self._serial + 1) & 0xFFFF
        label = codec.label_of(self._kit.clock.wall_ms())
        caller.send(
            codec.encode(Frame(self._serial, frame.version, label, frame.target, frame.source, command, data))
        )  # fmt: skip
        return self._serial


def _confirm(caller: Caller, frame: Frame) -> None:
    """After the commit. A device whose connection is over sends again."""
    caller.send(codec.reply(frame, codec.CONFIRM))


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
