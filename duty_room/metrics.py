"""The duty room's counters, in a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.decide.rates import COUNTERS, FIGURES, Rates
from edge.model import AlarmEvent

OF_ROOM = ("current", "maximum", "average_per_hour", "flood", "chattering")
"""Figures of all gateways together: what the people of this room are asked to take. Ages are each gateway's own."""


class _RateCollector:
    """Asks at every scrape; keeps nothing."""

    def __init__(self, rates: Rates, monotonic: Callable[[], float]) -> None:
        self._rates, self._monotonic = rates, monotonic

    def collect(self) -> Iterator[Metric]:
        """By the names that the gateway has for them."""
        figures = self._rates.figures((), self._monotonic(), 0)
        for key in OF_ROOM:
            yield GaugeMetricFamily(*FIGURES[key], value=float(getattr(figures, key)))
        for key, (name, words) in COUNTERS.items():
            yield CounterMetricFamily(name, words, value=float(getattr(figures, key)))


class Metrics:
    """Names as in the contract where the meaning is the same as on the gateway."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self.rates = Rates(monotonic())
        self.registry.register(_RateCollector(self.rates, monotonic))
        self._monotonic = monotonic
        self.committed = Counter(
            "linli_events_committed", "Events of gateways committed", ["gateway"], registry=self.registry
        )
        self.rejected = Counter(
            "linli_input_rejected", "Input refused", ["driver", "cause"], registry=self.registry
        )
        self.commit_s = Histogram(
            "linli_commit_seconds",
            "Time of one transaction",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.incidents = Gauge("linli_incidents", "Open incidents", ["state", "priority"], registry=self.registry)
        self.gateways = Gauge("linli_gateway_heard", "1 heard, 0 lost, -1 unknown", ["gateway"], registry=self.registry)
        self.streams = Gauge("linli_streams", "Open live streams", registry=self.registry)
        self.open_streams = 0
        self.audible = Gauge("linli_audible", "1 when a console can be heard", registry=self.registry)
        self.notices = Counter("linli_notices", "Notices by outcome", ["outcome"], registry=self.registry)
        self.broker_up = Gauge("linli_link_up", "1 when the link is up", ["link"], registry=self.registry)

    def took(self, gateway: str, event: AlarmEvent) -> None:
        """One event of a gateway was committed."""
        self.committed.labels(gateway).inc()
        self.rates.note([event], self._monotonic())

    def reject(self, cause: str) -> None:
        """Count one refused input."""
        self.rejected.labels("duty_room", cause).inc()

    def page(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self.registry)
