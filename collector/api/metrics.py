"""``/api/v1/metrics``: which metrics there are, their series and points, and values over time."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from collector.api.parameters import (
    FilterText,
    Length,
    PlaceParameters,
    RangeParameters,
    Text,
)
from collector.api.questions import Questions
from collector.api.routing import gives, gives_page, router
from collector.query.filters import Filter
from collector.query.lengths import length_ns
from collector.query.metric_repository import MetricRepository
from collector.query.metric_types import (
    Across,
    Aggregate,
    Exemplar,
    Line,
    Metric,
    MetricQuestion,
    Points,
    Series,
    Steps,
    parse_function,
)
from collector.query.page import LIMIT, LIMIT_MAX

STEPS = 120
"""Of a range, unless ``step`` says otherwise."""
SERIES = 20
Name = Annotated[Text, Path(max_length=1_024)]
"""A slash in it is written as it is, or as %2F."""


class MetricsAsked(PlaceParameters):
    """Which metrics."""

    contains: Text = Field("", description="text in the name, in whatever case")
    service: Text | None = Field(None, description="of this service alone")


class _Which(RangeParameters):
    """Which series of a metric."""

    type: Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"] | None = Field(
        None, description="where a name has several"
    )
    unit: Text | None = Field(None, description="where a name has several; empty: none")
    service: Text | None = Field(None, description="of this service alone")
    q: FilterText = ""

    def question(self, name: str) -> MetricQuestion:
        """Return which series of the metric of this name are meant.

        Raises:
            FilterError: ``q`` is no filter.
        """
        wanted = Filter.parse(self.q)
        return MetricQuestion(name, self.type, self.unit, self.service, filter=wanted)


class SeriesAsked(_Which, PlaceParameters):
    """Which series, in pages."""


class PointsAsked(_Which):
    """How many points, of how many series."""

    series: int = Field(SERIES, ge=1, le=LIMIT_MAX, description="those that came last")
    limit: int = Field(LIMIT_MAX, ge=1, le=LIMIT_MAX, description="points of each; the newest")


class ExemplarsAsked(_Which):
    """How many exemplars."""

    limit: int = Field(LIMIT, ge=1, le=LIMIT_MAX, description="the newest")


class ValuesAsked(_Which):
    """What becomes of points: first of each series in a step, then of a line's series."""

    function: str | None = Field(
        None,
        max_length=20,
        description="last, avg, min, max, sum, count, rate, increase, or p0 to p100; by type",
        json_schema_extra={"format": "otlpg-function"},
    )
    across: Across | None = Field(None, description="how a line's series become one; by function")
    step: Length | None = Field(None, description=f"length of a step; about {STEPS} in the range")
    group_by: Text | None = Field(
        None,
        description="attributes with commas between: a line for each of their values; empty: one line "
        "of all; not given: one of each series",
    )
    limit: int = Field(LIMIT, ge=1, le=LIMIT_MAX, description="lines")

    @property
    def keys(self) -> tuple[str, ...] | None:
        """Attributes whose values make a line; None: a line for each series."""
        if self.group_by is None:
            return None
        return tuple(filter(None, self.group_by.split(",")))


class Values(NamedTuple):
    """Lines of a metric over equal steps.

    Attributes:
        function: what was made of the points of a series in a step.
        step_ns: length of a step.
        lines_total: how many there are; exact unless series were left out.
        series_read: how many series they are made of.
        series_total: how many there are.
        is_whole: whether neither lines nor series were left out.
    """

    name: str
    type: str
    unit: str
    function: str
    step_ns: int
    lines: tuple[Line, ...]
    lines_total: int
    series_read: int
    series_total: int
    is_whole: bool


def routes(questions: Questions, metrics: MetricRepository) -> APIRouter:
    """Return the routes."""
    found = router("/metrics", "metrics")

    @found.get("", **gives_page(Metric))
    async def list_metrics(request: Request, asked: Annotated[MetricsAsked, Query()]) -> Response:
        """The metrics that came since a range began, by name."""
        when = questions.slow_range(asked)
        return await questions.page(
            request,
            lambda limit, cursor: metrics.find_metrics(
                when, contains=asked.contains, service=asked.service, limit=limit, cursor=cursor
            ),
            limit=asked.limit,
            cursor=asked.place(int),
            about=("metrics", when, asked.contains, asked.service),
        )

    @found.get("/{name:path}/series", **gives_page(Series))
    async def list_series(
        request: Request, name: Name, asked: Annotated[SeriesAsked, Query()]
    ) -> Response:
        """The series of a metric that came since a range began; none for an unknown one."""
        when, wanted = asked.when(questions.now_ns()), asked.question(name)
        return await questions.page(
            request,
            lambda limit, cursor: metrics.find_series(when, wanted, limit=limit, cursor=cursor),
            limit=asked.limit,
            cursor=asked.place(int),
        )

    @found.get("/{name:path}/points", **gives(Points))
    async def show_points(
        request: Request, name: Name, asked: Annotated[PointsAsked, Query()]
    ) -> Response:
        """The newest points as they are stored, of the series that came last."""
        when, wanted = asked.when(questions.now_ns()), asked.question(name)
        return await questions.answer(
            request,
            lambda: metrics.points(when, wanted, series=asked.series, limit=asked.limit),
        )

    @found.get("/{name:path}/values", **gives(Values))
    async def show_values(
        request: Request, name: Name, asked: Annotated[ValuesAsked, Query()]
    ) -> Response:
        """Values over equal steps: rates, means, quantiles and others, by attribute if asked."""
        when, wanted = asked.when(questions.now_ns()), asked.question(name)
        function = None if asked.function is None else parse_function(asked.function)
        step_us = (
            Steps.length_us(when, STEPS) if asked.step is None else length_ns(asked.step) // 1_000
        )

        async def ask() -> Values:
            return _values(
                await metrics.aggregate(
                    when,
                    wanted,
                    step_us=step_us,
                    function=function,
                    across=asked.across,
                    group_by=asked.keys,
                    limit=asked.limit,
                )
            )

        return await questions.answer(request, ask)

    @found.get("/{name:path}/exemplars", **gives(tuple[Exemplar, ...]))
    async def list_exemplars(
        request: Request, name: Name, asked: Annotated[ExemplarsAsked, Query()]
    ) -> Response:
        """Sample measurements with the spans that they were taken in, newest first."""
        when, wanted = asked.when(questions.now_ns()), asked.question(name)
        return await questions.answer(
            request, lambda: metrics.exemplars(when, wanted, limit=asked.limit)
        )

    return found


def _values(found: Aggregate) -> Values:
    return Values(
        found.name,
        found.type,
        found.unit,
        found.function,
        found.steps.step * 1_000,
        found.lines,
        found.lines_total,
        found.series_read,
        found.series_total.items,
        found.is_whole,
    )
