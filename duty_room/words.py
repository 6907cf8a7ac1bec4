"""The catalogue of what people read: ``messages/{zh-CN,en}.json``, Chinese first."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from duty_room.incident import Incident, Step
from edge.model import Place

LANGUAGES = ("zh-CN", "en")
_FOLDER = Path(__file__).parent / "messages"


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of one language."""
    words: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return words


def choose(wanted: str | None, accepts: str | None) -> str:
    """The language of a page: ``?lang`` first, then Accept-Language, else Chinese."""
    for tag in (wanted or "", *re.split(r"[,;]", accepts or "")):
        short = tag.strip().lower()
        if short.startswith("zh"):
            return "zh-CN"
        if short.startswith("en"):
            return "en"
    return "zh-CN"


def say(language: str, key: str, **values: object) -> str:
    """One text with its values. Raises KeyError for a key that is not in the catalogue."""
    return catalogue(language)[key].format(**values)


def class_name(language: str, alarm_class: str) -> str:
    """What happened, in words."""
    return say(language, f"class.{alarm_class}")


def place_text(language: str, place: Place) -> str:
    """小区›楼›单元›层›户›房间, never a device id."""
    if place.text:
        return place.text
    parts: list[str] = []
    if place.community:
        parts.append(place.community)
    if place.building:
        parts.append(say(language, "place.building", n=place.building))
    if place.unit:
        parts.append(say(language, "place.unit", n=place.unit))
    if place.floor is not None:
        key = "place.basement" if place.floor < 0 else "place.floor"
        parts.append(say(language, key, n=abs(place.floor)))
    if place.household:
        parts.append(say(language, "place.household", n=place.household))
    if place.room:
        parts.append(place.room)
    return " › ".join(parts) or say(language, "place.unknown")


_BY_DEVICE = ("raised", "repeated", "priority_raised", "cleared", "re_alarmed")
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def reason_text(language: str, step: Step) -> str | None:
    """Why, in words: what was measured, the cause, the state that lasted too long; never the id of a rule."""
    if step.value is not None:
        return f"{step.value:g} {step.unit or ''}".strip()
    if step.reason is None or (step.step in _BY_DEVICE and _ID.fullmatch(step.reason)):
        return None
    known = catalogue(language)
    if step.step == "overdue":
        return known.get(f"state.{step.reason}", step.reason)
    cause, colon, note = step.reason.partition(": ")
    return known.get(f"cause.{cause}", cause) + colon + note


def message(language: str, incident: Incident, kind: str, url: str) -> tuple[str, str]:
    """Title and text of what a person is told. The place comes first: it is what a phone shows."""
    what, where = class_name(language, incident.alarm_class.value), place_text(language, incident.place)
    title = say(language, f"notice.{kind}.title", what=what, where=where, priority=incident.priority)
    repeats = say(language, "notice.repeats", n=incident.repeats + 1) if incident.repeats else ""
    test = say(language, "notice.test") if incident.test else ""
    body = say(language, f"notice.{kind}.body", what=what, where=where, repeats=repeats, test=test, url=url)
    return title, body
