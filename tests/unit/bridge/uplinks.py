"""What the tests of the uplinks share: a kit, durable queues in a folder, and a peer that answers as a test says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from cloud_bridge.uplink import LANES, UplinkKit
from edge.clock import SystemClock
from edge.model import (
    AlarmEvent,
    Command,
    CommandOutcome,
    Device,
    Place,
    Result,
)
from edge.store.outbox import Outbox
from tests.unit.bridge.samples import NOW_MS

HERE = Place("新盛", "12")


class Runs(Protocol):
    """An uplink."""

    async def run(self) -> None: ...


class House:
    """The outside of an uplink, written down."""

    def __init__(self, folder: Path, devices: Sequence[Device] = ()) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.boxes: list[Outbox] = []
        self.commands: list[Command] = []
        self.open: list[AlarmEvent] = []
        self.values: list[object] = []
        self.states: dict[str, str] = {}
        self.devices = devices

    @property
    def kit(self) -> UplinkKit:
        return UplinkKit(
            gateway="b12",
            place=HERE,
            timezone="Asia/Shanghai",
            data_dir=self.folder,
            clock=SystemClock(),
            devices=self.devices,
            numbers={device.id: n for n, device in enumerate(self.devices, 1)} or {"s301": 15},
            points=lambda: self.values,  # type: ignore[arg-type, return-value]
            alarms=lambda: [],
            links=lambda: self.states,
            command=self.command,
            queue=self.queue,
            count=lambda cause: self.counts.update([cause]),
        )

    async def queue(self, name: str) -> Outbox:
        box = Outbox(self.folder / f"{name}.db", LANES, 1 << 20)
        await box.open()
        self.boxes.append(box)
        return box

    async def command(self, command: Command) -> CommandOutcome:
        self.commands.append(command)
        return CommandOutcome(command.command_id, Result.DONE, "done", "", NOW_MS)

    @asynccontextmanager
    async def running(self, link: Runs) -> AsyncIterator[None]:
        task = asyncio.create_task(link.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            done = await asyncio.gather(task, return_exceptions=True)
            for box in self.boxes:
                await box.close()
            self.boxes.clear()
            assert not isinstance(done[0], Exception), done[0]


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[int]:
    """A TCP server on a free port; talk ends the connection by returning."""
    tasks: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
