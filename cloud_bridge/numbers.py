"""A number for each device, for formats that know no names: given once, kept for ever, never given to another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path


def numbers_of(path: Path, ids: Iterable[str]) -> dict[str, int]:
    """Number of every id, from 1; new ids get the next free ones and are kept in the file. Raises OSError.

    The file is what a receiving centre needs to know which zone is which device; a damaged one raises ValueError,
    because numbers made anew would send a fire brigade to another flat.
    """
    known: dict[str, int] = {}
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(known, dict) or not all(type(number) is int and number > 0 for number in known.values()):
            raise ValueError(f"{path}: not the numbers of devices (restore it from a backup)")
    fresh = [ident for ident in dict.fromkeys(ids) if ident not in known]
    if fresh:
        top = max(known.values(), default=0)
        known |= {ident: number for number, ident in enumerate(fresh, top + 1)}
        draft = path.with_suffix(".tmp")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(known, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return known
