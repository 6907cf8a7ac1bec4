"""The duty-room file and its people."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import check, load_duty_room
from edge.errors import ConfigError

CONFIGS = Path("configs").resolve()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LI_URL", "WANG_URL", "ZHAO_URL", "CHEN_URL"):
        monkeypatch.setenv(name, f"json://127.0.0.1:9/{name}")
    (tmp_path / "duty-room.pw").write_text("geheim", encoding="utf-8")
    for name in ("duty-room.yaml", "people.csv"):
        (tmp_path / name).write_bytes((CONFIGS / name).read_bytes())
    return tmp_path / "duty-room.yaml"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_sample_is_without_a_finding(room: Path) -> None:
    assert check(room) == []


def test_the_sample_as_settings(room: Path) -> None:
    settings = load_duty_room(room)
    assert (settings.id, settings.host, settings.port) == ("xinsheng", "127.0.0.1", 8080)
    assert settings.data_dir == room.parent / "duty-room-data"
    assert settings.broker.password == "geheim" and settings.gateways == ("b12", "b13")
    li, *_, chen = settings.people
    assert (li.id, li.role, li.grid, li.tell) == ("li", "grid_worker", "XS-03", ("json://127.0.0.1:9/LI_URL",))
    assert chen.grid is None and settings.database is None and settings.city is None
    assert "geheim" not in repr(settings) and "json:" not in repr(settings)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("gateways: [b12, b13]", "gateways: []", "bad-value"),
        ("gateways: [b12, b13]", "gateways: [b12, b12]", "duplicate-id"),
        ("gateways: [b12, b13]", "gateways: [b12, 13]", "wrong-type"),
        ("gateways: [b12, b13]\n", "", "missing-key"),
        ('"${file:duty-room.pw}"', "geheim", "bad-secret"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "bad-value"),
        ("http://127.0.0.1:8080", "http://a:b", "bad-value"),
        ("people: people.csv", "people: nobody.csv", "bad-value"),
        ("people: people.csv", "poeple: people.csv", "unknown-key"),
        ("people: people.csv", "people: people.csv\ndatabase: postgresql://u:p@h/d", "bad-secret"),
    ],
)
def test_what_cannot_work_is_found(room: Path, old: str, new: str, code: str) -> None:
    edit(room, old, new)
    assert [f.code for f in check(room, "en") if f.severity == "error"] == [code]
    with pytest.raises(ConfigError):
        load_duty_room(room)


@pytest.mark.parametrize(
    ("old", "new", "code", "severity"),
    [
        ("wang,", "li,", "duplicate-id", "error"),
        ("grid_chief", "grid_cheif", "bad-value", "warning"),
        ("${env:LI_URL}", "", "no-channel", "warning"),
        ("${env:LI_URL}", "${env:NOT_SET_ANYWHERE}", "bad-secret", "error"),
        ("${env:LI_URL}", "tgram://1234567/chat", "bad-secret", "warning"),
        ("id,name,role,grid,tell", "id,name,roll,grid,tell", "unknown-key", "error"),
    ],
)
def test_people_are_checked_row_by_row(room: Path, old: str, new: str, code: str, severity: str) -> None:
    edit(room.parent / "people.csv", old, new)
    assert (code, severity) in {(f.code, f.severity) for f in check(room, "en") if f.file.endswith("people.csv")}


def test_several_ways_to_be_told_are_separated_by_spaces(room: Path) -> None:
    edit(room.parent / "people.csv", "${env:LI_URL}", "${env:LI_URL} json://localhost/b")
    assert load_duty_room(room).people[0].tell == ("json://127.0.0.1:9/LI_URL", "json://localhost/b")


def test_a_room_without_people_is_a_doubt(room: Path) -> None:
    edit(room, "people: people.csv\n", "")
    assert [(f.code, f.severity) for f in check(room)] == [("no-channel", "warning")]
