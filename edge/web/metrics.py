"""/metrics: the figures of CONTRACT, read from the gateway at the moment of the scrape."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from edge.model import Quality
from edge.web.view import GatewayView

COMMIT_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
"""Around the promise: input to committed p99 below 10 ms."""


class Durations:
    """A histogram of durations that needs no library: whoever commits calls ``observe``."""

    def __init__(self, bounds_s: Sequence[float] = COMMIT_BOUNDS_S) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """One commit took this long."""
        self._counts[bisect.bisect_left(self._bounds_s, seconds)] += 1
        self.sum_s += seconds

    @property
    def buckets(self) -> tuple[tuple[float, int], ...]:
        """(upper bound, how many at most that long), the last bound is infinity."""
        total, found = 0, []
        for bound, count in zip((*self._bounds_s, math.inf), self._counts, strict=True):
            total += count
            found.append((bound, total))
        return tuple(found)


class _Collector:
    """Asks the view at every scrape; keeps nothing."""

    def __init__(self, view: GatewayView) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """The families of CONTRACT, by their exact names."""
        figures = self._view.figures()
        yield CounterMetricFamily(
            "linli_events_committed", "Alarm events committed to the journal.", value=figures.events_committed
        )
        yield GaugeMetricFamily(
            "linli_outbox_rows", "Events the duty room has not receipted.", value=figures.outbox_rows
        )
        alarms = GaugeMetricFamily("linli_alarms", "Open alarms.", labels=["class", "state"])
        by_state = Counter((alarm.last.alarm_class, alarm.last.state) for alarm in self._view.alarms())
        for (alarm_class, alarm_state), count in by_state.items():
            alarms.add_metric([alarm_class, alarm_state], count)
        yield alarms
        points = GaugeMetricFamily("linli_points", "Points by quality of their newest reading.", labels=["quality"])
        by_quality = Counter(p.quality for p in self._view.points())
        for quality in Quality:
            points.add_metric([quality], by_quality[quality])
        yield points
        up = GaugeMetricFamily("linli_link_up", "1 while the link is up.", labels=["link"])
        for link, state in self._view.links().items():
            up.add_metric([link], 1 if state == "up" else 0)
        yield up
        shed = CounterMetricFamily("linli_shed", "Items given up because a bound was reached.", labels=["lane"])
        for lane, count in figures.shed.items():
            shed.add_metric([lane], count)
        yield shed
        rejected = CounterMetricFamily("linli_input_rejected", "Inputs that made no sense.", labels=["driver", "cause"])
        for (driver, cause), count in figures.rejected.items():
            rejected.add_metric([driver, cause], count)
        yield rejected
        for name, words, value in figures.gauges:
            yield GaugeMetricFamily(name, words, value=value)
        for name, words, value in figures.counters:
            yield CounterMetricFamily(name, words, value=value)
        uplinks = GaugeMetricFamily("linli_uplink_up", "1 while the other side answers.", labels=["uplink"])
        for uplink, connected in figures.uplinks.items():
            uplinks.add_metric([uplink], 1 if connected else 0)
        yield uplinks
        buckets = figures.commit_buckets or ((math.inf, 0),)
        commits = HistogramMetricFamily("linli_commit_seconds", "Duration of a journal commit.")
        named = [("+Inf" if math.isinf(bound) else repr(bound), float(count)) for bound, count in buckets]
        commits.add_metric([], named, figures.commit_sum_s)
        yield commits


class Scrape:
    """Renders the Prometheus text format."""

    def __init__(self, view: GatewayView) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(view))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """One scrape."""
        return generate_latest(self._registry)
