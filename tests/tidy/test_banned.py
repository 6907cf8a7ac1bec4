"""Calls we do not make, each with what to use instead, and the few files that may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.tree import PRODUCT, text, tree, under

CLOCK_FILES = {"edge/clock.py", "simulators/clock.py"}
BANNED: dict[str, tuple[str, set[str]]] = {
    "time.sleep": ("await the Clockwork's sleep", {"edge/tools.py"}),
    "datetime.now": ("take wall_ms from the Clockwork", CLOCK_FILES),
    "datetime.utcnow": ("take wall_ms from the Clockwork", set()),
    "datetime.today": ("take wall_ms from the Clockwork", set()),
    "date.today": ("take wall_ms from the Clockwork", set()),
    "os.system": ("subprocess without a shell", set()),
    "eval": ("a table of functions", set()),
    "exec": ("a table of functions", set()),
    "pickle.loads": ("JSON with a schema", set()),
    "yaml.load": ("ruamel.yaml, which knows lines and columns", set()),
    "random.random": ("a random.Random(seed) passed in, or secrets", set()),
}
PRINTERS = {"app.py", "tools.py", "run.py"}
"""Beside these, every file that is a command (has ``__main__`` or is edge/cli.py) may print."""
BOUNDARIES = {
    "duty_room/desk.py": "one event that breaks the fold is tried alone, and its fault is returned and counted",
    "duty_room/store/store.py": "the fault of one write goes to who waits for it, the writer goes on",
    "edge/channels/messenger_child.py": "a child that lives for one message: any fault becomes its exit code",
    "edge/config/tables.py": "what a spreadsheet reader raises becomes a finding about that file",
    "edge/mqtt/connection.py": "whatever a broker's bytes break ends the connection, visibly",
    "edge/mqtt/dial.py": "the fault of the dialling thread is raised again in the event loop",
}
"""Files that may catch everything, and what they turn it into. A comment at each place says why."""


def test_banned_calls() -> None:
    found = []
    for path in under(*PRODUCT, "simulators"):
        for name, line in calls(path):
            for banned, (instead, allowed) in BANNED.items():
                if path.parts[0] == "simulators" and "Clockwork" in instead:
                    continue  # A simulator is the world: it lives in real time.
                if (name == banned or name.endswith("." + banned)) and str(path) not in allowed:
                    found.append(f"{path}:{line}: {name} (use {instead})")
    assert not found, "\n".join(found)


def test_only_commands_print() -> None:
    found = [
        f"{path}:{line}: print (write a log line or return the text)"
        for path in under(*PRODUCT)
        for name, line in calls(path)
        if name == "print" and not may_print(path)
    ]
    assert not found, "\n".join(found)


def may_print(path: Path) -> bool:
    """Commands talk to people by printing."""
    return path.name in PRINTERS or str(path) == "edge/cli.py" or 'if __name__ == "__main__":' in text(path)


def test_nothing_is_swallowed() -> None:
    """Catching everything is allowed only to raise it again, here or at who waits, or at a boundary listed above."""
    found = []
    for path in under(*PRODUCT, "simulators"):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler) or is_boundary(path, node.lineno):
                continue
            broad = node.type is None or any(
                isinstance(part, ast.Name) and part.id in {"Exception", "BaseException"} for part in ast.walk(node.type)
            )
            if broad and not handed_on(node):
                found.append(f"{path}:{node.lineno}: catches everything (name the exceptions, or raise again)")
    assert not found, "\n".join(found)


def is_boundary(path: Path, line: int) -> bool:
    """Listed above, and a comment at the place itself says why."""
    return str(path) in BOUNDARIES and "  # " in text(path).splitlines()[line - 1]


def handed_on(handler: ast.ExceptHandler) -> bool:
    """True when what was caught is raised again or given to a future."""
    return any(
        isinstance(part, ast.Raise)
        or (isinstance(part, ast.Call) and dotted(part.func).endswith((".set_exception", "call_soon_threadsafe")))
        for part in ast.walk(handler)
    )


def test_no_unit_test_sleeps() -> None:
    """A unit test that waits for real time is slow on good days and wrong on bad ones: pass a clock.

    Helpers beside the tests may wait for a real process to start.
    """
    found = [
        f"{path}:{line}: {name}"
        for path in under("tests")
        if path.parts[:2] == ("tests", "unit") and path.name.startswith("test_")
        for name, line in calls(path)
        if name == "time.sleep"
    ]
    assert not found, "\n".join(found)


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names of everything called in a file, with the line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if name:
                yield name, node.lineno


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""
