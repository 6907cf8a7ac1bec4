"""Steps forward from one shape of the tables to the next. Never backward; a newer database is refused."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select, text

from duty_room import wire
from duty_room.store import tables as t


def _to_2(conn: Connection) -> None:
    """Which incident an alarm belongs to, and when an event was received: a gateway may begin a new journal."""
    conn.execute(text("ALTER TABLE events ADD COLUMN received_ms BIGINT NOT NULL DEFAULT 0"))
    for body in list(conn.execute(select(t.incidents.c.body)).scalars()):
        incident = wire.from_row(body)
        for alarm in incident.alarms:
            row = {"gateway": incident.gateway, "alarm_id": alarm.id, "incident_id": incident.id}
            conn.execute(t.alarms.insert(), row)


def _to_3(conn: Connection) -> None:
    """Who is on duty at the console of a session: an account is not a person."""
    conn.execute(text("ALTER TABLE grants ADD COLUMN shift TEXT"))


MIGRATIONS: dict[int, Callable[[Connection], None]] = {2: _to_2, 3: _to_3}
"""Schema number → the step that leads to it, run once, in the transaction that opens the database."""


def forward(conn: Connection, schema: int) -> None:
    """From that schema to the present one. New tables are there already."""
    for number in range(schema + 1, t.SCHEMA + 1):
        MIGRATIONS[number](conn)
