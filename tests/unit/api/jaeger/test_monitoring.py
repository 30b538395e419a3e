"""api.jaeger.monitoring: what Jaeger's page asks, and how gauges are written."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from collector.api.jaeger.monitoring import family, rfc_3339
from collector.api.jaeger.monitoring_parameters import Monitored, monitored_of, quantile_of
from collector.errors import BadParameterError
from collector.query.performance_repository import PerformancePoint, PerformanceSeries
from collector.query.time_range import TimeRange, unix_ns
from collector.query.windows import STEPS_MAX, WINDOWS_MAX, Windows

NOW = 1_767_268_800_000_000_000
HOUR = 3_600 * 10**9
PAGE = "&endTs=1767268800000&lookback=3600000&step=60000&ratePer=600000&quantile=0.95"


def asked(query: str) -> Monitored:
    """Return what a query string asks."""
    return monitored_of(QueryParams(query), NOW)


def test_a_question_of_jaegers_page() -> None:
    """A point for every minute of an hour, each of ten minutes; both ends are there."""
    found = asked(f"service=shop&spanKind=server{PAGE}")

    assert found == Monitored(
        ("shop",), (2,), False, Windows.of(TimeRange.from_unix_ns(NOW - HOUR, NOW), 60 * 10**6, 600 * 10**6)
    )  # fmt: skip
    points = [unix_ns(point, None) for point in found.windows.points()]
    assert (len(points), points[0], points[-1]) == (61, NOW - HOUR, NOW)
    assert quantile_of(QueryParams(PAGE)) == 0.95


def test_what_is_not_said_is_what_jaeger_takes() -> None:
    """Spans of servers, of the last hour, every 5 s, over 10 minutes."""
    found = asked("service=shop&service=bank&service=shop&service=&spanKind=")

    assert (found.services, found.kinds, found.by_operation) == (("shop", "bank"), (2,), False)
    assert (found.windows.count, found.windows.steps) == (721, 120)


def test_kinds_may_be_several() -> None:
    """In any case, and also none at all."""
    found = asked("service=s&spanKind=CLIENT&spanKind=unspecified&groupByOperation=1")

    assert (found.kinds, found.by_operation) == ((3, 0), True)


def test_two_days_by_the_minute_are_not_too_much() -> None:
    """Nor is any other choice of Jaeger's page."""
    for hours in (1, 2, 3, 6, 12, 24, 48):
        lookback = f"&lookback={hours * 3_600_000}&step=60000&ratePer=600000"
        assert asked(f"service=s{lookback}").windows.count == hours * 60 + 1 <= WINDOWS_MAX


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "service"),
        ("service=", "service"),
        ("service=a%00", "service"),
        ("service=s&spanKind=robot", "spanKind"),
        ("service=s&groupByOperation=maybe", "groupByOperation"),
        ("service=s&endTs=yesterday", "endTs"),
        ("service=s&lookback=1h", "lookback"),
        ("service=s&lookback=0", "lookback"),
        ("service=s&step=0", "step"),
        ("service=s&step=-1", "step"),
        ("service=s&step=1.5", "step"),
        ("service=s&step=1", "step"),
        (f"service=s&lookback=1&step=1&ratePer={STEPS_MAX + 1}", "step"),
        ("service=s&ratePer=10m", "ratePer"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, name: str) -> None:
    """Also one that asks for too much."""
    with pytest.raises(BadParameterError) as caught:
        asked(query)

    assert caught.value.name == name


@pytest.mark.parametrize(
    ("text", "quantile"), [("0", 0), ("1", 1), (".5", 0.5), ("0.999", 0.999), ("5e-1", 0.5)]
)
def test_a_quantile_is_a_share(text: str, quantile: float) -> None:
    """Both ends count."""
    assert quantile_of(QueryParams({"quantile": text})) == quantile


@pytest.mark.parametrize(
    "text", ["", "-0.1", "1.1", "95", "NaN", "inf", "x", "0x1", "1e999", "\u0660.\u0665"]
)
def test_what_is_no_share_is_told(text: str) -> None:
    """Jaeger has no default for it either."""
    with pytest.raises(BadParameterError, match="quantile"):
        quantile_of(QueryParams({"quantile": text}))


@pytest.mark.parametrize(
    ("unix_nano", "text"),
    [
        (NOW, "2026-01-01T12:00:00Z"),
        (NOW + 7_000_000, "2026-01-01T12:00:00.007Z"),
        (NOW + 120_000, "2026-01-01T12:00:00.000120Z"),
        (NOW + 1, "2026-01-01T12:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_has_as_many_digits_as_it_needs(unix_nano: int, text: str) -> None:
    """In threes, as proto3's JSON has it."""
    assert rfc_3339(unix_nano) == text


def test_a_family_of_gauges_is_as_the_page_reads_it() -> None:
    """The service is the first label where it is the only one; what has no value is no number."""
    points = (PerformancePoint(NOW, 2, 1, 5), PerformancePoint(NOW + 10**9, 0, 0, None))
    whole = family("service_x", "x", asked("service=s"), (PerformanceSeries("s", None, points),), duration)  # fmt: skip
    parts = family("service_x", "x", asked("service=s&groupByOperation=true"), (PerformanceSeries("s", "GET /", points),), duration)  # fmt: skip

    assert whole == {
        "name": "service_x",
        "type": "GAUGE",
        "help": "x",
        "metrics": [
            {
                "labels": [{"name": "service_name", "value": "s"}],
                "metricPoints": [
                    {"gaugeValue": {"doubleValue": 5}, "timestamp": "2026-01-01T12:00:00Z"},
                    {"gaugeValue": {"doubleValue": "NaN"}, "timestamp": "2026-01-01T12:00:01Z"},
                ],
            }
        ],
    }
    assert (parts["name"], parts["help"]) == ("service_operation_x", "x & operation")
    assert parts["metrics"][0]["labels"] == [
        {"name": "operation", "value": "GET /"}, {"name": "service_name", "value": "s"},
    ]  # fmt: skip
    assert family("service_x", "x", asked("service=s"), (), duration)["metrics"] == []


def duration(point: PerformancePoint) -> float | None:
    """Return what a gauge of the tests shows."""
    return point.duration_ns
