"""``/api/v1/statistics``: counts and response times, with the definition beside each figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection, select

from duty_room import wire
from duty_room.incident import ACKNOWLEDGE_S, Incident
from duty_room.store import tables as t
from duty_room.web.context import Ctx, Viewer
from duty_room.web.problems import json
from edge.model import rfc3339

router = APIRouter(prefix="/api/v1")
DEFINITIONS = {
    "response_s": "first acknowledge by a named person minus the gateway's time of the alarm",
    "on_scene_s": "first person on scene minus the gateway's time of the alarm",
    "resolution_s": "resolved minus the gateway's time of the alarm",
    "on_time": "acknowledged within the priority's time, divided by all that were due; never acknowledged is late",
    "tests": "incidents marked as a test; they are in no other figure",
    "satisfaction": "ratings by residents; the mean is hidden below five",
}


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank; None without values."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))]


def _spread(values: Iterable[float]) -> dict[str, Any]:
    got = list(values)
    return {"n": len(got), "p50": percentile(got, 0.5), "p90": percentile(got, 0.9)}


def _first(incident: Incident, step: str) -> float | None:
    at_ms = next((s.at_ms for s in incident.timeline if s.step == step), None)
    return (at_ms - incident.opened_ms) / 1000 if at_ms is not None else None


def _response_s(incident: Incident) -> float | None:
    answer = incident.first_answer
    return (answer.at_ms - incident.opened_ms) / 1000 if answer else None


def figures(incidents: Sequence[Incident], stars: Sequence[int], now_ms: int) -> dict[str, Any]:
    """The figures over these incidents. Pure."""
    real = [i for i in incidents if not i.test]
    due = [
        i
        for i in real
        if i.priority in ACKNOWLEDGE_S and (i.first_answer or now_ms >= i.opened_ms + ACKNOWLEDGE_S[i.priority] * 1000)
    ]
    in_time = [i for i in due if (s := _response_s(i)) is not None and s <= ACKNOWLEDGE_S[i.priority]]
    false = [i for i in real if i.cause and i.cause.startswith("false")]
    offenders = Counter(i.alarms[0].device for i in false if i.alarms)
    return {
        "incidents": len(real),
        "tests": len(incidents) - len(real),
        "by_class": dict(Counter(i.alarm_class.value for i in real)),
        "by_priority": {str(p): n for p, n in sorted(Counter(i.priority for i in real).items())},
        "by_state": dict(Counter(i.state.value for i in real)),
        "by_cause": dict(Counter(i.cause for i in real if i.cause)),
        "response_s": _spread(s for i in real if (s := _response_s(i)) is not None),
        "on_scene_s": _spread(s for i in real if (s := _first(i, "on_scene")) is not None),
        "resolution_s": _spread((i.resolved.at_ms - i.opened_ms) / 1000 for i in real if i.resolved),
        "on_time": {"due": len(due), "in_time": len(in_time), "share": len(in_time) / len(due) if due else None},
        "false_alarms": [{"device": device, "n": n} for device, n in offenders.most_common(10)],
        "satisfaction": {
            "n": len(stars),
            "mean": sum(stars) / len(stars) if len(stars) >= 5 else None,
            "distribution": {str(n): stars.count(n) for n in range(1, 6)} if len(stars) >= 5 else None,
        },
    }


@router.get("/statistics")
async def statistics(ctx: Ctx, _principal: Viewer, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
    """Figures over the incidents opened in the last days."""
    now_ms = ctx.clock.wall_ms()
    first_ms = now_ms - days * 86_400_000

    def job(conn: Connection) -> dict[str, Any]:
        query = select(t.incidents.c.body).where(t.incidents.c.opened_ms >= first_ms)
        found = [wire.from_row(text) for text in conn.execute(query).scalars()]
        rated = select(t.ratings.c.stars).where(t.ratings.c.first_ms >= first_ms)
        return figures(found, list(conn.execute(rated).scalars()), now_ms)

    body = await ctx.store.read(job)
    return json({"from": rfc3339(first_ms), "to": rfc3339(now_ms), "definitions": DEFINITIONS, **body})
