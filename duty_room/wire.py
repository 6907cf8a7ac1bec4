"""The incident as the contract shows it, and as the store keeps it."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import TypeAdapter

from duty_room.incident import Answer, Helper, Incident, Step
from edge.model import Person, Place, rfc3339

_STORED: TypeAdapter[Incident] = TypeAdapter(Incident)


def to_row(incident: Incident) -> str:
    """All of the incident, for the store."""
    return _STORED.dump_json(incident).decode()


def from_row(text: str) -> Incident:
    """Back from the store. Raises pydantic.ValidationError when the row is damaged."""
    return _STORED.validate_json(text)


def person_body(person: Person | None) -> dict[str, str] | None:
    """Person as in the contract."""
    return {"id": person.id, "name": person.name, "via": person.via.value} if person else None


def place_body(place: Place) -> dict[str, Any]:
    """Place as in the contract."""
    return {
        "community": place.community,
        "building": place.building,
        "unit": place.unit,
        "floor": place.floor,
        "household": place.household,
        "room": place.room,
        "text": place.text,
    }


def _answer(answer: Answer | None) -> dict[str, Any] | None:
    return {"by": person_body(answer.by), "at": rfc3339(answer.at_ms)} if answer else None


def _helper(helper: Helper) -> dict[str, Any]:
    return {"id": helper.id, "name": helper.name, "step": helper.step, "at": rfc3339(helper.at_ms)}


def step_body(step: Step) -> dict[str, Any]:
    """One line of the timeline as in the contract."""
    found = {"at": rfc3339(step.at_ms), "by": person_body(step.by), "step": step.step, "reason": step.reason}
    return found | {"value": step.value, "unit": step.unit} if step.value is not None else found


def body(incident: Incident) -> dict[str, Any]:
    """Incident as in the contract, with a few fields more."""
    alarms = [
        {
            "id": a.id,
            "state": a.state.value,
            "device": a.device,
            "condition": a.condition.value,
            "class": a.alarm_class.value,
            "priority": a.priority,
            "value": a.value,
            "unit": a.unit,
        }
        for a in incident.alarms
    ]
    return {
        "id": incident.id,
        "version": incident.version,
        "state": incident.state.value,
        "class": incident.alarm_class.value,
        "priority": incident.priority,
        "condition": incident.condition.value,
        "place": place_body(incident.place),
        "gateway": incident.gateway,
        "alarms": alarms,
        "opened_at": rfc3339(incident.opened_ms),
        "acknowledged": _answer(incident.acknowledged),
        "assignee": {"id": incident.assignee.id, "name": incident.assignee.name} if incident.assignee else None,
        "deadline_at": rfc3339(incident.deadline_ms),
        "repeats": incident.repeats,
        "flags": list(incident.flags),
        "timeline": [step_body(s) for s in incident.timeline],
        "since": rfc3339(incident.stage_ms),
        "helpers": [_helper(h) for h in incident.helpers],
        "refused": list(incident.refused),
        "shelved_until": rfc3339(incident.shelved_until_ms),
        "cause": incident.cause,
        "note": incident.note,
        "resolved": _answer(incident.resolved),
    }


def encode(incident: Incident) -> bytes:
    """The contract's form as JSON."""
    return orjson.dumps(body(incident))


def winner(incident: Incident) -> dict[str, Any]:
    """Who was first: the last person whose step moved the incident, for the one who lost the race."""
    moves = ("acknowledged", "dispatched", "en_route", "on_scene", "resolved", "closed", "shelved", "escalated")
    last = next((s for s in reversed(incident.timeline) if s.step in moves and s.by), None)
    at_ms = last.at_ms if last else incident.stage_ms
    return {"by": person_body(last.by if last else None), "at": rfc3339(at_ms), "state": incident.state.value}
