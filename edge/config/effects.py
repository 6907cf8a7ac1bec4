"""What follows from alarms: overrides of rules, sounders, linkages, and whether anybody would be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from edge.config.bus import BUS_KINDS, DEAD_BORNE, DETECT_S, load, what_helps
from edge.config.document import Tree
from edge.config.forms import near
from edge.config.report import Report
from edge.config.schema import LinkageForm, OverrideForm, SounderForm
from edge.model import CLASSES, AlarmClass, Device, Linkage, Point, PointKey, Rule, RuleKind, Sounder, SounderStart
from edge.ports import LinkSettings

DELAY_S_MAX = 30.0
"""Longest on-delay of a life-safety rule: with the detection time it stays below one minute."""
Found = Sequence[tuple[Device, Tree]]
_AT_ONCE = ("fire.*", "gas.*", "bin.overheat")
_LADDER = ("sos.call", "duty_room.unheard")


def override(found: Found, forms: Mapping[str, Mapping[str, OverrideForm]], tree: Tree, report: Report) -> Found:
    """The devices with the site's own limits. A device's entry comes after its profile's."""
    names = [d.id for d, _ in found] + sorted({d.profile for d, _ in found})
    for target in forms:
        if target not in names:
            line, column = tree.keys[target]
            here = Tree(target, tree.file, line, column)
            report.error(here.file, line, column, "bad-value", "rules-target", value=target)
    changed: list[tuple[Device, Tree]] = []
    for device, at in found:
        rules = device.rules
        for target in (device.profile, device.id):
            if target in forms:
                rules = _changed(replace(device, rules=rules), target, forms[target], tree, report)
        changed.append((replace(device, rules=rules), at))
    return changed


def _changed(
    device: Device, target: str, forms: Mapping[str, OverrideForm], tree: Tree, report: Report
) -> tuple[Rule, ...]:
    by_id = {r.id: r for r in device.rules}
    for name, form in forms.items():
        line, column = tree.near(target).keys.get(name, (tree.line, tree.column))
        at = (tree.file, line, column, "bad-value")
        if name not in by_id:
            report.error(*at, "rules-id", target=target, value=name, known=", ".join(by_id))
            continue
        rule = by_id[name]
        fields = {k: v for k, v in form.model_dump().items() if v is not None}
        new = replace(rule, **fields)
        point = next(p for p in device.points if p.key == rule.point)
        if form.window_s is not None and rule.kind not in (RuleKind.RATE, RuleKind.STUCK):
            report.error(*at, "rules-window", value=name)
        if form.limit is not None and rule.kind not in (RuleKind.THRESHOLD, RuleKind.RATE):
            report.error(*at, "rules-limit", value=name)
        elif form.limit is not None and point.low is not None and point.high is not None and not rule.window_s:
            if not point.low <= form.limit <= point.high:
                report.error(*at, "rules-range", value=form.limit, low=point.low, high=point.high)
        if CLASSES[rule.alarm_class].life_safety and new.on_delay_s > DELAY_S_MAX:
            report.error(*at, "rules-delay", value=new.on_delay_s, limit=DELAY_S_MAX)
        by_id[name] = new
    return tuple(by_id.values())


def classes_of(patterns: Sequence[str], tree: Tree, report: Report) -> tuple[AlarmClass, ...]:
    """The alarm classes that patterns such as ``fire.*`` name; findings for those that name none."""
    chosen: list[AlarmClass] = []
    for index, pattern in enumerate(patterns):
        matching = [c for c in AlarmClass if fnmatchcase(c.value, pattern)]
        if not matching:
            here = tree.near("classes", index)
            meant = near(pattern, [c.value for c in AlarmClass]) or "fire.*"
            report.error(here.file, here.line, here.column, "bad-value", "class-unknown", value=pattern, known=meant)
        chosen += matching
    return tuple(dict.fromkeys(chosen))


def _point(tree: Tree, text: str, found: Found, report: Report) -> tuple[PointKey, Point] | None:
    points = {f"{d.id}/{p.key}": (PointKey(d.id, p.key), p) for d, _ in found for p in d.points}
    if text not in points:
        writable = [name for name, (_, p) in points.items() if p.writable]
        meant = near(text, points) or (writable[0] if writable else "relay1/horn")
        report.error(tree.file, tree.line, tree.column, "bad-value", "point-unknown", value=text, known=meant)
        return None
    key, point = points[text]
    if not point.writable:
        report.error(tree.file, tree.line, tree.column, "bad-value", "point-fixed", value=text)
        return None
    return key, point


def sounders(
    forms: Sequence[SounderForm] | None, trees: Sequence[Tree], found: Found, report: Report
) -> tuple[Sounder, ...]:
    """The site's sounders; without a word about them, every writable point ``horn`` sounds for the usual classes."""
    if forms is None:
        horns = [PointKey(d.id, p.key) for d, _ in found for p in d.points if p.key == "horn" and p.writable]
        nowhere = Tree({}, "", 1, 1)
        at_once, ladder = (classes_of(patterns, nowhere, report) for patterns in (_AT_ONCE, _LADDER))
        return tuple(
            Sounder(horn, classes, start)
            for horn in horns
            for classes, start in ((at_once, SounderStart.AT_ONCE), (ladder, SounderStart.LADDER))
        )
    made: list[Sounder] = []
    for form, tree in zip(forms, trees, strict=True):
        target = _point(tree.near("point"), form.point, found, report)
        classes = classes_of(form.classes, tree, report)
        if target is not None:
            made.append(Sounder(target[0], classes, SounderStart(form.when)))
    return tuple(made)


