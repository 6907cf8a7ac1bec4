"""The gateway as its doors see it: the local API, the duty room's heartbeat and site message, the city's snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

from cloud_bridge.bridge import Uplink
from cloud_bridge.duty_room_link import DutyRoomLink, Vitals
from cloud_bridge.messages import FloorCount, SiteMessage
from cloud_bridge.summary import Snapshot, snapshot_of
from edge.config import Building
from edge.decide.alarms import Alarm
from edge.decide.rates import COUNTERS, FIGURES, Rates
from edge.flow.devices import PointView
from edge.flow.engine import Engine
from edge.model import Clock, Command, CommandOutcome, Condition, Device, Outcome, TryLater, Write, WriteFn
from edge.ports import Clockwork, Entry
from edge.web import Durations, Figures

LinkWord = Literal["up", "down", "unknown"]


class Counters:
    """Rejected input by (driver, cause), and what was committed. Counts since start."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.shed: Counter[str] = Counter()
        self.events = 0
        self.rates = Rates(monotonic())
        self._monotonic = monotonic

    def saved(self, entry: Entry) -> None:
        """Listener of the commit point."""
        self.events += len(entry.events)
        self.rates.note(entry.events, self._monotonic())

    def reject(self, driver: str, cause: str) -> None:
        """One input of this driver was refused."""
        self.rejected[driver, cause] += 1


class Views:
    """edge.web.GatewayView, and the two callables the bridge asks."""

    def __init__(
        self,
        building: Building,
        engine: Engine,
        clock: Clockwork,
        trust: Clock | None,
        counters: Counters,
        commits: Durations,
    ) -> None:
        self._building = building
        self._engine = engine
        self._clock = clock
        self.trust = trust or Clock.UNSYNCED
        self._counters = counters
        self._commits = commits
        self.duty_room: DutyRoomLink | None = None
        self.uplinks: dict[str, Uplink] = {}
        self.write: WriteFn | None = None

    # edge.web.GatewayView

    def now_ms(self) -> int:
        """Wall time."""
        return self._clock.wall_ms()

    def points(self) -> Sequence[PointView]:
        """Every configured point."""
        return self._engine.points()

    def alarms(self) -> Sequence[Alarm]:
        """Every open alarm."""
        return self._engine.alarms()

    def links(self) -> Mapping[str, str]:
        """Link id → up, down or unknown."""
        return self._engine.link_states()

    def devices(self) -> Sequence[Device]:
        """Every configured device."""
        return self._building.devices

    async def command(self, command: Command) -> CommandOutcome:
        """The one door for wishes."""
        return await self._engine.command(command)

    async def set_point(self, write: Write) -> Outcome:
        """Set a point through the supervisor of its link."""
        return TryLater("the gateway is still starting") if self.write is None else await self.write(write)

    def checks(self) -> Mapping[str, str]:
        """What must stand for the gateway to be ready."""
        checks = {"journal": "ok" if self._engine.commit.durable else "the disk takes no commits: free space on it"}
        if self._building.duty_room is not None:
            connected = self.duty_room is not None and self.duty_room.connected
            checks["broker"] = "ok" if connected else "the duty room's broker is not connected"
        for ident, state in self._engine.links.items():
            checks[f"link {ident}"] = "ok" if state.up else (state.why or "not open yet")
        return checks

    def figures(self) -> Figures:
        """Counts since start."""
        now = (self._clock.monotonic(), self._clock.wall_ms())
        rates = self._counters.rates.figures(self._engine.alarms(), *now)
        return Figures(
            events_committed=self._counters.events,
            outbox_rows=len(self._engine.unreceipted),
            shed=dict(self._counters.shed),
            rejected=dict(self._counters.rejected),
            commit_buckets=self._commits.buckets,
            commit_sum_s=self._commits.sum_s,
            gauges=[(name, words, float(getattr(rates, key))) for key, (name, words) in FIGURES.items()],
            counters=[(name, words, float(getattr(rates, key))) for key, (name, words) in COUNTERS.items()],
            uplinks={name: bool(getattr(link, "connected", False)) for name, link in self.uplinks.items()},
        )

    # The bridge

    def vitals(self) -> Vitals:
        """What a heartbeat tells."""
        engine = self._engine
        links = cast("Mapping[str, LinkWord]", engine.link_states())
        unreceipted, durable = len(engine.unreceipted), engine.commit.durable
        return Vitals(engine.commit.head, self.trust, links, len(engine.book.by_id), unreceipted, durable)

    def site(self) -> SiteMessage:
        """The building's shape, and how many devices of each kind can be trusted on each floor."""
        site = self._building.site
        total: Counter[tuple[str | None, int | None, str, bool]] = Counter()
        online: Counter[tuple[str | None, int | None, str, bool]] = Counter()
        now_s = self._clock.monotonic()
        for state in self._engine.devices.devices.values():
            device = state.device
            key = (device.place.unit, device.place.floor, device.kind, device.life_safety)
            total[key] += 1
            link = self._engine.links[device.link]
            heard = state.offline(now_s) is Condition.OFF or (device.supervise_s is None and not state.said_offline)
            online[key] += bool(link.up and heard)
        counts = [
            FloorCount(unit=unit, floor=floor, kind=kind, life_safety=life, total=count, online=online[key])
            for key, count in sorted(total.items(), key=str)
            for unit, floor, kind, life in (key,)
        ]
        return SiteMessage(
            community=site.community,
            grid=site.grid,
            micro_grid=site.micro_grid,
            building=site.building,
            units=list(site.units),
            floors=site.floors,
            households_per_floor=site.households_per_floor,
            counts=counts,
        )

    def snapshot(self) -> Snapshot:
        """The building as it is now, for the city's summary."""
        return snapshot_of(
            self._building.devices,
            self._engine.points(),
            self._engine.alarms(),
            links=self._engine.link_states(),
            passages=self._engine.passages,
            sheds=self._counters.shed,
            clock=self.trust,
        )
