"""The background as a process of its own: door contacts over MQTT and a Modbus TCP host, at an even pace."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

from benchmarks.wire import GasHost, Peer, publish

SLICE_S = 0.01


async def run(mqtt_port: int, modbus_port: int, secret: str, rate: float, doors: int) -> None:
    """For ever."""
    loop, chance = asyncio.get_running_loop(), random.Random(1)
    await loop.create_server(GasHost, "127.0.0.1", modbus_port)
    peer = Peer(mqtt_port, "devices", secret, "bench-load")
    print("ready load", flush=True)
    began_s, sent = loop.time(), 0
    while True:
        due = int((loop.time() - began_s) * rate)
        packets = []
        for _ in range(due - sent):
            body = b'{"contact": %s, "linkquality": %d}' % (chance.choice((b"true", b"false")), chance.randrange(255))
            packets.append(publish(f"yard/zd{chance.randrange(doors):03d}", body))
        if packets:
            peer.send(b"".join(packets))
        sent = due
        await asyncio.sleep(SLICE_S)


def main() -> int:
    """The command line; the secret is a file, because other users can read arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mqtt_port", "modbus_port", "rate", "doors"):
        parser.add_argument(name, type=int)
    parser.add_argument("secret", type=Path)
    given = parser.parse_args()
    secret = given.secret.read_text(encoding="utf-8").strip()
    asyncio.run(run(given.mqtt_port, given.modbus_port, secret, given.rate, given.doors))
    return 0


if __name__ == "__main__":
    sys.exit(main())
