"""What is let go of, and when: in small bites, so that no alarm waits for it."""

from __future__ import annotations

from sqlalchemy import Column, Table, delete, func, select

from duty_room import limits
from duty_room.store import rows
from duty_room.store import tables as t
from duty_room.store.store import Tx

BITE = 1_000
"""Rows in one transaction: longer ones made alarms wait 200 ms (reliability reference §2.6)."""


def sweep(tx: Tx) -> int:
    """One bite of everything; returns how many rows went. Call again while it returns BITE or more."""
    now = tx.now_ms
    gone = _stream(tx)
    gone += _old(tx, t.events, t.events.c.at_ms, now - limits.RECORDS_KEEP_S * 1000)
    gone += _old(tx, t.answers, t.answers.c.at_ms, now - limits.ANSWERS_KEEP_S * 1000)
    gone += _old(tx, t.grants, t.grants.c.expires_ms, now - limits.SESSION_MAX_S * 1000)
    gone += _old(tx, t.incidents, t.incidents.c.closed_ms, now - limits.RECORDS_KEEP_S * 1000)
    gone += _old(tx, t.commands, t.commands.c.at_ms, now - limits.RECORDS_KEEP_S * 1000)
    gone += _old(tx, t.notices, t.notices.c.due_ms, now - limits.RECORDS_KEEP_S * 1000)
    gone += _old(tx, t.log, t.log.c.at_ms, now - limits.RECORDS_KEEP_S * 1000)
    for table in (t.links, t.ratings, t.alarms):
        # What hangs on an incident goes with it.
        tx.conn.execute(delete(table).where(table.c.incident_id.not_in(select(t.incidents.c.id))))
    return gone + _dead_letters(tx)


def _old(tx: Tx, table: Table, column: Column[int], before_ms: float) -> int:
    keys = list(table.primary_key.columns)
    oldest = select(*keys).where(column < before_ms).order_by(column).limit(BITE)
    found = tx.conn.execute(oldest).all()
    for row in found:
        where = [key == value for key, value in zip(keys, row, strict=True)]
        tx.conn.execute(delete(table).where(*where))
    return len(found)


def _stream(tx: Tx) -> int:
    floor = tx.head - limits.STREAM_KEEP_ROWS
    before_ms = tx.now_ms - limits.STREAM_KEEP_S * 1000
    old = (t.stream.c.at_ms < before_ms) | (t.stream.c.seq <= floor)
    last_of_bite = select(t.stream.c.seq).where(old).order_by(t.stream.c.seq).offset(BITE - 1).limit(1)
    last = tx.conn.execute(last_of_bite).scalar()
    if last is None:
        last = tx.conn.execute(select(func.max(t.stream.c.seq)).where(old)).scalar()
    if last is None:
        return 0
    rows.set_meta(tx, "stream_head", str(tx.head))
    return tx.conn.execute(delete(t.stream).where(t.stream.c.seq <= last)).rowcount


def _dead_letters(tx: Tx) -> int:
    newest = tx.conn.execute(select(func.max(t.dead_letters.c.id))).scalar()
    if newest is None:
        return 0
    where = t.dead_letters.c.id <= newest - limits.DEAD_LETTERS_MAX
    return tx.conn.execute(delete(t.dead_letters).where(where)).rowcount
