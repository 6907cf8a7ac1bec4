"""The walls of the house: contracts in pyproject.toml, checked by import-linter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tidy.tree import ROOT


def test_every_import_goes_down_only() -> None:
    lint = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contract_sees_a_forbidden_import(tmp_path: Path) -> None:
    """The check itself is checked: a room that reaches out of its list is named with its line."""
    for name, body in {"upper": "import lower\n", "lower": "x = 1\nimport upper\nimport sqlite3\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(body)
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_packages =\n    upper\n    lower\ninclude_external_packages = True\n"
        "contract_types =\n    may_import: tests.tidy.may_import.MayImport\n"
        "[importlinter:contract:1]\nname = lower\ntype = may_import\nrooms =\n    lower\nnever =\n    sqlite3\n"
    )
    lint = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}];"
        "from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    command = [sys.executable, "-c", lint, "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "lower imports upper (line 2)" in done.stdout
    assert "lower imports sqlite3 (line 3)" in done.stdout
