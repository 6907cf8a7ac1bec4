"""The command ``linli``: what can be typed, and nothing of how it is done. Exit 0 good, 1 findings or fault, 2 usage.

Imports stand inside the commands, so that ``linli gateway`` carries nothing it does not use.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from edge.errors import ConfigError, Finding, LinliError
from edge.pki_cli import app as pki

T = TypeVar("T")


class Role(StrEnum):
    """What somebody may do in the duty room; each may do what the ones before it may."""

    VIEWER = "viewer"
    DUTY_OFFICER = "duty_officer"
    ADMINISTRATOR = "administrator"


app = typer.Typer(
    name="linli",
    help="The safety gateway of a residential building.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
journal = typer.Typer(help="Look into a gateway's journal.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(journal, name="journal")
app.add_typer(pki, name="pki")

Config = Annotated[Path, typer.Option("--config", help="Building or duty-room file.", dir_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]


def main() -> None:
    """Entry point of the command. Output is UTF-8 whatever the terminal says: findings speak Chinese."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    app()


@app.command()
def gateway(config: Config) -> None:
    """Run one building's gateway."""
    from edge.app import run_gateway

    _run(lambda: run_gateway(config))


@app.command("duty-room")
def duty_room(config: Config) -> None:
    """Run a duty room."""
    from duty_room.app import run_duty_room

    _run(lambda: run_duty_room(config))


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the duty room's console.")] = 8080,
    data: Annotated[Path | None, typer.Option(help="Where everything is kept; the same folder continues.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same day.")] = 1,
    scenario: Annotated[str | None, typer.Option(help="What happens, instead of a whole day.")] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Stop after this many seconds.")] = None,
) -> None:
    """A living building with simulated devices, gateway, duty room and city."""
    from simulators.demo import run_demo

    _run(lambda: run_demo(port, data, seed, scenario, duration))


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="One or more files.")], as_json: Json = False
) -> None:
    """Say everything that is wrong with building, duty-room, profile and table files."""
    from edge.config import check as check_file
    from edge.config import sort_key

    findings = sorted((f for file in dict.fromkeys(files) for f in check_file(file)), key=sort_key)
    if as_json:
        _json([_finding_body(f) for f in findings])
    else:
        _say_findings(findings)
    raise typer.Exit(any(f.severity == "error" for f in findings))


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(help="Building file.")],
    scenario: Annotated[str | None, typer.Option(help="What happens.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same noise.")] = 1,
) -> None:
    """Stand in for every device of a building file."""
    from simulators.run import simulate as run

    _run(lambda: run(file, scenario, seed))


@app.command()
def scan(
    link: Annotated[str, typer.Argument(help="Name of a link; or a port or HOST:PORT, without a building file.")],
    config: Annotated[Path | None, typer.Option("--config", help="Building file.", dir_okay=False)] = None,
    as_json: Json = False,
) -> None:
    """Which devices answer on a link, and what they may be. Reads only, adopts nothing."""
    from edge.scan import progress, row_line
    from edge.scan import scan as run

    found = _call(lambda: run(config, link, progress(sys.stderr)))
    if as_json:
        _json(found)
    else:
        _lines(
            [row_line(row) for row in found] or ["nobody answers (cable, power, A and B swapped, or other settings)"]
        )


@app.command()
def read(device: str, config: Config, as_json: Json = False) -> None:
    """Every point of a device, once."""
    from edge.tools import point_line
    from edge.tools import read as run

    rows = _call(lambda: run(config, device))
    if as_json:
        _json(rows)
    else:
        _lines([point_line(row) for row in rows])
    raise typer.Exit(any(row["quality"] == "bad" for row in rows))


@app.command()
def watch(config: Config, as_json: Json = False) -> None:
    """The running gateway's points, until interrupted: a live table on a terminal, else every change as a line."""
    from edge.tools import point_line
    from edge.tools import watch as run
    from edge.watch import watch_table

    if sys.stdout.isatty() and not as_json:
        _call(lambda: watch_table(config))
        return
    _call(
        lambda: run(config, lambda row: _lines([json.dumps(row, ensure_ascii=False) if as_json else point_line(row)]))
    )


