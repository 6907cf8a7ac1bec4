"""Tell a person through the services Apprise knows, from a short-lived child process.

Why a child: Apprise costs some 40 MB and runs plugins that may hang. The gateway stays small, and a hanging
service costs one killed child instead of the alarm path. Secrets (the URLs) travel by standard input only:
never in the arguments, never in a log line, never in an Outcome.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from typing import Final

from edge import limits
from edge.model import Delivered, Notice, Outcome, Recipient, Refused, TryLater

HANDED_OVER: Final = "handed to the service"
OTHER_CHANNELS: Final = ("sms:",)
"""Ways of the roster that are not for Apprise."""
CHILD: Final = (sys.executable, "-m", "edge.channels.messenger_child")


class Messenger:
    """The Channel for people. One child per delivery, at most ``children_max`` at once; it never retries.

    A notice whose channel is a URL goes there alone; for any other channel ``tell`` gives every URL of the
    recipient (none when there is no such person). All ways are tried at the same time; one that takes the
    message makes the notice Delivered, which means handed to the service and never that a person has answered.
    """

    def __init__(
        self,
        tell: Callable[[str], Sequence[str]] = lambda recipient: (),
        *,
        timeout_s: float = limits.NOTICE_CHILD_S,
        children_max: int = limits.NOTICE_CHILDREN_MAX,
    ) -> None:
        self._tell = tell
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(children_max)

    @classmethod
    def of(cls, roster: Sequence[Recipient]) -> Messenger:
        """The messenger of a fixed roster."""
        ways = {p.id: tuple(way for way in p.tell if not way.startswith(OTHER_CHANNELS)) for p in roster}
        return cls(lambda recipient: ways.get(recipient, ()))

    async def deliver(self, notice: Notice) -> Outcome:
        """Hand the notice to the recipient's services, once. Never raises but for cancellation."""
        urls = (notice.channel,) if "://" in notice.channel else tuple(self._tell(notice.recipient))
        if not urls:
            return Refused(f"{notice.recipient} has no way to be told (give tell: in the roster)")
        async with self._room:
            answers = await _ask_child(urls, notice.title, notice.body, self._timeout_s)
        return _judge(answers, len(urls))


async def _ask_child(urls: Sequence[str], title: str, body: str, timeout_s: float) -> dict[int, str]:
    """Run one child to its end, at most timeout_s. Returns what it said per URL; a missing one said nothing."""
    answers: dict[int, str] = {}
    try:
        child = await asyncio.create_subprocess_exec(
            *CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        # No memory or no processes left is a matter of now, and the ladder goes on with the next person.
        return dict.fromkeys(range(len(urls)), "later cannot start a child process")
    assert child.stdin is not None and child.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            child.stdin.write(json.dumps({"urls": list(urls), "title": title, "body": body}).encode() + b"\n")
            await child.stdin.drain()
            # Standard input stays open: its end tells the child that we are gone, and it ends too.
            while len(answers) < len(urls) and (line := await child.stdout.readline()):
                number, _, answer = line.decode(errors="replace").strip().partition(" ")
                if number.isdigit():
                    answers[int(number)] = answer
    except (TimeoutError, ConnectionError, ValueError):
        pass  # What was said so far counts; _judge names the silence.
    finally:
        if child.returncode is None:
            try:
                child.kill()
            except ProcessLookupError:
                pass  # It ended by itself in between.
        await asyncio.shield(child.wait())
        child.stdin.close()
    return answers


def _judge(answers: dict[int, str], ways: int) -> Outcome:
    """What the answers of all ways mean together: one taken is enough, one that may work later keeps it alive."""
    given = [answers.get(number, "later no answer in time") for number in range(ways)]
    if any(answer == "taken" for answer in given):
        return Delivered(HANDED_OVER)
    later = [answer.removeprefix("later").strip() for answer in given if answer.startswith("later")]
    if later:
        return TryLater("; ".join(dict.fromkeys(why or "the service did not take it" for why in later)))
    return Refused("no usable address: every tell: entry is a URL that Apprise does not know")
