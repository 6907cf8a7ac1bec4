"""``simulators.serve`` and ``linli simulate`` as processes: start, refuse, stop, clean up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

BUILDING = """\
gateway: {id: b12, data_dir: ./data}
site: {community: 新盛, building: "12", units: ["1"], floors: [1, 18], households_per_floor: 2}
links:
  - {id: bus1, kind: modbus-rtu, port: ./dev/bus1}
  - {id: rf, kind: rf433, port: ./dev/rf}
devices:
  - {id: s301, profile: example/smoke-modbus, link: bus1, address: 31, place: {unit: "1", floor: 3, household: "301"}}
  - {id: relay1, profile: relay/waveshare, link: bus1, address: 100, place: {floor: 1}}
  - {id: c502, profile: rf433/call-button, link: rf, address: A1B2C, place: {unit: "1", floor: 5, household: "502"}}
sounders: [{point: relay1/horn, classes: ["*"], when: at_once}]
"""
SIMULATE = "import sys; from pathlib import Path; from simulators.run import simulate; "


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a small building file."""
    (tmp_path / "building.yaml").write_text(BUILDING, encoding="utf-8")
    return tmp_path


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """A Python process whose output is read."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )


async def until(process: asyncio.subprocess.Process, word: str) -> str:
    """The first line of output that begins with word."""
    assert process.stdout is not None
    seen = ""
    while line := (await process.stdout.readline()).decode():
        seen += line
        if line.startswith(word):
            return line.strip()
    raise AssertionError(f"ended without {word!r}: {seen}")


def serving(site: Path, *more: str) -> tuple[str, ...]:
    """The arguments of the demo."""
    config = str(site / "building.yaml")
    return ("-m", "simulators.serve", "--config", config, "--control-port", "0", "--seed", "3", *more)


async def test_serve_is_ready_plays_and_leaves_nothing(site: Path) -> None:
    process = await start(*serving(site, "--scenario", "quiet"))
    url = (await until(process, "ready ")).removeprefix("ready ")
    assert (site / "dev" / "bus1").exists() and (site / "dev" / "rf").exists()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.post("/scenarios/sos")).status_code == 202
        (fact,) = (await client.get("/truth")).json()
        assert (fact["device"], fact["point"]) == ("c502", "call")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert list((site / "dev").iterdir()) == []


async def test_after_kill_9_the_ports_are_taken_over(site: Path) -> None:
    first = await start(*serving(site))
    await until(first, "ready ")
    first.kill()
    await first.wait()
    assert (site / "dev" / "bus1").is_symlink()
    second = await start(*serving(site))
    await until(second, "ready ")
    assert (site / "dev" / "bus1").exists()
    second.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(second.wait(), 5) == 0


async def test_a_file_in_the_way_is_refused_and_kept(site: Path) -> None:
    (site / "dev").mkdir()
    (site / "dev" / "rf").write_text("mine")
    process = await start(*serving(site))
    out = await until(process, "error: ")
    assert "dev/rf exists" in out and await process.wait() == 1
    assert [p.name for p in (site / "dev").iterdir()] == ["rf"]


async def test_a_taken_control_port_is_refused(site: Path) -> None:
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await start(*serving(site)[:5], str(port))
    assert await until(process, "error: ") == f"error: port {port} is taken" and await process.wait() == 1
    assert list((site / "dev").iterdir()) == []
    server.close()


async def test_simulate_says_what_it_serves_and_what_happens(site: Path) -> None:
    code = SIMULATE + "sys.exit(simulate(Path(sys.argv[1]), 'smoke-kitchen', 1))"
    process = await start("-c", code, str(site / "building.yaml"))
    assert await until(process, "bus1: ") == f"bus1: modbus-rtu at {site / 'dev' / 'bus1'}, 2 devices"
    assert await until(process, "s301/") == "s301/smoke = True"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0


@pytest.mark.parametrize(
    ("file", "scenario", "code", "words"),
    [("building.yaml", "flood", 2, "smoke-kitchen"), ("missing.yaml", "sos", 1, "missing.yaml:")],
)
async def test_simulate_refuses(site: Path, file: str, scenario: str, code: int, words: str) -> None:
    run = SIMULATE + "sys.exit(simulate(Path(sys.argv[1]), sys.argv[2], 1))"
    process = await start("-c", run, str(site / file), scenario)
    out, _ = await process.communicate()
    assert process.returncode == code and words in out.decode()


async def test_no_child_keeps_the_bus_open(site: Path) -> None:
    process = await start(*serving(site))
    await until(process, "ready ")
    host = os.open(site / "dev" / "bus1", os.O_RDWR | os.O_NOCTTY)
    process.kill()
    await process.wait()
    assert os.read(host, 1) == b""
    os.close(host)
