"""What is measured, one function each; every one returns figures and prints nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.site import BUTTONS, DOORS, Site, scrape
from benchmarks.wire import Peer, payload_of, publish, subscribe
from simulators.demo_brokers import outside_password, password
from simulators.demo_child import Child

PRESSES_PER_S = 5
SEEN_WITHIN_S = 10.0


class Stopwatch:
    """When each press left, and how long until it was seen at each place, in ms. One press per button at a time."""

    def __init__(self, places: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], float] = {}
        self.took_ms: dict[str, list[float]] = {place: [] for place in places}

    def left(self, device: str) -> None:
        """A press leaves now."""
        now = time.perf_counter()
        with self._lock:
            self._left |= {(place, device): now for place in self.took_ms}

    def seen(self, place: str, device: str) -> None:
        """It arrived there; a second arrival of the same press does not count."""
        now = time.perf_counter()
        with self._lock:
            began = self._left.pop((place, device), None)
            if began is not None:
                self.took_ms[place].append((now - began) * 1000)

    def unseen(self) -> int:
        """Presses still under way somewhere."""
        with self._lock:
            return len(self._left)


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; not a number for nothing measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


@dataclass(frozen=True, slots=True)
class Ways:
    """What presses under load took. commits: histogram by upper bound. share: of a core, the gateway's.

    lag_ms: how late a thread that slept 1 ms was woken meanwhile: what the machine adds by itself, several times over.
    """

    watch: Stopwatch
    commits: dict[str, float]
    share: float
    lag_ms: list[float]


class Lag:
    """Sleeps of 1 ms and by how much they were late."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._over = threading.Event()
        threading.Thread(target=self._sleep, daemon=True).start()

    def stop(self) -> list[float]:
        """What was found."""
        self._over.set()
        return self.late_ms

    def _sleep(self) -> None:
        while not self._over.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            self.late_ms.append((time.perf_counter() - began) * 1000 - 1.0)
            time.sleep(0.02)


async def ways(site: Site, seconds: float) -> Ways:
    """Presses under load, five a second."""
    watch = Stopwatch(("event", "screen"))
    token = await site.token()
    looking = _watch_events(site, watch)
    console = asyncio.create_task(_console(site, token, watch))
    buttons = Peer(site.plans["building"].open_port, "devices", password(site.data / "secrets", "devices"), "buttons")
    assert site.gateway is not None and site.gateway.pid is not None
    process = psutil.Process(site.gateway.pid)
    await asyncio.sleep(2.0)
    lag = Lag()
    async with httpx.AsyncClient() as client:
        before, cpu_s, began_s = await scrape(client, site.door), sum(process.cpu_times()[:2]), time.perf_counter()
        mids = itertools.cycle(range(1, 60000))
        for number in range(int(seconds * PRESSES_PER_S)):
            await asyncio.sleep(max(0.0, began_s + number / PRESSES_PER_S - time.perf_counter()))
            device = f"zb{number % BUTTONS:03d}"
            watch.left(device)
            buttons.send(publish(f"yard/{device}", b'{"action": "emergency"}', next(mids)))
        share = (sum(process.cpu_times()[:2]) - cpu_s) / (time.perf_counter() - began_s)
        await _until_seen(watch)
        after = await scrape(client, site.door)
    console.cancel()
    looking.close()
    buttons.close()
    return Ways(watch, commits(before, after), share, lag.stop())


async def _until_seen(watch: Stopwatch) -> None:
    end_s = time.perf_counter() + SEEN_WITHIN_S
    while watch.unseen() and time.perf_counter() < end_s:
        await asyncio.sleep(0.05)


