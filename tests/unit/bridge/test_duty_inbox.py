"""A gateway whose clock is wrong still obeys the duty room, and still refuses what is old."""

from __future__ import annotations

import pytest

from cloud_bridge.duty_inbox import by_our_clock
from edge.model import Command, CommandKind

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("fast_ms", "made_ago_ms", "known", "obeyed"),
    [
        (0, 0, True, True),
        (0, 45_000, True, False),
        (0, 600_000, True, False),
        (120_000, 1_000, True, True),
        (120_000, 1_000, False, False),
        (120_000, 45_000, True, False),
        (120_000, 600_000, True, False),
        (-120_000, 1_000, True, True),
        (-120_000, 45_000, True, False),
    ],
)
def test_a_command_ends_by_the_clock_of_its_maker(fast_ms: int, made_ago_ms: int, known: bool, obeyed: bool) -> None:
    at_ms = NOW - made_ago_ms
    command = Command("c1", CommandKind.ACKNOWLEDGE, "a1", None, at_ms, expires_ms=at_ms + 30_000)
    ours_ms = NOW + fast_ms
    ended = by_our_clock(command, -fast_ms if known else None, ours_ms).expires_ms
    assert ended is not None and (ours_ms <= ended) is obeyed
