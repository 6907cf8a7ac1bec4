"""The queries about incidents and what hangs on them. The only file that knows how a change becomes rows."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from duty_room import wire
from duty_room.incident import Change, Incident, Order, Step
from duty_room.incidents import changed, next_look_ms, ordered
from duty_room.ladder import Rung
from duty_room.limits import COMMAND_LIFE_S, DEAD_LETTER_BYTES
from duty_room.store import tables as t
from duty_room.store.store import Tx
from edge.model import AlarmEvent, CommandKind, Person, Via


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command without an outcome."""

    command_id: str
    incident_id: str
    gateway: str
    order: Order
    at_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that waits to be handed over. ring: which ringing of the incident it is for; kind: alarm or dispatch."""

    notice_id: str
    incident: Incident
    recipient: str
    step: int
    ring: int
    kind: str
    attempt: int


def _dialect(conn: Connection) -> Callable[[Table], sqlite.Insert | postgresql.Insert]:
    """``INSERT … ON CONFLICT`` is the same in both databases, but belongs to neither standard."""
    return sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert


def upsert(conn: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert the row, or give the row with the same primary key these values."""
    keys = [column.name for column in table.primary_key.columns]
    changes = {name: value for name, value in row.items() if name not in keys}
    statement = _dialect(conn)(table).values(**row)
    conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))


def load(conn: Connection, incident_id: str) -> Incident | None:
    """One incident, or None."""
    text = conn.execute(select(t.incidents.c.body).where(t.incidents.c.id == incident_id)).scalar()
    return wire.from_row(text) if text is not None else None


def seen(conn: Connection, gateway: str, event_id: str) -> tuple[int, int] | None:
    """The seq and received_ms of the event folded under this id; None when there was none."""
    where = (t.events.c.gateway == gateway) & (t.events.c.event_id == event_id)
    row = conn.execute(select(t.events.c.seq, t.events.c.received_ms).where(where)).first()
    return (row.seq, row.received_ms) if row else None


def remember(tx: Tx, gateway: str, event: AlarmEvent, incident_id: str) -> None:
    """The event is folded: a redelivery of it is a no-op."""
    row = {"gateway": gateway, "event_id": event.event_id, "seq": event.seq, "received_ms": event.received_ms}
    upsert(tx.conn, t.events, {**row, "incident_id": incident_id, "at_ms": tx.now_ms})


def incident_of(conn: Connection, gateway: str, alarm_id: str) -> Incident | None:
    """The incident that this alarm belongs to now."""
    where = (t.alarms.c.gateway == gateway) & (t.alarms.c.alarm_id == alarm_id)
    query = select(t.incidents.c.body).join(t.alarms, t.alarms.c.incident_id == t.incidents.c.id).where(where)
    text = conn.execute(query).scalar()
    return wire.from_row(text) if text is not None else None


def belongs(tx: Tx, gateway: str, alarm_id: str, incident_id: str) -> None:
    """From now on this alarm's events go to that incident."""
    upsert(tx.conn, t.alarms, {"gateway": gateway, "alarm_id": alarm_id, "incident_id": incident_id})


def save(tx: Tx, change: Change, facts: dict[str, Any] | None = None) -> Incident:
    """Make a change true: incident, stream, log, commands, ladder. Returns the incident as stored."""
    commands = [(str(uuid.uuid4()), order) for order in change.orders]
    incident = ordered(change.incident, [cid for cid, _ in commands])
    for cid, order in commands:
        row = {
            "command_id": cid,
            "incident_id": incident.id,
            "gateway": incident.gateway,
            "body": orjson.dumps(asdict(order)).decode(),
            "at_ms": tx.now_ms,
            "expires_ms": tx.now_ms + round(COMMAND_LIFE_S * 1000),
        }
        tx.conn.execute(t.commands.insert(), row)
    wired = wire.encode(incident)
    _put(tx.conn, incident, wired.decode())
    tx.publish(incident.priority, wired)
    for step in change.steps:
        _log(tx, incident, step, facts or {})
    if change.answered or not incident.ringing:
        tx.conn.execute(delete(t.ladders).where(t.ladders.c.incident_id == incident.id))
    for person in change.tell:
        put_notice(tx, incident, person, 0, "dispatch", f"v{incident.version}")
    return incident


def _put(conn: Connection, incident: Incident, wired: str) -> None:
    row = {
        "version": incident.version,
        "state": incident.state.value,
        "priority": incident.priority,
        "class": incident.alarm_class.value,
        "gateway": incident.gateway,
        "test": incident.test,
        "opened_ms": incident.opened_ms,
        "closed_ms": incident.closed_ms,
        "look_ms": next_look_ms(incident),
        "body": wire.to_row(incident),
        "wire": wired,
    }
    if incident.version == 1:
        conn.execute(t.incidents.insert(), {"id": incident.id, **row})
    else:
        conn.execute(update(t.incidents).where(t.incidents.c.id == incident.id).values(**row))


def _log(tx: Tx, incident: Incident, step: Step, facts: dict[str, Any]) -> None:
    by = wire.person_body(step.by)
    body = {"version": incident.version, "state": incident.state.value, "by": by, "reason": step.reason, **facts}
    tx.chain.append(tx.now_ms, incident.id, step.step, step.by.id if step.by else None, {**body, "said_ms": step.at_ms})


# -------------------------------------------------------------------------------- ladders and notices
def put_ladder(tx: Tx, incident_id: str, rung: Rung) -> None:
    """The row of the next step; one per incident."""
    row = {"incident_id": incident_id, "step": rung.step, "taken": rung.taken, "due_ms": rung.due_ms}
    upsert(tx.conn, t.ladders, row)


