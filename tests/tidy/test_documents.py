"""Documents say what is true: dependencies, commands, make targets; and no trace of the machine they were made on."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, files, is_text, text

REGISTRIES = re.compile(
    r"(pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|npmmirror\.com|/simple/|file://)"
)
MACHINE = re.compile(r"(?<![\w./-])/(?:work|root|home/[a-z]\w*|Users/\w+)/[\w.-]+")
README = ("README.md", "README.zh-CN.md")


def python_dependencies() -> set[str]:
    """Names in the .in files and the optional groups."""
    lines = (text(Path("requirements.in")) + "\n" + text(Path("requirements-product.in"))).splitlines()
    names = {re.split(r"[\s\[=<>;]", line)[0].lower() for line in lines if line and line[0] not in "#-"}
    groups = tomllib.loads(text(Path("pyproject.toml")))["project"]["optional-dependencies"]
    return names | {name.lower() for group in groups.values() for name in group}


def console_dependencies() -> set[str]:
    """Names in package.json."""
    package = json.loads(text(Path("duty_room/console/package.json")))
    return set(package["dependencies"]) | set(package["devDependencies"])


def test_every_dependency_has_its_line() -> None:
    page = text(Path("docs/dependencies.md")).lower()
    missing = sorted(n for n in python_dependencies() | console_dependencies() if f"`{n}`" not in page)
    assert not missing, f"docs/dependencies.md: say what for and why this one: {missing}"


def test_no_line_for_a_dependency_that_is_gone() -> None:
    named = set(re.findall(r"^\| `([^`]+)`", text(Path("docs/dependencies.md")).lower(), re.M))
    gone = sorted(named - python_dependencies() - console_dependencies())
    assert not gone, f"docs/dependencies.md names what nobody uses: {gone}"


def test_everything_installed_is_locked_by_hash() -> None:
    lock = text(Path("requirements.txt"))
    entries = re.findall(r"^([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?==(\S+)", lock, re.M)
    assert ("pymodbus", "3.16.1") in entries
    assert len(re.findall(r"^[^\s#]", lock, re.M)) == len(entries), "every line is an exact version"
    for block in re.split(r"^(?=\S)", lock, flags=re.M)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    names = {name.replace("_", "-").replace(".", "-") for name, _version in entries}
    tools = tomllib.loads(text(Path("pyproject.toml")))["project"]["optional-dependencies"]
    optional = {name for group in tools.values() for name in group}
    wanted = {name.replace(".", "-") for name in python_dependencies() - optional}
    assert wanted <= names, wanted - names


def test_the_npm_lock_names_no_address() -> None:
    for name in (".npmrc", "duty_room/console/.npmrc"):
        assert "omit-lockfile-registry-resolved=true" in text(Path(name)), name
    assert '"resolved"' not in text(Path("duty_room/console/package-lock.json"))


def test_no_machine_is_named() -> None:
    """No absolute path of a person's machine and no address of a package registry in any text."""
    found = []
    for path in files():
        if not is_text(path) or path.parts[:2] == ("tests", "tidy"):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            if MACHINE.search(line) or (REGISTRIES.search(line) and "file:///" not in line):
                found.append(f"{path}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", README)
def test_readme_samples_exist(name: str) -> None:
    """Every `make` target and every file the README names is there."""
    if not (ROOT / name).exists():
        pytest.fail(f"{name} is not written yet")
    page = text(Path(name))
    targets = set(re.findall(r"^([a-z][a-z-]*):", text(Path("Makefile")), re.M))
    code = "\n".join([*re.findall(r"```[a-z]*\n(.*?)```", page, re.S), *re.findall(r"`([^`\n]+)`", page)])
    asked = set(re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code))
    assert {"demo", "test"} <= asked, f"{name} does not name the two commands"
    assert asked <= targets, f"{name}: no such target: {sorted(asked - targets)}"
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page)
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing, f"{name}: no such file: {missing}"


def test_readme_commands_exist() -> None:
    """`linli …` in any document is a command of the command line."""
    source = text(Path("edge/cli.py"))
    known = set(re.findall(r"""(?:add_parser|command)\(\s*["']([a-z-]+)""", source))
    known |= {name.strip("_").replace("_", "-") for name in re.findall(r"^def ([a-z_]+)\(", source, re.M)}
    known |= set(re.findall(r"add_typer\([a-z_]+, name=.([a-z-]+)", source))
    known |= set(re.findall(r'add_typer\(\w+, name="([a-z-]+)"', source))
    for path in files():
        if path.suffix == ".md" and path.parts[0] in {"docs", *README}:
            asked = set(re.findall(r"(?:^\$? ?|`)(?:\.venv/bin/)?linli ([a-z][a-z-]+)", text(path), re.M))
            assert asked <= known, f"{path}: no such command: {sorted(asked - known)}"
