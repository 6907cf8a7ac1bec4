"""The generated contract files are current, hang together, and every message the product makes fits them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from ruamel.yaml import YAML

from cloud_bridge import schema
from cloud_bridge.city_messages import CaseMessage, CityPlace, Lost
from cloud_bridge.duty_inbox import command_of
from cloud_bridge.messages import (
    CommandMessage,
    DutyMessage,
    EventMessage,
    FloorCount,
    Heard,
    HeartbeatMessage,
    Message,
    OutcomeMessage,
    PersonBody,
    ReceiptMessage,
    SiteMessage,
    StatusMessage,
)
from cloud_bridge.summary import Tally, fact
from edge.model import Clock, CommandKind, EventKind, Person, Result, Via
from tests.unit.bridge.samples import NOW_MS, event
from tests.unit.bridge.test_summary import FRAME, snapshot

AT = "2026-09-21T14:13:20.123Z"
BY = PersonBody(id="li", name="李四", via=Via.PHONE)
SAMPLES: dict[str, Message] = {
    "event": EventMessage.of(event(1, kind=EventKind.ACKNOWLEDGED, by=Person("li", "李四", Via.LOCAL), value=1.5)),
    "outcome": OutcomeMessage(command_id="c1", result=Result.DONE, code="done", message="", at=AT),
    "heartbeat": HeartbeatMessage(
        boot_id="b", seq=1, head=2, clock=Clock.SYNCED, links={"bus1": "up"}, open=0, outbox=0, durable=True
    ),
    "status": StatusMessage(online=True, boot_id="b", at=AT),
    "site": SiteMessage(
        community="新盛",
        building="12",
        units=["1"],
        floors=(1, 18),
        households_per_floor=2,
        counts=[FloorCount(unit="1", floor=3, kind="smoke", life_safety=True, total=4, online=3)],
    ),
    "receipt": ReceiptMessage(event_id="e1", duty_room="d1", at=AT),
    "command": CommandMessage(command_id="c1", kind=CommandKind.RESET, alarm_id="a1", by=BY, at=AT),
    "duty": DutyMessage(duty_room="d1", at=AT, heard=Heard(boot_id="b", seq=1), audible=True, on_duty=["李四"]),
    "summary": Tally(NOW_MS, NOW_MS + 300_000, 0.0).summary(FRAME, snapshot(), Lost(), 300.0),
    "case": CaseMessage(alarm="0123456789abcdef", case="2026-1121-7", state="filed", at=AT),
    "fact": fact(event(1), "b12", CityPlace(community="新盛", grid="XS-03"), b"salt"),
}


def test_the_files_are_current() -> None:
    stale = [str(path) for path, text in schema.files().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run python -m cloud_bridge.schema"


def test_there_is_a_sample_of_every_message() -> None:
    assert set(SAMPLES) == set(schema.CHANNELS)


@pytest.mark.parametrize("name", sorted(schema.CHANNELS))
def test_every_message_fits_its_file(name: str) -> None:
    body = json.loads((schema.DOCS / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(body)
    validator = Draft202012Validator(body)
    assert list(validator.iter_errors(json.loads(SAMPLES[name].encode()))) == []
    assert list(validator.iter_errors({**json.loads(SAMPLES[name].encode()), "new_field": 1})) == []
    wrongs: list[Any] = [{"v": 2}, {}, [], {**json.loads(SAMPLES[name].encode()), "v": 2}]
    for wrong in wrongs:
        assert list(validator.iter_errors(wrong)), wrong


def test_every_reference_of_the_asyncapi_file_leads_somewhere() -> None:
    document = YAML(typ="safe").load((schema.DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))
    found = list(_references(document))
    assert len(found) > 30
    for reference in found:
        if reference.startswith("#/"):
            here: Any = document
            for part in reference[2:].split("/"):
                here = here[part]
        else:
            assert (schema.DOCS / reference).exists(), reference


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_check_names_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schema, "DOCS", tmp_path)
    assert schema.main(["--check"]) == 1
    assert "asyncapi.yaml: not current" in capsys.readouterr().out
    assert schema.main([]) == 0 and schema.main(["--check"]) == 0 and schema.main(["--nonsense"]) == 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_no_message(number: str) -> None:
    body = SAMPLES["event"].encode()
    good = json.loads(body)
    good["value"] = 0
    with pytest.raises(ValidationError):
        EventMessage.model_validate_json(json.dumps(good).replace('"value": 0', f'"value": {number}'))


def test_a_test_command_needs_no_alarm() -> None:
    body = b'{"v":1,"command_id":"c1","kind":"test","alarm_id":null,"at":"2026-09-21T14:13:20.123Z"}'
    assert command_of(CommandMessage.model_validate_json(body)).alarm_id == ""
