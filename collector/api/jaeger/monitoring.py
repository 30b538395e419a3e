"""What Jaeger's pages Monitor and Dependencies ask: how services do, and whom they call.

Spec: jaeger cmd/jaeger/internal/extension/jaegerquery/internal/http_handler.go, and
``jaeger.api_v2.metrics.MetricFamily`` in proto3's JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from collector.api.jaeger import monitoring_parameters, v1_parameters
from collector.api.jaeger.answering import Answer, Answering, json_answer, long_answer
from collector.api.jaeger.monitoring_parameters import MIN_STEP_MS, Monitored, quantile_of
from collector.api.jaeger.v1 import content_of, problem_of
from collector.query.performance_repository import (
    PerformancePoint,
    PerformanceRepository,
    PerformanceSeries,
)
from collector.query.time_range import TimeRange
from collector.query.trace_repository import TraceRepository
from collector.query.view import Views
from collector.telemetry.clock import Clock

Value = Callable[[PerformancePoint], float | None]

_NS_PER_MS: Final = 10**6
_NONE: Final = "NaN"
"""How proto3's JSON writes that there is no value; pages leave a gap for it."""


class MonitoringRoutes:
    """The routes, and what each answers."""

    def __init__(self, views: Views, clock: Clock, answering: Answering) -> None:
        self._performance = PerformanceRepository(views)
        self._traces = TraceRepository(views)
        self._clock = clock
        self._answering = answering

    def by_path(self) -> dict[str, Answer]:
        """Return the answers, by path."""
        answers: dict[str, Answer] = {
            "/api/dependencies": self._dependencies,
            "/api/metrics/latencies": self._latencies,
            "/api/metrics/calls": self._calls,
            "/api/metrics/errors": self._errors,
            "/api/metrics/minstep": self._min_step,
        }
        return {
            path: self._answering.guarded(answer, problem_of) for path, answer in answers.items()
        }

    async def _dependencies(self, request: Request) -> Response:
        """Answer with who calls whom; of one service, if it is named, both sides."""
        query = request.query_params
        between = v1_parameters.lookback_of(
            query, self._clock.unix_ns(), v1_parameters.DEPENDENCIES_LOOKBACK_NS
        )
        found = await self._traces.dependencies(TimeRange.from_unix_ns(*between))
        service = query.get("service")
        links = [
            {"parent": link.parent, "child": link.child, "callCount": link.calls}
            for link in found
            if not service or service in (link.parent, link.child)
        ]
        return json_answer(content_of(links))

    async def _latencies(self, request: Request) -> Response:
        """Answer with a quantile of durations, in milliseconds."""
        quantile = quantile_of(request.query_params)
        asked = self._asked(request)
        found = await self._series(asked, quantile)

        def latency(point: PerformancePoint) -> float | None:
            return None if point.duration_ns is None else point.duration_ns / _NS_PER_MS

        help_ = f"{quantile:.2f}th quantile latency, grouped by service"
        return await long_answer(lambda: family("service_latencies", help_, asked, found, latency))

    async def _calls(self, request: Request) -> Response:
        """Answer with calls per second."""
        asked = self._asked(request)
        found = await self._series(asked)
        length_s = asked.windows.length_us / 1e6

        def rate(point: PerformancePoint) -> float:
            return point.calls / length_s

        help_ = "calls/sec, grouped by service"
        return await long_answer(lambda: family("service_call_rate", help_, asked, found, rate))

    async def _errors(self, request: Request) -> Response:
        """Answer with the share of calls that failed; no calls have none."""
        asked = self._asked(request)
        found = await self._series(asked)

        def share(point: PerformancePoint) -> float | None:
            return point.errors / point.calls if point.calls else None

        help_ = (
            "error rate, computed as a fraction of errors/sec over calls/sec, grouped by service"
        )
        return await long_answer(lambda: family("service_error_rate", help_, asked, found, share))

    async def _min_step(self, _request: Request) -> Response:
        """Answer with the shortest step, in milliseconds."""
        return json_answer({**content_of([]), "data": MIN_STEP_MS})

    def _asked(self, request: Request) -> Monitored:
        return monitoring_parameters.monitored_of(request.query_params, self._clock.unix_ns())

    async def _series(
        self, asked: Monitored, quantile: float | None = None
    ) -> tuple[PerformanceSeries, ...]:
        return await self._performance.series(
            asked.windows,
            asked.services,
            kinds=asked.kinds,
            by_operation=asked.by_operation,
            quantile=quantile,
        )


def family(
    name: str, help_: str, asked: Monitored, found: tuple[PerformanceSeries, ...], value: Value
) -> dict[str, Any]:
    """Return a ``MetricFamily`` of gauges; ``metrics`` is there even when it is empty, for pages."""
    times = [rfc_3339(point.unix_nano) for point in found[0].points] if found else []
    return {
        "name": name.replace("service", "service_operation") if asked.by_operation else name,
        "type": "GAUGE",
        "help": f"{help_} & operation" if asked.by_operation else help_,
        "metrics": [
            {"labels": _labels(series), "metricPoints": _points(series, times, value)}
            for series in found
        ],
    }


def rfc_3339(unix_nano: int) -> str:
    """Return a time as proto3's JSON writes it: with 0, 3, 6 or 9 digits below the second."""
    seconds, below = divmod(unix_nano, 10**9)
    digits = f"{below:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    fraction = f".{digits}" if digits else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _labels(series: PerformanceSeries) -> list[dict[str, str]]:
    labels = [{"name": "service_name", "value": series.service}]
    if series.operation is not None:
        labels.insert(0, {"name": "operation", "value": series.operation})
    return labels


def _points(series: PerformanceSeries, times: list[str], value: Value) -> list[dict[str, Any]]:
    values = map(value, series.points)
    return [
        {"gaugeValue": {"doubleValue": _NONE if each is None else each}, "timestamp": time}
        for each, time in zip(values, times, strict=True)
    ]
