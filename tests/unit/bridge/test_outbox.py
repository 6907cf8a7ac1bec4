"""The durable queue: order, bound, order of shedding, damage."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.errors import NotDurable
from edge.store.outbox import ROW_BYTES, Outbox

LANES = ("summary", "fact")


def parcel(lane: str, number: int, size: int = 100) -> tuple[str, str, str, bytes, int]:
    return (lane, f"{lane}/{number}", f"t/{lane}", bytes([number % 256]) * size, number)


async def ids(box: Outbox) -> list[str]:
    return [parcel.id for parcel in await box.peek(1000)]


async def test_first_in_first_out_over_a_restart(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "city.db", LANES)
    await box.open()
    await box.put([parcel("fact", 1), parcel("summary", 1), parcel("fact", 2)])
    await box.close()
    again = Outbox(tmp_path / "city.db", LANES)
    await again.open()
    assert await ids(again) == ["fact/1", "summary/1", "fact/2"]
    first, *_ = await again.peek(1)
    await again.drop([first.n])
    assert await ids(again) == ["summary/1", "fact/2"]
    fill = await again.fill()
    assert (fill.rows, fill.bytes, fill.newest) == (2, 2 * (100 + ROW_BYTES), 3)
    assert [p.id for p in await again.peek(9, after=2)] == ["fact/2"]
    await again.close()
    await again.close()


async def test_the_bound_holds_and_summaries_go_first_oldest_first(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "city.db", LANES, bytes_max=5 * (100 + ROW_BYTES))
    await box.open()
    for number in range(1, 4):
        assert await box.put([parcel("fact", number)]) == 0
    for number in range(1, 5):
        await box.put([parcel("summary", number)])
        assert (await box.fill()).bytes <= 5 * (100 + ROW_BYTES)
    assert await ids(box) == ["fact/1", "fact/2", "fact/3", "summary/3", "summary/4"]
    assert await box.put([parcel("fact", number) for number in range(4, 8)]) == 4
    assert await ids(box) == ["fact/3", "fact/4", "fact/5", "fact/6", "fact/7"]
    lost = (await box.fill()).lost
    assert (lost["summary"].count, lost["summary"].first_ms, lost["summary"].last_ms) == (4, 1, 4)
    assert (lost["fact"].count, lost["fact"].first_ms, lost["fact"].last_ms) == (2, 1, 2)
    await box.close()


async def test_a_parcel_larger_than_the_bound_is_shed_itself(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "city.db", LANES, bytes_max=500)
    await box.open()
    assert await box.put([parcel("fact", 1), parcel("summary", 1, size=5000)]) == 1
    assert await ids(box) == ["fact/1"]
    await box.close()


async def test_the_same_id_waits_once_with_the_newer_content(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "city.db", LANES)
    await box.open()
    await box.put([("summary", "s", "t", b"old", 1)])
    await box.put([("summary", "s", "t", b"newer", 2)])
    (only,) = await box.peek(9)
    assert only.body == b"newer" and (await box.fill()).bytes == 5 + ROW_BYTES
    await box.close()


async def test_losses_are_remembered_over_a_restart(tmp_path: Path) -> None:
    for number in (1, 3):
        box = Outbox(tmp_path / "city.db", LANES, bytes_max=300)
        await box.open()
        await box.put([parcel("fact", number), parcel("fact", number + 1)])
        await box.close()
    await (box := Outbox(tmp_path / "city.db", LANES)).open()
    assert (await box.fill()).lost["fact"].count == 3
    await box.close()


async def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "city.db"
    path.write_bytes(b"this is no database at all, but long enough to be read as one" * 100)
    box = Outbox(path, LANES)
    await box.open()
    assert box.set_aside and await ids(box) == []
    assert (tmp_path / "city.db.damaged").exists()
    await box.close()


async def test_a_disk_that_refuses_is_not_durable_and_changes_nothing(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "city.db", LANES)
    await box.open()
    await box.put([parcel("fact", 1)])
    other = sqlite3.connect(tmp_path / "city.db")
    other.execute("DROP TABLE lost")
    other.execute("ALTER TABLE parcels RENAME TO gone")
    other.commit()
    with pytest.raises(NotDurable):
        await box.put([parcel("fact", 2)])
    other.execute("ALTER TABLE gone RENAME TO parcels")
    other.commit()
    other.close()
    assert await ids(box) == ["fact/1"]
    await box.close()
    with pytest.raises(NotDurable):
        await box.peek(1)
