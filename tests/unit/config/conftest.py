"""A folder with the minimal building file, its secrets made for the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

MINIMAL = Path("configs/minimal.yaml").resolve()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The minimal building file in a folder of its own, ready to run."""
    monkeypatch.setenv("LI_URL", "json://127.0.0.1:9/li")
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    (tmp_path / "gw.pw").write_text("geheim-eins\n", encoding="utf-8")
    (tmp_path / "duty.pw").write_text("geheim-zwei\n", encoding="utf-8")
    path = tmp_path / "building.yaml"
    path.write_bytes(MINIMAL.read_bytes())
    return path


@pytest.fixture
def edit(site: Path) -> Callable[..., Path]:
    """Replace texts of the file (each must be there) and append lines."""

    def change(*pairs: tuple[str, str], more: str = "") -> Path:
        text = site.read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        site.write_text(text + more, encoding="utf-8")
        return site

    return change
