"""The questions about metrics; right answers come from the arithmetic that made the points."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final

from collector.operate.bench.query.case import Case, Question
from collector.operate.bench.query.data import points
from collector.operate.bench.query.data.shape import DAY_NS, SERVICES, Shape
from collector.query.metric_types import Aggregate, Function, MetricQuestion, Quantile

CASES: Final = 24
STEP_US: Final = 60_000_000
Q: Final = 0.95


def questions(shape: Shape, rng: random.Random) -> tuple[Question, ...]:
    """Return the questions; each case is about one of the days."""
    numbers = shape.numbers_per_service
    series = [(rng.randrange(len(SERVICES)), rng.randrange(numbers)) for _ in range(CASES)]
    quantiles = [_quantile(place) for place in range(shape.points_per_day)]
    return (
        Question(
            "one series, 24 h in steps of a minute",
            20,
            tuple(_of_series(shape, *which, rng.randrange(shape.days)) for which in series),
        ),
        Question(
            f"p95 of a histogram over {len(SERVICES)} series, 24 h in steps of a minute",
            150,
            tuple(_of_histogram(shape, quantiles, before) for before in range(shape.days)),
        ),
    )


def _of_series(shape: Shape, service: int, number: int, before: int) -> Case:
    places = range(shape.points_per_day)
    if points.is_sum(number):
        function, step_s = Function.RATE, STEP_US / 1e6
        values = [points.grown(service, number, place) / step_s for place in places]
    else:
        function = Function.AVG
        values = [points.level(service, number, place) for place in places]
    question = MetricQuestion(
        points.metric_name(number),
        service=SERVICES[service],
        attributes={points.POOL_KEY: points.pool(number)},
    )
    return Case(
        lambda repositories: repositories.metrics.aggregate(
            shape.day(before), question, step_us=STEP_US, function=function
        ),
        lambda found: _is_line(found, shape, before, values, 1),
    )


def _of_histogram(shape: Shape, quantiles: Sequence[float], before: int) -> Case:
    question = MetricQuestion(points.HISTOGRAM)
    return Case(
        lambda repositories: repositories.metrics.aggregate(
            shape.day(before), question, step_us=STEP_US, function=Quantile(Q), group_by=()
        ),
        lambda found: _is_line(found, shape, before, quantiles, len(SERVICES)),
    )


def _is_line(
    found: Aggregate, shape: Shape, before: int, values: Sequence[float], series: int
) -> bool:
    """Tell whether there is one line of so many series, with these values at the points' steps."""
    if len(found.lines) != 1 or found.lines[0].series != series or not found.is_whole:
        return False
    begin = shape.begin_unix_ns - before * DAY_NS
    step_ns = STEP_US * 1_000
    expected = {
        (begin + place * shape.interval_s * 10**9) // step_ns * step_ns: value
        for place, value in enumerate(values)
    }
    line = dict(found.lines[0].values)
    return line.keys() == expected.keys() and all(
        math.isclose(line[step], value, rel_tol=1e-9) for step, value in expected.items()
    )


def _quantile(place: int) -> float:
    """Return the quantile of what all services measured at a point, evenly inside its bucket."""
    counts = [
        sum(column)
        for column in zip(
            *(points.increments(service, place) for service in range(len(SERVICES))), strict=True
        )
    ]
    rank, before, low = Q * sum(counts), 0, 0.0
    for count, high in zip(counts, points.BOUNDS, strict=False):
        if count and before + count >= rank:
            return low + (high - low) * (rank - before) / count
        before, low = before + count, high
    return points.BOUNDS[-1]
