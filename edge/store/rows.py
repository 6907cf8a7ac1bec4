"""Events and notices as journal rows: JSON with sorted keys, and the hash that chains them. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import orjson

from edge.model import (
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    EventKind,
    Notice,
    Person,
    Place,
    Via,
)

FIRST_HASH = bytes(32)
"""What the first event is chained to."""


def event_body(event: AlarmEvent) -> bytes:
    """The event as stored; the same event always gives the same bytes."""
    return orjson.dumps(asdict(event), option=orjson.OPT_SORT_KEYS)


def chain(previous: bytes, body: bytes) -> bytes:
    """SHA-256 of the previous event's hash and this body: one changed byte breaks every later hash."""
    return hashlib.sha256(previous + body).digest()


def read_event(body: bytes | str) -> AlarmEvent:
    """The event of a stored body."""
    fields: dict[str, Any] = orjson.loads(body)
    by = fields["by"]
    fields["by"] = Person(by["id"], by["name"], Via(by["via"])) if by else None
    fields["place"] = Place(**fields["place"])
    fields["kind"] = EventKind(fields["kind"])
    fields["alarm_class"] = AlarmClass(fields["alarm_class"])
    fields["state"] = AlarmState(fields["state"])
    fields["condition"] = Condition(fields["condition"])
    fields["clock"] = Clock(fields["clock"])
    return AlarmEvent(**fields)


def notice_body(notice: Notice) -> str:
    """The notice as stored."""
    return orjson.dumps(asdict(notice), option=orjson.OPT_SORT_KEYS).decode()


def read_notice(body: str) -> Notice:
    """The notice of a stored body."""
    return Notice(**orjson.loads(body))
