"""An RS-485 line of 30 slaves at 9600 8N1: how near the driver comes to the line's limit, and what a dead slave costs.

The line is modelled: a process holds the far end of a pty, takes 10 bits for each character of request and reply and
5 ms to turn round. A pty ignores the baud rate, so nothing else slows the bytes. The standard asks a master for 3.5
characters of silence before each request; the share is given with and without them.
Run: ``python -m benchmarks.drivers_rtu``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import struct
import sys
import tempfile
import time
import tty
from collections import defaultdict
from multiprocessing import get_context
from pathlib import Path

from device_drivers.modbus import create
from device_drivers.modbus.pdu import crc16
from device_drivers.modbus.plan import quiet_s
from edge.clock import SystemClock
from edge.decide.schedule import Schedule
from edge.model import Device, Place, Point, Quality
from edge.ports import Kit, LinkSettings

BAUDRATE, BITS, TURNAROUND_S = 9600, 10, 0.005
SLAVES, REGISTERS = 30, 8
REQUEST_BYTES, REPLY_BYTES = 8, 5 + 2 * REGISTERS


def line(port: Path, dead: int | None) -> None:
    """The far end, in a process of its own, until it is killed. dead: a unit that never answers."""
    master, slave = os.openpty()
    tty.setraw(slave)
    port.symlink_to(os.ttyname(slave))
    heard = b""
    while True:
        select.select([master], [], [])
        began = time.perf_counter()
        heard += os.read(master, 256)
        if len(heard) < REQUEST_BYTES:
            continue
        unit, _, first, count = struct.unpack(">BBHH", heard[:6])
        heard = heard[REQUEST_BYTES:]
        if unit == dead:
            continue
        body = bytes((unit, 3, 2 * count)) + b"".join(struct.pack(">H", unit * 8 + first + n) for n in range(count))
        frame = body + crc16(body)
        ends = began + (REQUEST_BYTES + len(frame)) * BITS / BAUDRATE + TURNAROUND_S
        while (left_s := ends - time.perf_counter()) > 0:
            # The machine sleeps half a millisecond too long; the model must not.
            time.sleep(max(0.0, left_s - 0.0015))
        os.write(master, frame)


def devices() -> list[Device]:
    """Slaves 1–30 with eight registers each."""
    points = tuple(Point(f"r{n}", read={"fc": 3, "register": n}) for n in range(REGISTERS))
    return [
        Device(f"d{n}", "p", "bus", str(n), Place(), points, (), 60.0, {"poll_s": 0.2}) for n in range(1, SLAVES + 1)
    ]


async def measure(port: Path, seconds: float) -> dict[str, list[float]]:
    """When each device was read, by device, with the scheduler asked as the supervisor asks it."""
    driver = create(LinkSettings("bus", "modbus-rtu", {"port": str(port)}), devices(), Kit(SystemClock(), _count, ""))
    await driver.open()
    seen: dict[str, list[float]] = defaultdict(list)
    schedule = Schedule.of(driver.plan, time.monotonic())
    until_s = time.monotonic() + seconds
    wrong = 0
    while time.monotonic() < until_s:
        turn = schedule.next(time.monotonic())
        if turn.item is None:
            await asyncio.sleep(turn.wait_s)
            continue
        began = time.monotonic()
        batch = await driver.read(turn.item.request)
        good = all(reading.quality is Quality.GOOD for reading in batch.readings)
        schedule.done(turn.item, good, began, time.monotonic())
        if good:
            seen[turn.item.request.device].append(time.monotonic())
            unit = int(turn.item.request.device[1:])
            wrong += sum(reading.value != unit * 8 + int(reading.key.point[1:]) for reading in batch.readings)
    await driver.close()
    if wrong:
        raise SystemExit(f"{wrong} wrong values")
    return seen


def _count(cause: str) -> None:
    return None


def run(seconds: float, dead: int | None) -> dict[str, float]:
    """The mean period of each living device, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "bus"
        far = get_context("spawn").Process(target=line, args=(port, dead), daemon=True)
        far.start()
        while not port.is_symlink():
            time.sleep(0.01)
        seen = asyncio.run(measure(port, seconds))
        far.kill()
        far.join()
    # The first fifth is for learning who is dead.
    return {
        name: (times[-1] - times[len(times) // 5]) / (len(times) - 1 - len(times) // 5) for name, times in seen.items()
    }


def main() -> int:
    """Print the figures; 1 when a bar is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=40.0)
    seconds = arguments.parse_args().seconds
    bytes_s = SLAVES * ((REQUEST_BYTES + REPLY_BYTES) * BITS / BAUDRATE + TURNAROUND_S)
    silent_s = bytes_s + SLAVES * quiet_s(BAUDRATE, BITS)
    alive = run(seconds, None)
    period_s = sum(alive.values()) / len(alive)
    with_dead = run(seconds, 15)
    worst = max(with_dead.values()) / period_s
    share, strict = silent_s / period_s, bytes_s / period_s
    print(f"{SLAVES} slaves x {REGISTERS} registers at {BAUDRATE} 8N1: one round in {period_s:.3f} s")
    print(f"  the line's own bytes and turnaround: {bytes_s:.3f} s, reached {strict:.1%} (bar 90 %)")
    print(f"  with the 3.5 characters of silence that the standard asks for: {silent_s:.3f} s, reached {share:.1%}")
    print(f"  one dead of {SLAVES}: the others' period x {worst:.2f} at most (bar 1.20)")
    return int(strict < 0.9 or worst > 1.2)


if __name__ == "__main__":
    sys.exit(main())
