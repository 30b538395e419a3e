"""How much data there is, of when, and who sent it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.operate.attributes import key_values
from collector.operate.bench.load.emitters import scope
from collector.operate.bench.load.template import field as wire_field
from collector.query.time_range import TimeRange

DAY_NS: Final = 86_400 * 10**9
DAY_US: Final = 86_400 * 10**6
MINUTE_NS: Final = 60 * 10**9

_PRODUCTS = (
    "billing", "booking", "delivery", "fraud", "identity",
    "inventory", "ledger", "pricing", "search", "support",
)  # fmt: skip
_PARTS = ("api", "worker", "cache", "store", "edge")
SERVICES: Final = tuple(f"{product}-{part}" for product in _PRODUCTS for part in _PARTS)
"""None of them is one of the load's, which is written beside the questions."""

INSTANCES: Final = 2 * len(SERVICES)
"""Instance ``i`` is one of service ``i % len(SERVICES)``."""
INSTANCE_WEIGHTS: Final = tuple(
    accumulate(1 / (instance % len(SERVICES) + 4) for instance in range(INSTANCES))
)
"""Cumulative, as ``random.choices`` takes them."""


def _minute() -> int:
    return time.time_ns() // MINUTE_NS * MINUTE_NS


@dataclass(frozen=True, slots=True)
class Shape:
    """How much there is in all days together, and when they end.

    Attributes:
        spans: about; a trace is not cut.
        logs: exactly, but for what the days do not divide evenly.
        points: about; there are at least two series per service.
        days: of 24 h each.
        interval_s: between two points of a series; divides an hour.
        end_unix_ns: of the last day; a full minute.
        seed: another seed, other ids, times and words.
    """

    spans: int = 5_000_000
    logs: int = 5_000_000
    points: int = 20_000_000
    days: int = 7
    interval_s: int = 60
    seed: int = 1
    end_unix_ns: int = field(default_factory=_minute)

    def scaled(self, share: float) -> Shape:
        """Return the same with so large a part of the items."""
        return replace(
            self,
            spans=round(self.spans * share),
            logs=round(self.logs * share),
            points=round(self.points * share),
        )

    @property
    def begin_unix_ns(self) -> int:
        """When the last day begins."""
        return self.end_unix_ns - DAY_NS

    @property
    def points_per_day(self) -> int:
        """Points of one series in a day."""
        return 86_400 // self.interval_s

    @property
    def numbers_per_service(self) -> int:
        """Series of gauges and sums of each service, beside its histogram."""
        per_service = self.points / (self.points_per_day * self.days * len(SERVICES))
        return max(1, round(per_service) - 1)

    def day(self, before: int = 0) -> TimeRange:
        """Return the range of the last day, or of one so many days before it."""
        shift = before * DAY_NS
        return TimeRange.from_unix_ns(self.begin_unix_ns - shift, self.end_unix_ns - shift)

    def last_hour(self) -> TimeRange:
        """Return the range of the last hour."""
        return TimeRange.from_unix_ns(self.end_unix_ns - 60 * MINUTE_NS, self.end_unix_ns)

    def all_days(self) -> TimeRange:
        """Return the range of everything."""
        return TimeRange(self.day(self.days - 1).start, self.day().end)

    def rng(self, purpose: str) -> random.Random:
        """Return randomness that is the same for the same seed and purpose."""
        return random.Random(f"{self.seed} {purpose}")


def resource(instance: int) -> bytes:
    """Return the field of an instance's resource as it begins a ``ResourceSpans`` and the like."""
    service = SERVICES[instance % len(SERVICES)]
    values = {
        "service.name": service,
        "service.namespace": "platform",
        "service.instance.id": f"{service}-{instance:03d}",
        "service.version": "4.2.0",
        "k8s.cluster.name": "production-eu",
        "k8s.node.name": f"node-{instance % 12:02d}",
        "k8s.pod.name": f"{service}-7d9f8c6b5-{instance:03d}",
        "telemetry.sdk.language": "java",
    }
    return wire_field(1, Resource(attributes=key_values(values)).SerializeToString())


def scope_field(name: str) -> bytes:
    """Return the field of a scope as it begins a ``ScopeSpans`` and the like."""
    return wire_field(1, scope(name).SerializeToString())


def on_day(raw_id: bytes, before: int) -> bytes:
    """Return the id that a trace or span of the last day has so many days before; as ``copies``."""
    return bytes((raw_id[0] ^ before,)) + raw_id[1:]
