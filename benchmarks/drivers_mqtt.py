"""Messages of a building broker, decoded, judged and kept as live values: how many a second on one core?

A real mosquitto, a sender of raw QoS 1 packets in a process of its own, and in this process session, driver and engine.
The sender keeps a window of unacknowledged messages, so that the broker is never flooded and nothing is thrown away.
Run: ``python -m benchmarks.drivers_mqtt``.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import Popen

from benchmarks.drivers_engine import engine_of
from benchmarks.wire import connect, publish
from device_drivers.mqtt import create
from device_drivers.profiles import load_profiles
from edge.clock import SystemClock
from edge.flow.supervise import Supervisor
from edge.model import Batch, Device, Place
from edge.ports import Driver, Kit, LinkSettings
from simulators.demo_brokers import mosquitto

SENSORS = 500
BAR = 5000.0
WINDOW = 400
"""Messages on their way: below the broker's own receive maximum times two."""


def send(port: int, messages: int, told: Connection) -> None:
    """Every sensor in turn; each message says something new."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(connect("sensors", "sensors", "x"))
        peer.recv(4)
        acked, rest = 0, 0
        told.recv()
        for number in range(messages):
            if number % 50 == 0:
                while number - acked > WINDOW - 50:
                    rest += len(peer.recv(65536))
                    acked, rest = acked + rest // 4, rest % 4
            sensor = number % SENSORS
            body = b'{"smoke":false,"battery_low":false,"battery":%d,"linkquality":%d}' % (number % 100, number % 255)
            peer.sendall(publish(f"z/s{sensor}", body, number % 65535 + 1))
        while acked < messages:
            rest += len(peer.recv(65536))
            acked, rest = acked + rest // 4, rest % 4


def broker(folder: Path) -> tuple[Popen[bytes], int]:
    """A mosquitto that lets everybody in on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = folder / "conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
        f"max_inflight_messages 200\nlog_type none\npersistence false\n"
    )
    process = Popen([str(mosquitto()), "-c", str(settings)])
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.02)
    raise RuntimeError("mosquitto does not listen")


async def measure(port: int, messages: int, go: Connection) -> tuple[float, float, int]:
    """Seconds on the wall and of CPU until every message was judged, and how many readings that made."""
    profile = load_profiles()["zigbee2mqtt/smoke"]
    devices = [
        Device(
            f"s{n}", profile.id, "z", f"z/s{n}", Place(), profile.points, profile.rules, 90000.0, profile.wire, "smoke"
        )
        for n in range(SENSORS)
    ]
    engine, committing = await engine_of("z", devices)
    readings = 0
    admit = engine.admit

    def counted(batch: Batch) -> asyncio.Future[None] | None:
        nonlocal readings
        readings += len(batch.readings)
        return admit(batch)

    engine.admit = counted  # type: ignore[method-assign]  # the benchmark counts where the batches enter
    settings = LinkSettings("z", "mqtt", {"url": f"mqtt://127.0.0.1:{port}", "username": "gw", "password": "x"})

    def driver() -> Driver:
        return create(settings, devices, Kit(SystemClock(), lambda cause: None, ""))

    supervisor = Supervisor("z", driver, engine, SystemClock(), lambda cause: None)
    running = asyncio.create_task(supervisor.run())
    while engine.link_states()["z"] != "up":
        await asyncio.sleep(0.05)
    go.send(True)
    wanted = 3 * messages
    began, cpu_s = time.monotonic(), time.process_time()
    while readings < wanted and time.monotonic() - began < 120:
        await asyncio.sleep(0.02)
    took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
    await supervisor.stop()
    await running
    committing.cancel()
    return took_s, cpu_s, readings


def main() -> int:
    """Print the figures; 1 when the bar is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=100_000)
    messages = arguments.parse_args().messages
    with tempfile.TemporaryDirectory() as folder:
        process, port = broker(Path(folder))
        go, told = get_context("spawn").Pipe()
        sender = get_context("spawn").Process(target=send, args=(port, messages, told), daemon=True)
        sender.start()
        took_s, cpu_s, readings = asyncio.run(measure(port, messages, go))
        sender.kill()
        process.terminate()
        process.wait()
    whole = readings == 3 * messages
    print(f"{messages} messages of {SENSORS} Zigbee2MQTT smoke detectors, QoS 1, three readings each")
    print(f"  {messages / took_s:,.0f} messages/s on the wall (bar {BAR:,.0f}); all judged and kept: {whole}")
    print(f"  {messages / cpu_s:,.0f} messages/s of one core's time ({cpu_s / messages * 1e6:.0f} µs each)")
    return int(not whole or messages / took_s < BAR)


if __name__ == "__main__":
    sys.exit(main())
