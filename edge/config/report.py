"""Collects findings, in the language of the person who reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from edge.config.texts import TEXTS
from edge.errors import Finding

CODES = (
    "unknown-key", "missing-key", "wrong-type", "bad-value", "duplicate-id", "duplicate-address", "unknown-profile",
    "unknown-link", "unknown-place", "bad-secret", "no-channel", "unwatched-device", "untold-class", "too-slow-bus",
    "yaml-syntax",
)  # fmt: skip
"""Every code a finding may carry; they never change (CONTRACT)."""


_CELL = re.compile(r"![^!]+![A-Z]{1,3}[0-9]+$")
"""How the file of a finding ends when it is a spreadsheet's cell."""


def language(environ: Mapping[str, str] | None = None) -> str:
    """``zh`` or ``en``, by the first of LC_ALL, LC_MESSAGES and LANG that is set."""
    environ = os.environ if environ is None else environ
    chosen = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if chosen.lower().startswith("zh") else "en"


class Report:
    """The findings of one check. lang: ``zh`` or ``en``, by default that of the environment."""

    def __init__(self, lang: str | None = None) -> None:
        self.lang = lang or language()
        self._findings: set[Finding] = set()

    def error(self, file: str, line: int, column: int, code: str, key: str, **words: object) -> None:
        """Add a fault: nothing is started while there is one. key names the text in the catalogue."""
        self._add("error", file, line, column, code, key, words)

    def warning(self, file: str, line: int, column: int, code: str, key: str, **words: object) -> None:
        """Add a doubt."""
        self._add("warning", file, line, column, code, key, words)

    def _add(
        self, severity: str, file: str, line: int, column: int, code: str, key: str, words: Mapping[str, object]
    ) -> None:
        assert code in CODES
        message, remedy = TEXTS[key][self.lang]
        shown = {name: _shown(word) for name, word in words.items()}
        self._findings.add(Finding(file, line, column, severity, code, message.format(**shown), remedy.format(**shown)))

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings made elsewhere."""
        self._findings.update(findings)

    @property
    def findings(self) -> list[Finding]:
        """All, sorted by file, line and column."""
        return sorted(self._findings, key=sort_key)

    @property
    def failed(self) -> bool:
        """True when there is an error."""
        return any(f.severity == "error" for f in self._findings)


def sort_key(finding: Finding) -> tuple[str, int, int, str, str]:
    """Cells of one sheet sort by row and column, not as text."""
    file = finding.file.rpartition("!")[0] if _CELL.search(finding.file) else finding.file
    return (file, finding.line, finding.column, finding.code, finding.message)


def finding_line(finding: Finding) -> str:
    """``FILE:LINE:COL: error: what (what to do)``; a spreadsheet's cell stands for line and column."""
    where = finding.file if _CELL.search(finding.file) else f"{finding.file}:{finding.line}:{finding.column}"
    return f"{where}: {finding.severity}: {finding.message} ({finding.remedy})"


def _shown(word: object) -> str:
    """Words from a file, fit for one line of a terminal."""
    text = word if isinstance(word, str) else str(word)
    text = "".join(c if c.isprintable() else "�" for c in text)
    return text if len(text) <= 120 else text[:117] + "…"
