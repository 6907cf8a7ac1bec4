"""The database: what returned is on the disk, a change is whole or not at all, the log shows a changed byte."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select, update

from duty_room.incidents import incident_id
from duty_room.retention import sweep
from duty_room.steps import Wish
from duty_room.store import chain, rows
from duty_room.store import tables as t
from duty_room.store.store import Store, Tx
from edge.errors import JournalDamaged
from edge.model import EventKind, Person, Via
from tests.unit.duty_room.conftest import T0, Room, event

LI = Person("li", "李四", Via.LOCAL)
IID = incident_id("b12", "c502/sos.call/1")


async def test_reopened_it_knows_everything(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.start()
    await room.hear(event(), event(EventKind.REPEATED, 2))
    room.store.close()
    again = Room(tmp_path)
    await again.start()
    incident = await again.store.read(lambda conn: rows.load(conn, incident_id("b12", "c502/sos.call/1")))
    assert incident is not None and incident.repeats == 1
    assert again.feed.head == 2 and again.store.epoch == room.store.epoch
    again.store.close()


async def test_the_same_event_twice_is_one(room: Room) -> None:
    await room.hear(event())
    await room.hear(event(), event())
    assert room.feed.head == 1


async def test_a_gateway_with_a_new_journal_is_heard_under_its_old_ids(room: Room) -> None:
    """A new box numbers from 1 again: its first press must not be taken for a redelivery of the old one."""
    await room.hear(event(), event(EventKind.ACKNOWLEDGED, 2, by=LI))
    await room.hear(event(received_ms=T0 + 9_000_000))
    (incident,) = (await room.client("viewer").get("/api/v1/snapshot")).json()["incidents"]
    assert incident["state"] == "unacknowledged"
    assert incident["alarms"][0]["state"] == "UNACK"
    await room.hear(event(EventKind.ACKNOWLEDGED, 2, by=LI, received_ms=T0 + 9_000_001))
    (incident,) = (await room.client("viewer").get("/api/v1/snapshot")).json()["incidents"]
    assert incident["state"] == "acknowledged"
    await room.hear(event(received_ms=T0 + 9_000_000))


async def test_a_closed_incident_is_not_reopened_by_a_new_box(room: Room) -> None:
    await room.hear(event())
    person = Person("li", "李四", Via.CONSOLE)
    closed = [Wish(kind, person, T0, cause="real") for kind in ("acknowledge", "resolve")]
    await room.desk.run(lambda tx: room.desk.take_steps(tx, IID, closed, None))
    await room.hear(event(EventKind.RESET, 2))
    await room.desk.run(lambda tx: room.desk.take_steps(tx, IID, [Wish("close", person, T0)], None))
    await room.hear(event(received_ms=T0 + 9_000_000), event(EventKind.REPEATED, 2, event_id="e2", received_ms=T0 + 9))
    (incident,) = (await room.client("viewer").get("/api/v1/snapshot")).json()["incidents"]
    assert incident["id"] != IID and incident["repeats"] == 1
    old = await room.store.read(lambda conn: rows.load(conn, IID))
    assert old is not None and old.state.value == "closed"


async def test_one_bad_job_does_not_take_its_neighbours_along(room: Room) -> None:
    def bad(tx: Tx) -> None:
        tx.publish(1, b"{}")
        tx.chain.append(T0, "x", "y", None, {})
        raise ValueError("mine")

    results = await asyncio.gather(
        room.hear(event()), room.store.write(bad), room.hear(event(EventKind.REPEATED, 2)), return_exceptions=True
    )
    assert [type(r) for r in results] == [type(None), ValueError, type(None)]
    assert room.feed.head == 2
    seqs = await room.store.read(lambda conn: list(conn.execute(select(t.stream.c.seq)).scalars()))
    assert seqs == [1, 2]
    assert await room.store.read(chain.verify) > 0


async def test_a_changed_byte_in_the_log_is_found(room: Room) -> None:
    await room.hear(event(), event(EventKind.REPEATED, 2), event(EventKind.REPEATED, 3))
    count = await room.store.read(chain.verify)
    await room.store.write(
        lambda tx: tx.conn.execute(update(t.log).where(t.log.c.n == count - 1).values(body='{"x":1}'))
    )
    with pytest.raises(JournalDamaged, match=f"row {count - 1} "):
        await room.store.read(chain.verify)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, None, wall_ms=lambda: T0)
    store.open()
    store.close()
    with sqlite3.connect(tmp_path / "duty.db") as conn:
        conn.execute("UPDATE meta SET value='99' WHERE key='schema'")
    with pytest.raises(JournalDamaged, match="schema 99"):
        Store(tmp_path, None, wall_ms=lambda: T0).open()


async def test_an_older_file_is_copied_and_brought_forward(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.start()
    await room.hear(event())
    room.store.close()
    with sqlite3.connect(tmp_path / "duty.db") as conn:
        conn.executescript(
            "UPDATE meta SET value='1' WHERE key='schema'; DROP TABLE alarms;"
            "ALTER TABLE events DROP COLUMN received_ms; ALTER TABLE grants DROP COLUMN shift;"
        )
    again = Room(tmp_path)
    await again.start()
    await again.hear(event(EventKind.REPEATED, 2))
    incident = await again.store.read(lambda conn: rows.load(conn, IID))
    assert incident is not None and incident.repeats == 1
    assert (tmp_path / "duty.schema1.db").stat().st_mode & 0o077 == 0
    again.store.close()


def test_a_file_that_is_no_database_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "duty.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(JournalDamaged, match="backup"):
        Store(tmp_path, None, wall_ms=lambda: T0).open()


def test_it_is_durable_and_private(tmp_path: Path) -> None:
    store = Store(tmp_path, None, wall_ms=lambda: T0)
    store.open()
    pragma = store.write_now(lambda tx: tx.conn.exec_driver_sql("PRAGMA synchronous").scalar())
    assert pragma == 2
    assert (tmp_path / "duty.db").stat().st_mode & 0o077 == 0
    store.close()


async def test_retention_keeps_seq_going(room: Room) -> None:
    await room.hear(event())
    room.clock.now_s += 8 * 86400
    assert await room.store.write(sweep) >= 1
    await room.hear(event(EventKind.REPEATED, 2))
    assert room.feed.head == 2
    assert await room.feed.oldest() == 2
