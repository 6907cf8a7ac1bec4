"""``make bench``: from a device's message to the journal and to the console's stream, by real processes on loopback.

500 devices report 500 readings a second by MQTT and Modbus TCP; five times a second somebody presses a call button.
*Event*: until the event is on the duty broker, which it reaches only after the commit: an upper bound of "committed".
*Screen*: until the duty room's stream hands the incident to a console; drawing it is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import parts
from benchmarks.site import MODBUS_PER_S, MQTT_PER_S, Site
from simulators.demo_brokers import mosquitto

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. good None: there is no bar."""

    what: str
    figures: str
    bar: str = ""
    good: bool | None = None

    @property
    def verdict(self) -> str:
        """Held, missed, or nothing promised."""
        return {True: "holds", False: "MISSED", None: ""}[self.good]


def machine() -> str:
    """What it ran on, and with what."""
    model = next(
        (x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")),
        platform.machine(),
    )
    broker = subprocess.run([str(mosquitto()), "-h"], capture_output=True, text=True).stdout.split("\n")[0]
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({model}), load before {load}; Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {broker}, paho {version('paho-mqtt')}"
    )


def three(values: list[float]) -> str:
    """p50, p95 and p99 in ms."""
    return " / ".join(f"{parts.percentile(values, percent):.1f}" for percent in (50, 95, 99)) + f" ms (n={len(values)})"


async def measure(folder: Path, quick: bool, say: Callable[[Row], None]) -> None:
    """All parts, one after the other. Raises when one cannot be measured."""
    site = Site(folder / "site")
    try:
        await site.start()
        starts = []
        for _ in range(1 if quick else 4):
            await site.stop_gateway()
            starts.append(await site.start_gateway())
        listed = ", ".join(f"{each:.2f}" for each in starts)
        say(Row("start to first reading", f"{listed} s", "≤ 3 s", max(starts) <= 3.0))
        ways = await parts.ways(site, 25.0 if quick else 50.0)
        watch, commits, share = ways.watch, ways.commits, ways.share
        say(Row("the machine's own lag: a sleep of 1 ms came late by", three(ways.lag_ms)))
        event, screen = watch.took_ms["event"], watch.took_ms["screen"]
        say(
            Row(
                "commit of a group, p50 / p99",
                f"≤ {parts.bound_of(commits, 50):g} / ≤ {parts.bound_of(commits, 99):g} ms",
            )
        )
        say(Row("press → event on the duty broker", three(event), "p99 < 10 ms", parts.percentile(event, 99) < 10.0))
        say(Row("press → console's stream", three(screen), "p95 < 250 ms", parts.percentile(screen, 95) < 250.0))
        say(Row("presses not seen", str(watch.unseen()), "0", not watch.unseen()))
        say(Row(f"gateway's CPU at {MQTT_PER_S + MODBUS_PER_S} readings/s", f"{share * 100:.0f} % of a core"))
        rate, cpu_s = await parts.ingest(site, 10_000 if quick else 30_000)
        say(Row("MQTT ingest, QoS 1, as fast as it goes", f"{rate:,.0f} messages/s, {cpu_s:.2f} CPU-s per 1,000"))
    finally:
        await site.stop()
    rss, peak, told = await parts.memory(folder / "demo")
    what = f"gateway RSS, demo building, after its fallback ({told} told)"
    say(Row(what, f"{rss:.0f} MB, peak {peak:.0f} MB", "≤ 90 MB", rss <= 90.0 and told > 0))


def write(where: str, rows: list[Row]) -> None:
    """Put the figures into the document, between its marks."""
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    table = ["| what | measured | bar | |", "|---|---|---|---|"]
    table += [f"| {row.what} | {row.figures} | {row.bar} | {row.verdict} |" for row in rows]
    body = "\n".join([BEGIN, f"{time.strftime('%Y-%m-%d')}: {where}.", "", *table, END])
    DOCUMENT.write_text(head + body + rest.partition(END)[2], encoding="utf-8")


def main() -> int:
    """The command line. 0: everything was measured, whatever the figures; a busy machine is no fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter: in less than three minutes")
    parser.add_argument("--write", action="store_true", help=f"put the figures into docs/{DOCUMENT.name}")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    where, rows = machine(), list[Row]()
    print(where, flush=True)

    def say(row: Row) -> None:
        rows.append(row)
        print(f"{row.what:62} {row.figures:44} {row.bar:13} {row.verdict}", flush=True)

    with tempfile.TemporaryDirectory(prefix="linli-bench-") as folder:
        asyncio.run(measure(Path(folder), given.quick, say))
    if given.write:
        write(where, rows)
    if given.json:
        found = [{"what": r.what, "figures": r.figures, "bar": r.bar, "good": r.good} for r in rows]
        given.json.write_text(json.dumps({"machine": where, "rows": found}, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
