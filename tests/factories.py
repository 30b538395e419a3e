"""Realistic OTLP requests, the same for the same arguments: a shop whose customers check out.

Every request is an official opentelemetry-proto message, so it is also what a real SDK would send.
Where a test needs the strange instead of the usual, ``tests/strategies.py`` has it.

Shape: ``items`` counts spans, data points or log records, and is met exactly.
Units: ``base_unix_nano`` is the time of the earliest item; the rest follow within some seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_DEBUG,
    SEVERITY_NUMBER_ERROR,
    SEVERITY_NUMBER_INFO,
    SEVERITY_NUMBER_WARN,
    LogRecord,
    ResourceLogs,
    ScopeLogs,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.operate.attributes import Value as AttributeValue
from collector.operate.attributes import any_value as any_value
from collector.operate.attributes import key_values as key_values
from collector.restore.equality import ExportRequest as ExportRequest
from collector.rows import Signal

BASE_UNIX_NANO = 1_767_268_800_000_000_000
"""2026-01-01 12:00 UTC, far from any leaf's bound."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.38.0"


def request_of(
    signal: Signal,
    *,
    items: int = 22,
    seed: int = 0,
    base_unix_nano: int = BASE_UNIX_NANO,
    unique_ids: bool = True,
) -> ExportRequest:
    """Return a request of ``signal``; the arguments are those of the three functions below."""
    make = {
        Signal.TRACES: trace_request,
        Signal.METRICS: metrics_request,
        Signal.LOGS: logs_request,
    }[signal]
    return make(items=items, seed=seed, base_unix_nano=base_unix_nano, unique_ids=unique_ids)


# -- who emits -----------------------------------------------------------------------------------


def resource_of(service: str) -> Resource:
    """Return the resource of a service of the shop, always equal for the same name."""
    return Resource(
        attributes=key_values(
            {
                "service.name": service,
                "service.namespace": "shop",
                "service.instance.id": f"{service}-7d9f8b6c5-x2x4q",
                "service.version": "2.14.1",
                "deployment.environment.name": "production",
                "host.name": "ip-10-0-42-7",
                "process.pid": 4217,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.38.0",
            }
        )
    )


def scope_of(library: str) -> InstrumentationScope:
    """Return the scope of an instrumentation library, always equal for the same name."""
    return InstrumentationScope(name=f"opentelemetry.instrumentation.{library}", version="0.59b0")


# -- traces --------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One span of a checkout: who does what, for whom, and when, in microseconds of the trace."""

    service: str
    library: str
    name: str
    kind: Span.SpanKind.ValueType
    parent: int | None
    start_us: int
    length_us: int


CHECKOUT: tuple[Step, ...] = (
    Step("frontend", "asgi", "POST /checkout", Span.SPAN_KIND_SERVER, None, 0, 184_300),
    Step("frontend", "grpc", "shop.Checkout/PlaceOrder", Span.SPAN_KIND_CLIENT, 0, 900, 181_250),
    Step("checkout", "grpc", "shop.Checkout/PlaceOrder", Span.SPAN_KIND_SERVER, 1, 1_700, 179_420),
    Step("checkout", "shop", "validate cart", Span.SPAN_KIND_INTERNAL, 2, 2_050, 310),
    Step("checkout", "grpc", "shop.Cart/GetCart", Span.SPAN_KIND_CLIENT, 2, 2_480, 6_120),
    Step("cart", "grpc", "shop.Cart/GetCart", Span.SPAN_KIND_SERVER, 4, 3_110, 4_870),
    Step("cart", "redis", "HGETALL", Span.SPAN_KIND_CLIENT, 5, 3_390, 1_240),
    Step("checkout", "grpc", "shop.Payment/Charge", Span.SPAN_KIND_CLIENT, 2, 8_900, 141_700),
    Step("payment", "grpc", "shop.Payment/Charge", Span.SPAN_KIND_SERVER, 7, 9_450, 140_610),
    Step("checkout", "kafka", "publish orders", Span.SPAN_KIND_PRODUCER, 2, 151_200, 2_330),
    Step("shipping", "kafka", "process orders", Span.SPAN_KIND_CONSUMER, 9, 162_000, 14_080),
)
_CHARGE, _VALIDATE, _PROCESS, _PUBLISH = 8, 3, 10, 9
_TRACE_GAP_NS = 1_370_001


