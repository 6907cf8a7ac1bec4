"""``POST /api/v1/incidents/{id}/…``: the steps of people, each with If-Match and Idempotency-Key."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select

from duty_room import wire
from duty_room.desk import Impossible, NoIncident, Stale
from duty_room.incident import Incident
from duty_room.steps import Wish
from duty_room.store import tables as t
from duty_room.store.store import Tx
from duty_room.web.context import Context, Ctx, Officer, person
from duty_room.web.problems import Problem, json
from edge.model import parse_rfc3339

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])


class Body(BaseModel):
    """Bodies of steps. Unknown fields are ignored, as everywhere in the contract: newer clients may say more."""

    model_config = ConfigDict(extra="ignore")


class Nothing(Body):
    """``{}``"""


class Dispatch(Body):
    """Who is sent."""

    person_id: str = Field(min_length=1, max_length=64)


class Going(Body):
    """Who goes; empty: the person who asks."""

    person_id: str | None = Field(default=None, min_length=1, max_length=64)


class Resolve(Body):
    """Why it is over."""

    cause: str = Field(min_length=1, max_length=64, pattern=r"\S")
    note: str | None = Field(default=None, max_length=500)


class Shelve(Body):
    """Until when, and why."""

    until: str = Field(max_length=40)
    reason: str = Field(min_length=1, max_length=200, pattern=r"\S")


class Escalate(Body):
    """Why the next tier must know."""

    reason: str = Field(min_length=1, max_length=200, pattern=r"\S")


BODIES: dict[str, type[Body]] = {
    "acknowledge": Nothing,
    "dispatch": Dispatch,
    "en-route": Going,
    "arrive": Going,
    "resolve": Resolve,
    "close": Nothing,
    "shelve": Shelve,
    "escalate": Escalate,
}
_MATCH = re.compile(r'"?(\d{1,9})"?')


def _seen(if_match: str | None) -> int:
    if if_match is None:
        raise Problem(428, "if_match_missing", 'say which version you saw: If-Match: "7"')
    found = _MATCH.fullmatch(if_match.strip())
    if found is None:
        raise Problem(422, "if_match_invalid", 'If-Match is the version in quotes: "7"')
    return int(found[1])


async def _parsed(request: Request, step: str) -> tuple[Body, str]:
    """The body, and the fingerprint by which a repeated request is known."""
    raw = await request.body()
    try:
        body = BODIES[step].model_validate_json(raw or b"{}")
    except ValidationError as fault:
        errors = [{"at": ".".join(map(str, e["loc"])), "what": e["msg"]} for e in fault.errors()]
        raise Problem(422, "invalid", "the body does not fit the step", errors=errors) from fault
    canonical = orjson.dumps(body.model_dump(), option=orjson.OPT_SORT_KEYS)
    return body, hashlib.sha256(request.url.path.encode() + b"\n" + canonical).hexdigest()


def _wish(ctx: Context, principal: Officer, step: str, body: Body) -> Wish:
    by = person(ctx, principal)
    raw: dict[str, Any] = body.model_dump()
    target: tuple[str, str] | None = None
    if raw.get("person_id"):
        someone = ctx.registry.person(raw["person_id"])
        if someone is None:
            raise Problem(422, "unknown_person", f"{raw['person_id']} is not in people.csv")
        target = (someone.id, someone.name)
    until_ms: int | None = None
    if raw.get("until"):
        try:
            until_ms = parse_rfc3339(raw["until"])
        except ValueError as fault:
            raise Problem(422, "invalid", f"until: {fault}") from fault
    return Wish(
        step, by, ctx.clock.wall_ms(), target, raw.get("cause"), raw.get("note"), raw.get("reason"), until_ms,
        account=principal.name,
    )  # fmt: skip


def _lost(code: str, incident: Incident, status: int = 409) -> tuple[int, dict[str, Any]]:
    detail = "somebody was faster, or the step is not possible now"
    more = {"winner": wire.winner(incident), "incident": wire.body(incident)}
    return status, Problem(status, code, detail, **more).body()


def _reply(status: int, body: dict[str, Any]) -> Response:
    response = json(body, status)
    if status == 200:
        response.headers["ETag"] = f'"{body["version"]}"'
    else:
        response.headers["Content-Type"] = "application/problem+json"
    return response


@router.post("/{incident_id}/{step}", responses={409: {"description": "stale version or illegal step"}})
async def act(
    request: Request,
    ctx: Ctx,
    principal: Officer,
    incident_id: Annotated[str, Path(max_length=64)],
    step: Annotated[str, Path(max_length=20)],
    if_match: Annotated[str | None, Header()] = None,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """One step of a person. The same Idempotency-Key and body gets the first answer again, with one effect."""
    if step not in BODIES:
        raise Problem(404, "not_found", f"there is no step {step}")
    if not idempotency_key:
        raise Problem(428, "idempotency_key_missing", "send an Idempotency-Key, the same one when you repeat")
    seen = _seen(if_match)
    body, asked = await _parsed(request, step)
    wish = _wish(ctx, principal, step, body)

    def job(tx: Tx) -> tuple[int, dict[str, Any]]:
        where = (t.answers.c.principal == principal.key) & (t.answers.c.key == idempotency_key)
        before = tx.conn.execute(select(t.answers).where(where)).first()
        if before is not None:
            if before.asked != asked:
                raise Problem(422, "idempotency_key_reused", "this Idempotency-Key was used for another request")
            return before.status, orjson.loads(before.body)
        try:
            status, said = 200, wire.body(ctx.desk.take_steps(tx, incident_id, [wish], seen))
        except Stale as fault:
            status, said = _lost("stale_version", fault.incident)
        except Impossible as fault:
            if fault.code in ("cause_missing", "until_out_of_range"):
                raise Problem(422, fault.code, "shelve for at most 8 hours from now") from fault
            status, said = _lost(fault.code, fault.incident)
        except NoIncident as fault:
            raise Problem(404, "not_found", f"there is no incident {incident_id}") from fault
        row = {"principal": principal.key, "key": idempotency_key, "asked": asked, "status": status, "at_ms": tx.now_ms}
        tx.conn.execute(t.answers.insert(), {**row, "body": orjson.dumps(said).decode()})
        return status, said

    status, said = await ctx.desk.run(job)
    return _reply(status, said)
