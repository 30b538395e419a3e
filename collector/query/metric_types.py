"""What is asked of metrics, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from collector.errors import BadParameterError
from collector.items import JsonValue
from collector.query.filters import Filter
from collector.query.page import Total
from collector.query.time_range import TimeRange
from collector.rows import PG_EPOCH_UNIX_US

DELTA: Final = 1
"""Spec: opentelemetry-proto metrics/v1/metrics.proto, enum AggregationTemporality."""
TEMPORALITY_BY_NUMBER: Final = {0: "unspecified", DELTA: "delta", 2: "cumulative"}

STEPS_MAX: Final = 11_000
"""Steps of one answer; 30 s over almost four days."""
_DAY_US: Final = 86_400 * 1_000_000
STEP_US_MAX: Final = 366 * _DAY_US
_KNOWN_S: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
)  # fmt: skip
SERVICES_MAX: Final = 20
"""Names of services that are given of a metric."""


class Function(StrEnum):
    """What becomes of the points of one series in one step."""

    LAST = "last"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    RATE = "rate"
    INCREASE = "increase"


class Across(StrEnum):
    """What becomes of the values of the series of one group in one step."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"


class Quantile(NamedTuple):
    """The value below which a part ``q`` of a histogram's measurements lies, 0 to 1."""

    q: float

    def __str__(self) -> str:
        return f"p{self.q * 100:.10g}"


def parse_function(text: str) -> Function | Quantile:
    """Return the function that a user wrote: a name of ``Function``, or ``p95``, ``p99.9``.

    Raises:
        BadParameterError: it is none.
    """
    if text in Function.__members__.values():
        return Function(text)
    digits = text[1:]
    if text.startswith("p") and digits.replace(".", "", 1).isdecimal() and digits.isascii():
        percent = Decimal(digits)
        if percent <= 100:
            return Quantile(float(percent / 100))
    names = ", ".join(Function)
    raise BadParameterError("function", f"must be one of {names}, or a quantile: p0 to p100")


@dataclass(frozen=True, slots=True)
class MetricQuestion:
    """Which series: of the metric of this name those that fulfil everything given.

    Attributes:
        name: exactly.
        type: of ``items.METRIC_TYPES``; needed only where a name has several.
        unit: exactly, "" for none; needed only where a name has several.
        service: exactly.
        attributes: exact texts by key, of the series, or of its resource where the series has no
            such attribute. A number or boolean equals its text.
        filter: any more terms; those on the data point's text mean the metric and its service.
    """

    name: str
    type: str | None = None
    unit: str | None = None
    service: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    filter: Filter = field(default_factory=Filter)


class Steps(NamedTuple):
    """Equal steps that cover a time range, each beginning at a multiple of its length since 1970.

    Units: microseconds since 2000-01-01 UTC.
    """

    start: int
    step: int
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] -- what it is

    @classmethod
    def of(cls, when: TimeRange, step_us: int) -> Steps:
        """Return the fewest whole steps that hold the range.

        Raises:
            BadParameterError: they would be no steps, or more than ``STEPS_MAX``.
        """
        if not 1 <= step_us <= STEP_US_MAX:
            raise BadParameterError("step", "must be above 0 and at most 366 days")
        start = when.start - (when.start + PG_EPOCH_UNIX_US) % step_us
        count = max(0, -(-(when.end - start) // step_us)) if when.length_us else 0
        if count > STEPS_MAX:
            least_s = when.length_us // ((STEPS_MAX - 1) * 1_000_000) + 1
            raise BadParameterError("step", f"must be at least {least_s}s for so long a range")
        return cls(start, step_us, count)

    @staticmethod
    def length_us(when: TimeRange, steps: int) -> int:
        """Return a length that people know, with which a range has at most about so many steps."""
        least = max(1, when.length_us // max(1, steps))
        known = (n * 1_000_000 for n in _KNOWN_S if n * 1_000_000 >= least)
        return next(known, min(-(-least // _DAY_US) * _DAY_US, STEP_US_MAX))

    @property
    def end(self) -> int:
        """End of the last one."""
        return self.start + self.step * self.count

    def unix_nano(self, place: int) -> int:
        """Return when a step begins, in nanoseconds since 1970."""
        return (self.start + place * self.step + PG_EPOCH_UNIX_US) * 1_000


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured under a name, by all services together."""

    name: str
    description: str
    unit: str
    type: str
    temporality: str | None
    """Of ``TEMPORALITY_BY_NUMBER``; None: the type has none."""
    is_monotonic: bool | None
    services: tuple[str, ...]
    """The first ``SERVICES_MAX`` by name."""
    services_total: int
    series_total: int
    """Those that came since the range began."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource and scope with one set of attributes."""

    series_id: int
    name: str
    type: str
    unit: str
    temporality: str | None
    is_monotonic: bool | None
    service: str | None
    attributes: Mapping[str, JsonValue]
    resource: Mapping[str, JsonValue]
    scope_name: str
    scope_version: str


@dataclass(frozen=True, slots=True)
class Point:
    """A data point as it is stored; a field that its type lacks, or that was not sent, is None."""

    time_unix_nano: int
    start_time_unix_nano: int | None
    is_recorded: bool
    """False: the sender says that it has no value for this time."""
    value: int | float | None
    count: int | None
    sum: float | None
    min: float | None
    max: float | None
    explicit_bounds: tuple[float, ...] | None
    bucket_counts: tuple[int, ...] | None
    scale: int | None
    zero_count: int | None
    zero_threshold: float | None
    positive_offset: int | None
    positive_bucket_counts: tuple[int, ...] | None
    negative_offset: int | None
    negative_bucket_counts: tuple[int, ...] | None
    quantiles: JsonValue


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """The newest points of a series in a range, oldest first."""

    series: Series
    points: tuple[Point, ...]
    is_whole: bool
    """False: there are older ones in the range."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points of several series."""

    series: tuple[SeriesPoints, ...]
    series_total: Total
    """How many series the question means; there may be more than are given."""


@dataclass(frozen=True, slots=True)
class Line:
    """One value per step, where there is one."""

    labels: Mapping[str, JsonValue]
    """What its series have in common: the keys of the group, or a single series' attributes."""
    series: int
    """How many it is made of."""
    values: tuple[tuple[int, float], ...]
    """When a step begins, in nanoseconds since 1970, and its value; ascending."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Lines of a metric over equal steps."""

    name: str
    type: str
    unit: str
    function: str
    steps: Steps
    lines: tuple[Line, ...]
    lines_total: int
    """How many there are; there may be more than are given. Exact unless series were left out."""
    series_read: int
    series_total: Total

    @property
    def is_whole(self) -> bool:
        """Whether neither lines nor series were left out."""
        return len(self.lines) == self.lines_total and self.series_read == self.series_total.items


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample measurement, with the span that it was taken in."""

    series_id: int
    time_unix_nano: int
    value: float | int | None
    trace_id: bytes | None
    span_id: bytes | None
    attributes: Mapping[str, JsonValue]
    labels: Mapping[str, JsonValue]
    """Attributes of its series."""
    service: str | None