def trace_request(
    *,
    items: int = 22,
    seed: int = 0,
    base_unix_nano: int = BASE_UNIX_NANO,
    unique_ids: bool = True,
) -> ExportTraceServiceRequest:
    """Return ``items`` spans of checkouts; the last trace may be cut short.

    Args:
        items: how many spans; ``len(CHECKOUT)`` make one whole trace.
        seed: equal seeds make equal bytes.
        base_unix_nano: start of the first root span.
        unique_ids: False gives every seed the same trace and span ids, so that requests of
            different seeds hold spans of the same traces.
    """
    ids = Random(f"trace ids {seed if unique_ids else 'shared'}")
    values = Random(f"trace values {seed}")
    emitted: dict[str, dict[str, list[Span]]] = {}
    left = items
    while left > 0:
        started = base_unix_nano + (items - left) // len(CHECKOUT) * _TRACE_GAP_NS
        for step, span in _checkout(ids, values, started)[:left]:
            emitted.setdefault(step.service, {}).setdefault(step.library, []).append(span)
        left -= len(CHECKOUT)
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=resource_of(service),
                schema_url=SCHEMA_URL,
                scope_spans=[
                    ScopeSpans(scope=scope_of(library), spans=spans, schema_url=SCHEMA_URL)
                    for library, spans in libraries.items()
                ],
            )
            for service, libraries in emitted.items()
        ]
    )


def _checkout(ids: Random, values: Random, started: int) -> list[tuple[Step, Span]]:
    """Return one whole trace, parents before children."""
    trace_id = _nonzero_bytes(ids, 16)
    span_ids = [_nonzero_bytes(ids, 8) for _ in CHECKOUT]
    user_id = values.randrange(1, 100_000)
    declined = values.random() < 1 / 8
    spans = [
        Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=b"" if step.parent is None else span_ids[step.parent],
            name=step.name,
            kind=step.kind,
            flags=0x101,
            start_time_unix_nano=started + step.start_us * 1_000 + values.randrange(1_000),
            end_time_unix_nano=started
            + (step.start_us + step.length_us) * 1_000
            + values.randrange(1_000, 2_000),
            attributes=key_values(_span_attributes(step, values, user_id)),
        )
        for step, span_id in zip(CHECKOUT, span_ids, strict=True)
    ]
    _tell_what_happened(spans, values, declined=declined)
    return list(zip(CHECKOUT, spans, strict=True))


def _span_attributes(step: Step, values: Random, user_id: int) -> dict[str, AttributeValue]:
    """Return eight attributes: some repeat in every span, some are unlike any other's."""
    method = step.name.rpartition("/")[2]
    return {
        "rpc.system": step.library,
        "rpc.method": method,
        "server.address": f"{step.service}.shop.svc.cluster.local",
        "server.port": 8_080,
        "enduser.id": f"user-{user_id:05d}",
        "app.order.amount": round(values.uniform(1, 900), 2),
        "app.cache.hit": values.random() < 0.9,
        "app.request.tags": ["web", f"ab-{values.randrange(4)}"],
    }


