"""PURE: what happened in a window, counted for the city. Time and state are passed in."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloud_bridge.city_messages import (
    AlarmCounts,
    BinCounts,
    CityPlace,
    DeviceState,
    FactMessage,
    Lost,
    Protection,
    SummaryMessage,
)
from edge.model import (
    CLASSES,
    RINGING_KINDS,
    AlarmClass,
    AlarmEvent,
    Clock,
    Condition,
    Device,
    EventKind,
    Quality,
    Value,
    rfc3339,
)

HOUR_MS = 3_600_000
WAITING_MAX = 4096
"""Alarms whose answer is awaited; in a larger storm the oldest no longer count for response times."""
FILL_POINT = "fill_percent"
"""Point of a bin that carries its fill level in percent."""


class PointLike(Protocol):
    """The newest reading of one point."""

    @property
    def device(self) -> str: ...
    @property
    def point(self) -> str: ...
    @property
    def value(self) -> Value | None: ...
    @property
    def quality(self) -> Quality: ...


class AlarmLike(Protocol):
    """One open alarm; last is its newest event."""

    @property
    def last(self) -> AlarmEvent: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The building at one moment. passages and sheds: counts since start. links: up, down or unknown."""

    devices: Mapping[str, Mapping[DeviceState, int]]
    open: Mapping[AlarmClass, int]
    protection: Protection
    bins: BinCounts
    passages: Mapping[str, int]
    links: Mapping[str, str]
    sheds: Mapping[str, int]
    clock: Clock


@dataclass(frozen=True, slots=True)
class Frame:
    """What every summary of a gateway has in common."""

    gateway: str
    place: CityPlace
    version: str
    config_hash: str


def window_of(now_ms: int, every_s: float) -> tuple[int, int]:
    """The window that now is in, [start, end): steps of every_s counted from the hour, cut at the next hour."""
    hour = now_ms - now_ms % HOUR_MS
    step = max(1000, round(every_s * 1000))
    start = hour + (now_ms - hour) // step * step
    return start, min(start + step, hour + HOUR_MS)


def snapshot_of(
    devices: Sequence[Device],
    points: Iterable[PointLike],
    alarms: Iterable[AlarmLike],
    *,
    links: Mapping[str, str],
    passages: Mapping[str, int],
    sheds: Mapping[str, int],
    clock: Clock,
) -> Snapshot:
    """Count the building as it is now."""
    newest = {(point.device, point.point): point for point in points}
    now_open = [alarm.last for alarm in alarms]
    active: dict[str, set[AlarmClass]] = {}
    for event in now_open:
        if event.condition is not Condition.OFF:
            active.setdefault(event.device, set()).add(event.alarm_class)
    by_kind: dict[str, Counter[DeviceState]] = {}
    for device in devices:
        state = _device_state(device, newest, active.get(device.id, set()))
        by_kind.setdefault(device.kind, Counter())[state] += 1
    return Snapshot(
        devices=by_kind,
        open=Counter(event.alarm_class for event in now_open),
        protection=_protection(devices, newest, active, links),
        bins=_bins(devices, newest, active),
        passages=dict(passages),
        links=dict(links),
        sheds=dict(sheds),
        clock=clock,
    )


def mark_of(gateway: str, alarm_id: str, salt: bytes) -> str:
    """What an alarm is called outside: always the same, and nothing can be read from it."""
    return hmac.new(salt, f"{gateway}/{alarm_id}".encode(), hashlib.sha256).hexdigest()[:16]


