"""Bytes → a tree whose every key and value knows its line and column. Survives any bytes with one clean finding.

YAML 1.2 core: ``no``, ``on`` and ``12:30`` are text, ``0o17`` is a number. Keys are text and appear once.
Tags and merge keys are not used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from edge.config.report import Report

FILE_BYTES_MAX = 512 * 1024
"""4,000 devices written out by hand; more come from a table. Hostile text of this size takes the parser 10 s."""
NODES_MAX = 150_000
"""Values in one file after aliases are followed: an alias bomb ends here."""
DEPTH_MAX = 64
"""Open brackets at once; the parser's time grows with the square of them."""
_BRACKETS = re.compile(r"[\[{\]}]")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_UNUSED_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "merge", "value"))
"""What the parser calls some plain texts; to us they are text."""
_DIGITS_MAX = 300
"""Longer numbers are text: Python refuses to read them, and no device has them."""


@dataclass(slots=True)
class Tree:
    """One value and where it stands. value: dict or list of Trees, or a scalar; text: the scalar as written.

    keys: where each key of a mapping stands (line, column), 1-based like line and column.
    """

    value: Any
    file: str
    line: int
    column: int
    text: str = ""
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {k: v.plain() for k, v in self.value.items()}
        if isinstance(self.value, list):
            return [v.plain() for v in self.value]
        return self.value

    def get(self, *path: str | int) -> Tree | None:
        """The value at a path, None when it is not there."""
        here: Tree = self
        for step in path:
            if isinstance(here.value, dict) and isinstance(step, str) and step in here.value:
                here = here.value[step]
            elif isinstance(here.value, list) and isinstance(step, int) and step < len(here.value):
                here = here.value[step]
            else:
                return None
        return here

    def near(self, *path: str | int) -> Tree:
        """The value at a path, or the nearest one above it."""
        for end in range(len(path), -1, -1):
            found = self.get(*path[:end])
            if found is not None:
                return found
        return self


def read_text(data: bytes, file: str, report: Report) -> str | None:
    """UTF-8 text of a file, None after a finding."""
    if len(data) > FILE_BYTES_MAX:
        report.error(file, 1, 1, "yaml-syntax", "file-large", size=len(data), limit=FILE_BYTES_MAX)
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", "replace")) + 1
        report.error(file, before.count(b"\n") + 1, column, "yaml-syntax", "file-encoding")
        return None


def parse_yaml(data: bytes, file: str, report: Report) -> Tree | None:
    """The file as a Tree, None after a finding with code yaml-syntax."""
    text = read_text(data, file, report)
    if text is None or _too_deep(text, file, report):
        return None
    try:
        yaml = YAML(typ="rt", pure=True)
        yaml.allow_duplicate_keys = True  # found below, with the line of the first
        root = yaml.compose(text)
        if root is None:
            report.error(file, 1, 1, "yaml-syntax", "file-empty")
            return None
        return _Builder(file, report).tree(root)
    except ReaderError as error:
        before = text[: error.position]
        report.error(file, before.count("\n") + 1, len(before) - before.rfind("\n"), "yaml-syntax", "file-character")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        report.error(file, line, column, "yaml-syntax", "yaml", problem=str(error.problem or error.context or ""))
    except RecursionError:
        report.error(file, 1, 1, "yaml-syntax", "yaml-deep")
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError) as error:
        # The parser has its own bugs on hostile bytes; whatever it trips over, the file is at fault for us.
        report.error(file, 1, 1, "yaml-syntax", "yaml", problem=type(error).__name__)
    return None


def _too_deep(text: str, file: str, report: Report) -> bool:
    """True after a finding. Brackets inside quotes count too: nobody has so many of them unclosed."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth = depth + 1 if match.group() in "[{" else max(0, depth - 1)
        if depth > DEPTH_MAX:
            before = text[: match.start()]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            report.error(file, line, column, "yaml-syntax", "yaml-deep")
            return True
    return False


class _TooMany(YAMLError):
    """More values than NODES_MAX."""


class _Builder:
    """Turns ruamel's node graph into a Tree. Counts what aliases unfold to."""

    def __init__(self, file: str, report: Report) -> None:
        self._file = file
        self._report = report
        self._count = 0
        self._failed = False

    def tree(self, root: Node) -> Tree | None:
        """The whole file, None after a finding."""
        try:
            tree = self._node(root)
        except _TooMany:
            self._fault(root, "yaml-large", limit=NODES_MAX)
            return None
        return None if self._failed else tree

    def _fault(self, node: Node, key: str, **words: object) -> None:
        self._failed = True
        mark = node.start_mark
        self._report.error(self._file, mark.line + 1, mark.column + 1, "yaml-syntax", key, **words)

    def _node(self, node: Node) -> Tree:
        self._count += 1
        if self._count > NODES_MAX:
            raise _TooMany()
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        tag = str(node.tag)
        if tag not in _TAGS and tag not in _UNUSED_TAGS:
            self._fault(node, "yaml-tag", tag=tag)
        if isinstance(node, MappingNode):
            return self._mapping(node, line, column)
        if isinstance(node, SequenceNode):
            return Tree([self._node(n) for n in node.value], self._file, line, column)
        assert isinstance(node, ScalarNode)
        text = str(node.value)
        return Tree(_scalar(node, tag, text), self._file, line, column, text)

    def _mapping(self, node: MappingNode, line: int, column: int) -> Tree:
        items: dict[str, Tree] = {}
        keys: dict[str, tuple[int, int]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._fault(key, "yaml-key")
                continue
            name = str(key.value)
            if name in items:
                self._fault(key, "yaml-twice", name=name, first=keys[name][0])
                continue
            keys[name] = (key.start_mark.line + 1, key.start_mark.column + 1)
            items[name] = self._node(value)
        return Tree(items, self._file, line, column, keys=keys)


def _scalar(node: ScalarNode, tag: str, text: str) -> Any:
    if node.style or tag.endswith(":str"):
        return text
    return scalar_value(text)


def scalar_value(text: str) -> bool | int | float | str | None:
    """A plain scalar by the core schema of YAML 1.2."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) > _DIGITS_MAX:
        return text
    if _INT.fullmatch(text):
        return int(text, 0 if text[1:2] in ("o", "x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
