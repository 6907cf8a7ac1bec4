"""The fuzz targets without a fuzzer: golden seeds bent, cut and glued by a seeded generator."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.targets import TARGETS

ROUNDS = 1500


def bent(seed: bytes, random: Random) -> bytes:
    """A seed with a few bytes changed, cut out or doubled."""
    data = bytearray(seed)
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(data) + 1)
        what = random.randrange(4)
        if what == 0:
            data[at:at] = random.randbytes(random.randrange(4))
        elif what == 1:
            del data[at : at + random.randrange(4)]
        elif what == 2:
            data[at:at] = seed[random.randrange(len(seed)) :]
        elif at < len(data):
            data[at] ^= 1 << random.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_bent_frame_breaks_no_promise(name: str) -> None:
    target, random = TARGETS[name], Random(1)
    for seed in target.seeds:
        target.check(seed)
        for _ in range(ROUNDS):
            target.check(bent(seed, random))
