"""Profile files → frozen objects. Shipped profiles lie beside this file as ``<maker>/<model>.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from device_drivers.profiles.schema import PROFILE, Profiled, RuleForm
from edge.model import AlarmClass, Point, Rule, RuleKind, Value

HERE = Path(__file__).parent
PROFILE_BYTES_MAX = 256 * 1024
"""A profile is written by hand; the largest real register maps stay below 60 kB."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A device model. wire: the protocol part a Device carries; simulate: what each point shows at rest."""

    id: str
    title: Mapping[str, str]
    kind: str
    link: str
    source: str
    status: str
    notes: str | None
    poll_s: float | None
    supervise_s: float | None
    wire: Mapping[str, Any]
    points: tuple[Point, ...]
    rules: tuple[Rule, ...]
    simulate: Mapping[str, Value]


def profile_paths(extra_dirs: Iterable[Path] = ()) -> dict[str, Path]:
    """Every profile's file by its name, the site's own (later) before the shipped ones. Reads no file."""
    found: dict[str, Path] = {}
    for folder in (HERE, *extra_dirs):
        for path in sorted(folder.glob("*/*.yaml")):
            found[f"{path.parent.name}/{path.stem}"] = path
    return found


def load_profile(path: Path) -> Profile:
    """One profile. Raises ValueError naming the file when it is not valid, OSError when it cannot be read."""
    data = path.read_bytes()
    if len(data) > PROFILE_BYTES_MAX:
        raise ValueError(f"{path}: larger than {PROFILE_BYTES_MAX} bytes")
    try:
        form = PROFILE.validate_python(YAML(typ="safe", pure=True).load(data))
    except (YAMLError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    return build(form)


def load_profiles(extra_dirs: Iterable[Path] = ()) -> dict[str, Profile]:
    """All profiles by name. Raises as load_profile."""
    return {name: load_profile(path) for name, path in profile_paths(extra_dirs).items()}


def build(form: Profiled) -> Profile:
    """The frozen form of a checked profile."""
    points: list[Point] = []
    maps: dict[str, dict[str, Any]] = {}
    for p in form.points:
        read = p.read.model_dump(by_alias=True, exclude_none=True) if p.read is not None else {}
        maps[p.key] = {"read": read} if read else {}
        if p.write is not None:
            maps[p.key]["write"] = _write_map(p.write)
        low, high = p.valid if p.valid is not None else (None, None)
        points.append(Point(p.key, p.unit, read, p.write is not None, low, high, p.momentary, p.deadband))
    wire = form.wire.model_dump(exclude_none=True)
    return Profile(
        id=form.profile,
        title=form.title.model_dump(),
        kind=form.kind,
        link=form.link,
        source=form.source,
        status=form.status,
        notes=form.notes,
        poll_s=form.poll_s,
        supervise_s=form.supervise_s,
        wire={**wire, "poll_s": form.poll_s, "points": maps},
        points=tuple(points),
        rules=tuple(build_rule(r) for r in form.rules),
        simulate=dict(form.simulate),
    )


def _write_map(form: BaseModel) -> dict[str, Any]:
    """What the driver needs to set a point: what is said, and always what on and off are where the form has them."""
    said = form.model_dump(by_alias=True, exclude_defaults=True)
    return said | {name: getattr(form, name) for name in ("on", "off") if name in type(form).model_fields}


def build_rule(form: RuleForm) -> Rule:
    """The frozen form of one rule."""
    common: dict[str, Any] = {
        "id": form.id,
        "point": form.point,
        "alarm_class": AlarmClass(form.class_),
        "priority": form.priority,
        "deadband": form.deadband,
        "on_delay_s": form.on_delay_s,
        "off_delay_s": form.off_delay_s,
        "window_s": form.window_s or 0.0,
    }
    if form.press:
        return Rule(kind=RuleKind.PRESS, **common)
    if form.state is not None:
        return Rule(kind=RuleKind.STATE, on_value=form.state, **common)
    if form.stuck:
        return Rule(kind=RuleKind.STUCK, **common)
    if form.window_s is not None:
        return Rule(kind=RuleKind.RATE, limit=form.rise or form.fall or 0.0, below=form.fall is not None, **common)
    limit = form.above if form.above is not None else form.below
    return Rule(kind=RuleKind.THRESHOLD, limit=float(limit or 0.0), below=form.below is not None, **common)
