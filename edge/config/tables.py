"""Tables of devices or people (CSV and xlsx) → rows of Trees, each cell with its own position.

CSV as Excel writes it: UTF-8 with or without mark, or GB 18030 (Chinese Windows); comma, semicolon or tab.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edge.config.document import Tree
from edge.config.forms import unknown_key
from edge.config.report import Report

TABLE_BYTES_MAX = 4 * 1024 * 1024
"""20,000 rows of 200 bytes."""
ROWS_MAX = 20_000
"""Rows of one table: ten times the largest building."""
UNPACKED_BYTES_MAX = 64 * 1024 * 1024
"""An xlsx unpacks to at most this: a bomb ends here."""


class Cell(NamedTuple):
    """The text of a cell and where it stands."""

    text: str
    file: str
    line: int
    column: int


def read_rows(path: Path, name: str, columns: Sequence[str], needed: Sequence[str], report: Report) -> list[Tree]:
    """The rows as mappings column → text, without empty cells and empty rows. name: how findings call the file."""
    data = _bytes(path, name, report)
    if data is None:
        return []
    if path.suffix.lower() == ".csv":
        cells = _csv(data, name, report)
    elif path.suffix.lower() in (".xlsx", ".xlsm"):
        cells = _xlsx(data, name, report)
    else:
        report.error(name, 1, 1, "bad-value", "table-kind", value=path.name)
        return []
    return _mappings(cells, name, columns, needed, report)


def _bytes(path: Path, name: str, report: Report) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(TABLE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        report.error(name, 1, 1, "bad-value", "file-unreadable", why=getattr(error, "strerror", None) or error)
        return None
    if len(data) > TABLE_BYTES_MAX:
        report.error(name, 1, 1, "bad-value", "file-large", size=len(data), limit=TABLE_BYTES_MAX)
        return None
    return data


def _mappings(
    cells: list[list[Cell]], name: str, columns: Sequence[str], needed: Sequence[str], report: Report
) -> list[Tree]:
    rows = [row for row in cells if any(c.text for c in row)]
    if not rows:
        if not report.failed:
            report.error(name, 1, 1, "bad-value", "table-empty", known=", ".join(columns))
        return []
    head = [c._replace(text=c.text.strip().lower()) for c in rows[0]]
    header = Tree({c.text: c for c in head}, head[0].file, head[0].line, head[0].column)
    header.keys = {c.text: (c.line, c.column) for c in head}
    for cell in head:
        if cell.text and cell.text not in columns:
            there = Tree(header.value, cell.file, cell.line, cell.column)
            unknown_key(there, cell.text, report, columns)
    for column in needed:
        if column not in header.value:
            report.error(
                head[0].file, head[0].line, head[0].column, "missing-key", "missing-column",
                name=column, known=", ".join(columns),
            )  # fmt: skip
    if any(column not in header.value for column in needed):
        return []
    return [_row(row, head, columns) for row in rows[1:]]


def _row(row: list[Cell], head: list[Cell], columns: Sequence[str]) -> Tree:
    values: dict[str, Tree] = {}
    for title, cell in zip(head, row, strict=False):
        text = cell.text.strip()
        if text and title.text in columns:
            values[title.text] = Tree(text, cell.file, cell.line, cell.column, text)
    first = row[0]
    keys = {k: (v.line, v.column) for k, v in values.items()}
    return Tree(values, first.file, first.line, first.column, keys=keys)


def _csv(data: bytes, name: str, report: Report) -> list[list[Cell]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            report.error(name, line, 1, "bad-value", "file-encoding")
            return []
    if "\0" in text:
        report.error(name, text[: text.index("\0")].count("\n") + 1, 1, "bad-value", "file-character")
        return []
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows: list[list[Cell]] = []
    for row in _csv_rows(text, separator, name, report):
        if len(rows) > ROWS_MAX:
            report.error(name, row[0].line, 1, "bad-value", "yaml-large", limit=ROWS_MAX)
            return []
        rows.append(row)
    return rows


def _csv_rows(text: str, separator: str, name: str, report: Report) -> Iterator[list[Cell]]:
    """RFC 4180 with positions: a cell's column is that of its first character."""
    row: list[Cell] = []
    line, column, at = 1, 1, 0
    while at < len(text):
        start_line, start_column, start = line, column, at
        if text[at] == '"':
            end = _closing_quote(text, at)
            if end is None:
                report.error(name, line, column, "bad-value", "table-quote")
                return
            value = text[at + 1 : end].replace('""', '"')
            line += value.count("\n")
            at = end + 1
            column = at - text.rfind("\n", 0, at) if "\n" in value else column + at - start
            rest = at
            while at < len(text) and text[at] not in (separator, "\r", "\n"):
                at += 1
            value += text[rest:at]
        else:
            while at < len(text) and text[at] not in (separator, "\r", "\n"):
                at += 1
            value = text[start:at]
            rest = start
        column += at - rest
        row.append(Cell(value, name, start_line, start_column))
        if at < len(text) and text[at] == separator:
            at, column = at + 1, column + 1
            if at < len(text):
                continue
        at += 2 if text[at : at + 2] == "\r\n" else 1
        line, column = line + 1, 1
        yield row
        row = []


def _closing_quote(text: str, opening: int) -> int | None:
    at = opening + 1
    while (at := text.find('"', at)) >= 0:
        if text[at + 1 : at + 2] != '"':
            return at
        at += 2
    return None


def _xlsx(data: bytes, name: str, report: Report) -> list[list[Cell]]:
    from openpyxl import load_workbook
    from openpyxl.utils import get_column_letter

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(i.file_size for i in archive.infolist()) > UNPACKED_BYTES_MAX:
                raise ValueError(f"more than {UNPACKED_BYTES_MAX} bytes unpacked")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows: list[list[Cell]] = []
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_row=ROWS_MAX), 1):
            cells: list[Cell] = []
            for index, value in enumerate(row[:64], 1):
                where = f"{name}!{sheet.title}!{get_column_letter(index)}{number}"
                cells.append(Cell(_cell_text(value), where, number, index))
            if cells:
                rows.append(cells)
        book.close()
        return rows
    except Exception as error:  # openpyxl raises anything on a damaged file; the finding names what it was
        report.error(name, 1, 1, "bad-value", "table", problem=str(error) or type(error).__name__)
        return []


def _cell_text(value: object) -> str:
    """Excel keeps whole numbers as floats: 31.0 is 31."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
