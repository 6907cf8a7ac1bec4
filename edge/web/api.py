"""Routes of the local API (CONTRACT, "Gateway"). Errors are RFC 9457 with a stable ``code``."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from edge.errors import NotDurable
from edge.model import (
    Command,
    CommandKind,
    CommandOutcome,
    Device,
    Person,
    Place,
    Result,
    rfc3339,
)
from edge.web.bodies import By, person_of
from edge.web.gate import Gate, problem
from edge.web.metrics import Scrape
from edge.web.page import LocalPage, mount_page
from edge.web.points import mount_points
from edge.web.view import AlarmView, GatewayView, PointView

REASON_LENGTH_MAX = 500


class VerbBody(BaseModel):
    """Body of a verb: who, and why. A plain name stands for a person known by it alone."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)
    by: By
    reason: str | None = Field(default=None, max_length=REASON_LENGTH_MAX)

    def person(self) -> Person:
        """As the noun."""
        return person_of(self.by)


def create_app(view: GatewayView, token: str, page: LocalPage | None = None) -> FastAPI:
    """The gateway's HTTP door. token: see ``load_or_create_token``; page: who may answer on ``/a/<token>``.

    Raises ValueError for an empty token: there is no door without one.
    """
    if len(token) < 16:
        raise ValueError("the API token is too short to be one (see load_or_create_token)")
    app = FastAPI(title="Linli gateway", docs_url=None, redoc_url=None, openapi_url=None)
    _errors(app)
    _open_routes(app, view)
    _reading_routes(app, view)
    _verb_route(app, view)
    mount_points(app, view)
    if page is not None:
        mount_page(app, view, page)

    @app.get("/openapi.json", include_in_schema=False)
    async def described() -> dict[str, Any]:
        return get_openapi(title=app.title, version="1", routes=app.routes)

    app.add_middleware(Gate, token=token)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(_request: Request, fault: HTTPException) -> Response:
        return problem(fault.status_code, f"http_{fault.status_code}", str(fault.detail))

    @app.exception_handler(RequestValidationError)
    async def unreadable(_request: Request, fault: RequestValidationError) -> Response:
        # What was sent stays out of the answer: it may hold what somebody should not have pasted.
        found = [{"at": ".".join(str(part) for part in e["loc"]), "what": e["msg"]} for e in fault.errors()]
        wanted = "the body does not fit: send {by: {id, name}, reason?}, or {value, by} to a point"
        return problem(422, "body", wanted, errors=found)

    @app.exception_handler(NotDurable)
    async def not_durable(_request: Request, _fault: NotDurable) -> Response:
        return problem(503, "not_durable", "the journal takes no commits: nothing was changed, ask again")


def _open_routes(app: FastAPI, view: GatewayView) -> None:
    scrape = Scrape(view)

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The event loop runs."""
        return {"ok": True}

    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether all stands that should."""
        checks = dict(view.checks())
        ready = all(state == "ok" for state in checks.values())
        return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(scrape.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _reading_routes(app: FastAPI, view: GatewayView) -> None:
    @app.get("/api/v1/points")
    async def points() -> list[dict[str, Any]]:
        """The newest reading of every point."""
        return [point_body(point) for point in view.points()]

    @app.get("/api/v1/alarms")
    async def alarms() -> list[dict[str, Any]]:
        """Every open alarm: its newest event, and how often it repeated."""
        return [alarm_body(alarm) for alarm in view.alarms()]

    @app.get("/api/v1/links")
    async def links() -> list[dict[str, str]]:
        """The state of every link."""
        return [{"id": link, "state": state} for link, state in view.links().items()]

    @app.get("/api/v1/devices")
    async def devices() -> list[dict[str, Any]]:
        """Every configured device."""
        return [device_body(device) for device in view.devices()]


def _verb_route(app: FastAPI, view: GatewayView) -> None:
    @app.post("/api/v1/alarms/{alarm_id}/{verb}")
    async def say(alarm_id: str, verb: Literal["acknowledge", "silence", "reset"], body: VerbBody) -> Response:
        """A person's wish. 200 with the outcome, 409 with its code when the gateway refuses."""
        command = Command(
            command_id=f"api-{uuid.uuid4().hex}",
            kind=CommandKind(verb),
            alarm_id=alarm_id,
            by=body.person(),
            at_ms=view.now_ms(),
            reason=body.reason,
        )
        outcome = await view.command(command)
        if outcome.result is Result.DONE:
            return JSONResponse(outcome_body(outcome))
        status = 404 if outcome.code == "unknown_alarm" else 409
        return problem(status, outcome.code, outcome.message, outcome=outcome_body(outcome))


def point_body(point: PointView) -> dict[str, Any]:
    """A point as JSON."""
    return {
        "id": f"{point.device}/{point.point}",
        "device": point.device,
        "value": point.value,
        "unit": point.unit,
        "quality": point.quality,
        "cause": point.cause,
        "observed_at": rfc3339(point.observed_ms),
        "age_s": None if point.age_s is None else round(point.age_s, 3),
    }


def alarm_body(alarm: AlarmView) -> dict[str, Any]:
    """An open alarm as JSON: the fields of ``event``, then what is only known of the whole alarm."""
    event, taken = alarm.last, alarm.acknowledged
    return {
        "event_id": event.event_id,
        "seq": event.seq,
        "alarm_id": event.alarm_id,
        "kind": event.kind,
        "class": event.alarm_class,
        "priority": event.priority,
        "state": event.state,
        "condition": event.condition,
        "device": event.device,
        "point": event.point,
        "place": place_body(event.place),
        "value": event.value,
        "unit": event.unit,
        "observed_at": rfc3339(event.observed_ms),
        "received_at": rfc3339(event.received_ms),
        "clock": event.clock,
        "by": person_body(event.by),
        "reason": event.reason,
        "late": event.late,
        "test": event.test,
        "repeats": alarm.count - 1,
        "raised_at": rfc3339(alarm.raised_ms),
        "acknowledged": None if taken is None else {"by": person_body(taken), "at": rfc3339(alarm.acknowledged_ms)},
    }


def device_body(device: Device) -> dict[str, Any]:
    """A configured device as JSON; how it is read on the wire stays inside."""
    return {
        "id": device.id,
        "kind": device.kind,
        "profile": device.profile,
        "link": device.link,
        "address": device.address,
        "place": place_body(device.place),
        "life_safety": device.life_safety,
        "supervise_s": device.supervise_s,
        "points": [
            {"id": f"{device.id}/{point.key}", "unit": point.unit, "writable": point.writable}
            for point in device.points
        ],
        "classes": list(dict.fromkeys(rule.alarm_class for rule in device.rules)),
    }


def place_body(place: Place) -> dict[str, Any]:
    """A place as JSON."""
    return {name: getattr(place, name) for name in Place.__slots__}


def person_body(person: Person | None) -> dict[str, str] | None:
    """A person as JSON."""
    return None if person is None else {"id": person.id, "name": person.name, "via": person.via}


def outcome_body(outcome: CommandOutcome) -> dict[str, Any]:
    """An outcome as JSON."""
    return {
        "command_id": outcome.command_id,
        "result": outcome.result,
        "code": outcome.code,
        "message": outcome.message,
        "at": rfc3339(outcome.at_ms),
    }
