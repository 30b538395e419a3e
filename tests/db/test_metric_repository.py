"""query.metric_repository on real data: the answers of a naive reading of all points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from collector.errors import BadParameterError, NotFoundError
from collector.query.filters import Filter
from collector.query.histograms import (
    Explicit,
    Exponential,
    add_explicit,
    add_exponential,
    quantile,
)
from collector.query.metric_repository import MetricRepository
from collector.query.metric_sql import LOOKBACK_US
from collector.query.metric_types import (
    Across,
    Aggregate,
    Function,
    MetricQuestion,
    Quantile,
    Steps,
)
from collector.query.page import Cursor
from collector.query.time_range import TimeRange, unix_ns
from collector.query.view import Views
from collector.rows import PG_EPOCH_UNIX_US, PointRow
from collector.store.pool import Connection
from tests.db.measuring import (
    MINUTE_US,
    START,
    Measured,
    histogram_series,
    metric,
    number_series,
    point,
    series_of,
    store,
)

STEP_US = 7 * MINUTE_US
WHEN = TimeRange(START + 3 * MINUTE_US, START + 300 * MINUTE_US)
STEPS = Steps.of(WHEN, STEP_US)

Values = dict[int, float]
"""Value by the beginning of its step."""


@pytest.fixture
async def metrics(views: Views) -> MetricRepository:
    """The repository of the test's database."""
    return MetricRepository(views)


# -- a naive reading -----------------------------------------------------------------------------


def number_of(row: PointRow) -> float:
    """Return the value of a gauge or sum."""
    value = row.value if row.value_int is None else row.value_int
    assert value is not None
    return value


def in_steps(points: Iterable[PointRow]) -> dict[int, list[PointRow]]:
    """Return the points that have a value by the beginning of their step."""
    found: dict[int, list[PointRow]] = defaultdict(list)
    for row in points:
        if not row.flags and STEPS.start <= row.time < STEPS.end:
            found[row.time - (row.time - STEPS.start) % STEPS.step].append(row)
    return found


def growths(
    each: Measured, guard_of: Callable[[PointRow], float]
) -> dict[int, list[tuple[PointRow, PointRow | None]]]:
    """Return by step which points grew, each with the one that it is compared with, if any."""
    recorded = [row for row in each.points if not row.flags]
    before = [row for row in recorded if STEPS.start - LOOKBACK_US <= row.time < STEPS.start]
    rows = before[-1:] + [row for row in recorded if STEPS.start <= row.time < STEPS.end]
    found: dict[int, list[tuple[PointRow, PointRow | None]]] = defaultdict(list)

    def add(row: PointRow, old: PointRow | None) -> None:
        if row.time >= STEPS.start:
            found[row.time - (row.time - STEPS.start) % STEPS.step].append((row, old))

    if each.metric.temporality == 1:
        for row in rows:
            add(row, None)
        return found
    for row in rows[:1]:
        if row.start_time is not None and STEPS.start - LOOKBACK_US <= row.start_time < row.time:
            add(row, None)
    for old, row in pairwise(rows):
        began = None if row.start_time == old.start_time else row.start_time
        if began is not None and began >= old.time:
            if began < row.time:
                add(row, None)
        elif each.metric.monotonic is not False and guard_of(row) < guard_of(old):
            add(row, None)
        else:
            add(row, old)
    return found


def increase(each: Measured, value_of: Callable[[PointRow], float]) -> Values:
    """Return how much one series grew in each step of which anything is known."""
    is_histogram = each.metric.type not in ("gauge", "sum")
    found = growths(each, (lambda row: row.count or 0) if is_histogram else value_of)
    return {
        step: sum(value_of(row) - (value_of(old) if old else 0) for row, old in pairs)
        for step, pairs in found.items()
    }