def _tell_what_happened(spans: Sequence[Span], values: Random, *, declined: bool) -> None:
    """Add the events, the link and, when the card was declined, the error."""
    validate, charge, process = spans[_VALIDATE], spans[_CHARGE], spans[_PROCESS]
    validate.events.add(
        name="cart validated",
        time_unix_nano=validate.start_time_unix_nano + 120_003,
        attributes=key_values({"app.cart.items": values.randrange(1, 9)}),
    )
    process.links.add(
        trace_id=process.trace_id,
        span_id=spans[_PUBLISH].span_id,
        trace_state="shop=orders",
        attributes=key_values({"messaging.operation.type": "process"}),
        flags=0x301,
    )
    spans[0].status.code = Status.STATUS_CODE_OK
    if not declined:
        return
    charge.status.code = Status.STATUS_CODE_ERROR
    charge.status.message = "card declined"
    charge.events.add(
        name="exception",
        time_unix_nano=charge.end_time_unix_nano - 41_007,
        attributes=key_values(
            {
                "exception.type": "shop.payment.CardDeclinedError",
                "exception.message": "card declined: insufficient funds",
                "exception.stacktrace": 'Traceback (most recent call last):\n  File "pay.py", ...',
                "exception.escaped": False,
            }
        ),
    )


def _nonzero_bytes(ids: Random, length: int) -> bytes:
    """Return a valid id: all zero bytes would be none."""
    return ids.randbytes(length - 1) + bytes([ids.randrange(1, 256)])


# -- metrics -------------------------------------------------------------------------------------

_INTERVAL_NS = 15_000_000_000


class Reading(NamedTuple):
    """When a data point was read, of which series, and the dice for its values."""

    attributes: list[KeyValue]
    start: int
    time: int
    values: Random
    trace_id: bytes
    span_id: bytes


def metrics_request(
    *,
    items: int = 22,
    seed: int = 0,
    base_unix_nano: int = BASE_UNIX_NANO,
    unique_ids: bool = True,
) -> ExportMetricsServiceRequest:
    """Return ``items`` data points, spread over a metric of every type (from 8 items on).

    Args:
        items: how many data points.
        seed: equal seeds make equal bytes; the series are the same for every seed.
        base_unix_nano: time of the first interval.
        unique_ids: as in ``trace_request``, for the trace and span ids in exemplars.
    """
    ids = Random(f"metric ids {seed if unique_ids else 'shared'}")
    values = Random(f"metric values {seed}")
    metrics = _shop_metrics()[:items]
    for index in range(items):
        metric = metrics[index % len(metrics)]
        turn = index // len(metrics)
        time = base_unix_nano + turn // _SERIES * _INTERVAL_NS + index
        reading = Reading(
            attributes=key_values(_point_attributes(turn % _SERIES)),
            start=time - _INTERVAL_NS,
            time=time,
            values=values,
            trace_id=_nonzero_bytes(ids, 16),
            span_id=_nonzero_bytes(ids, 8),
        )
        _add_point(metric, reading)
    return ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                resource=resource_of(service),
                schema_url=SCHEMA_URL,
                scope_metrics=[
                    ScopeMetrics(scope=scope_of("shop"), metrics=part, schema_url=SCHEMA_URL)
                ],
            )
            for service, part in (("frontend", metrics[::2]), ("payment", metrics[1::2]))
            if part
        ]
    )


_SERIES = 20
"""Series per metric; with more points than that, the next interval begins."""


def _point_attributes(series: int) -> dict[str, AttributeValue]:
    return {
        "http.request.method": ("GET", "POST")[series % 2],
        "http.route": f"/api/v1/route-{series}",
        "http.response.status_code": (200, 404, 500)[series % 3],
    }


def _shop_metrics() -> list[Metric]:
    """Return one metric of every type, without points yet."""
    cumulative, delta = AGGREGATION_TEMPORALITY_CUMULATIVE, AGGREGATION_TEMPORALITY_DELTA
    metadata = key_values({"prometheus.type": "counter"})
    return [
        Metric(name="process.memory.utilization", unit="1", gauge=Gauge()),
        Metric(
            name="http.server.requests",
            description="Requests answered.",
            unit="{request}",
            metadata=metadata,
            sum=Sum(aggregation_temporality=cumulative, is_monotonic=True),
        ),
        Metric(
            name="http.server.request.duration",
            description="Time to answer.",
            unit="s",
            histogram=Histogram(aggregation_temporality=delta),
        ),
        Metric(
            name="http.client.request.duration",
            unit="s",
            exponential_histogram=ExponentialHistogram(aggregation_temporality=cumulative),
        ),
        Metric(name="rpc.server.duration", unit="ms", summary=Summary()),
        Metric(
            name="http.server.active_requests",
            unit="{request}",
            sum=Sum(aggregation_temporality=delta),
        ),
        Metric(name="queue.depth", unit="{message}", gauge=Gauge()),
        Metric(name="queue.age", description="Not always known.", unit="s", gauge=Gauge()),
    ]


