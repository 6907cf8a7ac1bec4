"""What is generated is current, and the schemas accept what check accepts."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from edge.config.generate import files

FILES = files()


@pytest.mark.parametrize("name", FILES)
def test_generated_file_is_current(name: str) -> None:
    said = f"{name} is old: run `python -m edge.config.generate`"
    assert Path(name).read_text(encoding="utf-8") == FILES[name], said


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("building", "configs/minimal.yaml"),
        ("duty-room", "configs/duty-room.yaml"),
        *[("profile", str(p)) for p in sorted(Path("device_drivers/profiles").glob("*/*.yaml"))],
    ],
)
def test_schema_accepts_the_sample(schema: str, file: str) -> None:
    content = YAML(typ="safe", pure=True).load(Path(file).read_text(encoding="utf-8"))
    jsonschema.validate(content, json.loads(FILES[f"configs/schema/{schema}.schema.json"]))


def test_schema_refuses_an_unknown_key() -> None:
    content = YAML(typ="safe", pure=True).load(Path("configs/bad/unknown-key.yaml").read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(FILES["configs/schema/building.schema.json"]))


def test_every_profile_has_its_chapter() -> None:
    page = FILES["docs/devices.md"]
    for path in Path("device_drivers/profiles").glob("*/*.yaml"):
        assert f"## {path.parent.name}/{path.stem}\n" in page