def combined(parts: Iterable[Values], how: Callable[[list[float]], float]) -> Values:
    """Return what becomes of the values of several series in each step."""
    by_step: dict[int, list[float]] = defaultdict(list)
    for part in parts:
        for step, value in part.items():
            by_step[step].append(value)
    return {step: how(values) for step, values in by_step.items()}


def mean(values: list[float]) -> float:
    """Return their mean."""
    return sum(values) / len(values)


def assert_line(answer: Aggregate, expected: Values) -> None:
    """The answer has one line, of these values."""
    (line,) = answer.lines
    assert dict(line.values) == pytest.approx(
        {unix_ns(step, 0): value for step, value in expected.items()}
    )
    assert [time for time, _ in line.values] == sorted(time for time, _ in line.values)


# -- numbers -------------------------------------------------------------------------------------

REDUCED: dict[Function, Callable[[list[float]], float]] = {
    Function.LAST: lambda values: values[-1],
    Function.AVG: mean,
    Function.MIN: min,
    Function.MAX: max,
    Function.SUM: sum,
    Function.COUNT: lambda values: float(len(values)),
}
COMBINED: dict[Across, Callable[[list[float]], float]] = {
    Across.SUM: sum,
    Across.AVG: mean,
    Across.MIN: min,
    Across.MAX: max,
}


@pytest.mark.postgres_versions
@pytest.mark.parametrize("seed", range(2))
async def test_values_over_time(
    seed: int, metrics: MetricRepository, connection: Connection
) -> None:
    """Each function of each series, and then each way of combining them."""
    rng = Random(seed)
    gauges = [number_series(rng, metric("cpu", "gauge"), str(n)) for n in range(4)]
    await store(connection, *gauges)
    for function, reduce in REDUCED.items():
        per_series = [
            {s: reduce([*map(number_of, rows)]) for s, rows in in_steps(each.points).items()}
            for each in gauges
        ]
        for across, combine in COMBINED.items():
            answer = await metrics.aggregate(
                WHEN, MetricQuestion("cpu"), step_us=STEP_US, function=function,
                across=across, group_by=(),
            )  # fmt: skip

            assert_line(answer, combined(per_series, combine))
            assert (answer.type, answer.unit, answer.is_whole) == ("gauge", "1", True)
            assert answer.lines[0].series == answer.series_read == 4


@pytest.mark.postgres_versions
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("temporality", "is_monotonic"), [(1, True), (2, True), (2, False), (0, True)]
)
async def test_increase_and_rate_of_sums(
    seed: int,
    temporality: int,
    is_monotonic: bool,
    metrics: MetricRepository,
    connection: Connection,
) -> None:
    """With resets, gaps, beginnings and points without a value."""
    rng = Random(seed)
    kind = metric("requests", "sum", temporality=temporality, is_monotonic=is_monotonic)
    sums = [number_series(rng, kind, str(n)) for n in range(4)]
    await store(connection, *sums)
    question = MetricQuestion("requests")
    expected = combined((increase(each, number_of) for each in sums), sum)

    total = await metrics.aggregate(
        WHEN, question, step_us=STEP_US, function=Function.INCREASE, group_by=()
    )
    rate = await metrics.aggregate(
        WHEN, question, step_us=STEP_US, function=Function.RATE, group_by=()
    )

    assert_line(total, expected)
    assert_line(rate, {step: value / (STEP_US / 1e6) for step, value in expected.items()})


async def test_both_temporalities_of_one_metric_are_added(
    metrics: MetricRepository, connection: Connection
) -> None:
    """Each series is read as what it is."""
    rng = Random(5)
    sums = [
        number_series(rng, metric("requests", "sum", temporality=t, is_monotonic=m), f"{t} {m}")
        for t, m in ((1, True), (2, True), (2, False))
    ]
    await store(connection, *sums)

    answer = await metrics.aggregate(
        WHEN, MetricQuestion("requests"), step_us=STEP_US, function=Function.INCREASE, group_by=()
    )

    assert_line(answer, combined((increase(each, number_of) for each in sums), sum))