def _add_point(metric: Metric, reading: Reading) -> None:
    """Append one point of the metric's own type."""
    kind = metric.WhichOneof("data")
    if kind == "histogram":
        metric.histogram.data_points.append(_histogram_point(reading))
    elif kind == "exponential_histogram":
        metric.exponential_histogram.data_points.append(_exponential_point(reading))
    elif kind == "summary":
        metric.summary.data_points.append(_summary_point(reading))
    elif kind == "sum":
        metric.sum.data_points.append(_integer_point(reading))
    else:
        metric.gauge.data_points.append(_gauge_point(metric.name, reading))


def _integer_point(reading: Reading) -> NumberDataPoint:
    return NumberDataPoint(
        attributes=reading.attributes,
        start_time_unix_nano=reading.start,
        time_unix_nano=reading.time,
        as_int=reading.values.randrange(1_000_000),
        exemplars=[_exemplar(reading)],
    )


def _gauge_point(name: str, reading: Reading) -> NumberDataPoint:
    point = NumberDataPoint(attributes=reading.attributes, time_unix_nano=reading.time)
    if name == "queue.age":
        point.flags = DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    elif name == "queue.depth":
        point.as_int = reading.values.randrange(500)
    else:
        point.as_double = reading.values.random()
    return point


def _histogram_point(reading: Reading) -> HistogramDataPoint:
    bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]
    counts = [reading.values.randrange(40) for _ in range(len(bounds) + 1)]
    return HistogramDataPoint(
        attributes=reading.attributes,
        start_time_unix_nano=reading.start,
        time_unix_nano=reading.time,
        count=sum(counts),
        sum=reading.values.uniform(1, 90),
        min=0.001_2,
        max=reading.values.uniform(1, 9),
        bucket_counts=counts,
        explicit_bounds=bounds,
        exemplars=[_exemplar(reading)],
    )


def _exponential_point(reading: Reading) -> ExponentialHistogramDataPoint:
    counts = [reading.values.randrange(40) for _ in range(12)]
    buckets = ExponentialHistogramDataPoint.Buckets
    return ExponentialHistogramDataPoint(
        attributes=reading.attributes,
        start_time_unix_nano=reading.start,
        time_unix_nano=reading.time,
        count=sum(counts) + 3,
        sum=reading.values.uniform(1, 90),
        scale=3,
        zero_count=2,
        zero_threshold=1e-6,
        positive=buckets(offset=-7, bucket_counts=counts),
        negative=buckets(offset=1, bucket_counts=[1]),
        min=-1.5,
        max=reading.values.uniform(1, 9),
    )


def _summary_point(reading: Reading) -> SummaryDataPoint:
    median = reading.values.uniform(1, 20)
    return SummaryDataPoint(
        attributes=reading.attributes,
        start_time_unix_nano=reading.start,
        time_unix_nano=reading.time,
        count=reading.values.randrange(1, 1_000),
        sum=median * 100,
        quantile_values=[
            SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=median * (1 + quantile))
            for quantile in (0.5, 0.9, 0.99)
        ],
    )


def _exemplar(reading: Reading) -> Exemplar:
    return Exemplar(
        time_unix_nano=reading.time - 1_000_003,
        as_double=reading.values.uniform(0, 5),
        trace_id=reading.trace_id,
        span_id=reading.span_id,
        filtered_attributes=key_values({"enduser.id": "user-00042"}),
    )