def coalesce(summaries: Sequence[SummaryMessage]) -> SummaryMessage:
    """Windows that come late, one after the other, as one: counts are added, states are those at the end.

    Percentiles of several windows cannot be had from theirs: they are unknown then.
    """
    last = summaries[-1]
    if len(summaries) == 1:
        return last
    alarms: dict[AlarmClass, AlarmCounts] = {}
    passages: Counter[str] = Counter()
    covered_s = sum(summary.covered_s for summary in summaries)
    for summary in summaries:
        passages.update(summary.passages)
        for name, counts in summary.alarms.items():
            alarms[name] = _added(alarms.get(name, AlarmCounts()), counts)
    for name in alarms.keys() - last.alarms.keys():
        alarms[name] = alarms[name].model_copy(update={"open": 0})
    shares = {
        link: [(s.links[link], s.covered_s) for s in summaries if s.links.get(link) is not None]
        for link in {name for summary in summaries for name in summary.links}
    }
    links = {
        link: round(sum((share or 0.0) * s for share, s in seen) / total, 4) if total else None
        for link, seen in shares.items()
        for total in (sum(s for _, s in seen),)
    }
    windows = sum(summary.windows for summary in summaries)
    return last.model_copy(
        update={
            "id": f"{summaries[0].id}+{windows}",
            "window_start": summaries[0].window_start,
            "covered_s": round(covered_s, 1),
            "alarms": alarms,
            "passages": dict(passages),
            "links": links,
            "windows": windows,
        }
    )


def _added(one: AlarmCounts, two: AlarmCounts) -> AlarmCounts:
    return AlarmCounts(
        raised=one.raised + two.raised,
        repeated=one.repeated + two.repeated,
        acknowledged=one.acknowledged + two.acknowledged,
        cleared=one.cleared + two.cleared,
        open=two.open,
    )


def fact(event: AlarmEvent, gateway: str, place: CityPlace, salt: bytes) -> FactMessage:
    """A journaled event without anything that leads to a person or a flat."""
    mark = mark_of(gateway, event.alarm_id, salt)
    return FactMessage.model_validate(
        {
            "fact_id": f"{gateway}/{event.seq}",
            "gateway": gateway,
            "seq": event.seq,
            "alarm": mark,
            "kind": event.kind,
            "class": event.alarm_class,
            "priority": event.priority,
            "state": event.state,
            "condition": event.condition,
            "place": place,
            "at": rfc3339(event.received_ms),
            "clock": event.clock,
            "answered": event.by is not None,
            "late": event.late,
            "test": event.test,
        }
    )