async def test_steps_add_up_to_the_whole(metrics: MetricRepository, connection: Connection) -> None:
    """Whatever their length: nothing is extrapolated, and nothing counts twice."""
    kind = metric("requests", "sum", temporality=2, is_monotonic=True)
    await store(connection, number_series(Random(7), kind, "one"))
    when = TimeRange(START, START + 300 * MINUTE_US)
    totals: list[float] = []
    for step_us in (MINUTE_US, 5 * MINUTE_US, 300 * MINUTE_US):
        answer = await metrics.aggregate(
            when, MetricQuestion("requests"), step_us=step_us, function=Function.INCREASE
        )
        totals.append(sum(value for _, value in answer.lines[0].values))

    assert totals[0] == pytest.approx(totals[1])
    assert totals[0] > 0


@pytest.mark.parametrize(
    ("began", "expected"),
    [
        (None, [3.0]),
        (START - 25 * 60 * MINUTE_US, [3.0]),
        (START + STEP_US, [3.0]),
        (START + STEP_US - 1, [10.0, 3.0]),
        (START - MINUTE_US, [10.0, 3.0]),
    ],
    ids=["unsaid", "long ago", "with its point", "before its point", "before the range"],
)
async def test_a_first_point_counts_when_it_began_lately(
    began: int | None,
    expected: list[float],
    metrics: MetricRepository,
    connection: Connection,
) -> None:
    """Else nobody knows how much of it is new: its step has no value, and not 0."""
    kind = metric("requests", "sum", temporality=2, is_monotonic=True)
    series = series_of(kind)
    rows = [
        point(series, START + n * STEP_US, start_time=began, value_int=value)
        for n, value in ((1, 10), (2, 13))
    ]
    await store(connection, Measured(kind, series, rows))

    answer = await metrics.aggregate(
        TimeRange(START, START + 4 * STEP_US),
        MetricQuestion("requests"),
        step_us=STEP_US,
        function=Function.INCREASE,
    )

    assert [value for _, value in answer.lines[0].values] == expected


async def test_large_integers_grow_exactly(
    metrics: MetricRepository, connection: Connection
) -> None:
    """Beyond what doubles tell apart, and over the whole range of 64 bits."""
    kind = metric("bytes", "sum", temporality=2, is_monotonic=False)
    series = series_of(kind)
    values = [-(2**63), 2**63 - 1, 2**63 - 4, 2**63 - 3]
    rows = [point(series, START + n * STEP_US, value_int=v) for n, v in enumerate(values)]
    await store(connection, Measured(kind, series, rows))

    answer = await metrics.aggregate(
        TimeRange(START, START + 5 * STEP_US), MetricQuestion("bytes"),
        step_us=STEP_US, function=Function.INCREASE,
    )  # fmt: skip

    assert [value for _, value in answer.lines[0].values] == [2.0**64, -3.0, 1.0]


@pytest.mark.parametrize("function", [f for f in Function if f is not Function.COUNT])
async def test_no_double_makes_a_question_fail(
    function: Function, metrics: MetricRepository, connection: Connection
) -> None:
    """Not those whose sum overflows, nor infinity and NaN; others are still told."""
    kind = metric("odd", "sum", temporality=2, is_monotonic=True)
    series = series_of(kind)
    odd = [1.7e308, 1.7e308, float("inf"), float("nan"), -1.7e308]
    rows = [point(series, START + n, value=v) for n, v in enumerate(odd)]
    rows += [point(series, START + STEP_US + n, value=float(n)) for n in range(3)]
    await store(connection, Measured(kind, series, rows))

    answer = await metrics.aggregate(
        TimeRange(START, START + 2 * STEP_US), MetricQuestion("odd"),
        step_us=STEP_US, function=function,
    )  # fmt: skip

    beginning, value = answer.lines[0].values[-1]
    assert START + STEP_US < beginning // 1_000 - PG_EPOCH_UNIX_US + STEP_US <= START + 2 * STEP_US
    assert value == pytest.approx(
        {
            Function.LAST: 2.0,
            Function.AVG: 1.0,
            Function.MIN: 0.0,
            Function.MAX: 2.0,
            Function.SUM: 3.0,
            Function.INCREASE: 2.0,
            Function.RATE: 2 / (STEP_US / 1e6),
        }[function]
    )


