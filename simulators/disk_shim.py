"""Builds and feeds disk_shim.c: a recorder of what a process asks of its disk, and a brake on its syncs.

The record can be cut anywhere and the disk laid out as a power cut would have left it: what was synced is there,
everything later may be there, missing or torn, in any combination.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("disk_shim.c")
SECTOR = 512
"""A disk writes this many bytes whole; a longer write may be torn between sectors."""


def build(folder: Path) -> Path:
    """Compile the shim. Raises FileNotFoundError where there is no C compiler, CalledProcessError with its words."""
    made = folder / "disk_shim.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"], check=True)
    return made


def environment(
    shim: Path, record: Path | None = None, data_dir: Path | None = None, sync_ms: int = 0
) -> dict[str, str]:
    """What to start a process with, so that it runs under the shim."""
    surroundings = os.environ | {"LD_PRELOAD": str(shim), "LINLI_SYNC_MS": str(sync_ms)}
    if record is not None and data_dir is not None:
        surroundings |= {"LINLI_RECORD_FILE": str(record), "LINLI_RECORD_DIR": str(data_dir.resolve())}
    return surroundings


class Op(NamedTuple):
    """One operation: kind w, t or s; offset is the new length for t."""

    kind: str
    name: str
    offset: int
    data: bytes


def read_record(path: Path) -> list[Op]:
    """The recorded operations, in order."""
    raw = path.read_bytes()
    ops: list[Op] = []
    at = 0
    while at < len(raw):
        kind, size = chr(raw[at]), raw[at + 1]
        name = raw[at + 2 : at + 2 + size].decode()
        offset, length = struct.unpack_from("<qI", raw, at + 2 + size)
        at += 14 + size
        data = raw[at : at + length] if kind == "w" else b""
        at += len(data)
        ops.append(Op(kind, name, offset, data))
    return ops


@dataclass(slots=True)
class DiskFile:
    """One file as the platter has it, and what was asked of it since its last sync."""

    synced: bytearray = field(default_factory=bytearray)
    loose: list[Op] = field(default_factory=list)

    def take(self, op: Op) -> None:
        """One more operation."""
        if op.kind != "s":
            self.loose.append(op)
            return
        for earlier in self.loose:
            _apply(self.synced, earlier)
        self.loose.clear()

    def after_cut(self, rng: random.Random) -> bytes:
        """What is found when the power is back: each loose operation whole, missing or torn."""
        found = bytearray(self.synced)
        keep = rng.choice((0.0, 0.3, 0.7, 1.0))
        for op in self.loose:
            luck = rng.random()
            if luck < keep * 0.8:
                _apply(found, op)
            elif luck < keep and op.kind == "w":
                for part in _torn(op, rng):
                    _apply(found, part)
        return bytes(found)


def cuts(ops: Sequence[Op], count: int, seed: int) -> Iterator[tuple[int, dict[str, bytes], list[str]]]:
    """So many power cuts, spread over the record: where, the files found, and the lines acknowledged before.

    Whatever was written to a file named ``acks`` is an acknowledgement: it left the machine and cannot be undone.
    """
    rng = random.Random(seed)
    at = sorted(rng.randrange(1, len(ops) + 1) for _ in range(count))
    files: dict[str, DiskFile] = {}
    acks = bytearray()
    done = 0
    for cut in at:
        for op in ops[done:cut]:
            if op.name == "acks":
                acks += op.data
            else:
                files.setdefault(op.name, DiskFile()).take(op)
        done = cut
        yield cut, {name: file.after_cut(rng) for name, file in files.items()}, acks.decode().splitlines()


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "t":
        if op.offset < len(content):
            del content[op.offset :]
        else:
            content.extend(bytes(op.offset - len(content)))
        return
    if op.offset > len(content):
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def _torn(op: Op, rng: random.Random) -> list[Op]:
    """Some of the sectors of a write."""
    parts: list[Op] = []
    at = 0
    while at < len(op.data):
        length = SECTOR - (op.offset + at) % SECTOR
        if rng.random() < 0.5:
            parts.append(Op("w", op.name, op.offset + at, op.data[at : at + length]))
        at += length
    return parts
