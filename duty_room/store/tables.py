"""The tables. Times are wall milliseconds; bodies are JSON text; secrets are kept only as SHA-256.

SCHEMA is raised with every change of shape, with a step in ``migrate.MIGRATIONS``; a newer one is refused.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

SCHEMA = 3

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("class", String(32), nullable=False),
    Column("gateway", String(64), nullable=False),
    Column("test", Boolean, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Column("look_ms", BigInteger),
    Column("body", Text, nullable=False),
    Column("wire", Text, nullable=False),
)
Index("incidents_open", incidents.c.closed_ms, incidents.c.priority)
Index("incidents_look", incidents.c.look_ms)

events = Table(
    "events",
    metadata,
    Column("gateway", String(64), primary_key=True),
    Column("event_id", String(200), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("incident_id", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
Index("events_age", events.c.at_ms)

alarms = Table(
    "alarms",
    metadata,
    Column("gateway", String(64), primary_key=True),
    Column("alarm_id", String(200), primary_key=True),
    Column("incident_id", String(64), nullable=False),
)

stream = Table(
    "stream",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

log = Table(
    "log",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("subject", String(64), nullable=False),
    Column("step", String(32), nullable=False),
    Column("person", String(128)),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)
Index("log_subject", log.c.subject, log.c.n)

commands = Table(
    "commands",
    metadata,
    Column("command_id", String(64), primary_key=True),
    Column("incident_id", String(64), nullable=False),
    Column("gateway", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("result", String(16)),
)
Index("commands_waiting", commands.c.result)

ladders = Table(
    "ladders",
    metadata,
    Column("incident_id", String(64), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("notice_id", String(200), primary_key=True),
    Column("incident_id", String(64), nullable=False),
    Column("recipient", String(64), nullable=False),
    Column("step", Integer, nullable=False),
    Column("ring", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("settled", Text),
)
Index("notices_due", notices.c.settled, notices.c.due_ms)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

answers = Table(
    "answers",
    metadata,
    Column("principal", String(128), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("asked", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("role", String(16), nullable=False),
    Column("name", String(128), nullable=False),
    Column("csrf", String(64)),
    Column("made_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("used_ms", BigInteger),
    Column("shift", Text),
)

links = Table(
    "links",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("incident_id", String(64), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("steps", Integer, nullable=False),
    Column("revoked_ms", BigInteger),
)

ratings = Table(
    "ratings",
    metadata,
    Column("incident_id", String(64), primary_key=True),
    Column("stars", Integer, nullable=False),
    Column("words", Text, nullable=False),
    Column("call_back", Boolean, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

sites = Table(
    "sites",
    metadata,
    Column("gateway", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
