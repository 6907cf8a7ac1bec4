"""Sizes a reader can hold in the head: file ≤ 400 lines, function ≤ 60, the deciding core ≤ 1,000 in all."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.tree import PYTHON, text, tree, under

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
DECIDE_LINES_MAX = 1000


@pytest.mark.parametrize("suffix", [".py", ".ts", ".vue", ".html", ".sql"])
def test_no_file_is_too_long(suffix: str) -> None:
    sizes = {str(path): len(text(path).splitlines()) for path in under(*PYTHON, suffix=suffix)}
    too_long = {path: size for path, size in sizes.items() if size > FILE_LINES_MAX}
    assert not too_long, f"split these (≤ {FILE_LINES_MAX} lines): {too_long}"


def test_no_function_is_too_long() -> None:
    too_long = []
    for path in under(*PYTHON):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES_MAX:
                    too_long.append(f"{path}:{node.lineno} {node.name}: {size}")
    assert not too_long, f"split these (≤ {FUNCTION_LINES_MAX} lines): {too_long}"


def test_the_deciding_core_stays_small() -> None:
    sizes = {str(p): len(text(p).splitlines()) for p in under("edge") if p.parts[:2] == ("edge", "decide")}
    assert sum(sizes.values()) <= DECIDE_LINES_MAX, sizes
