"""``python -m simulators.serve``: the simulated building with its control door and page, as the demo runs it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn

from edge.errors import ConfigError
from simulators.control import Control
from simulators.devices.pty_line import PortRefused
from simulators.run import SimulatedBuilding, describe, run_until, stop_signals
from simulators.scenarios import NAMES, Cannot


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are captured."""
        yield


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; exits with 2 on a mistake."""
    parser = argparse.ArgumentParser(prog="python -m simulators.serve", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the building file")
    parser.add_argument("--control-port", type=int, required=True, help="port of the control page, 0 for a free one")
    parser.add_argument("--control-host", default="127.0.0.1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", choices=NAMES, default="day")
    return parser.parse_args(arguments)


async def serve(settings: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM; prints ``ready URL`` when links and control answer."""
    stopped = stop_signals()
    building = SimulatedBuilding.from_file(settings.config, settings.seed)
    await building.open()
    server = _Server(
        uvicorn.Config(
            Control(building).app(),
            host=settings.control_host,
            port=settings.control_port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(_listen(server), name="control")
    while not server.started and not serving.done():
        await asyncio.sleep(0.02)
    if serving.done():
        await building.close()
        print(f"error: port {settings.control_port} is taken", file=sys.stderr)
        return 1
    try:
        building.start(settings.scenario)
    except Cannot as why:
        print(f"warning: {why}", file=sys.stderr)
    port = server.servers[0].sockets[0].getsockname()[1]
    print("\n".join(describe(building)), flush=True)
    print(f"ready http://{settings.control_host}:{port}", flush=True)
    try:
        await run_until(building, stopped)
    finally:
        server.should_exit = True
        await serving
    return 0


async def _listen(server: uvicorn.Server) -> None:
    """uvicorn ends the whole process by SystemExit when its port is taken; here it only ends the task."""
    with contextlib.suppress(SystemExit):
        await server.serve()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 for a faulty file, a refused serial port or a taken control port."""
    settings = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return asyncio.run(serve(settings))
    except ConfigError as faults:
        for f in faults.findings:
            print(f"{f.file}:{f.line}:{f.column}: {f.severity}: {f.message} ({f.remedy})", file=sys.stderr)
    except PortRefused as why:
        print(f"error: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
