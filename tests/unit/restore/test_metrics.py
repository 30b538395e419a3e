"""Point rows of every metric type, full and bare."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from collector.restore.equality import comparable
from collector.restore.metrics import metric_of, restore_metrics
from collector.rows import (
    PG_EPOCH_UNIX_US,
    Dimensions,
    MetricRow,
    PointRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
)

BARE = PointRow._make([5, 820_454_400_000_000, *[None] * 5, 0, *[None] * 16])
TIME = (820_454_400_000_000 + PG_EPOCH_UNIX_US) * 1_000
METRIC = MetricRow(4, "latency", "How long.", "s", "gauge", None, None, '{"m": 1}', None, b"d" * 16)


def _restore(metric: MetricRow, *rows: PointRow, series_raw: str | None = None) -> Metric:
    """Return the one metric that the rows are of."""
    request = restore_metrics(
        rows,
        Dimensions(
            {1: ResourceRow(1, None, None, None, "{}", "https://r", None, None, None, b"d" * 16)},
            {2: ScopeRow(2, "lib", None, "{}", "https://s", None, None, b"d" * 16)},
            {4: metric},
            {5: SeriesRow(5, 4, 1, 2, None, '{"route": "/"}', series_raw, b"d" * 16)},
        ),
    )
    [group] = request.resource_metrics
    [scope] = group.scope_metrics
    [restored] = scope.metrics
    assert (group.schema_url, scope.schema_url, scope.scope.name) == (
        "https://r",
        "https://s",
        "lib",
    )
    return restored


def _points(metric: Metric) -> Any:
    return getattr(metric, metric.WhichOneof("data") or "").data_points


EXEMPLARS = (
    '[{"filtered_attributes": {"a": 1}, "time_unix_nano": 3, "as_double": {"$double": "NaN"},'
    ' "span_id": "0a", "trace_id": "0b"}, {"as_int": 0}, {"as_double": 0.0}, {}]'
)
RESTORED_EXEMPLARS = [
    {
        "filteredAttributes": [{"key": "a", "value": {"intValue": 1}}],
        "timeUnixNano": 3,
        "asDouble": "NaN",
        "spanId": "Cg==",
        "traceId": "Cw==",
    },
    {"asInt": 0},
    {"asDouble": 0.0},
    {},
]
ROUTE = [{"key": "route", "value": {"stringValue": "/"}}]
FULL = BARE._replace(
    time_ns=1,
    start_time=820_454_400_000_000,
    start_ns=0,
    flags=1,
    count=7,
    sum=-0.0,
    min=float("-inf"),
    max=0.0,
    exemplars=EXEMPLARS,
)
ALWAYS = {"attributes": ROUTE, "startTimeUnixNano": TIME, "timeUnixNano": TIME + 1, "flags": 1}
COUNTED = {**ALWAYS, "count": 7, "sum": -0.0}
WITH_EXTREMES = {**COUNTED, "min": "-Infinity", "max": 0.0, "exemplars": RESTORED_EXEMPLARS}


@pytest.mark.parametrize(
    ("metric", "row", "expected"),
    [
        pytest.param(
            METRIC,
            FULL._replace(count=None, sum=None, min=None, max=None, value=0.0),
            {
                "gauge": {
                    "dataPoints": [ALWAYS | {"asDouble": 0.0, "exemplars": RESTORED_EXEMPLARS}]
                }
            },
            id="gauge",
        ),
        pytest.param(
            METRIC._replace(type="sum", temporality=2, monotonic=True),
            BARE._replace(value_int=0),
            {
                "sum": {
                    "dataPoints": [{"attributes": ROUTE, "asInt": 0}],
                    "aggregationTemporality": 2,
                    "isMonotonic": True,
                }
            },
            id="sum",
        ),
        pytest.param(
            METRIC._replace(type="histogram", temporality=-1),
            FULL._replace(bucket_counts=[1, 2], explicit_bounds=[0.5]),
            {
                "histogram": {
                    "dataPoints": [
                        WITH_EXTREMES | {"bucketCounts": [1, 2], "explicitBounds": [0.5]}
                    ],
                    "aggregationTemporality": -1,
                }
            },
            id="histogram",
        ),
        pytest.param(
            METRIC._replace(type="exponential_histogram", temporality=1),
            FULL._replace(
                scale=-3,
                zero_count=8,
                zero_threshold=-0.0,
                positive_offset=-1,
                positive_bucket_counts=[3, 4],
                negative_offset=0,
                negative_bucket_counts=[5],
            ),
            {
                "exponentialHistogram": {
                    "dataPoints": [
                        WITH_EXTREMES
                        | {
                            "scale": -3,
                            "zeroCount": 8,
                            "zeroThreshold": -0.0,
                            "positive": {"offset": -1, "bucketCounts": [3, 4]},
                            "negative": {"bucketCounts": [5]},
                        }
                    ],
                    "aggregationTemporality": 1,
                }
            },
            id="exponential histogram",
        ),
        pytest.param(
            METRIC._replace(type="summary"),
            FULL._replace(
                min=None,
                max=None,
                exemplars=None,
                quantiles='[{"quantile": 0.5, "value": {"$double": "Infinity"}},'
                ' {"quantile": 0.0, "value": {"$double": "-0.0"}}]',
            ),
            {
                "summary": {
                    "dataPoints": [
                        COUNTED
                        | {
                            "quantileValues": [
                                {"quantile": 0.5, "value": "Infinity"},
                                {"quantile": 0.0, "value": -0.0},
                            ]
                        }
                    ]
                }
            },
            id="summary",
        ),
    ],
)
def test_every_column_comes_back(
    metric: MetricRow, row: PointRow, expected: dict[str, Any]
) -> None:
    """Each type gives back its columns, and presence where OTLP has it."""
    description = {"name": "latency", "description": "How long.", "unit": "s"}
    metadata = {"metadata": [{"key": "m", "value": {"intValue": 1}}]}

    restored = _restore(metric, row)

    assert comparable(restored) == comparable(
        ParseDict({**description, **metadata, **expected}, Metric())
    )


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponential_histogram", "summary"])
def test_bare_row_is_a_bare_point(kind: str) -> None:
    """NULL is "not given": no value, no sum, and never the fallback in ``time``."""
    [point] = _points(_restore(METRIC._replace(type=kind), BARE))

    assert comparable(point) == {"attributes": {"route": ["string_value", "/"]}}


def test_raw_wins_over_columns() -> None:
    """Clamped times, numbers past bigint and repeated keys are as they came."""
    huge = 2**64 - 1
    row = BARE._replace(
        time_ns=0,
        exemplars='[{"filtered_attributes": {"a": 2}}]',
        raw=f'{{"time_unix_nano": {huge}, "start_time_unix_nano": 1, "count": {huge},'
        f' "zero_count": {huge}, "positive_bucket_counts": [1, {huge}],'
        f' "negative_bucket_counts": [{huge}],'
        ' "exemplars": [{"filtered_attributes": [["a", 1], ["a", 2]]}]}',
    )
    metric = METRIC._replace(type="exponential_histogram", raw='{"metadata": [["m", 1], ["m", 2]]}')

    restored = _restore(metric, row, series_raw='{"attributes": [["r", 1], ["r", 2]]}')

    [point] = restored.exponential_histogram.data_points
    assert (point.time_unix_nano, point.start_time_unix_nano) == (huge, 1)
    assert (point.count, point.zero_count) == (huge, huge)
    assert list(point.positive.bucket_counts) == [1, huge]
    assert list(point.negative.bucket_counts) == [huge]
    assert [pair.key for pair in point.exemplars[0].filtered_attributes] == ["a", "a"]
    assert [pair.key for pair in point.attributes] == ["r", "r"]
    assert [pair.key for pair in restored.metadata] == ["m", "m"]


def test_histogram_counts_past_bigint_come_from_raw() -> None:
    """A whole list of counts moves to ``raw`` when one of them does not fit."""
    row = BARE._replace(raw=f'{{"bucket_counts": [0, {2**63}]}}')

    [point] = _restore(METRIC._replace(type="histogram"), row).histogram.data_points

    assert list(point.bucket_counts) == [0, 2**63]


def test_points_of_one_metric_share_it() -> None:
    """A metric comes once, with all its points in the order of the rows."""
    metric = _restore(METRIC, *[BARE._replace(value_int=number) for number in range(3)])

    assert [point.as_int for point in metric.gauge.data_points] == [0, 1, 2]


def test_a_type_that_otlp_has_not_is_an_error() -> None:
    """A row that ``convert`` cannot have written is not guessed at."""
    with pytest.raises(ValueError, match="unknown type 'counter'"):
        metric_of(METRIC._replace(type="counter"))
