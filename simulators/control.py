"""The control door of the simulators over HTTP: start scenarios, set values, read what really happened, and a page."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge.model import AlarmClass, Device, Place, PointKey, Value, rfc3339
from simulators.building import Fact, Health, UnknownName
from simulators.run import SimulatedBuilding
from simulators.scenarios import NAMES, SCENARIOS, Cannot

PAGE_DIR = Path(__file__).parent / "page"
BODY_BYTES_MAX = 16 * 1024
TITLES = {"day": ("照脚本走一天", "The scripted day"), "quiet": ("全部恢复正常", "Everything back to rest")}


class BadBody(ValueError):
    """The request's body is not what the route takes; the text says what it takes."""


async def body_of(request: Request, takes: str, *, empty: bool = False) -> dict[str, Any]:
    """The JSON object sent. Raises BadBody; an empty body is an empty object where that is allowed."""
    raw = await request.body()
    if not raw and empty:
        return {}
    try:
        body = json.loads(raw[: BODY_BYTES_MAX + 1])
    except ValueError:
        body = None
    if not isinstance(body, dict) or not set(body) <= set(takes.split()):
        raise BadBody(f"the body is a JSON object with {takes}")
    return body


def fact_json(fact: Fact) -> dict[str, Any]:
    """A fact as ``GET /truth`` gives it."""
    found = {"at": rfc3339(fact.at_ms), "device": fact.device, "point": fact.point, "value": fact.value}
    return found | {"run_id": fact.run_id}


def place_text(place: Place) -> str:
    """A place in one short line."""
    floor = None if place.floor is None else f"{place.floor}F"
    parts = (place.building, place.unit, floor, place.household, place.room)
    return place.text or "-".join(p for p in parts if p is not None)


