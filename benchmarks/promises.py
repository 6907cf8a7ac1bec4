"""``make promises``: runs what proves each of the twenty promises and writes docs/promises.md with the figures.

A promise without a test says so; a test that proves part of a promise names the rest.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path("docs/promises.md")
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Promise:
    """One row. tests: pytest nodes. figure: what of their output is the figure. missing: what no test shows yet."""

    number: int
    text: str
    bar: str
    tests: tuple[str, ...] = ()
    figure: str = ""
    missing: str = ""


UNIT, SYSTEM = "tests/unit", "tests/system"
PROMISES = (
    Promise(1, "An acknowledged alarm is never lost by a process crash", "0 of ≥ 1,000 kill -9",
            (f"{SYSTEM}/test_kill_loop.py",), r"\{[^}]*\} kills|lost 0[^\n]*",
            "CI does fewer kills; 1,000 with LINLI_KILLS=1000"),
    Promise(2, "… nor by a power cut (honest disk)", "0 lost, 0 corrupt in 10,000 cuts",
            (f"{SYSTEM}/test_power_cut.py",), r"power cuts: \d+|lost=\d+, corrupt=\d+",
            "1,000 cuts in CI (LINLI_CUTS=10000 for all); no real power was pulled"),
    Promise(3, "No acknowledgement before the commit on any path", "0 bad seeds in 100,000",
            ("tests/drills/test_drill.py",), r"\d+ seeds, \d+ events, \d+ crashes",
            "1,000 seeds in CI (LINLI_SEEDS); the HTTP and city paths only by their own tests"),
    Promise(4, "Accepted → durable", "p99 < 10 ms at sync ≤ 5 ms, < 50 ms at 20 ms",
            (f"{SYSTEM}/test_slow_disk.py",), r"'p50_ms': [\d.]+, 'p99_ms': [\d.]+",
            "the bar: the test shares its machine and judges only that commits form groups; "
            "`python -m benchmarks.durability` judges"),
    Promise(5, "Input → local siren and duty screen", "p99 < 1 s, max 3 s over 24 h",
            ("tests/browser/test_whole_way.py",), r"",
            "one way from register to pixel; the percentiles are of `make bench`; nothing ran for 24 h"),
    Promise(6, "500 alarms in 1 s", "all durable < 1 s, shown < 5 s, order kept",
            (f"{SYSTEM}/test_slow_disk.py", f"{UNIT}/bridge/test_duty_room_link.py",
             "tests/browser/test_console.py::test_a_storm_leaves_the_page_small_and_the_top_in_view"),
            r"'burst_after_s': [\d.]+", "durable with syncs of 20 ms; the time until all are shown has no test"),
    Promise(7, "Overload, 10 × readings for 10 min", "0 alarms lost, p99 < 100 ms, memory bounded",
            missing="no test yet"),
    Promise(8, "Device silent → fault", "≤ 200 s for life-safety points, no false fault in 24 h of 1 % loss",
            (f"{UNIT}/decide/test_time.py",
             f"{UNIT}/flow/test_engine.py::test_a_dead_device_is_unknown_then_offline_and_never_normal"), "",
            "the 24 h of loss"),
    Promise(9, "Gateway silent → the duty room knows, and the other way round", "≤ 90 s, one-way cuts too",
            (f"{UNIT}/duty_room/test_rooms.py::test_a_gateway_is_unknown_then_heard_then_lost",
             f"{UNIT}/duty_room/test_rooms.py::test_gateway_lost_is_an_incident_of_its_own",
             f"{UNIT}/flow/test_engine.py::test_duty_room_that_is_not_heard_is_an_alarm_of_its_own"), "",
            "a cut of one direction between two real processes"),
    Promise(10, "Uplink down for 7 days", "0 lost, in order, drained at ≥ 200/s",
            ("tests/drills/test_long_absence.py", f"{UNIT}/bridge/test_duty_room_link.py"), r"7 days[^\n]*",
            "virtual time and disk; the hour in real time"),
    Promise(11, "Broker killed, restarted or its data wiped", "back < 10 s; a lost session is a fault",
            (f"{UNIT}/drivers/test_mqtt_session.py",
             f"{UNIT}/flow/test_engine.py::test_a_lost_session_is_a_fault_that_must_be_seen"), "",
            "the 10 s are not measured"),
    Promise(12, "Duplicate, late, reordered input", "one alarm per cause; no second ring after an answer",
            (f"{UNIT}/decide/test_alarms.py",
             f"{UNIT}/flow/test_engine.py::test_one_senders_id_is_one_cause_also_after_a_crash"), "",
            "the drill of promise 3 repeats and reorders too"),
    Promise(13, "Data of a wrong register never becomes a value", "0 wrong in 1M polls",
            (f"{UNIT}/drivers/test_modbus_dirty_bus.py",), "", "fewer polls than a million in CI"),
    Promise(14, "One dead slave or a stuck dongle", "healthy polls ≤ 1.2 × period; pulled → fault ≤ 10 s",
            (f"{UNIT}/decide/test_time.py::test_dead_slaves_take_a_tenth_of_the_bus_at_most",
             f"{UNIT}/drivers/test_modbus_dirty_bus.py::test_a_dead_slave_costs_what_its_item_says_and_no_more"), "",
            "unplugging under a running gateway"),
    Promise(15, "Bad input never crashes or silences", "0 crashes, 0 hangs > 1 s in 10M executions",
            (f"{SYSTEM}/test_bad_input.py", f"{UNIT}/config/test_bad_files.py", f"{UNIT}/channels/test_pdu.py"), "",
            "10M executions of coverage-guided fuzzing"),
    Promise(16, "Disk full", "alarms told; the last 4,000 durable from ballast; recovers without a restart",
            (f"{UNIT}/store/test_journal.py::test_a_full_disk_raises_and_ballast_helps",
             f"{UNIT}/flow/test_engine.py::test_a_disk_that_refuses_is_told_and_acknowledges_nothing"), "",
            "a really full file system; the 4,000 were measured once, not by a test"),
    Promise(17, "Corrupt database or configuration", "found < 5 s, set aside, up < 15 s, fault raised",
            (f"{UNIT}/store/test_journal.py::test_changed_byte_is_found_by_verify_and_set_aside_at_start",
             f"{UNIT}/store/test_journal.py::test_garbage_never_stops_a_start", f"{UNIT}/store/test_upkeep.py"), "",
            "1,000 files with flipped bytes; the last good configuration is not kept"),
    Promise(18, "Clock at 1970, steps of ± 10 years, no NTP", "alarms unaffected, order by seq",
            (f"{UNIT}/flow/test_clock.py",), "",
            "times are not repaired afterwards; started with a wrong clock, an answered alarm may ring again early"),
    Promise(19, "Hang or deadlock", "restarted ≤ 20 s, state as before",
            (f"{SYSTEM}/test_watchdog.py",
             f"{UNIT}/flow/test_engine.py::test_state_after_a_crash_is_the_state_before"), "",
            "systemd's own restart; a hanging commit starves the watchdog only after 75 s"),
    Promise(20, "Audit and access", "any changed byte found; no unauthorised call; a link's step works once",
            (f"{UNIT}/store/test_journal.py::test_changed_byte_is_found_by_verify_and_set_aside_at_start",
             f"{UNIT}/duty_room/test_api.py", f"{UNIT}/duty_room/test_person_page.py"), "",
            "every byte in turn"),
)  # fmt: skip


def prove(promise: Promise) -> tuple[str, str]:
    """Run its tests; the result and the figure, as the page shows them."""
    if not promise.tests:
        return "no test", ""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *promise.tests]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"**not done in {TIMEOUT_S} s**", ""
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    said = ", ".join(re.findall(r"\d+ (?:passed|failed|error|skipped)", last)) or "nothing ran"
    result = f"{said}, {time.monotonic() - began:.0f} s"
    found = re.findall(promise.figure, done.stdout) if promise.figure else []
    figure = "; ".join(dict.fromkeys(one.replace("'", "") for one in found[:2]))
    return (result if done.returncode == 0 else f"**{result}**"), figure


def page(rows: list[tuple[Promise, str, str]]) -> str:
    """The page."""
    lines = [
        "# The twenty promises, and what proves them",
        "",
        "Made by `make promises`; do not edit. A row in bold failed. *Not shown* is what no test proves yet.",
        f"Last run {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.",
        "",
        "| # | promise | number | proved by | result of the last run | not shown |",
        "|---|---|---|---|---|---|",
    ]
    for promise, result, figure in rows:
        tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in promise.tests) or "–"
        shown = f"{result}<br>{figure}" if figure else result
        cells = (str(promise.number), promise.text, promise.bar, tests, shown, promise.missing)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Prove all, or those of --only (then nothing is written); 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of promises")
    only = parser.parse_args().only
    rows = []
    for promise in PROMISES:
        if only and promise.number not in only:
            continue
        result, figure = prove(promise)
        rows.append((promise, result, figure))
        print(f"{promise.number:>2} {result}  {figure}", flush=True)
    if not only:
        PAGE.write_text(page(rows), encoding="utf-8")
    return any(result.startswith("**") for _, result, _ in rows)


if __name__ == "__main__":
    sys.exit(main())