# -- histograms ----------------------------------------------------------------------------------


def explicit_of(row: PointRow) -> Explicit:
    """Return the histogram of a point."""
    return Explicit.of(row.explicit_bounds, row.bucket_counts, row.count or 0)


def exponential_of(row: PointRow) -> Exponential:
    """Return the histogram of a point."""
    return Exponential.of(
        row.scale or 0,
        (0.0, row.zero_count or 0),
        (row.positive_offset, row.positive_bucket_counts),
        (row.negative_offset, row.negative_bucket_counts),
    )


def naive_quantiles(
    all_series: list[Measured], q: float, of: Callable[[PointRow], Any], add: Callable[[Any], Any]
) -> Values:
    """Return the quantile of the sum of all differences of each step."""
    parts: dict[int, list[Any]] = defaultdict(list)
    for each in all_series:
        for step, pairs in growths(each, lambda row: row.count or 0).items():
            for row, old in pairs:
                parts[step].append(of(row))
                if old is not None:
                    parts[step].append(of(old).negated())
    found = {
        step: quantile(add(own).floored().cells(), q, 0.01, 9.0) for step, own in parts.items()
    }
    return {step: value for step, value in found.items() if value is not None}


BOUNDS: list[list[list[float]]] = [
    [[0.1, 1.0, 5.0]],
    [[0.1, 1.0, 5.0], [0.5, 1.0, 2.0, 5.0]],
    [[float(n) for n in range(1, 41)], [1.0, 5.0]],
]


@pytest.mark.postgres_versions
@pytest.mark.parametrize("temporality", [1, 2])
@pytest.mark.parametrize("bounds", BOUNDS, ids=["equal", "different", "many"])
async def test_quantiles_of_explicit_histograms(
    temporality: int,
    bounds: list[list[float]],
    metrics: MetricRepository,
    connection: Connection,
) -> None:
    """Merged across series: differences first, sums at the common bounds then."""
    rng = Random(temporality)
    kind = metric("latency", "histogram", temporality=temporality)
    all_series = [histogram_series(rng, kind, str(n), bounds[n % len(bounds)]) for n in range(4)]
    await store(connection, *all_series)
    for q in (0.0, 0.5, 0.95, 1.0):
        answer = await metrics.aggregate(
            WHEN, MetricQuestion("latency"), step_us=STEP_US, function=Quantile(q), group_by=()
        )

        assert_line(answer, naive_quantiles(all_series, q, explicit_of, add_explicit))


@pytest.mark.parametrize("temporality", [1, 2])
async def test_quantiles_of_exponential_histograms(
    temporality: int, metrics: MetricRepository, connection: Connection
) -> None:
    """Of two scales and moving offsets."""
    rng = Random(temporality)
    kind = metric("latency", "exponential_histogram", temporality=temporality)
    all_series = [histogram_series(rng, kind, str(n), None, scale=n % 2) for n in range(4)]
    await store(connection, *all_series)
    for q in (0.0, 0.5, 0.95, 1.0):
        for only in all_series:
            name = only.series.attributes.split('"')[3]
            answer = await metrics.aggregate(
                WHEN, MetricQuestion("latency", attributes={"name": name}),
                step_us=STEP_US, function=Quantile(q), group_by=(),
            )  # fmt: skip

            assert_line(answer, naive_quantiles([only], q, exponential_of, add_exponential))


