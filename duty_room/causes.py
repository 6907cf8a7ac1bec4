"""Why it was: the causes a person may choose from, per kind of alarm. The codes are stable, the ledger counts them."""

from __future__ import annotations

from collections.abc import Mapping

CAUSES: Mapping[str, tuple[str, ...]] = {
    "fire": (
        "real", "false_cooking", "false_steam", "false_dust", "false_smoking", "device_fault", "test", "recovered",
        "other",
    ),
    "gas": ("real", "false_cooking", "false_steam", "device_fault", "test", "recovered", "other"),
    "sos": ("helped", "hospital", "misuse", "device_fault", "test", "other"),
    "door": ("real", "resident", "misuse", "device_fault", "test", "recovered", "other"),
    "water": ("real", "misuse", "device_fault", "test", "recovered", "other"),
    "bin": ("collected", "device_fault", "test", "recovered", "other"),
    "overheat": ("real", "false_smoking", "device_fault", "test", "recovered", "other"),
    "link": ("repaired", "power_failure", "device_fault", "test", "recovered", "other"),
    "device": ("repaired", "battery_changed", "power_failure", "device_fault", "test", "recovered", "other"),
    "other": ("real", "device_fault", "test", "recovered", "other"),
}  # fmt: skip
"""The console has the same list in ``words.ts``; a test holds them together."""
_OWN = {"bin.overheat": "overheat", "link.down": "link", "gateway.lost": "link", "duty_room.unheard": "link"}


def family(alarm_class: str) -> str:
    """Which procedure and which causes an alarm class has."""
    head = alarm_class.split(".")[0]
    return _OWN.get(alarm_class) or ("device" if head == "gateway" else head if head in CAUSES else "other")


def causes_of(alarm_class: str) -> tuple[str, ...]:
    """At most nine, the most likely ones first. Nobody presses a smoke detector by mistake."""
    return CAUSES[family(alarm_class)]
