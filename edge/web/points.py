"""Setting a point by hand: ``POST /api/v1/points/{device}/{point}``. The gateway owns the link, so it writes."""

from __future__ import annotations

import math
from typing import Annotated

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator

from edge.model import Delivered, Device, PointKey, Refused, Value, Write
from edge.web.bodies import By, person_of
from edge.web.gate import problem
from edge.web.view import GatewayView

TEXT_MAX = 200
log = structlog.get_logger("write")


class SetBody(BaseModel):
    """The value, and who wants it so. true is never 1."""

    model_config = ConfigDict(extra="ignore")
    value: StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=TEXT_MAX)]
    by: By

    @field_validator("value")
    @classmethod
    def _finite(cls, value: Value) -> Value:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("not finite")
        return value


def why_not(device: Device, point: str, value: Value) -> str | None:
    """Why nobody may set this from here; None when they may. The rules of DESIGN §4.16 hold for every hand."""
    how = device.wire.get("points", {}).get(point, {}).get("write")
    if not how:
        return f"{device.id}/{point} cannot be set"
    if device.kind in ("door", "access") or "door" in point or "lock" in point:
        return "the gateway opens no door: fire release is hard-wired, and a person opens on site"
    if value is not True and ("valve" in point or how.get("off", False) is None):
        return f"{device.id}/{point} is only ever switched on: a person undoes it by hand, on site"
    return None


def mount_points(app: FastAPI, view: GatewayView) -> None:
    """Add the route."""

    @app.post("/api/v1/points/{device}/{point}")
    async def set_point(device: str, point: str, body: SetBody) -> Response:
        """200 done, 404 no such point, 409 refused for good, 503 not now."""
        key, person = PointKey(device, point), person_of(body.by)
        found = next((d for d in view.devices() if d.id == device), None)
        if found is None or all(p.key != point for p in found.points):
            return problem(404, "unknown_point", f"this gateway has no point {key}")
        refusal = why_not(found, point, body.value)
        if refusal is not None:
            log.warning("write refused", point=str(key), by=person.name, why=refusal)
            return problem(409, "refused", refusal)
        outcome = await view.set_point(Write(key, body.value))
        match outcome:
            case Delivered(reference):
                log.info("written", point=str(key), value=body.value, by=person.name)
                return JSONResponse({"id": str(key), "value": body.value, "result": "done", "message": reference})
            case Refused(why):
                return problem(409, "refused", why)
            case later:
                return problem(503, "try_later", later.why)
