"""What every driver must keep to, as one suite. A driver's test brings a rig: its own fake devices on a real wire.

    async def test_contract(tmp_path): await keeps_the_contract(MyRig(tmp_path), create, seeds=range(5))

Raises AssertionError with the seed in the text; the same seed gives the same faults again.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from edge.clock import SystemClock
from edge.errors import Denied, Garbled, LinkError, Unreachable, WrongDevice
from edge.limits import BATCH_READINGS_MAX
from edge.model import Batch, Device, PointKey, Quality, Reading, ReadRequest
from edge.ports import Driver, DriverFactory, Kit, LinkSettings

PATIENCE_S = 15.0
"""Longest a read may take with a peer that speaks."""
ROUNDS = 12
"""Random faults per seed."""
ALLOWED = (Unreachable, Garbled, Denied, WrongDevice)


class Rig(Protocol):
    """The far end of a link, under the test's control."""

    @property
    def settings(self) -> LinkSettings:
        """The link."""
        ...

    @property
    def devices(self) -> Sequence[Device]:
        """Its devices."""
        ...

    async def start(self) -> None:
        """The link exists and its devices answer."""
        ...

    async def stop(self) -> None:
        """The link is gone: port removed, connection refused. Safe twice."""
        ...

    async def speak(self) -> None:
        """Pushing links: every device reports every point once. Polled links: nothing."""
        ...

    async def trouble(self, random: Random) -> None:
        """One thing goes wrong: rubbish, silence, torn or repeated frames, a connection cut. Not the link's end."""
        ...

    async def calm(self) -> None:
        """All is well again."""
        ...

    def acknowledged(self) -> int | None:
        """How many messages the peer has had acknowledged; None when its protocol has no acknowledgements."""
        ...


async def keeps_the_contract(rig: Rig, create: DriverFactory, seeds: Iterable[int], data_dir: Path) -> Counter[str]:
    """Run the whole suite; returns what was counted as rejected input. Raises AssertionError."""
    counts: Counter[str] = Counter()

    def count(cause: str) -> None:
        assert cause and cause.isprintable() and " " not in cause, f"{cause!r} is no name of a cause"
        counts[cause] += 1

    kit = Kit(SystemClock(), count, str(data_dir))
    files = _open_files()
    await _close_is_safe_without_open(create(rig.settings, rig.devices, kit))
    await _absent_link_is_unreachable(rig, create(rig.settings, rig.devices, kit))
    for seed in seeds:
        driver = create(rig.settings, rig.devices, kit)
        try:
            await _one_life(rig, driver, Random(seed))
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        finally:
            await driver.close()
            await driver.close()
            await rig.stop()
    await asyncio.sleep(0)
    assert _open_files() <= files + 1, f"{_open_files() - files} file descriptors left behind"
    return counts


async def _close_is_safe_without_open(driver: Driver) -> None:
    await driver.close()
    await driver.close()


async def _absent_link_is_unreachable(rig: Rig, driver: Driver) -> None:
    await rig.stop()
    try:
        await driver.open()
    except (Unreachable, Denied):
        await driver.close()
        return
    raise AssertionError("open of a link that is not there did not raise Unreachable")


async def _one_life(rig: Rig, driver: Driver, random: Random) -> None:
    await rig.start()
    await driver.open()
    await _every_point_gets_a_good_reading(rig, driver)
    await _nothing_is_acknowledged_unasked(rig, driver)
    for _ in range(ROUNDS):
        await rig.trouble(random)
        await _read_without_surprise(rig, driver)
    await rig.calm()
    await driver.close()
    await driver.open()
    await _every_point_gets_a_good_reading(rig, driver)
    await _end_of_the_link_is_unreachable(rig, driver)


async def _every_point_gets_a_good_reading(rig: Rig, driver: Driver) -> None:
    """Polled: each request gives exactly its device's share of points. All: the union is every readable point."""
    missing = {PointKey(device.id, point.key) for device in rig.devices for point in device.points if point.read}
    if driver.plan:
        for item in driver.plan:
            assert item.period_s > 0 and item.timeout_s > 0 and item.cost_s >= 0, f"{item}: no usable times"
            batch = await _read(driver, item.request)
            assert all(reading.key.device == item.request.device for reading in batch.readings), "another's readings"
            missing -= {reading.key for reading in batch.readings if reading.quality is Quality.GOOD}
            batch.ack()
    else:
        await rig.speak()
        async with asyncio.timeout(PATIENCE_S):
            while missing:
                batch = await _read(driver, None)
                missing -= {reading.key for reading in batch.readings if reading.quality is Quality.GOOD}
                batch.ack()
    assert not missing, f"no good reading of {', '.join(map(str, sorted(missing)))}"


async def _nothing_is_acknowledged_unasked(rig: Rig, driver: Driver) -> None:
    await asyncio.sleep(0.1)
    before = rig.acknowledged()
    if before is None or driver.plan:
        return
    await rig.speak()
    batch = await _read(driver, None)
    await asyncio.sleep(0.1)
    assert rig.acknowledged() == before, "acknowledged before ack()"
    batch.ack()
    batch.ack()
    async with asyncio.timeout(PATIENCE_S):
        while rig.acknowledged() == before:
            await asyncio.sleep(0.02)


async def _read_without_surprise(rig: Rig, driver: Driver) -> None:
    """Reads in trouble give readings or one of the four link errors, whatever the peer does."""
    requests: Sequence[ReadRequest | None] = [item.request for item in driver.plan] or [None]
    for request in requests:
        try:
            if request is None:
                # A pushing link may have nothing to say after rubbish; what is said afterwards must come through.
                await rig.speak()
            (await _read(driver, request)).ack()
        except ALLOWED:
            await driver.close()
            try:
                await driver.open()
            except ALLOWED:
                await driver.close()
                await rig.calm()
                await driver.open()


async def _end_of_the_link_is_unreachable(rig: Rig, driver: Driver) -> None:
    """A reader learns of the end, and so does whoever reads after close."""
    last = asyncio.ensure_future(_read_until_error(driver))
    await asyncio.sleep(0.05)
    await rig.stop()
    async with asyncio.timeout(PATIENCE_S):
        fault = await last
    assert isinstance(fault, Unreachable), f"the end of the link showed as {fault!r}"
    await driver.close()
    try:
        await _read(driver, driver.plan[0].request if driver.plan else None)
    except LinkError:
        return
    raise AssertionError("read after close did not raise")


async def _read_until_error(driver: Driver) -> LinkError:
    while True:
        try:
            (await driver.read(driver.plan[0].request if driver.plan else None)).ack()
        except LinkError as fault:
            return fault
        await asyncio.sleep(0.01)


async def _read(driver: Driver, request: ReadRequest | None) -> Batch:
    async with asyncio.timeout(PATIENCE_S):
        batch = await driver.read(request)
    assert 1 <= len(batch.readings) <= BATCH_READINGS_MAX, f"{len(batch.readings)} readings in a batch"
    for reading in batch.readings:
        _check_reading(reading)
    return batch


def _check_reading(reading: Reading) -> None:
    bad = reading.quality is Quality.BAD
    assert (reading.value is None) == bad, f"{reading}: a value exactly when it is not bad"
    assert (reading.cause is not None) == bad, f"{reading}: a cause exactly when it is bad"
    assert reading.received_ms > 0 and isinstance(reading.received_s, float), f"{reading}: not stamped"


def _open_files() -> int:
    """File descriptors of this process; 0 where /proc does not tell."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
