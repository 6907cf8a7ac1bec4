"""The append-only log: every step with the hash of the step before it. One changed byte shows at the next verify."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from sqlalchemy import Connection, select

from duty_room.store import tables as t
from edge.errors import JournalDamaged

ORIGIN = "0" * 64


def link(before: str, n: int, body: str) -> str:
    """Hash of row n over the hash of the row before it."""
    return hashlib.sha256(f"{before}\n{n}\n{body}".encode()).hexdigest()


class Chain:
    """The end of the log within one transaction."""

    def __init__(self, conn: Connection, n: int, last: str) -> None:
        self._conn = conn
        self._n = n
        self._last = last

    @classmethod
    def at_end(cls, conn: Connection) -> Chain:
        """The chain as the database has it."""
        row = conn.execute(select(t.log.c.n, t.log.c.hash).order_by(t.log.c.n.desc()).limit(1)).first()
        return cls(conn, row.n, row.hash) if row else cls(conn, 0, ORIGIN)

    def mark(self) -> tuple[int, str]:
        """Where the chain ends now, to come back to after a rollback."""
        return self._n, self._last

    def back_to(self, mark: tuple[int, str]) -> None:
        """Forget what was rolled back."""
        self._n, self._last = mark

    def append(self, at_ms: int, subject: str, step: str, person: str | None, facts: dict[str, Any]) -> None:
        """One more row. subject: an incident id, or ``access``."""
        body = orjson.dumps({"at_ms": at_ms, "subject": subject, "step": step, "person": person, **facts}).decode()
        self._n += 1
        self._last = link(self._last, self._n, body)
        row = {"n": self._n, "at_ms": at_ms, "subject": subject, "step": step, "person": person, "body": body}
        self._conn.execute(t.log.insert(), {**row, "hash": self._last})


def verify(conn: Connection) -> int:
    """Walk the whole log; returns the number of rows. Raises JournalDamaged naming the first row that does not fit.

    Retention removes the oldest rows: the walk starts from the hash of the oldest row that is left.
    """
    last: str | None = None
    n = 0
    count = 0
    for row in conn.execute(select(t.log.c.n, t.log.c.body, t.log.c.hash).order_by(t.log.c.n)):
        if last is None and row.n > 1:
            last, n, count = row.hash, row.n, 1
            continue
        if row.n != n + 1 or row.hash != link(last or ORIGIN, row.n, row.body):
            raise JournalDamaged(f"log row {row.n} does not follow from the row before it: it was changed or removed")
        last, n, count = row.hash, row.n, count + 1
    return count