def spot(place: Place) -> dict[str, Any]:
    """A place in its parts, for a page that says it in the words of its reader."""
    found = {
        "building": place.building, "unit": place.unit, "floor": place.floor, "household": place.household,
        "room": place.room, "text": place.text,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


class Control:
    """The routes over one simulated building."""

    def __init__(self, building: SimulatedBuilding) -> None:
        self._building = building
        self._truth = building.truth

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/", self.page),
            Route("/truth", self.truth),
            Route("/state", self.state),
            Route("/scenarios", self.scenarios),
            Route("/devices", self.devices),
            Route("/scenarios/{name}", self.start, methods=["POST"]),
            Route("/points/{device}/{point}", self.set_point, methods=["POST"]),
            Route("/devices/{device}/press", self.press, methods=["POST"]),
            Route("/devices/{device}/health", self.set_health, methods=["POST"]),
            Route("/links/{link}", self.set_link, methods=["POST"]),
            Mount("/page", StaticFiles(directory=PAGE_DIR)),
        ]
        handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
            UnknownName: self._not_found,
            BadBody: self._bad,
            Cannot: self._bad,
        }
        return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(OwnPagesOnly)])

    async def page(self, _: Request) -> Response:
        """The demo's control page."""
        return FileResponse(PAGE_DIR / "index.html", headers={"Cache-Control": "no-cache"})

    async def truth(self, request: Request) -> Response:
        """What really happened, oldest first; ``?last=N`` only the newest."""
        facts = list(self._truth.facts)
        last = request.query_params.get("last", "")
        if last.isdigit():
            facts = facts[len(facts) - min(int(last), len(facts)) :]
        return JSONResponse([fact_json(f) for f in facts])

    async def state(self, request: Request) -> Response:
        """Every point's value now; ``?only=notable``: outputs, and points and devices that do not rest."""
        notable = request.query_params.get("only") == "notable"
        points = []
        for device in self._truth.devices.values():
            for point in device.points:
                key = PointKey(device.id, point.key)
                value = self._truth.value(key)
                if point.momentary or notable and not point.writable and value == self._truth.rest(key):
                    continue
                points.append(
                    {"device": device.id, "point": point.key, "value": value, "unit": point.unit,
                     "output": point.writable, "kind": device.kind, "place": place_text(device.place),
                     "spot": spot(device.place)}
                )  # fmt: skip
        unwell = {d: h.value for d in self._truth.devices if (h := self._truth.health(d)) is not Health.WELL}
        links = [
            {"id": link, "kind": self._building.links[link].kind, "where": line.where, "up": self._truth.link_up(link)}
            for link, line in self._building.lines.items()
        ]
        return JSONResponse({"points": points, "unwell": unwell, "links": links, "day": self._building.player.day_runs})

    async def scenarios(self, _: Request) -> Response:
        """Every scenario's name, titles, and the alarm class its device needs (null where any device will do)."""
        titles = {name: (s.zh, s.en) for name, s in SCENARIOS.items()} | TITLES
        rows = []
        for name in NAMES:
            parts = SCENARIOS[name].parts if name in SCENARIOS else ()
            needs = parts[0].who.value if len(parts) == 1 and isinstance(parts[0].who, AlarmClass) else None
            rows.append({"name": name, "zh": titles[name][0], "en": titles[name][1], "needs": needs})
        return JSONResponse(rows)

    async def devices(self, _: Request) -> Response:
        """Every device with its points and the classes its rules can raise."""
        return JSONResponse([self._device_json(d) for d in self._truth.devices.values()])

    def _device_json(self, device: Device) -> dict[str, Any]:
        classes = sorted({rule.alarm_class.value for rule in device.rules})
        return {
            "id": device.id,
            "kind": device.kind,
            "profile": device.profile,
            "link": device.link,
            "place": place_text(device.place),
            "spot": spot(device.place),
            "points": [p.key for p in device.points],
            "classes": classes,
        }

    async def start(self, request: Request) -> Response:
        """Begin a scenario."""
        name = request.path_params["name"]
        if name not in NAMES:
            return JSONResponse({"detail": f"no scenario {name!r}", "scenarios": list(NAMES)}, 404)
        target = (await body_of(request, "device", empty=True)).get("device")
        if target is not None and not isinstance(target, str):
            raise BadBody("device is text")
        if target is not None and target not in self._truth.devices and target not in self._truth.links:
            raise BadBody(f"no device or link {target!r} in this building")
        return JSONResponse({"run_id": self._building.start(name, target)}, 202)

    async def set_point(self, request: Request) -> Response:
        """Make a value true."""
        key = PointKey(request.path_params["device"], request.path_params["point"])
        self._truth.point(key)
        value = (await body_of(request, "value")).get("value")
        self._truth.set(key, self._fitting(key, value))
        return JSONResponse({"device": key.device, "point": key.point, "value": self._truth.value(key)}, 202)

    def _fitting(self, key: PointKey, value: object) -> Value:
        """The value in the type the point has; a number for a state would reach the wire as nonsense."""
        rest = self._truth.rest(key)
        if self._truth.point(key).momentary and isinstance(value, (bool, str)):
            return value
        if isinstance(rest, (bool, str)):
            if isinstance(value, type(rest)):
                return value
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return type(rest)(value) if isinstance(rest, float) else value
        raise BadBody(f"value of {key} is of the type of {json.dumps(rest)}")

    async def press(self, request: Request) -> Response:
        """Press a device's button, once; ``{"point"}`` where it has several."""
        device = self._truth.device(request.path_params["device"])
        wanted = (await body_of(request, "point", empty=True)).get("point")
        buttons = [p.key for p in device.points if p.momentary and wanted in (None, p.key)]
        if not buttons:
            raise BadBody(f"{device.id} has no button {wanted or ''}".rstrip())
        self._truth.press(PointKey(device.id, buttons[0]))
        return JSONResponse({"device": device.id, "point": buttons[0]}, 202)

    async def set_health(self, request: Request) -> Response:
        """Let a device fail in one way, or be well."""
        device = self._truth.device(request.path_params["device"])
        word = (await body_of(request, "health")).get("health")
        if word not in tuple(Health):
            raise BadBody(f"health is one of {' '.join(Health)}")
        self._truth.set_health(device.id, Health(word))
        return JSONResponse({"device": device.id, "health": word}, 202)

    async def set_link(self, request: Request) -> Response:
        """Cut a link or put it back."""
        link = request.path_params["link"]
        if link not in self._truth.links:
            raise UnknownName(f"no link {link!r} (there are: {' '.join(self._truth.links)})")
        up = (await body_of(request, "up")).get("up")
        if not isinstance(up, bool):
            raise BadBody("up is true or false")
        self._truth.set_link(link, up)
        return JSONResponse({"link": link, "up": up}, 202)

    async def _not_found(self, _: Request, why: Any) -> Response:
        return JSONResponse({"detail": str(why)}, 404)

    async def _bad(self, _: Request, why: Any) -> Response:
        return JSONResponse({"detail": str(why)}, 422)


class OwnPagesOnly(BaseHTTPMiddleware):
    """A page from elsewhere in the operator's browser may not play scenarios: its POSTs carry a foreign Origin."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Refuse foreign origins; programs send no Origin at all."""
        origin = request.headers.get("origin")
        if request.method == "POST" and origin is not None:
            host = urlsplit(origin).hostname
            if host not in ("127.0.0.1", "localhost", "::1", urlsplit(f"//{request.headers.get('host', '')}").hostname):
                return JSONResponse({"detail": "foreign origin"}, 403)
        return await call_next(request)
