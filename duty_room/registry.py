"""Who is there and where: people.csv, the grids, and the sites that gateways describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, select

from cloud_bridge.messages import SiteMessage
from duty_room import ladder
from duty_room.incident import Incident
from duty_room.ladder import Someone
from duty_room.store import tables as t
from duty_room.store.rows import upsert
from duty_room.store.store import Tx


class Registry:
    """People from the settings, sites from the gateways (kept in the database, read at start)."""

    def __init__(self, people: Sequence[Someone]) -> None:
        self.people = tuple(people)
        self._by_id = {person.id: person for person in people}
        self.sites: dict[str, SiteMessage] = {}

    def person(self, person_id: str) -> Someone | None:
        """Somebody of people.csv."""
        return self._by_id.get(person_id)

    def tell(self, person_id: str) -> Sequence[str]:
        """Every way to tell that person."""
        person = self._by_id.get(person_id)
        return person.tell if person else ()

    def grids_of(self, gateway: str) -> tuple[str, ...]:
        """The grids of a building, smallest first; empty while its gateway has not said."""
        site = self.sites.get(gateway)
        return tuple(g for g in (site.micro_grid, site.grid) if g) if site else ()

    def steps(self, incident: Incident) -> tuple[tuple[Someone, ...], ...]:
        """Who is told about this incident, step after step."""
        return ladder.steps_for(self.people, self.grids_of(incident.gateway))

    def load(self, conn: Connection) -> None:
        """Sites as the gateways last described them: the grid must be known before the first heartbeat."""
        for row in conn.execute(select(t.sites.c.gateway, t.sites.c.body)):
            self.sites[row.gateway] = SiteMessage.model_validate_json(row.body)

    @staticmethod
    def save(tx: Tx, gateway: str, site: SiteMessage) -> None:
        """Keep a site message."""
        row = {"gateway": gateway, "body": site.encode().decode(), "at_ms": tx.now_ms}
        upsert(tx.conn, t.sites, row)

    def grids(self) -> list[dict[str, Any]]:
        """Every grid that a person or a building names, with its people."""
        names = {p.grid for p in self.people if p.grid}
        names |= {g for gateway in self.sites for g in self.grids_of(gateway)}
        return [
            {
                "id": name,
                "people": [p.id for p in self.people if p.grid == name],
                "gateways": sorted(g for g in self.sites if name in self.grids_of(g)),
            }
            for name in sorted(names)
        ]

    def places(self) -> list[dict[str, Any]]:
        """The buildings as their gateways describe them."""
        return [{"gateway": gateway, **site_body(site)} for gateway, site in sorted(self.sites.items())]


def site_body(site: SiteMessage) -> dict[str, Any]:
    """The building's shape for the elevation: floors, stairs, and what protects each floor."""
    body: dict[str, Any] = orjson.loads(site.encode())
    body.pop("v", None)
    return body
