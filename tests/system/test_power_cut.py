"""Power cuts under the real engine and journal: what was acknowledged is there afterwards, and the file opens.

Every write and sync is recorded, then the record is cut at random points and unsynced writes are dropped or torn.
LINLI_CUTS gives the number of cuts (CI: 1,000).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.errors import JournalDamaged
from edge.store.journal import open_journal
from simulators.disk_shim import Op, build, cuts, environment, read_record

CUTS = int(os.environ.get("LINLI_CUTS", "1000"))
PRESSES = 300
MEMORY = Path("/dev/shm")
"""Cut disks are laid out in memory where there is some: the files are judged, not the machine's disk."""


@dataclass(slots=True)
class Verdict:
    """What the cuts showed."""

    cuts: int = 0
    promises: int = 0
    lost: int = 0
    corrupt: int = 0
    most_lost: int = 0
    seen: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


def record(shim: Path, folder: Path, synchronous: str) -> list[Op]:
    data_dir = folder / "data"
    data_dir.mkdir()
    command = [sys.executable, "-m", "tests.system.power_cut_writer", str(data_dir), synchronous, str(PRESSES)]
    subprocess.run(command, check=True, env=environment(shim, folder / "record", data_dir), timeout=120)
    return [op for op in read_record(folder / "record") if op.name in ("alarms.db", "alarms.db-wal", "acks")]


def cut_power(ops: list[Op], count: int, folder: Path) -> Verdict:
    verdict = Verdict()
    for cut, files, promised in cuts(ops, count, seed=1):
        verdict.cuts += 1
        verdict.promises += len(promised)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / "alarms.db-shm").unlink(missing_ok=True)
        try:
            missing = set(promised) - kept(folder / "alarms.db")
        except (sqlite3.DatabaseError, JournalDamaged) as fault:
            verdict.corrupt += 1
            verdict.seen[f"{type(fault).__name__} at {cut}"] += 1
            continue
        verdict.lost += bool(missing)
        verdict.most_lost = max(verdict.most_lost, len(missing))
    return verdict


def kept(path: Path) -> set[str]:
    """What the journal still knows, in the words of the promises. Opened as at every start, all checks on."""
    file = open_journal(path)
    try:
        known = {f"cause {cause}" for (cause,) in file.db.execute("SELECT cause FROM events WHERE cause IS NOT NULL")}
        known |= {f"outcome {ident} {code}" for ident, code in file.db.execute("SELECT command_id, code FROM outcomes")}
    finally:
        file.db.close()
    return known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = MEMORY / f"linli-cuts-{os.getpid()}" if os.access(MEMORY, os.W_OK) else tmp_path / "cuts"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(autouse=True)
def swept(folder: Path) -> object:
    yield
    shutil.rmtree(folder)


def test_no_acknowledged_commit_is_lost_in_a_power_cut(shim: Path, tmp_path: Path, folder: Path) -> None:
    ops = record(shim, tmp_path, "FULL")
    verdict = cut_power(ops, CUTS, folder)
    print(f"power cuts: {verdict.cuts}, operations: {len(ops)}, {verdict}")
    assert verdict.promises > CUTS * PRESSES / 4, "a record in which little is acknowledged proves little"
    assert {op.kind for op in ops} == {"w", "t", "s"} and any(op.name == "alarms.db" and op.kind == "s" for op in ops)
    assert (verdict.lost, verdict.corrupt) == (0, 0), verdict


@pytest.mark.parametrize(("synchronous", "fault"), [("NORMAL", "lost"), ("OFF", "corrupt")])
def test_the_harness_finds_what_weaker_syncs_lose(
    shim: Path, tmp_path: Path, folder: Path, synchronous: str, fault: str
) -> None:
    verdict = cut_power(record(shim, tmp_path, synchronous), 60, folder)
    print(f"synchronous={synchronous}: {verdict}")
    assert getattr(verdict, fault) >= 5, verdict