def linkages(forms: Sequence[LinkageForm], trees: Sequence[Tree], found: Found, report: Report) -> tuple[Linkage, ...]:
    """What alarms set. A valve is closed, never opened, whatever its profile would let us write."""
    made: list[Linkage] = []
    devices = {d.id: d for d, _ in found}
    for form, tree in zip(forms, trees, strict=True):
        target = _point(tree.near("point"), form.point, found, report)
        classes = classes_of(form.classes, tree, report)
        if target is None:
            continue
        key, _ = target
        here = tree.near("value")
        at = (here.file, here.line, here.column, "bad-value")
        write = devices[key.device].wire["points"][key.point]["write"]
        if form.value is not True and ("valve" in key.point or ("off" in write and write["off"] is None)):
            report.error(*at, "valve-open")
        elif "on" in write and not isinstance(form.value, bool):
            report.error(*at, "linkage-value", value=form.value, point=form.point)
        else:
            made.append(Linkage(key, form.value, classes, form.priority, form.triggers))
    return tuple(made)


def check_told(
    found: Found, told: Sequence[Sounder], roster: bool, duty_room: bool, tree: Tree, report: Report
) -> None:
    """A finding for each priority-1 class that neither a sounder nor the roster would tell of (DESIGN §4.15).

    The duty room does not count: its silence is one of the things that must be told on site.
    """
    if roster:
        return
    covered = {c for s in told for c in s.classes}
    first: dict[AlarmClass, Tree] = {}
    for device, at in found:
        for rule in device.rules:
            if rule.level == 1:
                first.setdefault(rule.alarm_class, at.near("profile"))
    if duty_room:
        first.setdefault(AlarmClass.DUTY_ROOM_UNHEARD, tree.near("duty_room"))
    for alarm_class, here in first.items():
        if alarm_class not in covered:
            report.error(here.file, here.line, here.column, "untold-class", "untold", value=alarm_class.value)


def check_watched(found: Found, report: Report) -> None:
    """A warning, once per profile and link, for devices whose death nobody would notice."""
    groups: dict[tuple[str, str], list[tuple[Device, Tree]]] = {}
    for device, tree in found:
        groups.setdefault((device.link, device.profile), []).append((device, tree))
    for (link, profile), members in groups.items():
        device, tree = members[0]
        here = tree.near("profile")
        at = (here.file, here.line, here.column, "unwatched-device")
        poll_s = device.wire.get("poll_s")
        if device.supervise_s is None and device.wire.get("watched_by"):
            continue
        if device.supervise_s is None:
            report.warning(*at, "unwatched", count=len(members), profile=profile, link=link)
        elif poll_s is not None and device.supervise_s < 2 * poll_s:
            report.warning(*at, "unwatched-slow", profile=profile, poll=poll_s, supervise=device.supervise_s)


def check_speed(links: Sequence[tuple[LinkSettings, Tree]], found: Found, report: Report) -> None:
    """A finding for a serial bus that sees an alarm or a silence too late, also when some of its slaves die."""
    for settings, tree in links:
        mine = [d for d, _ in found if d.link == settings.id]
        if settings.kind not in BUS_KINDS or not mine:
            continue
        o = settings.options
        speaks = (o["baudrate"], o["parity"], o["stopbits"], o["timeout_s"])
        bus = load(mine, *speaks)
        here = tree.near("baudrate")
        at = (here.file, here.line, here.column, "too-slow-bus")
        slowest = min(mine, key=lambda d: d.supervise_s or math.inf)
        limit = f"{DETECT_S:g}"
        if bus.life_safety and bus.detect_s > DETECT_S:
            quick, move = what_helps(mine, *speaks, DETECT_S)
            key = "slow-detect" if quick is not None else "slow-detect-move"
            scan = f"{bus.detect_s:.1f}"
            report.error(
                *at, key, link=settings.id, count=bus.life_safety, scan=scan, limit=limit, move=move, baudrate=quick
            )
        elif slowest.supervise_s is not None and bus.round_s > slowest.supervise_s:
            scan, limit = f"{bus.round_s:.1f}", f"{slowest.supervise_s:g}"
            report.error(
                *at, "slow-supervise", link=settings.id, count=bus.devices, device=slowest.id, scan=scan, limit=limit
            )
        elif bus.life_safety and (dying := load(mine, *speaks, dead=DEAD_BORNE)).dead_s > DETECT_S:
            scan = f"{dying.dead_s:.1f}"
            report.warning(
                *at, "slow-dead", link=settings.id, dead=DEAD_BORNE, scan=scan, limit=limit, timeout=o["timeout_s"]
            )
