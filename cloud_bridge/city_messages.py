"""What the city gets, typed: summaries and de-identified alarm facts (topics under ``linli/v1/<gateway>/``).

No names, phones, households, stairs, floors, devices or points: classes, places down to the grid, times and counts
(DESIGN §4.17). The JSON Schema files under docs/schema are generated from these models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cloud_bridge.messages import Message, Time
from edge.model import AlarmClass, AlarmState, Clock, Condition, EventKind

DeviceState = Literal["normal", "alarm", "fault", "offline", "unknown", "unsupervised"]
Share = float | None


class Part(BaseModel):
    """A part of a message: frozen, unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class CityPlace(Part):
    """Where, as far as the city may know."""

    community: str
    grid: str | None = None


class FactMessage(Message):
    """``fact`` QoS 1, gateway → city: something happened to an alarm; by whom and in which flat is left out.

    fact_id: ``<gateway>/<seq>``; seq is gap-free per gateway, so the city sees what was shed. alarm: the same
    for all facts of one alarm, and means nothing outside. answered: a named person acted.
    """

    fact_id: str
    gateway: str
    seq: int = Field(ge=1)
    alarm: str
    kind: EventKind
    alarm_class: AlarmClass = Field(alias="class")
    priority: int = Field(ge=1, le=4)
    state: AlarmState
    condition: Condition
    place: CityPlace
    at: Time
    clock: Clock
    answered: bool = False
    late: bool = False
    test: bool = False
    replay: bool = False


class AlarmCounts(Part):
    """Alarms of one class in the window. open: at its end. response: first ring to a named person, seconds."""

    raised: int = 0
    repeated: int = 0
    acknowledged: int = 0
    cleared: int = 0
    open: int = 0
    response_p50_s: float | None = None
    response_p90_s: float | None = None


class Protection(Part):
    """Life-safety points, and how many of them can be trusted at the end of the window."""

    life_safety_points: int
    protected: int
    share: Share


class BinCounts(Part):
    """Bins at the end of the window. known: those with a fill level; fill in percent."""

    total: int = 0
    known: int = 0
    full: int = 0
    overheated: int = 0
    fill_mean: float | None = None
    fill_max: float | None = None


class Lost(Part):
    """What the store-and-forward queue to the city has ever given up, and between which times that was made."""

    summaries: int = 0
    facts: int = 0
    first_at: Time | None = None
    last_at: Time | None = None


class SummaryMessage(Message):
    """``summary`` QoS 1, gateway → city, at the end of each window; id is ``<gateway>/<window start>``.

    covered_s: how much of the window this process saw (a start in the middle sees less). devices: device class →
    state → count. links: share of the covered time the link was up. passages: by device class, counts only.
    sheds: lane → items given up since start. windows: how many windows it stands for: those that came late are
    put together by the hour, under the id of the first with ``+N``.
    """

    id: str
    gateway: str
    place: CityPlace
    window_start: Time
    window_end: Time
    covered_s: float = Field(ge=0)
    devices: dict[str, dict[DeviceState, int]]
    alarms: dict[AlarmClass, AlarmCounts]
    protection: Protection
    bins: BinCounts
    passages: dict[str, int]
    links: dict[str, Share]
    sheds: dict[str, int]
    lost: Lost
    clock: Clock
    version: str
    config_hash: str
    replay: bool = False
    windows: int = Field(default=1, ge=1)


class CaseMessage(Message):
    """``case`` QoS 1, city → gateway: what the city made of an alarm. The bridge never closes a case of the city.

    alarm: the mark of the facts. state: 立案 filed, 派遣 dispatched, 处置 handled, 结案 closed.
    """

    alarm: str = Field(max_length=64)
    case: str = Field(max_length=64)
    state: Literal["filed", "dispatched", "handled", "closed"]
    at: Time
