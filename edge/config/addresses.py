"""How the devices of each family of links are addressed: the right form, and its one right spelling."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

SOURCE_MAX = 2**48 - 1
"""A GB/T 26875.3 address has six bytes."""
_GBT = re.compile(r"(\d{1,15})(?:/(\d{1,3})\.(\d{1,3})(?:/(\d{1,10}))?)?", re.ASCII)


class Spelling(NamedTuple):
    """spell: the address as the driver takes it, None when it is none. text: the finding's key in texts."""

    spell: Callable[[str], str | None]
    text: str


def _number(low: int, high: int) -> Callable[[str], str | None]:
    def spell(text: str) -> str | None:
        good = text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high
        return str(int(text)) if good else None

    return spell


def _digits(count: int) -> Callable[[str], str | None]:
    """Figures as printed on a meter: leading zeros may be left out."""

    def spell(text: str) -> str | None:
        good = text.isascii() and text.isdigit() and len(text) <= count
        return text.zfill(count) if good else None

    return spell


def _code(text: str) -> str | None:
    return text.upper() if re.fullmatch(r"[0-9A-Fa-f]{5}", text) else None


def _topic(text: str) -> str | None:
    levels = text.split("/")
    good = all(levels) and not set("+#\0") & set(text) and not text.startswith("$") and text.isprintable()
    return text if text and good else None


def _call(text: str) -> str | None:
    """A call address or reader's name, one word of ASCII; ``*`` takes those that no other device has."""
    return text if re.fullmatch(r"[!-~]{1,16}", text) else None


def _gbt(text: str) -> str | None:
    found = _GBT.fullmatch(text)
    if found is None:
        return None
    source, kind, system, component = (int(part) if part is not None else None for part in found.groups())
    if source is None or source > SOURCE_MAX or max(kind or 0, system or 0) > 255 or (component or 0) > 0xFFFFFFFF:
        return None
    parts = [str(source)]
    parts += [f"{kind}.{system}"] if kind is not None else []
    parts += [str(component)] if component is not None else []
    return "/".join(parts)


SPELLINGS: Mapping[str, Spelling] = {
    "modbus": Spelling(_number(1, 247), "address-modbus"),
    "rf433": Spelling(_code, "address-rf433"),
    "mqtt": Spelling(_topic, "address-topic"),
    "gbt26875": Spelling(_gbt, "address-gbt26875"),
    "espa444": Spelling(_call, "address-call"),
    "wiegand": Spelling(_call, "address-call"),
    "dlt645": Spelling(_digits(12), "address-dlt645"),
    "cjt188": Spelling(_digits(14), "address-cjt188"),
    "osdp": Spelling(_number(0, 126), "address-osdp"),
}
"""By profile family."""