@pytest.mark.parametrize("temporality", [1, 2])
async def test_counts_sums_and_means_of_histograms(
    temporality: int, metrics: MetricRepository, connection: Connection
) -> None:
    """They are of measurements, not of points."""
    rng = Random(temporality)
    kind = metric("latency", "histogram", temporality=temporality)
    all_series = [histogram_series(rng, kind, str(n), [1.0]) for n in range(3)]
    await store(connection, *all_series)
    counts = combined((increase(each, lambda row: row.count or 0) for each in all_series), sum)

    async def ask(function: Function) -> Aggregate:
        question = MetricQuestion("latency")
        return await metrics.aggregate(
            WHEN, question, step_us=STEP_US, function=function, group_by=()
        )

    assert_line(await ask(Function.COUNT), counts)
    assert_line(await ask(Function.INCREASE), counts)
    assert_line(await ask(Function.SUM), {step: 1.5 * count for step, count in counts.items()})
    assert_line(await ask(Function.AVG), dict.fromkeys((s for s, c in counts.items() if c), 1.5))


async def test_histograms_without_usable_buckets_have_no_quantile(
    metrics: MetricRepository, connection: Connection
) -> None:
    """And do not make a question fail, whatever was sent."""
    kind = metric("latency", "histogram", temporality=1)
    series = series_of(kind)
    odd: list[dict[str, Any]] = [
        {"count": 3},
        {"count": 3, "bucket_counts": [1, 2, 3], "explicit_bounds": [1.0]},
        {"count": 3, "bucket_counts": [1, 2, 0], "explicit_bounds": [2.0, 1.0]},
        {"count": 2**63 - 1, "bucket_counts": [2**63 - 1] * 2, "explicit_bounds": [1.0]},
        {"count": None, "bucket_counts": [1, 2], "explicit_bounds": [1.0]},
    ]
    rows = [point(series, START + n, **columns) for n, columns in enumerate(odd)]
    await store(connection, Measured(kind, series, rows))

    answer = await metrics.aggregate(
        WHEN, MetricQuestion("latency"), step_us=STEP_US, function=Quantile(0.5), group_by=()
    )

    assert answer.lines[0].values == ()


# -- groups, cuts and refusals ---------------------------------------------------------------------


async def test_groups_are_of_attributes_of_series_or_resource(
    metrics: MetricRepository, connection: Connection
) -> None:
    """A series without the attribute makes a line without it."""
    kind = metric("cpu", "gauge")
    rows: list[tuple[dict[str, Any], str]] = [
        ({"host": "a"}, "shop"),
        ({"host": "a", "n": 1}, "bank"),
        ({"host": 1}, "bank"),
        ({}, "shop"),
    ]
    all_series = [series_of(kind, attributes, service) for attributes, service in rows]
    await store(
        connection,
        *(Measured(kind, s, [point(s, START, value=2.0**n)]) for n, s in enumerate(all_series)),
    )

    async def lines(*keys: str, limit: int = 50) -> list[tuple[dict[str, Any], float]]:
        answer = await metrics.aggregate(
            TimeRange(START, START + 1), MetricQuestion("cpu"), step_us=STEP_US,
            function=Function.SUM, group_by=keys, limit=limit,
        )  # fmt: skip
        assert answer.is_whole is (len(answer.lines) == answer.lines_total)
        return [(dict(line.labels), line.values[0][1]) for line in answer.lines]

    assert await lines("host") == [({"host": "a"}, 3.0), ({"host": 1}, 4.0), ({}, 8.0)]
    assert await lines("service.name") == [
        ({"service.name": "bank"}, 6.0),
        ({"service.name": "shop"}, 9.0),
    ]
    assert await lines("host", limit=2) == [({"host": "a"}, 3.0), ({"host": 1}, 4.0)]
    assert len(await lines("host", "service.name")) == 4


