"""configs/bad: one file per mistake, and beside it what check says of it, in English and in Chinese."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import CODES, check, finding_line

BAD = Path("configs/bad").resolve()
FILES = sorted(BAD.glob("*.yaml"))


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_check_says_what_stands_beside(path: Path, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    findings = check(path.name, lang)
    errors = sum(f.severity == "error" for f in findings)
    said = [*map(finding_line, findings), f"{errors} errors, {len(findings) - errors} warnings"]
    assert "\n".join(said) + "\n" == path.with_suffix(f".{lang}.txt").read_text(encoding="utf-8")


def test_every_code_has_a_file_named_after_it() -> None:
    assert {p.stem for p in FILES} >= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_the_file_of_a_code_shows_that_code(code: str) -> None:
    assert code in {f.code for f in check(BAD / f"{code}.yaml", "en")}
