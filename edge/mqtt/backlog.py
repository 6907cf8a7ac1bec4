"""Which messages waited in the broker while we were away. Pure: time is passed in."""

from __future__ import annotations

BACKLOG_QUIET_S = 0.25
"""A backlog refills the window within a round trip; when it did not for this long, it is over."""
BACKLOG_WINDOW_MIN = 10
"""Fewer messages than this before SUBACK were the whole backlog: no broker has a smaller window."""


class Backlog:
    """Tells messages that waited in the broker's queue from live ones.

    All before SUBACK waited. After it the backlog goes on for as long as the broker keeps its window towards us full.
    on: false once it is over; then nobody need ask any more.
    """

    def __init__(self, resumed: bool) -> None:
        self.on = resumed
        self._window: int | None = None
        self._below_since: float | None = None

    def arrived(self, outstanding: int, now_s: float) -> bool:
        """True when the message that makes ``outstanding`` unacknowledged ones came out of the queue."""
        if not self.on or self._window is None:
            return self.on
        if self._below_since is not None and now_s - self._below_since > BACKLOG_QUIET_S:
            self.on = False
        elif outstanding >= self._window:
            self._below_since = None
        return self.on

    def acked(self, outstanding: int, now_s: float) -> None:
        """``outstanding`` messages are left unacknowledged."""
        if self._window is not None and self._below_since is None and outstanding < self._window:
            self._below_since = now_s

    def subscribed(self, outstanding: int) -> None:
        """SUBACK is here."""
        self._window = outstanding
        self.on = self.on and outstanding >= BACKLOG_WINDOW_MIN