async def test_without_groups_each_series_is_a_line(
    metrics: MetricRepository, connection: Connection
) -> None:
    """Told apart by its attributes and its service."""
    kind = metric("cpu", "gauge")
    all_series = [series_of(kind, {"host": "a"}, service) for service in ("shop", "bank")]
    await store(connection, *(Measured(kind, s, [point(s, START, value=1.0)]) for s in all_series))

    answer = await metrics.aggregate(
        TimeRange(START, START + 1), MetricQuestion("cpu"), step_us=STEP_US, function=Function.AVG
    )

    assert [dict(line.labels) for line in answer.lines] == [
        {"service.name": "bank", "host": "a"},
        {"service.name": "shop", "host": "a"},
    ]


async def test_a_name_of_several_metrics_must_be_told_apart(
    metrics: MetricRepository, connection: Connection
) -> None:
    """By type and by unit; adding seconds to milliseconds would answer nothing."""
    kinds = [metric("x", "gauge"), metric("x", "gauge", unit=None), metric("x", "sum", unit="s")]
    await store(connection, *(Measured(k, series_of(k), []) for k in kinds))

    async def ask(**wanted: Any) -> Aggregate:
        question = MetricQuestion("x", **wanted)
        return await metrics.aggregate(WHEN, question, step_us=STEP_US, function=Function.LAST)

    with pytest.raises(BadParameterError, match="'type' must be given"):
        await ask()
    with pytest.raises(BadParameterError, match="'unit' must be given"):
        await ask(type="gauge")
    with pytest.raises(NotFoundError):
        await ask(type="histogram")
    assert (await ask(type="gauge", unit="")).unit == ""


@pytest.mark.parametrize(
    ("type_", "function"),
    [
        ("gauge", Function.RATE),
        ("gauge", Quantile(0.5)),
        ("summary", Quantile(0.5)),
        ("histogram", Function.LAST),
        ("histogram", Function.MAX),
    ],
)
async def test_a_function_that_means_nothing_is_refused(
    type_: str, function: Function | Quantile, metrics: MetricRepository, connection: Connection
) -> None:
    """Rather than answered with something else."""
    kind = metric("x", type_)
    await store(connection, Measured(kind, series_of(kind), []))

    with pytest.raises(BadParameterError, match="function"):
        await metrics.aggregate(WHEN, MetricQuestion("x"), step_us=STEP_US, function=function)


# -- lists ---------------------------------------------------------------------------------------


async def test_metrics_are_listed_by_name_in_pages(
    metrics: MetricRepository, connection: Connection
) -> None:
    """Forwards and backwards, each once; with the services and series of each."""
    kinds = [metric(f"m{n // 2}", ("gauge", "sum")[n % 2], temporality=2) for n in range(10)]
    await store(
        connection,
        *(
            Measured(k, series_of(k, {"n": n}, s), [])
            for k in kinds
            for n in (1, 2)
            for s in ("shop", "bank")
        ),
    )
    expected = [(k.name, k.type) for k in kinds]

    first = await metrics.find_metrics(WHEN, limit=4)
    second = await metrics.find_metrics(WHEN, limit=4, cursor=parsed(first.next))
    last = await metrics.find_metrics(WHEN, limit=4, cursor=parsed(second.next))
    back = await metrics.find_metrics(WHEN, limit=4, cursor=parsed(last.previous))

    assert first.previous is None
    assert last.next is None
    assert [(m.name, m.type) for page in (first, second, last) for m in page.items] == expected
    assert back.items == second.items
    assert (first.items[0].services, first.items[0].series_total) == (("bank", "shop"), 4)
    (only,) = (await metrics.find_metrics(WHEN, contains="M3", service="shop", limit=1)).items
    assert (only.name, only.services, only.series_total) == ("m3", ("shop",), 2)


def parsed(cursor: Cursor | None) -> Cursor:
    """Return a cursor as its reader gives it back."""
    assert cursor is not None
    return Cursor.parse(str(cursor), int)


