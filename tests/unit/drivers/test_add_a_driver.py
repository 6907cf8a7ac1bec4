"""docs/add-a-driver.md says what is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from device_drivers.registry import KINDS
from edge.model import BadCause

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "add-a-driver.md").read_text()


def test_six_steps() -> None:
    assert re.findall(r"^(\d)\. ", PAGE, re.M) == list("123456")


def test_every_file_it_names_exists() -> None:
    for path in re.findall(r"`((?:device_drivers|tests|edge)/[\w./]+)`", PAGE):
        assert (ROOT / path).exists() or (ROOT / path.replace("schema.py", "")).exists(), path


def test_the_example_has_the_files_of_the_steps() -> None:
    names = {path.name for path in (ROOT / "device_drivers" / "example").iterdir()}
    assert {"__init__.py", "codec.py", "driver.py", "README.md"} <= names


def test_every_kind_of_link_has_a_create() -> None:
    for module in {*KINDS.values(), "device_drivers.example"}:
        assert callable(import_module(module).create)


def test_the_causes_are_those_of_the_model() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.split("with a cause:")[1].split("Never 0")[0]))
    assert named <= set(BadCause)
