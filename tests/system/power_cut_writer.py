"""The process under the recorder: the real engine and journal, and a file of what was acknowledged to the outside.

``python -m tests.system.power_cut_writer DIR SYNCHRONOUS PRESSES``
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from edge.clock import SystemClock
from edge.flow.engine import Engine
from edge.flow.settings import EngineSettings
from edge.model import Batch, Clock, Command, CommandKind, Person, PointKey, Quality, Reading, Via
from edge.ports import Past
from edge.store import journal
from simulators.drill_world import DEVICES, HOUSE, KEY, ROSTER

LI = Person("li", "李四", Via.CONSOLE)
LIVES = 3
"""The journal is closed and opened again in between: checkpoints and starts are cut too."""


class Journal(journal.SqliteJournal):
    """The product's journal; only the check of the check weakens it."""

    def __init__(self, path: Path, synchronous: str) -> None:
        super().__init__(path)
        self._synchronous = synchronous

    def _load(self) -> Past:
        past = super()._load()
        if self._synchronous != "FULL":
            self._opened().db.execute(f"PRAGMA synchronous = {self._synchronous}")
        return past


class Sender:
    """A device, a person and a duty room that remember what they were promised."""

    def __init__(self, engine: Engine, acks: int, rng: random.Random) -> None:
        self._engine = engine
        self._acks = acks
        self._rng = rng
        self._clock = SystemClock()

    def promised(self, what: str) -> None:
        """This has left the machine."""
        os.write(self._acks, f"{what}\n".encode())

    async def press(self, number: int) -> None:
        """A numbered press, a smoke detector beside it; both acknowledged after the commit."""
        now = (self._clock.wall_ms(), self._clock.monotonic())
        readings = [
            Reading(PointKey("b1", "press"), "press", Quality.GOOD, None, *now, sequence=str(number), momentary=True),
            Reading(PointKey("z1", "smoke"), number % 3 != 0, Quality.GOOD, None, *now),
        ]
        done = self._engine.admit(Batch("radio", tuple(readings), lambda: None))
        assert done is not None
        await done
        self.promised(f"cause press:{number}")

    async def wish(self, number: int) -> None:
        """Somebody acknowledges or resets."""
        alarms = self._engine.alarms()
        if not alarms:
            return
        alarm = self._rng.choice(list(alarms))
        kind = self._rng.choice((CommandKind.ACKNOWLEDGE, CommandKind.ACKNOWLEDGE, CommandKind.RESET))
        outcome = await self._engine.command(Command(f"c{number}", kind, alarm.alarm_id, LI, self._clock.wall_ms()))
        self.promised(f"outcome {outcome.command_id} {outcome.code}")


async def live(folder: Path, synchronous: str, numbers: range, acks: int) -> None:
    """One life of the process."""
    clock = SystemClock()
    kept = Journal(folder / "alarms.db", synchronous)
    settings = EngineSettings(
        gateway_id="p1",
        place=HOUSE,
        links=("bus", "relays", "radio"),
        devices=DEVICES,
        roster=ROSTER,
        ack_keys=(KEY,),
        has_duty_room=False,
        actors=frozenset(),
        text=lambda alarm, person: (alarm.alarm_class, person.name),
    )
    engine = Engine(settings, kept, clock, lambda: Clock.SYNCED, lambda _: None)
    await engine.start()
    engine.link("radio", True)
    committing = asyncio.create_task(engine.commit.run())
    rng = random.Random(numbers.start)
    sender = Sender(engine, acks, rng)
    number = numbers.start
    while number < numbers.stop:
        count = min(rng.choice((1, 1, 2, 8)), numbers.stop - number)
        wishes = [sender.wish(number)] if rng.random() < 0.3 else []
        await asyncio.gather(*(sender.press(number + n) for n in range(count)), *wishes)
        engine.tick()
        number += count
        await engine.receipted(rng.sample(sorted(engine.unreceipted), min(3, len(engine.unreceipted))))
    committing.cancel()
    await kept.close()


def main() -> None:
    """All lives of the process."""
    folder, synchronous, presses = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    journal.CHECKPOINT_COMMITS, journal.WAL_PAGES_MAX = 20, 400  # so that a short record holds both kinds
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    share = presses // LIVES
    for life in range(LIVES):
        asyncio.run(live(folder, synchronous, range(life * share, (life + 1) * share), acks))


if __name__ == "__main__":
    main()
