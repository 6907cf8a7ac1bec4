"""What the house rules look at: the files of the checkout that git knows or would take."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("edge", "device_drivers", "cloud_bridge", "duty_room")
PYTHON = (*PRODUCT, "simulators", "benchmarks", "tests")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or could be committed, relative to the root; what .gitignore names is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    return tuple(Path(name) for name in sorted(set(listed)) if name and (ROOT / name).is_file())


def under(*folders: str, suffix: str = ".py") -> Iterator[Path]:
    """Files with that ending in these folders."""
    for path in files():
        if path.parts[0] in folders and path.suffix == suffix:
            yield path


def text(path: Path) -> str:
    """The file's text."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """The file as Python sees it."""
    return ast.parse(text(path), filename=str(path))


def is_text(path: Path) -> bool:
    """False for pictures, fonts and spreadsheets."""
    return b"\0" not in (ROOT / path).read_bytes()[:8192]
