"""``linli watch`` on a terminal: a live table of all points, what is wrong on top, what changed last below it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from edge.config import load_building
from edge.tools import WATCH_S, GatewayApi, nap

Row = dict[str, Any]
HOME_AND_CLEAR = "\x1b[H\x1b[2J"
BOLD, RED, YELLOW, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_COLOURS = {"bad": RED, "uncertain": YELLOW}


def age_words(age_s: float | None) -> str:
    """How long ago, short."""
    if age_s is None:
        return "never"
    if age_s < 10:
        return f"{age_s:.1f} s"
    if age_s < 120:
        return f"{age_s:.0f} s"
    return f"{age_s / 60:.0f} min" if age_s < 7200 else f"{age_s / 3600:.0f} h"


def table(rows: list[Row], changed: dict[str, int], width: int, height: int) -> list[str]:
    """The lines of the table, at most height. changed: turn in which a point changed last, 0 never."""
    bad = sum(row["quality"] == "bad" for row in rows)
    order = sorted(rows, key=lambda row: (row["quality"] == "good", -changed.get(row["id"], 0), row["id"]))
    lines = [f"{len(rows)} points, {bad} bad", f"{'point':<32} {'value':>16}  {'quality':<24} age"]
    room = height - len(lines) - 1
    for row in order[: room if len(order) <= room else room - 1]:
        value = "—" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False)
        shown = f"{value} {row['unit']}" if row["unit"] and row["value"] is not None else value
        quality = f"{row['quality']} ({row['cause']})" if row["cause"] else row["quality"]
        lines.append(f"{row['id']:<32} {shown:>16}  {quality:<24} {age_words(row['age_s'])}")
    if len(order) > room:
        lines.append(f"… and {len(order) - room + 1} more: make the window higher, or see `linli read DEVICE`")
    return [line[:width] for line in lines]


def coloured(lines: list[str]) -> str:
    """The same for a terminal: bold head, bad in red, uncertain in yellow."""
    shown = [f"{BOLD}{line}{PLAIN}" for line in lines[:2]]
    for line in lines[2:]:
        colour = next((code for word, code in _COLOURS.items() if f" {word}" in line), "")
        shown.append(f"{colour}{line}{PLAIN}" if colour else line)
    return "\n".join(shown)


def watch_table(config: Path) -> None:
    """Redraw every second until interrupted. Raises ConfigError, OSError."""
    api = GatewayApi(load_building(config))
    if not api.runs():
        raise OSError("no gateway answers at the address in this file: start it with `linli gateway`")
    last: dict[str, tuple[Any, ...]] = {}
    changed: dict[str, int] = {}
    turn = 0
    while True:
        rows = api.points()
        for row in rows:
            state = (row["value"], row["quality"], row["cause"])
            if turn and last.get(row["id"]) != state:
                changed[row["id"]] = turn
            last[row["id"]] = state
        size = shutil.get_terminal_size()
        sys.stdout.write(HOME_AND_CLEAR + coloured(table(rows, changed, size.columns, size.lines)) + "\n")
        sys.stdout.flush()
        turn += 1
        nap(WATCH_S)
