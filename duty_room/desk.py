"""The desk: every change of an incident passes here, one transaction each. It joins the pure folds with the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from duty_room import incidents, ladder, steps
from duty_room.incident import Incident, State, Step
from duty_room.ladder import Rung
from duty_room.limits import OUTCOME_WAIT_S
from duty_room.registry import Registry
from duty_room.steps import IllegalStep, Wish
from duty_room.store import rows
from duty_room.store.store import Store, Tx
from edge.errors import LinliError, NotDurable
from edge.limits import LADDER_REPEAT_S, NOTICE_RETRY_GAPS_S
from edge.model import AlarmEvent, CommandOutcome, Delivered, Outcome, Refused

T = TypeVar("T")


class Stale(LinliError):
    """Something decisive happened since the version the person saw."""

    def __init__(self, incident: Incident) -> None:
        super().__init__("stale_version")
        self.incident = incident


class NoIncident(LinliError):
    """There is no incident with that id."""


class Impossible(LinliError):
    """The step is not legal now; carries the incident as it is."""

    def __init__(self, code: str, incident: Incident) -> None:
        super().__init__(code)
        self.code = code
        self.incident = incident


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of one gateway as it came in."""

    gateway: str
    event: AlarmEvent


class Desk:
    """All changes. Public methods return when the change is on the disk, or raise with nothing changed."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self._marked: set[str] = set()
        self.on_work: Callable[[], None] = lambda: None
        """Called after a change that may have made commands or notices due."""

    # ------------------------------------------------------------------ gateway → incident
    async def events(self, heard: Sequence[Heard]) -> list[Exception | None]:
        """Commit events in one transaction. One entry each: None, or why that event could not be folded.

        Raises NotDurable when nothing could be committed. A single event that breaks the fold must not hold back
        the others, so it then gets a transaction of its own and its fault is returned.
        """
        try:
            await self.store.write(lambda tx: self._take_all(tx, heard))
        except NotDurable:
            raise
        except Exception:  # noqa: BLE001 - each event is tried alone below, and its own fault is returned
            return [await self._alone(h) for h in heard]
        self.on_work()
        return [None] * len(heard)

    def _take_all(self, tx: Tx, heard: Sequence[Heard]) -> None:
        for one in heard:
            self.take_event(tx, one.gateway, one.event)

    async def _alone(self, heard: Heard) -> Exception | None:
        try:
            await self.store.write(lambda tx: self.take_event(tx, heard.gateway, heard.event))
        except NotDurable:
            raise
        except Exception as fault:  # noqa: BLE001 - returned to intake, which counts it and keeps the message
            return fault
        self.on_work()
        return None

    def take_event(self, tx: Tx, gateway: str, event: AlarmEvent, local: bool = False) -> None:
        """Fold one event unless it was folded before.

        A gateway that had to begin a new journal (a new box, a lost disk) gives out its ids anew: the same id with
        another seq or time is another press, and must not be taken for a redelivery.
        """
        before = rows.seen(tx.conn, gateway, event.event_id)
        if before == (event.seq, event.received_ms):
            return
        anew = before is not None
        old = rows.incident_of(tx.conn, gateway, event.alarm_id)
        if anew and old is not None and old.state is State.CLOSED:
            old = None
        change = incidents.fold_event(old, gateway, event, tx.now_ms, local=local, anew=anew)
        saved = rows.save(tx, change, {"event_id": event.event_id, "seq": event.seq})
        if old is None:
            rows.belongs(tx, gateway, event.alarm_id, saved.id)
        rows.remember(tx, gateway, event, saved.id)
        if change.rang:
            self._rang(tx, saved)

    async def outcome(self, gateway: str, outcome: CommandOutcome) -> bool:
        """What a gateway did with a command. False: no such command of that gateway."""

        def job(tx: Tx) -> bool:
            found = rows.command(tx.conn, gateway, outcome.command_id)
            if found is None:
                return False
            waiting, result = found
            old = rows.load(tx.conn, waiting.incident_id)
            if old is not None and result != outcome.result.value:
                rows.set_result(tx, outcome.command_id, outcome.result.value)
                rows.save(tx, incidents.fold_outcome(old, waiting.order, outcome), {"command": outcome.command_id})
            return True

        return await self.store.write(job)

    # ------------------------------------------------------------------ people → incident
    async def run(self, work: Callable[[Tx], T]) -> T:
        """Run a job that calls ``take_steps`` and whatever else belongs to its transaction, then wake the others."""
        result = await self.store.write(work)
        self.on_work()
        return result

    def take_steps(self, tx: Tx, incident_id: str, wishes: Sequence[Wish], seen: int | None) -> Incident:
        """One or more steps at once (我去 = acknowledge and on the way). seen: the version the person saw, None: any.

        Raises NoIncident, Stale, Impossible.
        """
        incident = rows.load(tx.conn, incident_id)
        if incident is None:
            raise NoIncident(incident_id)
        if seen is not None and not incidents.check_version(incident, seen):
            raise Stale(incident)
        for wish in wishes:
            try:
                change = steps.take(incident, wish)
            except IllegalStep as fault:
                raise Impossible(fault.code, incident) from fault
            incident = rows.save(tx, change, {"account": wish.account} if wish.account else None)
            if wish.kind == "escalate":
                self._escalate(tx, incident)
            elif wish.kind in ("pass-on", "support"):
                self._others(tx, incident, wish.by.id)
        return incident

    def _escalate(self, tx: Tx, incident: Incident) -> None:
        """The next tier is told now, whether or not somebody has acknowledged."""
        people = self.registry.steps(incident)
        if not people:
            return
        rung = rows.ladder(tx.conn, incident.id)
        step = rung.step if rung else min(1, len(people) - 1)
        for person in people[step]:
            rows.put_notice(tx, incident, person.id, step, "alarm", f"e{incident.version}")
        if rung is not None:
            rows.put_ladder(tx, incident.id, ladder.climbed(rung, len(people), incident.priority, tx.now_ms))

    def _others(self, tx: Tx, incident: Incident, asks: str) -> None:
        """Somebody cannot go, or needs help there: his peers and the next tier are told at once, he himself is not."""
        people = self.registry.steps(incident)
        if not people:
            return
        rung = rows.ladder(tx.conn, incident.id)
        step = min(max(rung.step, 1) if rung else 1, len(people) - 1)
        going = {helper.id for helper in incident.helpers}
        told = {p.id for p in (*people[0], *people[step])} - going - {asks}
        for person_id in sorted(told or {p.id for p in people[-1]} - {asks}):
            rows.put_notice(tx, incident, person_id, step, "alarm", f"o{incident.version}")

    # ------------------------------------------------------------------ time → incident
    async def tick(self, now_ms: int) -> None:
        """Everything that is due: overdue steps, ladders, commands nobody answered. Overdue ones fire once at boot."""
        due = await self.store.read(
            lambda conn: (rows.due_looks(conn, now_ms), rows.due_ladders(conn, now_ms), rows.waiting(conn))
        )
        looks, ladders, waiting = due
        self._marked &= {w.command_id for w in waiting}
        late = [w for w in waiting if self._overdue(w, now_ms)]
        if not (looks or ladders or late):
            return

        def job(tx: Tx) -> None:
            for incident_id in looks:
                self._look(tx, incident_id, now_ms)
            for command in late:
                self._unanswered(tx, command.command_id, command.gateway, now_ms)
            for incident_id in ladders:
                incident = rows.load(tx.conn, incident_id)
                if incident is not None:
                    self._climb(tx, incident, rows.ladder(tx.conn, incident_id))

        await self.store.write(job)
        self._marked.update(w.command_id for w in late)
        self.on_work()

    def _overdue(self, command: rows.Waiting, now_ms: int) -> bool:
        """Has this command something to be written down: first that nobody heard it, later that it is given up?"""
        due_ms = command.at_ms + round(OUTCOME_WAIT_S * 1000)
        return now_ms >= (command.expires_ms if command.command_id in self._marked else due_ms)

    def _look(self, tx: Tx, incident_id: str, now_ms: int) -> None:
        incident = rows.load(tx.conn, incident_id)
        change = incidents.fold_time(incident, now_ms) if incident else None
        if change is None:
            return
        saved = rows.save(tx, change)
        if change.rang:
            self._rang(tx, saved)
        if saved.overdue and saved.acknowledged and saved.priority in ladder.TOLD_PRIORITIES and not saved.test:
            # Acknowledged, and then nothing happened: the next tier hears of it.
            self._escalate(tx, saved)

    def _rang(self, tx: Tx, incident: Incident) -> None:
        """It rings anew: people are told from the first step."""
        rung = ladder.started(incident, tx.now_ms)
        if rung is not None and rung.due_ms <= tx.now_ms:
            self._climb(tx, incident, rung)
        elif rung is not None:
            rows.put_ladder(tx, incident.id, rung)

    def _climb(self, tx: Tx, incident: Incident, rung: Rung | None) -> None:
        """Tell the people of the due step, and say when the next is due."""
        if rung is None or rung.due_ms > tx.now_ms or not incident.ringing:
            return
        people = self.registry.steps(incident)
        if not people:
            rows.put_ladder(tx, incident.id, Rung(0, tx.now_ms + round(LADDER_REPEAT_S * 1000), rung.taken + 1))
            return
        step = min(rung.step, len(people) - 1)
        for person in people[step]:
            rows.put_notice(tx, incident, person.id, step, "alarm", f"t{rung.taken}")
        rows.put_ladder(tx, incident.id, ladder.climbed(rung, len(people), incident.priority, tx.now_ms))

    def _unanswered(self, tx: Tx, command_id: str, gateway: str, now_ms: int) -> None:
        found = rows.command(tx.conn, gateway, command_id)
        if found is None or found[1] is not None:
            return
        waiting = found[0]
        incident = rows.load(tx.conn, waiting.incident_id)
        if incident is None:
            return
        change = incidents.fold_unheard(incident, command_id, waiting.order, now_ms)
        if change.steps:
            incident = rows.save(tx, change, {"command": command_id})
        if now_ms >= waiting.expires_ms:
            rows.set_result(tx, command_id, "unheard")
            rows.save(tx, incidents.fold_given_up(incident, command_id), {"command": command_id})

    # ------------------------------------------------------------------ what became of a notice
    async def told(self, due: rows.Due, outcome: Outcome, now_ms: int) -> None:
        """Write down what became of a notice. Handed over never means answered."""

        def job(tx: Tx) -> None:
            incident = rows.load(tx.conn, due.incident.id)
            if incident is None:
                return
            person = self.registry.person(due.recipient)
            name = person.name if person else due.recipient
            if isinstance(outcome, Delivered):
                rows.settle_notice(tx, due.notice_id, f"delivered: {outcome.reference}")
                rows.save(tx, rows.note(incident, Step(now_ms, "told", None, name)), {"notice": due.notice_id})
                return
            if isinstance(outcome, Refused):
                rows.settle_notice(tx, due.notice_id, f"refused: {outcome.why}")
            else:
                gap_s = NOTICE_RETRY_GAPS_S[min(due.attempt, len(NOTICE_RETRY_GAPS_S) - 1)]
                rows.delay_notice(tx, due.notice_id, due.attempt + 1, now_ms + round(gap_s * 1000))
            if due.attempt == 0:
                step = Step(now_ms, "not_told", None, f"{name}: {outcome.why}")
                rows.save(tx, rows.note(incident, step), {"notice": due.notice_id})

        await self.store.write(job)

    async def untold(self, due: rows.Due) -> None:
        """The notice is not needed any more: somebody has answered before it went out."""
        await self.store.write(lambda tx: rows.settle_notice(tx, due.notice_id, "not needed: answered before"))

