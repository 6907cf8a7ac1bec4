"""Telling people: due notices go to their services, and what became of each goes on the timeline.

A notice is a row until it is settled, so a crash between two attempts loses none. Handed over never means answered.
"""

from __future__ import annotations

import asyncio

from duty_room import words
from duty_room.desk import Desk
from duty_room.incident import ENDED
from duty_room.metrics import Metrics
from duty_room.registry import Registry
from duty_room.store import rows
from duty_room.store.rows import Due
from duty_room.web.person import link_url, make_link
from edge.limits import NOTICE_CHILDREN_MAX
from edge.model import Delivered, Notice, Refused
from edge.ports import Channel, Clockwork

GOING_MAX = 4 * NOTICE_CHILDREN_MAX
"""Notices under way: the messenger's children run four at a time, the rest waits in its queue."""


class Teller:
    """Hands due notices to the channel. The only place that talks to services of people."""

    def __init__(
        self,
        desk: Desk,
        registry: Registry,
        channel: Channel,
        clock: Clockwork,
        metrics: Metrics,
        public_url: str,
        key: bytes,
    ) -> None:
        self._desk = desk
        self._registry = registry
        self._channel = channel
        self._clock = clock
        self._metrics = metrics
        self._public_url = public_url
        self._key = key
        self._going: dict[str, asyncio.Task[None]] = {}

    async def round(self) -> None:
        """Start everything that is due now and not already on its way. A hanging service delays nobody else.

        Raises NotDurable when what became of a notice could not be written: it stays due.
        """
        self._reap()
        room = GOING_MAX - len(self._going)
        if room <= 0:
            return
        now_ms = self._clock.wall_ms()
        due = await self._desk.store.read(lambda conn: rows.due_notices(conn, now_ms, 2 * GOING_MAX))
        for one in [one for one in due if one.notice_id not in self._going][:room]:
            self._going[one.notice_id] = asyncio.create_task(self._tell(one), name=f"tell {one.notice_id}")

    def _reap(self) -> None:
        finished = {name: task for name, task in self._going.items() if task.done()}
        for name in finished:
            del self._going[name]
        for task in finished.values():
            task.result()

    async def close(self) -> None:
        """Stop; what was not written down is due again at the next start."""
        for task in self._going.values():
            task.cancel()
        await asyncio.gather(*self._going.values(), return_exceptions=True)
        self._going.clear()

    def _needed(self, due: Due) -> bool:
        """A notice of a ladder is needed while it rings as it did; one of a dispatch until the incident is over."""
        incident = due.incident
        if due.kind == "dispatch":
            return incident.state not in ENDED
        # A first attempt is always made: priority 1 tells the grid worker in parallel with the screen, and an
        # acknowledge at the screen one second later does not send anybody to the flat.
        if due.attempt == 0 and incident.state not in ENDED:
            return True
        return incident.ringing and incident.rings == due.ring

    async def _tell(self, due: Due) -> None:
        if not self._needed(due):
            await self._desk.untold(due)
            return
        incident_id = due.incident.id
        token = await self._desk.store.write(lambda tx: make_link(tx, self._key, incident_id, due.recipient))
        title, body = words.message("zh-CN", due.incident, due.kind, link_url(self._public_url, token))
        now_ms = self._clock.wall_ms()
        notice = Notice(
            due.notice_id, incident_id, due.step, due.recipient, "messenger", title, body, now_ms, due.attempt
        )
        outcome = await self._channel.deliver(notice)
        word = "delivered" if isinstance(outcome, Delivered) else "refused" if isinstance(outcome, Refused) else "later"
        self._metrics.notices.labels(word).inc()
        await self._desk.told(due, outcome, self._clock.wall_ms())
