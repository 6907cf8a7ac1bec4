"""Who is heard: gateways by their heartbeats, consoles by their health reports.

A gateway is unknown at start until it is heard or 90 s have passed; lost is an incident of the duty room's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud_bridge.messages import DutyMessage, Heard, HeartbeatMessage
from duty_room import incidents
from duty_room.incident import State
from duty_room.limits import CONSOLE_HEALTH_S
from duty_room.registry import Registry
from duty_room.store import rows
from duty_room.store.store import Tx
from edge.limits import PEER_LOST_S
from edge.model import (
    CLASSES,
    AlarmClass,
    AlarmEvent,
    AlarmState,
    Clock,
    Condition,
    EventKind,
    Place,
    rfc3339,
)


@dataclass(slots=True)
class GatewayView:
    """What is known of one gateway. *_s are monotonic instants."""

    id: str
    since_s: float
    state: str = "unknown"
    last_s: float | None = None
    last_ms: int | None = None
    beat: HeartbeatMessage | None = None
    online: bool | None = None
    lost_told: bool | None = None
    """Whether the incident says lost (None: not yet read from the database after a start)."""

    def body(self) -> dict[str, Any]:
        """As in the snapshot and the stream's hb."""
        beat = self.beat
        return {
            "id": self.id,
            "state": self.state,
            "last_heard_at": rfc3339(self.last_ms),
            "links": dict(beat.links) if beat and self.state == "heard" else _unknown(beat),
            "clock": beat.clock.value if beat else None,
            "open": beat.open if beat else None,
            "outbox": beat.outbox if beat else None,
            "durable": beat.durable if beat else None,
        }


def _unknown(beat: HeartbeatMessage | None) -> dict[str, str]:
    """Yesterday's calm is never shown as today's: the links of a silent gateway are unknown."""
    return dict.fromkeys(beat.links, "unknown") if beat else {}


@dataclass(slots=True)
class Console:
    """One console's last health report."""

    name: str
    heard_s: float
    sound: bool
    stream: bool
    on_duty: tuple[str, ...] = field(default=())


class Watch:
    """All of it in memory; only gateway.lost becomes rows."""

    def __init__(
        self, gateways: Sequence[str], monotonic: Callable[[], float], wall_ms: Callable[[], int], duty_room: str
    ) -> None:
        self._monotonic = monotonic
        self._wall_ms = wall_ms
        self._duty_room = duty_room
        now = monotonic()
        self.gateways = {g: GatewayView(g, now) for g in gateways}
        self._consoles: dict[str, Console] = {}

    # ------------------------------------------------------------------ what comes in
    def beat(self, gateway: str, beat: HeartbeatMessage) -> None:
        """A heartbeat of a known gateway."""
        view = self.gateways[gateway]
        view.beat = beat
        view.last_s = self._monotonic()
        view.last_ms = self._wall_ms()
        view.state = "heard"

    def console(self, key: str, name: str, sound: bool, stream: bool, on_duty: Sequence[str]) -> None:
        """A console says whether somebody can hear it."""
        now = self._monotonic()
        self._consoles[key] = Console(name, now, sound, stream, tuple(on_duty))
        self._consoles = {k: c for k, c in self._consoles.items() if now - c.heard_s < 10 * CONSOLE_HEALTH_S}

    # ------------------------------------------------------------------ what follows
    def _present(self) -> list[Console]:
        now = self._monotonic()
        return [c for c in self._consoles.values() if now - c.heard_s <= CONSOLE_HEALTH_S]

    @property
    def audible(self) -> bool:
        """A console with sound on and a live stream has said so within 30 s."""
        return any(c.sound and c.stream for c in self._present())

    @property
    def on_duty(self) -> list[str]:
        """Names at the consoles."""
        names = [name for c in self._present() for name in (c.on_duty or (c.name,))]
        return list(dict.fromkeys(names))

    def duty(self, gateway: str) -> DutyMessage:
        """What the gateway is told every 10 s. heard echoes its own heartbeat: it then knows that both ways work."""
        view = self.gateways[gateway]
        beat = view.beat if view.state == "heard" else None
        return DutyMessage(
            duty_room=self._duty_room,
            at=str(rfc3339(self._wall_ms())),
            heard=Heard(boot_id=beat.boot_id, seq=beat.seq) if beat else None,
            audible=self.audible,
            on_duty=self.on_duty,
        )

    def moved(self) -> list[tuple[GatewayView, bool]]:
        """Gateways whose incident must be raised (True) or cleared (False), judged now."""
        now = self._monotonic()
        work: list[tuple[GatewayView, bool]] = []
        for view in self.gateways.values():
            silent_s = now - (view.last_s if view.last_s is not None else view.since_s)
            if silent_s >= PEER_LOST_S:
                view.state = "lost"
            if view.state != "unknown" and view.lost_told != (view.state == "lost"):
                work.append((view, view.state == "lost"))
        return work

    def bodies(self) -> list[dict[str, Any]]:
        """All gateways for snapshot and stream."""
        return [view.body() for view in self.gateways.values()]


def lost_event(tx: Tx, gateway: str, lost: bool, registry: Registry) -> AlarmEvent | None:
    """The duty room's own alarm about a silent gateway, as an event to fold; None when it already says so."""
    key = f"lost/{gateway}"
    number = int(rows.meta(tx.conn, key) or 1)
    alarm_id = f"duty-room/{gateway}/gateway.lost/{number}"
    old = rows.load(tx.conn, incidents.incident_id(gateway, alarm_id))
    if lost and old is not None and old.state is State.CLOSED:
        rows.set_meta(tx, key, str(number + 1))
        alarm_id, old = f"duty-room/{gateway}/gateway.lost/{number + 1}", None
    view = old.alarm(alarm_id) if old else None
    if (view is not None and view.condition is Condition.ON) == lost:
        return None
    seq = view.seq + 1 if view else 1
    was_open = view is not None and view.state not in (AlarmState.NORM, AlarmState.RTNUN)
    if lost:
        kind = EventKind.RAISED if view is None or view.state is AlarmState.NORM else EventKind.REPEATED
        state = AlarmState.UNACK
    else:
        kind = EventKind.CLEARED
        answered = was_open and view is not None and view.state is AlarmState.ACKED
        state = AlarmState.NORM if answered else AlarmState.RTNUN
    site = registry.sites.get(gateway)
    return AlarmEvent(
        event_id=f"{alarm_id}/{seq}",
        alarm_id=alarm_id,
        kind=kind,
        alarm_class=AlarmClass.GATEWAY_LOST,
        priority=CLASSES[AlarmClass.GATEWAY_LOST].priority,
        state=state,
        condition=Condition.ON if lost else Condition.OFF,
        device=gateway,
        point=None,
        place=Place(community=site.community, building=site.building) if site else Place(text=gateway),
        value=None,
        unit=None,
        observed_ms=None,
        received_ms=tx.now_ms,
        clock=Clock.SYNCED,
        seq=seq,
    )
