"""Numbered schema steps, forward only. A file of a newer version is refused, an older one is copied first."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

from edge.errors import JournalDamaged


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the database at path to the newest schema. Raises JournalDamaged for a newer file."""
    steps = sorted(
        (entry for entry in resources.files("edge.store").joinpath("schema").iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(steps):
        raise JournalDamaged(
            f"{path} is of schema {version}, this version knows {len(steps)}: install the newer version again"
        )
    if 0 < version < len(steps):
        copy = path.with_suffix(f".v{version}.bak")
        copy.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(copy),))  # with what a crash has left in the WAL, which a file copy would miss
    for number, step in enumerate(steps[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE;\n{step.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;")