async def test_series_are_found_by_what_they_have(
    metrics: MetricRepository, connection: Connection
) -> None:
    """Service, attributes of either, and any filter; in pages."""
    kind = metric("cpu", "gauge")
    all_series = [
        series_of(kind, {"n": n, "host": f"h{n % 3}"}, ("shop", "bank")[n % 2]) for n in range(7)
    ]
    await store(connection, *(Measured(kind, s, []) for s in all_series))

    async def found(**wanted: Any) -> set[int]:
        page = await metrics.find_series(WHEN, MetricQuestion("cpu", **wanted))
        return {int(each.attributes["n"]) for each in page.items}

    assert await found() == set(range(7))
    assert await found(service="shop") == {0, 2, 4, 6}
    assert await found(attributes={"host": "h1"}) == {1, 4}
    assert await found(attributes={"n": "3"}) == {3}
    assert await found(attributes={"service.name": "bank", "host": "h1"}) == {1}
    assert await found(filter=Filter.parse("@n:>4 service:SHOP")) == {6}

    first = await metrics.find_series(WHEN, MetricQuestion("cpu"), limit=4)
    rest = await metrics.find_series(
        WHEN, MetricQuestion("cpu"), limit=4, cursor=parsed(first.next)
    )
    back = await metrics.find_series(
        WHEN, MetricQuestion("cpu"), limit=4, cursor=parsed(rest.previous)
    )
    assert {each.series_id for each in (*first.items, *rest.items)} == {
        each.series_id for each in all_series
    }
    assert back.items == first.items
    assert first.items[0].scope_name == "library"


async def test_points_are_those_that_were_sent(
    metrics: MetricRepository, connection: Connection
) -> None:
    """The newest of them, oldest first; and it says when there are older ones."""
    kind = metric("cpu", "gauge")
    series = series_of(kind)
    rows = [point(series, START + n, value_int=n, time_ns=n, flags=n % 2) for n in range(5)]
    await store(connection, Measured(kind, series, rows))
    question = MetricQuestion("cpu")

    (whole,) = (await metrics.points(WHEN._replace(start=START), question)).series
    cut = await metrics.points(WHEN._replace(start=START), question, limit=2)

    assert [each.value for each in whole.points] == [0, 1, 2, 3, 4]
    assert [each.is_recorded for each in whole.points] == [True, False, True, False, True]
    assert whole.points[3].time_unix_nano == unix_ns(START + 3, 3)
    assert whole.is_whole
    assert [each.value for each in cut.series[0].points] == [3, 4]
    assert not cut.series[0].is_whole
    assert cut.series_total == (1, True)


async def test_exemplars_come_newest_first_and_once(
    metrics: MetricRepository, connection: Connection
) -> None:
    """A cumulative point repeats those of the one before."""
    kind = metric("latency", "histogram", temporality=2)
    series = series_of(kind, {"route": "/"})
    old = '{"time_unix_nano":1,"as_double":{"$double":"Infinity"},"trace_id":"00ff"}'
    new = '{"time_unix_nano":2,"as_int":7,"span_id":"01","filtered_attributes":{"a":1}}'
    rows = [
        point(series, WHEN.start, count=1, exemplars=f"[{old}]"),
        point(series, WHEN.start + 1, count=1, exemplars=f"[{old},{new}]"),
        point(series, WHEN.start + 2, count=1),
    ]
    await store(connection, Measured(kind, series, rows))

    newest, oldest = await metrics.exemplars(WHEN, MetricQuestion("latency"))

    assert (newest.value, newest.span_id, newest.attributes) == (7, b"\x01", {"a": 1})
    assert (oldest.value, oldest.trace_id, oldest.labels) == (
        float("inf"),
        b"\x00\xff",
        {"route": "/"},
    )
    assert len(await metrics.exemplars(WHEN, MetricQuestion("latency"), limit=1)) == 1
