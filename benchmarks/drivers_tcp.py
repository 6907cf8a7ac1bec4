"""A Modbus TCP host with 100 units of 10 registers, each read every second: are all on time, and what does it cost?

The host is the simulator in a process of its own. CPU is this process's: driver, schedule, decoding, engine. Run:
``python -m benchmarks.drivers_tcp``.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import sys
import time
from collections import defaultdict
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.drivers_engine import engine_of
from device_drivers.modbus import create
from edge.clock import SystemClock
from edge.flow.supervise import Supervisor
from edge.model import AlarmClass, Batch, Device, Place, Point, Quality, Rule, RuleKind
from edge.ports import Driver, Kit, LinkSettings

UNITS, REGISTERS, PERIOD_S = 100, 10, 1.0
CPU_MAX = 0.08
LATE_S = 0.1
"""A scan this much after its second is late."""


def host(told: Connection) -> None:
    """The far end: every register holds its own unit and number."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readexactly(12):
            unit, _, first, count = struct.unpack(">BBHH", request[6:])
            data = b"".join(struct.pack(">H", unit * 100 + first + n) for n in range(count))
            writer.write(request[:4] + struct.pack(">HBBB", 3 + len(data), unit, 3, len(data)) + data)

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def devices() -> list[Device]:
    """Ten registers each, one of them with a rule."""
    points = tuple(Point(f"r{n}", read={"fc": 3, "register": n}, low=0, high=65535) for n in range(REGISTERS))
    rule = Rule("gas", "r0", AlarmClass.GAS_COMBUSTIBLE, RuleKind.THRESHOLD, limit=60000.0)
    return [
        Device(f"d{n}", "p", "plc", str(n), Place(), points, (rule,), 60.0, {"poll_s": PERIOD_S})
        for n in range(1, UNITS + 1)
    ]


async def measure(port: int, seconds: float) -> tuple[float, dict[str, list[float]], int]:
    """Share of a core, when each device was read, and wrong values."""
    all_devices = devices()
    engine, committing = await engine_of("plc", all_devices)
    seen: dict[str, list[float]] = defaultdict(list)
    wrong = 0
    admit = engine.admit

    def noted(batch: Batch) -> asyncio.Future[None] | None:
        nonlocal wrong
        reading = batch.readings[0]
        if reading.quality is Quality.GOOD:
            seen[reading.key.device].append(time.monotonic())
            wrong += reading.value != int(reading.key.device[1:]) * 100
        return admit(batch)

    engine.admit = noted  # type: ignore[method-assign]  # the benchmark listens where the batches enter
    settings = LinkSettings("plc", "modbus-tcp", {"host": "127.0.0.1", "port": port})

    def driver() -> Driver:
        return create(settings, all_devices, Kit(SystemClock(), lambda cause: None, ""))

    supervisor = Supervisor("plc", driver, engine, SystemClock(), lambda cause: None)
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(3.0)
    seen.clear()
    cpu_s, began = time.process_time(), time.monotonic()
    while time.monotonic() - began < seconds:
        engine.tick()
        await asyncio.sleep(0.25)
    share = (time.process_time() - cpu_s) / (time.monotonic() - began)
    await supervisor.stop()
    await running
    committing.cancel()
    return share, seen, wrong


def main() -> int:
    """Print the figures; 1 when a bar is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=30.0)
    seconds = arguments.parse_args().seconds
    near, far = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=host, args=(far,), daemon=True)
    process.start()
    share, seen, wrong = asyncio.run(measure(near.recv(), seconds))
    process.kill()
    gaps = [after - before for times in seen.values() for before, after in zip(times, times[1:], strict=False)]
    late = sum(gap > PERIOD_S + LATE_S for gap in gaps)
    print(f"{UNITS} units x {REGISTERS} registers every {PERIOD_S:g} s for {seconds:g} s, {len(gaps)} scans")
    print(
        f"  late by more than {LATE_S * 1000:.0f} ms: {late}; longest period {max(gaps):.3f} s; wrong values: {wrong}"
    )
    print(f"  CPU of driver, schedule and engine: {share:.1%} of a core (bar {CPU_MAX:.0%})")
    return int(share > CPU_MAX or late > 0 or wrong > 0 or len(seen) < UNITS)


if __name__ == "__main__":
    sys.exit(main())