def ladder(conn: Connection, incident_id: str) -> Rung | None:
    """The row of an incident's ladder."""
    row = conn.execute(select(t.ladders).where(t.ladders.c.incident_id == incident_id)).first()
    return Rung(row.step, row.due_ms, row.taken) if row else None


def due_ladders(conn: Connection, now_ms: int) -> Sequence[str]:
    """Incidents whose next step is due."""
    query = select(t.ladders.c.incident_id).where(t.ladders.c.due_ms <= now_ms).order_by(t.ladders.c.due_ms).limit(200)
    return conn.execute(query).scalars().all()


def due_looks(conn: Connection, now_ms: int) -> Sequence[str]:
    """Incidents that the passing of time alone may change."""
    query = select(t.incidents.c.id).where(t.incidents.c.look_ms <= now_ms).order_by(t.incidents.c.look_ms).limit(200)
    return conn.execute(query).scalars().all()


def put_notice(tx: Tx, incident: Incident, person: str, step: int, kind: str, cause: str) -> None:
    """The duty to tell one person. The id comes from its cause: a second attempt to create it is a no-op."""
    row = {
        "notice_id": f"{incident.id}/{kind}/{incident.rings}/{cause}/{person}",
        "incident_id": incident.id,
        "recipient": person,
        "step": step,
        "ring": incident.rings,
        "kind": kind,
        "attempt": 0,
        "due_ms": tx.now_ms,
    }
    tx.conn.execute(_dialect(tx.conn)(t.notices).on_conflict_do_nothing(), row)


def due_notices(conn: Connection, now_ms: int, limit: int) -> list[Due]:
    """Notices to hand over now, oldest first."""
    where = t.notices.c.settled.is_(None) & (t.notices.c.due_ms <= now_ms)
    query = (
        select(t.notices, t.incidents.c.body)
        .join(t.incidents, t.incidents.c.id == t.notices.c.incident_id)
        .where(where)
        .order_by(t.incidents.c.priority, t.notices.c.due_ms)
        .limit(limit)
    )
    return [
        Due(r.notice_id, wire.from_row(r.body), r.recipient, r.step, r.ring, r.kind, r.attempt)
        for r in conn.execute(query)
    ]


def settle_notice(tx: Tx, notice_id: str, text: str) -> None:
    """The notice is done with: handed over, refused, or no longer needed."""
    tx.conn.execute(update(t.notices).where(t.notices.c.notice_id == notice_id).values(settled=text))


def delay_notice(tx: Tx, notice_id: str, attempt: int, due_ms: int) -> None:
    """Try again later, under the same id."""
    where = t.notices.c.notice_id == notice_id
    tx.conn.execute(update(t.notices).where(where).values(attempt=attempt, due_ms=due_ms))


# -------------------------------------------------------------------------------- commands
def _order(body: str) -> Order:
    raw = orjson.loads(body)
    by = raw["by"]
    person = Person(by["id"], by["name"], Via(by["via"])) if by else None
    return Order(CommandKind(raw["kind"]), raw["alarm_id"], person, raw["reason"], raw["until_ms"], raw.get("seen"))


def waiting(conn: Connection) -> list[Waiting]:
    """Commands without an outcome, oldest first."""
    query = select(t.commands).where(t.commands.c.result.is_(None)).order_by(t.commands.c.at_ms).limit(1000)
    return [
        Waiting(r.command_id, r.incident_id, r.gateway, _order(r.body), r.at_ms, r.expires_ms)
        for r in conn.execute(query)
    ]


def command(conn: Connection, gateway: str, command_id: str) -> tuple[Waiting, str | None] | None:
    """One command of that gateway and its result so far."""
    where = (t.commands.c.command_id == command_id) & (t.commands.c.gateway == gateway)
    r = conn.execute(select(t.commands).where(where)).first()
    if r is None:
        return None
    return Waiting(r.command_id, r.incident_id, r.gateway, _order(r.body), r.at_ms, r.expires_ms), r.result


def set_result(tx: Tx, command_id: str, result: str) -> None:
    """The command is done with."""
    tx.conn.execute(update(t.commands).where(t.commands.c.command_id == command_id).values(result=result))


def note(incident: Incident, step: Step) -> Change:
    """A line on the timeline and nothing else (who was told, with what outcome)."""
    return changed(incident, incident, (step,))


def meta(conn: Connection, key: str) -> str | None:
    """A single value kept by name."""
    return conn.execute(select(t.meta.c.value).where(t.meta.c.key == key)).scalar()


def set_meta(tx: Tx, key: str, value: str) -> None:
    """Keep a single value by name."""
    upsert(tx.conn, t.meta, {"key": key, "value": value})


def bury(tx: Tx, topic: str, cause: str, payload: bytes) -> None:
    """A message that makes no sense, kept for whoever has to find its sender."""
    row = {"at_ms": tx.now_ms, "topic": topic[:512], "cause": cause[:512], "payload": payload[:DEAD_LETTER_BYTES]}
    tx.conn.execute(t.dead_letters.insert(), row)


def open_by_state(conn: Connection) -> list[tuple[str, int, int]]:
    """How many incidents are open, by state and priority."""
    columns = (t.incidents.c.state, t.incidents.c.priority)
    query = select(*columns, func.count()).where(t.incidents.c.closed_ms.is_(None)).group_by(*columns)
    return [(r[0], r[1], r[2]) for r in conn.execute(query)]
