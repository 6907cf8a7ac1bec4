"""What is made from the forms and profiles: JSON Schemas under configs/schema/ and docs/devices.md.

Run ``python -m edge.config.generate`` in the repository after changing one of them; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from device_drivers.profiles import Profile, load_profiles
from device_drivers.profiles.schema import PROFILE
from edge.config.schema import BUILDING, DUTY_ROOM
from edge.model import CLASSES, Point, Rule, RuleKind

SCHEMAS: Mapping[str, tuple[TypeAdapter[Any], str]] = {
    "configs/schema/building.schema.json": (BUILDING, "Linli building file"),
    "configs/schema/duty-room.schema.json": (DUTY_ROOM, "Linli duty-room file"),
    "configs/schema/profile.schema.json": (PROFILE, "Linli device profile"),
}
_HEAD = """# Devices that Linli speaks to

Generated from `device_drivers/profiles/` by `python -m edge.config.generate`; do not edit.

A profile is a device model as data: what is read, how it is decoded, what alarms, how long it may be silent.
*Confirmed* means that the map is taken from the document named as its source; *recalled* means that it is our own
or from memory and needs a look at the device. Register and coil numbers are those on the wire, from 0.
Put your own profiles into a folder `<maker>/<model>.yaml` and name it under `profiles:` in the building file;
`linli check` on the profile says what is wrong with it.
"""


def files() -> dict[str, str]:
    """Every generated file: path in the repository → content."""
    made = {name: _schema(adapter, title) for name, (adapter, title) in SCHEMAS.items()}
    made["docs/devices.md"] = devices_page(load_profiles())
    return made


def devices_page(profiles: Mapping[str, Profile]) -> str:
    """The page about all devices."""
    rows = ["| Profile | Device | Link | Alarms | Silent at most |", "|---|---|---|---|---|"]
    for name, profile in sorted(profiles.items()):
        classes = ", ".join(dict.fromkeys(r.alarm_class.value for r in profile.rules)) or "none"
        title = f"{profile.title['zh']} · {profile.title['en']}"
        rows.append(f"| [`{name}`](#{_anchor(name)}) | {title} | {profile.link} | {classes} | {_silence(profile)} |")
    parts = [_HEAD, "\n".join(rows) + "\n", *(_device(profiles[name]) for name in sorted(profiles))]
    return "\n".join(parts)


def _schema(adapter: TypeAdapter[Any], title: str) -> str:
    schema = adapter.json_schema()
    schema["title"] = title
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _anchor(name: str) -> str:
    return name.replace("/", "")


def _silence(profile: Profile) -> str:
    if profile.supervise_s is None:
        return "not supervised"
    for unit, size in (("h", 3600), ("min", 60)):
        if profile.supervise_s >= size and profile.supervise_s % size == 0:
            return f"{profile.supervise_s / size:g} {unit}"
    return f"{profile.supervise_s:g} s"


def _device(profile: Profile) -> str:
    lines = [f"## {profile.id}", "", f"{profile.title['zh']} · {profile.title['en']} ({profile.kind}).", ""]
    lines.append(f"Source ({profile.status}): {profile.source}.")
    if profile.poll_s is not None:
        lines.append(f"Read every {profile.poll_s:g} s.")
    if profile.notes:
        lines += ["", profile.notes]
    lines += ["", "| Point | Unit | Where | Range |", "|---|---|---|---|"]
    for point in profile.points:
        span = "" if point.low is None or point.high is None else f"{point.low:g} … {point.high:g}"
        lines.append(f"| `{point.key}` | {point.unit or ''} | {_where(profile, point)} | {span} |")
    if profile.rules:
        lines += ["", "| Rule | Alarm | Priority | When |", "|---|---|---|---|"]
        lines += [
            f"| `{r.id}` | {r.alarm_class.value}{' (latches)' if CLASSES[r.alarm_class].latching else ''} | {r.level} "
            f"| {_when(r)} |"
            for r in profile.rules
        ]
    return "\n".join(lines) + "\n"


def _where(profile: Profile, point: Point) -> str:
    read = point.read
    if not read:
        text = "a command, nothing is read"
    elif profile.link == "modbus":
        number = f"coil {read['coil']}" if "coil" in read else f"register {read['register']}"
        bit = f" bit {read['bit']}" if "bit" in read else ""
        scale = f" × {read['scale']:g}" if read["scale"] != 1 else ""
        kind = "" if read["type"] == "bit" else f" {read['type']}"
        text = f"function {read['fc']}, {number}{bit}{kind}{scale}{', inverted' if read['invert'] else ''}"
        text += f" = {read['equals']}" if "equals" in read else ""
    elif profile.link == "mqtt":
        wanted = f" = `{json.dumps(read['equals'])}`" if "equals" in read else ""
        words = ", ".join(f"{word} is {json.dumps(value)}" for word, value in read.get("map", {}).items())
        wanted += f" ({words})" if words else ""
        topic = f"`{read['topic']}` " if read["topic"] else ""
        text = f"{topic}`{read['path']}`{wanted}"
    elif "keys" in read:
        text = "key bits " + ", ".join(str(k) for k in read["keys"])
    else:
        text = ", ".join(f"{name} {value}" for name, value in read.items() if value not in (False, 1.0))
    extra = [word for word, on in (("an event", point.momentary), ("can be set", point.writable)) if on]
    if profile.wire["points"][point.key].get("write", {}).get("off", False) is None:
        extra[-1] = "can be switched on only"
    return ", ".join([text, *extra])


def _when(rule: Rule) -> str:
    if rule.kind is RuleKind.PRESS:
        return f"each event of `{rule.point}`"
    if rule.kind is RuleKind.STATE:
        return f"`{rule.point}` = `{json.dumps(rule.on_value)}`"
    if rule.kind is RuleKind.STUCK:
        return f"`{rule.point}` does not change for {rule.window_s:g} s"
    if rule.kind is RuleKind.RATE:
        way = "falls" if rule.below else "rises"
        return f"`{rule.point}` {way} by {rule.limit:g} within {rule.window_s:g} s"
    sign = "≤" if rule.below else "≥"
    band = f", off again {rule.deadband:g} past it" if rule.deadband else ""
    delay = f", for {rule.on_delay_s:g} s" if rule.on_delay_s else ""
    return f"`{rule.point}` {sign} {rule.limit:g}{band}{delay}"


if __name__ == "__main__":
    for name, content in files().items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        print(name)
