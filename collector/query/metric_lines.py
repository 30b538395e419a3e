"""Lines out of the rows of aggregates: groups of series before, quantiles of histograms after."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import add
from typing import Any, Final

import orjson

from collector.errors import BadParameterError
from collector.items import JsonValue
from collector.query.histograms import (
    Explicit,
    Exponential,
    add_explicit,
    add_exponential,
    quantile,
)
from collector.query.metric_sql import Selected
from collector.query.metric_types import (
    DELTA,
    Across,
    Function,
    Line,
    Quantile,
    Steps,
)

GROWING_TYPES: Final = ("sum", "histogram", "exponential_histogram", "summary")
NUMBER_TYPES: Final = ("gauge", "sum")
HISTOGRAM_TYPES: Final = ("histogram", "exponential_histogram")

ACROSS_OF: Final = {
    Function.AVG: Across.AVG,
    Function.MIN: Across.MIN,
    Function.MAX: Across.MAX,
}
"""How series are combined where nobody says; all others are added up."""

Value = tuple[int, int, float | None]
"""Number of a line, beginning of a step, value."""


def check_function(function: Function | Quantile, type_: str, across: Across | None) -> None:
    """Refuse what means nothing for a type of metric.

    Raises:
        BadParameterError: it does not; the text says what would.
    """
    if isinstance(function, Quantile):
        if type_ not in HISTOGRAM_TYPES:
            raise BadParameterError(
                "function", f"has quantiles of histograms only, not of a {type_}"
            )
        if across is not None:
            raise BadParameterError("across", "means nothing for quantiles: histograms are merged")
    elif function in (Function.RATE, Function.INCREASE) and type_ not in GROWING_TYPES:
        raise BadParameterError("function", "must be avg, min, max, last, sum or count for a gauge")
    elif function in (Function.LAST, Function.MIN, Function.MAX) and type_ not in NUMBER_TYPES:
        raise BadParameterError(
            "function", "must be avg, sum, count, rate, increase or a quantile for histograms"
        )
    elif (
        across not in (None, Across.SUM) and type_ not in NUMBER_TYPES and function is Function.AVG
    ):
        raise BadParameterError("across", "means nothing here: all measurements count alike")


def usual_function(type_: str, *, is_monotonic: bool) -> Function | Quantile:
    """Return what is mostly asked of a type: a mean, a rate, the newest total, or the 95th percentile."""
    if type_ in HISTOGRAM_TYPES:
        return Quantile(0.95)
    if type_ == "sum":
        return Function.RATE if is_monotonic else Function.LAST
    return Function.AVG


class Groups:
    """The series of an answer and the lines they make.

    Attributes:
        labels: of each line that is kept, in the order of their JSON texts.
        series: how many make it.
        selected: the series of those lines.
        total: lines there would be.
    """

    def __init__(self, rows: Sequence[Any], group_by: Sequence[str] | None, limit: int) -> None:
        """``rows`` are those of ``series_to_read``; at most ``limit`` lines are kept."""
        by_labels: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            key = _own_labels(row) if group_by is None else _labels(group_by, row["keys"])
            text = orjson.dumps(key, option=orjson.OPT_SORT_KEYS).decode()
            by_labels[text if group_by is not None else f"{text}{row['series_id']}"].append(row)
        kept = sorted(by_labels)[:limit]
        self.total = len(by_labels)
        self.labels: list[dict[str, JsonValue]] = []
        self.series: list[int] = []
        self.selected: list[Selected] = []
        for place, text in enumerate(kept):
            members = by_labels[text]
            first = members[0]
            self.labels.append(
                _own_labels(first) if group_by is None else _labels(group_by, first["keys"])
            )
            self.series.append(len(members))
            self.selected += (
                Selected(
                    row["series_id"],
                    place,
                    row["temporality"] == DELTA,
                    row["monotonic"] is not False,
                )
                for row in members
            )

    def lines(self, values: Sequence[Value], steps: Steps) -> tuple[Line, ...]:
        """Return the lines of values, which are sorted by step."""
        by_line: list[list[tuple[int, float]]] = [[] for _ in self.labels]
        for line, step, value in values:
            if value is not None:
                place = (step - steps.start) // steps.step
                by_line[line].append((steps.unix_nano(place), value))
        return tuple(
            Line(labels, series, tuple(points))
            for labels, series, points in zip(self.labels, self.series, by_line, strict=True)
        )


def _own_labels(row: Any) -> dict[str, JsonValue]:
    """Return what tells a series from others of its metric."""
    labels: dict[str, JsonValue] = {}
    if row["service_name"] is not None:
        labels["service.name"] = row["service_name"]
    if row["service_instance_id"] is not None:
        labels["service.instance.id"] = row["service_instance_id"]
    return {**labels, **orjson.loads(row["attributes"])}


def _labels(group_by: Sequence[str], texts: Sequence[str | None]) -> dict[str, JsonValue]:
    return {
        key: orjson.loads(text)
        for key, text in zip(group_by, texts, strict=True)
        if text is not None
    }


_ALIKE: Final[tuple[str, ...]] = (
    "line", "step", "taken_from", "is_counted",
    "scale", "zero_threshold", "positive_offset", "negative_offset",
)  # fmt: skip
_COUNTS: Final = ("positive_bucket_counts", "negative_bucket_counts")


def _added(some: Sequence[int], more: Sequence[int]) -> Sequence[int]:
    """Return the sums place by place; the shorter counts as 0 where it ends."""
    if len(some) < len(more):
        some, more = more, some
    return [*map(add, some, more), *some[len(more) :]] if more else some


class Distributions:
    """Adds up histograms per line and step, and tells their quantiles."""

    def __init__(self, steps: Steps) -> None:
        self._start = steps.start
        self._explicit: dict[tuple[int, int], list[Explicit]] = defaultdict(list)
        self._exponential: dict[tuple[int, int], list[Exponential]] = defaultdict(list)
        self._alike: dict[tuple[Any, ...], tuple[int, list[Sequence[int]]]] = {}
        self._edges: dict[tuple[int, int], tuple[float, float]] = {}

    def add_explicit(self, row: Any) -> None:
        """Take a row of ``explicit_histograms``."""
        bounds = row["bounds"]
        counts = None if bounds is None else row["counts"][: len(bounds) + 1]
        part = Explicit.of(bounds, counts, row["count"])
        for key, is_taken in self._places(row):
            self._explicit[key].append(part.negated() if is_taken else part)
            if not is_taken:
                self._widen(key, row["min"], row["max"])

    def add_exponential(self, row: Any) -> None:
        """Take a row of ``exponential_histograms``.

        Those of one step that are alike in all but their counts are added as they come: a fifth of
        the time that ``histograms.add_exponential`` takes for each.
        """
        alike = tuple(row[name] for name in _ALIKE)
        counts: list[Sequence[int]] = [row[name] or () for name in _COUNTS]
        zero_count: int = row["zero_count"] or 0
        known = self._alike.get(alike)
        if known is not None:
            counts = list(map(_added, known[1], counts))
            zero_count += known[0]
        self._alike[alike] = zero_count, counts
        if row["is_counted"] and row["step"] >= self._start:
            self._widen((row["line"], row["step"]), row["min"], row["max"])

    def _fold(self) -> None:
        """Make histograms of what ``add_exponential`` added."""
        for alike, (zero_count, (positive, negative)) in self._alike.items():
            row: dict[str, Any] = dict(zip(_ALIKE, alike, strict=True))
            part = Exponential.of(
                row["scale"] or 0,
                (row["zero_threshold"] or 0.0, zero_count),
                (row["positive_offset"], positive),
                (row["negative_offset"], negative),
            )
            for key, is_taken in self._places(row):
                self._exponential[key].append(part.negated() if is_taken else part)
        self._alike.clear()

    def _places(self, row: Mapping[str, Any]) -> list[tuple[tuple[int, int], bool]]:
        """Return where a row is added, and where it is taken away."""
        line, step, taken_from = row["line"], row["step"], row["taken_from"]
        places: list[tuple[tuple[int, int], bool]] = []
        if row["is_counted"] and step >= self._start:
            places.append(((line, step), False))
        if taken_from is not None and taken_from >= self._start:
            places.append(((line, taken_from), True))
        return places

    def _widen(self, key: tuple[int, int], low: float | None, high: float | None) -> None:
        """Note between which edges measurements lie; one that is not known is infinite."""
        lowest, highest = self._edges.get(key, (math.inf, -math.inf))
        low = -math.inf if low is None or math.isnan(low) else low
        high = math.inf if high is None or math.isnan(high) else high
        self._edges[key] = min(lowest, low), max(highest, high)

    def quantiles(self, q: float) -> list[Value]:
        """Return a value for each line and step, in this order; None where it cannot be told."""
        self._fold()
        found: list[Value] = []
        for key in sorted(self._edges):
            low, high = self._edges[key]
            total = (
                add_explicit(self._explicit[key])
                if key in self._explicit
                else add_exponential(self._exponential[key])
            ).floored()
            edges = (low if math.isfinite(low) else None, high if math.isfinite(high) else None)
            found.append((*key, quantile(total.cells(), q, *edges)))
        return found
