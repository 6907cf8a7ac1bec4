"""systemd's watchdog over its socket: fed only while the loop runs and commits prove that they still come through.

A disk that refuses is no reason to stop feeding: a new start would not mend it, and this process still tells people.
A commit that hangs, or a loop that does, is one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from edge.flow.commit import CommitPoint
from edge.limits import CANARY_S
from edge.ports import Clockwork

COMMIT_HANGS_S = 15.0
"""A canary is due CANARY_S after the last commit; one that takes this much longer hangs."""


class Watchdog:
    """Speaks to the service manager; without one (no NOTIFY_SOCKET) it says nothing."""

    def __init__(self, commit: CommitPoint, clock: Clockwork, environment: Mapping[str, str] = os.environ) -> None:
        self._commit = commit
        self._clock = clock
        self._address = environment.get("NOTIFY_SOCKET", "")
        micros = environment.get("WATCHDOG_USEC", "")
        self._every_s = int(micros) / 1e6 / 4 if micros.isdigit() and int(micros) > 0 else None

    def say(self, state: str) -> bool:
        """One line to the service manager, such as READY=1. False when nobody listens."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(state.encode(), address)
        except OSError:
            return False
        return True

    async def run(self) -> None:
        """Feed it four times in its interval, as long as commits come through."""
        while True:
            if self._every_s is not None and self.proven():
                self.say("WATCHDOG=1")
            await self._clock.sleep(self._every_s if self._every_s is not None else CANARY_S)

    def proven(self) -> bool:
        """Did a commit, the canary at least, come through in its time? Or does the disk say plainly that none will?"""
        age_s = self._clock.monotonic() - self._commit.committed_s
        return age_s < CANARY_S + COMMIT_HANGS_S or not self._commit.durable
