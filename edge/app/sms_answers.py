"""Short messages that people send back: the code of an alarm, from the number it was sent to, acknowledges it by name.

A code belongs to one ring of one alarm and one person, and follows from a secret: it survives a restart, and an old
message says nothing about a newer ring.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence

from edge.channels.sms import numbers
from edge.decide.alarms import Alarm
from edge.model import Command, CommandKind, CommandOutcome, Notice, Person, Recipient, Result, Via
from edge.ports import Clockwork
from edge.words import CLASS_WORDS, place_words

NUMBER_DIGITS = 8
"""Networks write the same number with and without its country: these last digits must be the same."""
UNKNOWN = "没有等待该编号确认的报警；若又有新短信，请回复其中的编号。/ No alarm waits for this code."


class SmsAnswers:
    """What the gateway makes of answers. alarms: the open ones. command: the one door for wishes."""

    def __init__(
        self,
        secret: str,
        roster: Sequence[Recipient],
        alarms: Callable[[], Sequence[Alarm]],
        command: Callable[[Command], Awaitable[CommandOutcome]],
        clock: Clockwork,
    ) -> None:
        self._secret = secret
        self._roster = roster
        self._alarms = alarms
        self._command = command
        self._clock = clock
        self._people = {number[-NUMBER_DIGITS:]: person for person in roster for number in numbers(person)}

    def code(self, notice: Notice) -> str | None:
        """The code under a notice; None when its alarm waits for nobody any more."""
        found = next((alarm for alarm in self._alarms() if alarm.alarm_id == notice.alarm_id), None)
        return self._code(found, notice.recipient) if found is not None and found.unanswered else None

    async def answered(self, number: str, text: str) -> str | None:
        """Acknowledge what the message names. Strangers get no reply."""
        person = self._people.get(number[-NUMBER_DIGITS:])
        if person is None:
            return None
        given = re.findall(r"(?<!\d)\d{4}(?!\d)", unicodedata.normalize("NFKC", text))
        meant = [alarm for alarm in self._alarms() if alarm.unanswered and self._code(alarm, person.id) in given]
        if len(meant) != len({self._code(alarm, person.id) for alarm in meant}) or not meant:
            return UNKNOWN
        return "\n".join([await self._acknowledge(alarm, person) for alarm in meant])

    async def _acknowledge(self, alarm: Alarm, person: Recipient) -> str:
        outcome = await self._command(
            Command(
                f"sms/{alarm.ring_event}/{person.id}",
                CommandKind.ACKNOWLEDGE,
                alarm.alarm_id,
                Person(person.id, person.name, Via.PHONE),
                self._clock.wall_ms(),
                seen=alarm.ring_event,
            )
        )
        what = f"{CLASS_WORDS[alarm.alarm_class][0]} {place_words(alarm.subject.place)[0]}"
        if outcome.result is Result.DONE:
            return f"已记录由您处理：{what}"
        return f"未能确认：{what}（{outcome.message}）"

    def _code(self, alarm: Alarm, person_id: str) -> str:
        what = f"{len(alarm.ring_event)}:{alarm.ring_event}{person_id}".encode()
        digest = hmac.new(self._secret.encode(), what, hashlib.sha256).digest()
        return f"{int.from_bytes(digest[:4], 'big') % 9000 + 1000}"