@dataclass(slots=True)
class Tally:
    """Counts one window while it lasts. begun_s: monotonic time when counting began."""

    start_ms: int
    end_ms: int
    begun_s: float
    passages_before: Mapping[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    _counts: dict[AlarmClass, Counter[EventKind]] = field(default_factory=dict)
    _responses: dict[AlarmClass, list[float]] = field(default_factory=dict)
    _link_s: dict[str, float] = field(default_factory=dict)
    _seen_s: dict[str, float] = field(default_factory=dict)
    _looked_s: float | None = None

    def note(self, event: AlarmEvent) -> None:
        """One committed event; tests are practice and do not count."""
        if event.test:
            return
        self._counts.setdefault(event.alarm_class, Counter())[event.kind] += 1
        if event.kind in RINGING_KINDS:
            if len(self.waiting) >= WAITING_MAX:
                self.waiting.pop(next(iter(self.waiting)))
            self.waiting.setdefault(event.alarm_id, event.received_ms)
        elif event.kind is EventKind.ACKNOWLEDGED and event.by is not None:
            rang_ms = self.waiting.pop(event.alarm_id, None)
            if rang_ms is not None:
                taken_s = max(0, event.received_ms - rang_ms) / 1000
                self._responses.setdefault(event.alarm_class, []).append(taken_s)

    def look(self, links: Mapping[str, str], now_s: float) -> None:
        """How the links are now; the time since the last look counts for that."""
        since_s = now_s - (self.begun_s if self._looked_s is None else self._looked_s)
        self._looked_s = now_s
        for link, state in links.items():
            self._seen_s[link] = self._seen_s.get(link, 0.0) + since_s
            self._link_s[link] = self._link_s.get(link, 0.0) + (since_s if state == "up" else 0.0)

    def summary(self, frame: Frame, now: Snapshot, lost: Lost, now_s: float) -> SummaryMessage:
        """The window as the city gets it."""
        start = rfc3339(self.start_ms) or ""
        classes = sorted({*self._counts, *now.open})
        length_s = (self.end_ms - self.start_ms) / 1000
        return SummaryMessage(
            id=f"{frame.gateway}/{start}",
            gateway=frame.gateway,
            place=frame.place,
            window_start=start,
            window_end=rfc3339(self.end_ms) or "",
            covered_s=round(min(length_s, max(0.0, now_s - self.begun_s)), 1),
            devices={kind: dict(states) for kind, states in now.devices.items()},
            alarms={name: self._alarms(name, now.open.get(name, 0)) for name in classes},
            protection=now.protection,
            bins=now.bins,
            passages={kind: max(0, n - self.passages_before.get(kind, 0)) for kind, n in now.passages.items()},
            links={link: _share(self._link_s[link], seen_s) for link, seen_s in self._seen_s.items()},
            sheds=dict(now.sheds),
            lost=lost,
            clock=now.clock,
            version=frame.version,
            config_hash=frame.config_hash,
        )

    def _alarms(self, name: AlarmClass, now_open: int) -> AlarmCounts:
        counts = self._counts.get(name, Counter())
        times = sorted(self._responses.get(name, ()))
        return AlarmCounts(
            raised=counts[EventKind.RAISED],
            repeated=counts[EventKind.REPEATED],
            acknowledged=counts[EventKind.ACKNOWLEDGED],
            cleared=counts[EventKind.CLEARED],
            open=now_open,
            response_p50_s=percentile(times, 50),
            response_p90_s=percentile(times, 90),
        )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Nearest rank: a value that really occurred. None of nothing."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)], 3)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole > 0 else None


def _device_state(device: Device, newest: Mapping[tuple[str, str], PointLike], active: set[AlarmClass]) -> DeviceState:
    """The worst that is known. unsupervised: nothing but presses can ever be heard of it."""
    if any(not alarm_class.startswith("device.") for alarm_class in active):
        return "alarm"
    if AlarmClass.DEVICE_OFFLINE in active:
        return "offline"
    if active & {AlarmClass.DEVICE_FAULT, AlarmClass.DEVICE_TAMPER}:
        return "fault"
    states = [point.key for point in device.points if not point.momentary and point.read]
    if not states:
        return "unsupervised"
    known = [newest.get((device.id, key)) for key in states]
    return "normal" if all(point is not None and point.quality is not Quality.BAD for point in known) else "unknown"


def _protection(
    devices: Sequence[Device],
    newest: Mapping[tuple[str, str], PointLike],
    active: Mapping[str, set[AlarmClass]],
    links: Mapping[str, str],
) -> Protection:
    """A state is protected while its reading can be trusted, a press while its receiver is there."""
    total = protected = 0
    for device in devices:
        momentary = {point.key for point in device.points if point.momentary}
        trouble = active.get(device.id, set()) & {AlarmClass.DEVICE_OFFLINE, AlarmClass.DEVICE_FAULT}
        for key in {rule.point for rule in device.rules if CLASSES[rule.alarm_class].life_safety}:
            total += 1
            reading = newest.get((device.id, key))
            heard = key in momentary or (reading is not None and reading.quality is Quality.GOOD)
            protected += heard and not trouble and links.get(device.link) == "up"
    return Protection(life_safety_points=total, protected=protected, share=_share(protected, total))


def _bins(
    devices: Sequence[Device],
    newest: Mapping[tuple[str, str], PointLike],
    active: Mapping[str, set[AlarmClass]],
) -> BinCounts:
    bins = [device.id for device in devices if device.kind == "bin"]
    readings = [newest.get((ident, FILL_POINT)) for ident in bins]
    fills = [
        float(reading.value)
        for reading in readings
        if reading is not None and isinstance(reading.value, int | float) and not isinstance(reading.value, bool)
    ]
    return BinCounts(
        total=len(bins),
        known=len(fills),
        full=sum(AlarmClass.BIN_FULL in active.get(ident, ()) for ident in bins),
        overheated=sum(AlarmClass.BIN_OVERHEAT in active.get(ident, ()) for ident in bins),
        fill_mean=round(sum(fills) / len(fills), 1) if fills else None,
        fill_max=max(fills, default=None),
    )
