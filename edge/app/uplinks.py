"""The links to whoever is outside of building and duty room. None of them may hold up the gateway's start or stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cloud_bridge import uplinks
from cloud_bridge.bridge import Guarded, Uplink
from cloud_bridge.city import LANES, CityLink
from cloud_bridge.city_messages import CityPlace
from cloud_bridge.numbers import numbers_of
from cloud_bridge.summary import Frame
from cloud_bridge.uplink import LANES as EVENT_LANES
from cloud_bridge.uplink import History, UplinkKit
from edge.app.views import Views
from edge.config import Building
from edge.errors import NotDurable
from edge.flow.engine import Engine
from edge.model import Place
from edge.ports import Clockwork, LinkSettings
from edge.store.outbox import Outbox
from edge.web import load_or_create_secret

if TYPE_CHECKING:
    from edge.store.readings import Readings

log = structlog.get_logger("gateway")
HISTORIES = frozenset({"influx"})
"""Uplinks that send what was measured while they were away: they need the readings file."""


class Outside:
    """Makes the uplinks of a building file, and closes their files at the end."""

    def __init__(
        self, building: Building, engine: Engine, views: Views, clock: Clockwork, reject: Callable[[str, str], None]
    ) -> None:
        self._building, self._engine, self._views, self._clock, self._reject = building, engine, views, clock, reject
        self._queues: list[Outbox] = []
        self.readings: Readings | None = None

    async def make(self) -> list[Uplink]:
        """Every uplink that can work; one that cannot is said in the log and counted."""
        if self._building.city is not None:
            await self._try("city", self._city)
        for settings in self._building.uplinks:
            await self._try(settings.kind, partial(self._other, settings))
        return list(self._views.uplinks.values())

    async def _try(self, kind: str, make: Callable[[], Awaitable[Uplink]]) -> None:
        try:
            uplink = await make()
            self._views.uplinks[kind] = Guarded(uplink, kind, self._clock, lambda cause: self._reject(kind, cause))
        except (ValueError, OSError, NotDurable) as fault:
            self._reject(kind, "unusable")
            log.error("an uplink cannot work", uplink=kind, why=str(fault))

    async def _other(self, settings: LinkSettings) -> Uplink:
        if settings.kind in HISTORIES and self.readings is None:
            self.readings = await self._open_readings()
        return await uplinks.create(settings, self._kit(settings.kind))

    async def close(self) -> None:
        """Write what is left and close."""
        for queue in self._queues:
            await queue.close()
        if self.readings is not None:
            await self.readings.close()

    @property
    def _data_dir(self) -> Path:
        return self._building.gateway.data_dir

    async def _queue(self, name: str, lanes: tuple[str, ...]) -> Outbox:
        queue = Outbox(self._data_dir / f"{name}.db", lanes)
        self._queues.append(queue)
        await queue.open()
        return queue

    async def _open_readings(self) -> Readings:
        from edge.store.readings import Readings

        readings = Readings(self._data_dir / "readings.db", self._building.devices, self._engine.points, self._clock)
        await readings.open()
        return readings

    async def _city(self) -> Uplink:
        building, city = self._building, self._building.city
        assert city is not None
        place = CityPlace(community=building.site.community, grid=building.site.grid)
        link = CityLink
        if city.broker.urls[0].startswith("http"):
            from cloud_bridge.city_http import CityPost

            link = CityPost
        return link(
            Frame(building.gateway.id, place, version("linli"), building.config_hash),
            city.broker,
            city.every_s,
            self._clock,
            await self._queue("city", LANES),
            snapshot=self._views.snapshot,
            salt=load_or_create_secret(self._data_dir, "city.salt").encode(),
            count=lambda cause: self._reject("city", cause),
        )

    def _kit(self, kind: str) -> UplinkKit:
        building, engine = self._building, self._engine
        history: History | None = self.readings
        return UplinkKit(
            gateway=building.gateway.id,
            place=Place(community=building.site.community, building=building.site.building),
            timezone=building.gateway.timezone,
            data_dir=self._data_dir,
            clock=self._clock,
            devices=building.devices,
            numbers=numbers_of(self._data_dir / "numbers.json", [device.id for device in building.devices]),
            points=engine.points,
            alarms=engine.alarms,
            links=engine.link_states,
            command=engine.command,
            queue=lambda name: self._queue(name, EVENT_LANES),
            count=lambda cause: self._reject(kind, cause),
            history=history,
        )