@app.command()
def write(
    device: str,
    point: str,
    value: str,
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Set a point of a device. Asks first when somebody sits at the terminal."""
    from edge.tools import write as run

    if not yes and sys.stdin.isatty():
        typer.confirm(f"Set {device}/{point} to {value}? It acts at once, on site.", abort=True)
    _lines([_call(lambda: run(config, device, point, value))])


@app.command()
def capture(
    link: str,
    file: Annotated[Path, typer.Argument(help="New file for the recording.", dir_okay=False)],
    config: Config,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
) -> None:
    """Record what passes on a link, with times, while the gateway is stopped."""
    from edge.capture import capture as run

    _lines([f"{_call(lambda: run(config, link, file, seconds))} pieces recorded in {file}"])


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recording.", dir_okay=False)], config: Config, as_json: Json = False
) -> None:
    """What the drivers make of a recording."""
    from edge.capture import replay as run
    from edge.tools import point_line

    rows = _call(lambda: run(config, file))
    if as_json:
        _json(rows)
    else:
        _lines([point_line(row) for row in rows])


@app.command()
def doctor(
    file: Annotated[Path | None, typer.Argument(help="Building file.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Building file.")] = None,
    person: Annotated[str | None, typer.Option("--page", help="Send this person a test by each of their ways.")] = None,
    as_json: Json = False,
) -> None:
    """What would keep a gateway from working here, and what to do."""
    from edge.doctor import examine, page

    chosen = file or config
    if chosen is None:
        raise typer.BadParameter("a building file is needed")
    rows = _call(lambda: examine(chosen) if person is None else page(chosen, person))
    if as_json:
        _json(rows)
    else:
        _lines([f"{row['result']:<7} {row['what']}" + (f" ({row['remedy']})" if row["remedy"] else "") for row in rows])
    raise typer.Exit(any(row["result"] == "fault" for row in rows))


@journal.command("show")
def journal_show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The gateway's data_dir.")],
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest events.")] = 100,
    as_json: Json = False,
) -> None:
    """The newest events, oldest first."""
    from edge.store.inspect import show
    from edge.tools import event_body, event_line

    events = _call(lambda: show(folder, limit))
    if as_json:
        _json([event_body(e) for e in events])
    else:
        _lines([event_line(e) for e in events])


@journal.command("verify")
def journal_verify(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The gateway's data_dir.")]) -> None:
    """Check every event against the hash chain."""
    from edge.store.inspect import verify

    faults = _call(lambda: verify(folder))
    _lines(faults or ["ok"])
    raise typer.Exit(bool(faults))


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The gateway's data_dir; the gateway is stopped.")],
    chosen: Annotated[Path | None, typer.Option("--from", help="A copy; the newest when not given.")] = None,
) -> None:
    """Put last night's copy in the place of a lost or damaged journal."""
    from edge.app.upkeep import restore as run

    _lines([_call(lambda: run(folder, chosen))])


@app.command()
def drill(
    seeds: Annotated[str, typer.Option(help="A..B, or one seed.")] = "1..100",
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
) -> None:
    """Drill the gateway's core under virtual time, one seed after another."""
    from simulators.drill import run_drill

    first, last = _seeds(seeds)
    _run(lambda: run_drill(first, last, minutes))


@app.command()
def token(
    config: Config,
    role: Annotated[Role, typer.Option(help="What they may do.")],
    name: Annotated[str, typer.Option(help="Whose token it is.")],
    days: Annotated[float | None, typer.Option(min=0, help="How long it is good.")] = None,
) -> None:
    """Print a new bearer token of the duty room."""
    from duty_room.access import make_token
    from edge.config import load_duty_room

    _lines([_call(lambda: make_token(load_duty_room(config), role, name, days))])


@app.command("sign-in")
def sign_in(
    config: Config,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.ADMINISTRATOR,
    name: Annotated[str, typer.Option(help="Who it is for: what they do is kept under this name.")] = "administrator",
) -> None:
    """Print a new one-time sign-in link of the duty room."""
    from duty_room.access import make_sign_in
    from edge.config import load_duty_room

    _lines([_call(lambda: make_sign_in(load_duty_room(config), role, name))])


def _seeds(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    try:
        low, high = int(first), int(last if dots else first)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not A..B") from None
    if low > high:
        raise typer.BadParameter(f"{text!r}: the first seed is above the last")
    return low, high


def _run(command: Callable[[], int]) -> None:
    raise typer.Exit(_call(command))


def _call(command: Callable[[], T]) -> T:
    """Run it; a fault becomes one sentence (or all findings) and exit code 1."""
    try:
        return command()
    except ConfigError as fault:
        _say_findings(fault.findings)
    except (LinliError, OSError, ValueError) as fault:
        sys.stderr.write(f"error: {fault}\n")
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    raise typer.Exit(1)


def _say_findings(findings: list[Finding] | tuple[Finding, ...]) -> None:
    from edge.config import finding_line

    errors = sum(f.severity == "error" for f in findings)
    _lines([*(finding_line(f) for f in findings), f"{errors} errors, {len(findings) - errors} warnings"])


def _finding_body(finding: Finding) -> dict[str, Any]:
    names = ("file", "line", "column", "severity", "code", "message", "remedy")
    return {("col" if name == "column" else name): getattr(finding, name) for name in names}


def _json(data: object) -> None:
    _lines([json.dumps(data, ensure_ascii=False, indent=2)])


def _lines(lines: list[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