# -- logs ----------------------------------------------------------------------------------------

_SERVICES = ("frontend", "checkout", "cart", "payment", "shipping")
_SEVERITIES = (
    (SEVERITY_NUMBER_INFO, "INFO"),
    (SEVERITY_NUMBER_INFO, "INFO"),
    (SEVERITY_NUMBER_DEBUG, "DEBUG"),
    (SEVERITY_NUMBER_WARN, "WARN"),
    (SEVERITY_NUMBER_ERROR, "ERROR"),
)


def logs_request(
    *,
    items: int = 22,
    seed: int = 0,
    base_unix_nano: int = BASE_UNIX_NANO,
    unique_ids: bool = True,
) -> ExportLogsServiceRequest:
    """Return ``items`` log records; every eighth has a body that is not text.

    Args:
        items: how many log records.
        seed: equal seeds make equal bytes.
        base_unix_nano: time of the first record.
        unique_ids: as in ``trace_request``.
    """
    ids = Random(f"log ids {seed if unique_ids else 'shared'}")
    values = Random(f"log values {seed}")
    emitted: dict[str, list[LogRecord]] = {}
    for index in range(items):
        record = _log_record(index, base_unix_nano + index * 731_003, ids, values)
        emitted.setdefault(_SERVICES[index % len(_SERVICES)], []).append(record)
    return ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=resource_of(service),
                schema_url=SCHEMA_URL,
                scope_logs=[
                    ScopeLogs(scope=scope_of("logging"), log_records=records, schema_url=SCHEMA_URL)
                ],
            )
            for service, records in emitted.items()
        ]
    )


def _log_record(index: int, time: int, ids: Random, values: Random) -> LogRecord:
    severity, text = values.choice(_SEVERITIES)
    order = values.randrange(10**9)
    record = LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time + 1_017,
        severity_number=severity,
        severity_text=text,
        body=any_value(_log_body(index, order)),
        attributes=key_values(
            {
                "code.function.name": "shop.checkout.place_order",
                "code.line.number": 40 + index % 90,
                "thread.name": f"worker-{index % 4}",
                "app.order.id": f"order-{order:09d}",
                "app.retry": index % 5 == 0,
                "app.elapsed": round(values.uniform(0.1, 90), 3),
            }
        ),
    )
    if index % 3:
        record.trace_id = _nonzero_bytes(ids, 16)
        record.span_id = _nonzero_bytes(ids, 8)
        record.flags = 1
    if index % 8 == 7:
        record.event_name = "shop.order.placed"
    return record


def _log_body(index: int, order: int) -> AttributeValue:
    if index % 8 == 7:
        return {"order": order, "lines": [{"sku": "A-17", "count": 2}], "paid": True}
    return f"order {order} placed after {index % 7} retries"


def items_in(request: ExportRequest) -> int:
    """Return how many spans, data points or log records ``request`` holds."""
    if isinstance(request, ExportTraceServiceRequest):
        return _count(s.spans for r in request.resource_spans for s in r.scope_spans)
    if isinstance(request, ExportLogsServiceRequest):
        return _count(s.log_records for r in request.resource_logs for s in r.scope_logs)
    return _count(
        getattr(metric, metric.WhichOneof("data") or "gauge").data_points
        for r in request.resource_metrics
        for s in r.scope_metrics
        for metric in s.metrics
    )


def spans_with_services(request: ExportTraceServiceRequest) -> list[tuple[str, Span]]:
    """Return every span, in its order, behind the name of its service."""
    return [
        (attribute.value.string_value, span)
        for group in request.resource_spans
        for attribute in group.resource.attributes
        if attribute.key == "service.name"
        for scoped in group.scope_spans
        for span in scoped.spans
    ]


def _count(groups: Iterable[Sequence[object]]) -> int:
    return sum(map(len, groups))
