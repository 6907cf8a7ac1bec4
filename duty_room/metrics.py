"""The duty room's counters, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Names as in the contract where the meaning is the same as on the gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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

    def reject(self, cause: str) -> None:
        """Count one refused input."""
        self.rejected.labels("duty_room", cause).inc()

    def page(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self.registry)
