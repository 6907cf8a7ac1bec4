"""What a person's wish does to an alarm, and the answer they get."""

from __future__ import annotations

from edge.decide import alarms
from edge.decide.alarms import Alarm, Refusal, Stamp
from edge.model import AlarmEvent, Command, CommandKind, CommandOutcome, Condition, Result

_DONE = {
    CommandKind.ACKNOWLEDGE: "acknowledged",
    CommandKind.SILENCE: "silenced for 60 s",
    CommandKind.RESET: "reset",
    CommandKind.SHELVE: "shelved",
    CommandKind.UNSHELVE: "back from the shelf",
    CommandKind.OUT_OF_SERVICE: "out of service",
    CommandKind.IN_SERVICE: "in service",
    CommandKind.TEST: "test alarm raised",
}


def decide_command(
    alarm: Alarm,
    kind: CommandKind,
    live: Condition,
    stamp: Stamp,
    until_ms: int | None,
    seen: str | None = None,
) -> AlarmEvent | Refusal | None:
    """The event a wish causes; None when the alarm is already as wished; a Refusal says why not."""
    match kind:
        case CommandKind.ACKNOWLEDGE:
            return alarms.acknowledge(alarm, stamp, seen)
        case CommandKind.SILENCE:
            return alarms.silence(alarm, stamp)
        case CommandKind.RESET:
            return alarms.reset(alarm, live, stamp)
        case CommandKind.SHELVE:
            return alarms.shelve(alarm, until_ms, stamp)
        case CommandKind.UNSHELVE:
            return alarms.unshelve(alarm, stamp)
        case CommandKind.OUT_OF_SERVICE:
            return alarms.out_of_service(alarm, stamp)
        case CommandKind.IN_SERVICE:
            return alarms.in_service(alarm, stamp)
        case CommandKind.TEST:
            return None


def answer(command: Command, decided: AlarmEvent | Refusal | None, expired: bool, now_ms: int) -> CommandOutcome:
    """The outcome of a command, for its sender."""
    if expired:
        why = "too old: the situation may have changed, look and try again"
        return CommandOutcome(command.command_id, Result.EXPIRED, "expired", why, now_ms)
    if isinstance(decided, Refusal):
        return CommandOutcome(command.command_id, Result.REFUSED, decided.code, decided.message, now_ms)
    if decided is None:
        return CommandOutcome(command.command_id, Result.DONE, "already", "already so: nothing left to do", now_ms)
    return CommandOutcome(command.command_id, Result.DONE, "done", _DONE[command.kind], now_ms)
