"""From the snapshots of all processes to one Prometheus text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family

from collector.telemetry.metrics import Declared, Gauge, Histogram, Metric, Metrics, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ITEMS = Metrics().items.name
_GAUGES = frozenset(metric.name for metric in Metrics().all() if isinstance(metric, Gauge))


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the sum of ``snapshots``, series by series; histograms bucket by bucket."""
    total: dict[str, dict[tuple[str, ...], Any]] = {}
    for snapshot in snapshots:
        for name, cells in snapshot.items():
            series = total.setdefault(name, {})
            for labels, value in cells:
                key = tuple(labels)
                series[key] = _add(series[key], value) if key in series else value
    return {
        name: [[list(labels), value] for labels, value in series.items()]
        for name, series in total.items()
    }


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, list):
        pairs = zip(cast("list[float]", left), cast("list[float]", right), strict=True)
        return [a + b for a, b in pairs]
    return left + right


def retire(snapshot: Snapshot) -> Snapshot:
    """Return what stays true of a process that is gone: its counts, not its gauges.

    Added to the living ones' snapshots it keeps the sums from going backwards. What it had received
    and not ended when it died counts as refused, which is what its senders saw: a broken call that
    they may try again. So the books of a daemon balance although a worker was killed.
    """
    counts = {name: cells for name, cells in snapshot.items() if name not in _GAUGES}
    return merge((counts, {_ITEMS: _unended(counts.get(_ITEMS, []))}))


def _unended(cells: list[list[Any]]) -> list[list[Any]]:
    """Return per signal, as refused, the received items that have none of the five ends."""
    left: dict[str, float] = {}
    for (signal, end), items in cells:
        left[signal] = left.get(signal, 0) + (items if end == "received" else -items)
    return [[[signal, "refused"], items] for signal, items in left.items() if items > 0]


class _Families:
    """What prometheus_client asks for metrics: the declared ones with the values of a snapshot."""

    def __init__(self, snapshot: Snapshot, declared: Declared) -> None:
        self._snapshot = snapshot
        self._declared = declared

    def collect(self) -> Iterator[Family]:
        for metric in self._declared.all():
            yield _family(metric, self._snapshot.get(metric.name, []))


def _family(metric: Metric, cells: list[list[Any]]) -> Family:
    if isinstance(metric, Histogram):
        histogram = HistogramMetricFamily(
            metric.name, metric.documentation, labels=metric.label_names
        )
        for labels, counts in cells:
            histogram.add_metric(labels, _cumulative(metric.bounds, counts), counts[-1])
        return histogram
    kind = GaugeMetricFamily if isinstance(metric, Gauge) else CounterMetricFamily
    family = kind(metric.name, metric.documentation, labels=metric.label_names)
    for labels, value in cells:
        family.add_metric(labels, value)
    return family


def _cumulative(bounds: tuple[float, ...], counts: list[float]) -> list[tuple[str, float]]:
    """Return (upper bound, items up to it); ``counts`` holds one per bucket, +Inf and the sum."""
    total = 0.0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*bounds, float("inf")), counts[:-1], strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), total))
    return buckets


def render(snapshot: Snapshot, declared: Declared | None = None) -> bytes:
    """Return ``snapshot`` in Prometheus' text format; every declared metric has its header.

    ``declared`` are the metrics that a snapshot of this program may hold; the daemon's by default.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast("Any", _Families(snapshot, declared or Metrics())))
    return generate_latest(registry)
