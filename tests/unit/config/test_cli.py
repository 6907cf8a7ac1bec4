"""The command line: exit codes, output, and that nothing starts on a faulty file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app

Edit = Callable[..., Path]
BAD = Path("configs/bad").resolve()


@pytest.fixture
def linli() -> Callable[..., tuple[int, str]]:
    """Run one command; exit code and standard output."""

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout

    return run


Run = Callable[..., tuple[int, str]]


def test_check_of_a_right_file_is_zero(linli: Run, site: Path) -> None:
    code, out = linli("check", site)
    assert code == 0 and out.splitlines()[-1] == "0 errors, 1 warnings"


def test_check_of_a_wrong_file_is_one(linli: Run, site: Path) -> None:
    code, out = linli("check", BAD / "unknown-key.yaml", site)
    lines = out.splitlines()
    assert code == 1 and lines[-1] == "1 errors, 1 warnings" and len(lines) == 3
    assert lines == [*sorted(lines[:-1]), lines[-1]]


def test_check_as_json(linli: Run) -> None:
    code, out = linli("check", "--json", BAD / "unknown-key.yaml")
    assert code == 1
    assert json.loads(out) == [
        {
            "file": str(BAD / "unknown-key.yaml"), "line": 4, "col": 52, "severity": "error", "code": "unknown-key",
            "message": "unknown key 'baud_rate'", "remedy": "did you mean 'baudrate'?",
        }
    ]  # fmt: skip


def test_check_of_a_file_that_is_not_there(linli: Run, tmp_path: Path) -> None:
    code, out = linli("check", tmp_path / "none.yaml")
    assert code == 1 and "cannot read this file" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",), ("gateway",), ("drill", "--seeds", "x"), ("drill", "--seeds", "3..1"), ("nonsense",), ("doctor",),
        ("read", "x"), ("demo", "--port", "0"), ("token", "--config", "x"), ("journal", "show"),
    ],
)  # fmt: skip
def test_wrong_use_is_two(linli: Run, arguments: tuple[str, ...]) -> None:
    assert linli(*arguments)[0] == 2


@pytest.mark.parametrize("command", [("scan", "bus1"), ("read", "s301"), ("watch",), ("write", "s301", "smoke", "on")])
def test_a_faulty_file_ends_every_tool_with_its_findings(linli: Run, command: tuple[str, ...]) -> None:
    code, out = linli(*command, "--config", BAD / "unknown-key.yaml")
    assert code == 1 and "baud_rate" in out and out.endswith("1 errors, 0 warnings\n")


@pytest.mark.parametrize("command", ["gateway", "duty-room"])
def test_a_daemon_starts_nothing_on_a_faulty_file(linli: Run, command: str, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("gateway: {id: b12, data_dir: ./data}\n", encoding="utf-8")
    code, out = linli(command, "--config", path)
    assert code == 1 and "error: " in out and "ready" not in out
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_devices_and_links_are_said(linli: Run, site: Path) -> None:
    assert linli("read", "nothing", "--config", site)[0] == 1
    assert linli("scan", "nothing", "--config", site)[0] == 1


def test_a_point_that_cannot_be_set_is_not_set(linli: Run, site: Path) -> None:
    assert linli("write", "s301", "smoke", "true", "--config", site)[0] == 1


def test_a_valve_is_never_opened_by_hand_either(linli: Run, edit: Edit) -> None:
    relay = "  - {id: relay1, profile: relay/waveshare, link: bus1, address: 1, place: {text: here}}\n"
    path = edit(("roster:", relay + "roster:"))
    result = CliRunner().invoke(app, ["write", "relay1", "gas_valve", "false", "--config", str(path)])
    assert result.exit_code == 1 and "by hand, on site" in result.stderr


def test_a_journal_that_is_not_there_is_a_fault(linli: Run, tmp_path: Path) -> None:
    assert linli("journal", "verify", tmp_path)[0] == 1
    assert linli("journal", "show", tmp_path)[0] == 1
    assert not list(tmp_path.iterdir())


def test_doctor_says_what_to_do(linli: Run, site: Path) -> None:
    code, out = linli("doctor", site, "--json")
    rows = json.loads(out)
    assert code == 1 and {r["result"] for r in rows} <= {"ok", "warning", "fault"}
    bus = next(r for r in rows if "dev/bus1" in r["what"])
    assert bus["result"] == "fault" and "/dev/serial/by-id" in bus["remedy"]
    assert any(r["what"].startswith("roster li") and r["result"] == "ok" for r in rows)
    assert not (site.parent / "data").exists()


def test_it_runs_as_a_module_and_speaks_utf_8_in_any_terminal() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "edge.cli", "check", str(BAD / "no-channel.yaml")],
        env={"LANG": "zh_CN.GBK", "PYTHONIOENCODING": "ascii", "PATH": ""},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1 and "无法通知 '李四'" in result.stdout.decode("utf-8")


def test_the_command_itself_stays_small() -> None:
    """`linli gateway` shares its memory with what the command imports: no simulator, no web, no table reader."""
    code = "import edge.cli, edge.config, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=60, text=True
    ).stdout.split()
    assert not {"fastapi", "openpyxl", "apprise", "simulators", "duty_room", "sqlalchemy", "rich"} & set(loaded)