def commits(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Commits between two scrapes by upper bound in seconds, cumulated."""
    start = 'linli_commit_seconds_bucket{le="'
    return {name[len(start) : -2]: after[name] - before.get(name, 0) for name in after if name.startswith(start)}


def bound_of(histogram: Mapping[str, float], percent: float) -> float:
    """The bucket bound in ms below which this share of commits lies."""
    rows = sorted(((float(le), count) for le, count in histogram.items()), key=lambda row: row[0])
    total = rows[-1][1] if rows else 0.0
    return next((le * 1000 for le, count in rows if total and count >= total * percent / 100), float("nan"))


def _watch_events(site: Site, watch: Stopwatch) -> Peer:
    """Look on at the duty broker, where an event comes only after its commit."""

    def heard(kind: int, body: bytes) -> None:
        if kind & 0xF0 == 0x30:
            watch.seen("event", json.loads(payload_of(body))["device"])

    peer = Peer(site.plans["duty"].open_port, "outside", outside_password(site.data, "duty"), "looking", heard)
    peer.send(subscribe("linli/v1/b12/event"))
    return peer


async def _console(site: Site, token: str, watch: Stopwatch) -> None:
    """A console without a screen: says that it can be heard, and takes every incident of the stream."""
    headers = {"Authorization": f"Bearer {token}"}
    health = {"sound": True, "stream": True, "seq": 0, "on_duty": True}
    async with httpx.AsyncClient(timeout=None, headers=headers, base_url=site.desk) as client:

        async def report() -> None:
            while True:
                await client.post("/api/v1/consoles/health", json=health)
                await asyncio.sleep(5.0)

        reporting = asyncio.create_task(report())
        try:
            async with client.stream("GET", "/api/v1/stream") as stream:
                async for line in stream.aiter_lines():
                    body = json.loads(line[5:]) if line.startswith("data:") else None
                    for incident in body.get("items", ()) if isinstance(body, dict) else ():
                        for alarm in incident["alarms"]:
                            watch.seen("screen", alarm["device"])
        finally:
            reporting.cancel()


async def ingest(site: Site, count: int) -> tuple[float, float]:
    """As fast as it goes: (messages per second, CPU seconds of the gateway per 1,000). The last is a forced door."""
    done = threading.Event()
    looking = Peer(
        site.plans["duty"].open_port, "outside", outside_password(site.data, "duty"), "ingest",
        lambda kind, body: done.set() if kind & 0xF0 == 0x30 and b'"door.forced"' in body else None,
    )  # fmt: skip
    looking.send(subscribe("linli/v1/b12/event"))
    flood = Peer(site.plans["building"].open_port, "devices", password(site.data / "secrets", "devices"), "flood")
    packets = b"".join(
        publish(f"yard/zd{n % DOORS:03d}", b'{"contact": %s}' % (b"true" if n % 3 else b"false"), 1 + n % 60000)
        for n in range(count)
    )
    assert site.gateway is not None and site.gateway.pid is not None
    process = psutil.Process(site.gateway.pid)
    cpu_s, began_s = sum(process.cpu_times()[:2]), time.perf_counter()
    await asyncio.to_thread(flood.send, packets + publish("yard/last000", b'{"state": "forced"}', 60001))
    if not await asyncio.to_thread(done.wait, 120):
        raise TimeoutError("the last message of the flood never came out")
    took_s = time.perf_counter() - began_s
    looking.close()
    flood.close()
    return count / took_s, (sum(process.cpu_times()[:2]) - cpu_s) / count * 1000


async def memory(data: Path) -> tuple[float, float, int]:
    """The demo building after its fallback has told people: (RSS and peak of the gateway in MB, messages handed over).

    Nobody looks at the console, so the gateway's own ladder begins after 30 s.
    """
    command = (sys.executable, "-m", "edge.cli", "demo", "--port", str(_free_port()), "--data", str(data))
    child = Child("demo", (*command, "--scenario", "quiet"), data / "demo.log", lambda: None)
    child.start()
    try:
        await child.until_ready(60.0)
        where = json.loads((data / "demo.json").read_text(encoding="utf-8"))
        async with httpx.AsyncClient() as client:
            (await client.post(f"{where['control_url']}/scenarios/sos", json={})).raise_for_status()
        journal = Path(where["gateways"][0]["data_dir"]) / "alarms.db"
        end_s = time.perf_counter() + 75.0
        while not (told := _told(journal)) and time.perf_counter() < end_s:
            await asyncio.sleep(1.0)
        await asyncio.sleep(3.0)
        pid = json.loads((data / "demo.json").read_text(encoding="utf-8"))["pids"]["gateway"]
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        kb = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
        return int(kb["VmRSS"]) / 1024, int(kb["VmHWM"]) / 1024, told
    finally:
        await child.stop(8.0)


def _told(journal: Path) -> int:
    """Notices that a messenger has settled."""
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return int(db.execute("SELECT count(*) FROM notices WHERE settled IS NOT NULL").fetchone()[0])
    finally:
        db.close()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
