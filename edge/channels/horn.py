"""The annunciator at the guard's post, behind a relay. Never the evacuation sounder."""

from __future__ import annotations

from edge.model import Outcome, PointKey, Write, WriteFn


class Horn:
    """Switches sounders through the one writer of their link."""

    def __init__(self, write: WriteFn) -> None:
        self._write = write

    async def sound(self, point: PointKey, on: bool) -> Outcome:
        """Set the sounder once; the dispatcher decides about trying again."""
        return await self._write(Write(point, on))
