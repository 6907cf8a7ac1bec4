"""A million polls of a bus with late, torn, repeated, corrupt and foreign replies: how many wrong values?

The bus and its truth are those of tests/unit/drivers/test_modbus_dirty_bus.py, under virtual time. Run:
``python -m benchmarks.drivers_soak``; a failure names its seed, and the same seed gives the same bus again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from random import Random

import pytest

from tests.unit.drivers.test_modbus_dirty_bus import WickedBus, make, polled, virtually

ROUND = 20_000
"""Polls on one bus; then the next, with another seed and another share of faults."""
WICKED = (0.02, 0.1, 0.3, 0.6)


def main() -> int:
    """Print the figures; 1 when a value was wrong."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--polls", type=int, default=1_000_000)
    polls = arguments.parse_args().polls
    seen: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(-(-polls // ROUND)):
        with pytest.MonkeyPatch.context() as patch:
            wicked = WICKED[seed % len(WICKED)]
            found = virtually(polled(make(patch, WickedBus(Random(seed), wicked), causes), ROUND))
        if found["wrong"]:
            print(f"seed {seed}, {wicked:.0%} faulty replies: {found['wrong']} wrong values")
        seen += found
    faults = ", ".join(f"{causes[name]:,} {name}" for name in sorted(causes) if causes[name])
    print(f"{polls:,} polls in {time.monotonic() - began:.0f} s: {seen['good']:,} good readings, {seen['bad']:,} bad")
    print(f"  met on the way: {faults}")
    print(f"  wrong values: {seen['wrong']} (bar 0)")
    return int(seen["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
