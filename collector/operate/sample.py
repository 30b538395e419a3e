"""A realistic sample of all three signals, made by the OpenTelemetry SDK itself.

A shop: a customer checks out, the first attempt to pay is declined, the second one passes, and a
mailer is told. Three services pass the trace on in W3C headers, as real ones do, so parents are
remote, spans carry links, an exception is a span event, and data points carry exemplars.

Needs the extra ``send-test``; importing this file without it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from collector import __version__

SCHEMA_URL = "https://opentelemetry.io/schemas/1.38.0"
SCOPE = "otlpg.send-test"
STOREFRONT, CHECKOUT, PAYMENT = "storefront", "checkout", "payment"
MS = 1_000_000

ServiceName = str


class Sample(NamedTuple):
    """What one run sends; the resources of all of it carry ``run_id`` as service.instance.id."""

    run_id: str
    trace_id: bytes  # of the checkout; the mailer's trace links to it
    spans: Sequence[ReadableSpan]
    metrics: Sequence[MetricsData]
    logs: Sequence[ReadableLogRecord]

    @property
    def points(self) -> int:
        """Number of data points in ``metrics``."""
        return sum(
            len(metric.data.data_points)
            for data in self.metrics
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )


class PaymentDeclinedError(Exception):
    """The card was declined; recorded as a span event, as an application would."""


def make_sample(run_id: str, now_ns: int) -> Sample:
    """Return a sample whose trace ended at ``now_ns``."""
    kept = InMemorySpanExporter()
    trace_id, context = _trace(run_id, now_ns, kept)
    return Sample(
        run_id=run_id,
        trace_id=trace_id,
        spans=kept.get_finished_spans(),
        metrics=_metrics(run_id, context),
        logs=_logs(run_id, now_ns, context),
    )


def resource_of(service: ServiceName, run_id: str) -> Resource:
    """Return the resource of one service of the shop."""
    return Resource.create(
        {
            "service.name": service,
            "service.namespace": "shop",
            "service.version": "2.4.1",
            "service.instance.id": run_id,
            "deployment.environment.name": "send-test",
        },
        SCHEMA_URL,
    )


# -- traces --------------------------------------------------------------------------------------


def _trace(run_id: str, now_ns: int, kept: InMemorySpanExporter) -> tuple[bytes, Context]:
    """Run the checkout; return its trace id, and the context in which logs and points belong."""

    def tracer(service: ServiceName) -> Tracer:
        provider = TracerProvider(
            resource=resource_of(service, run_id), sampler=ALWAYS_ON, shutdown_on_exit=False
        )
        provider.add_span_processor(SimpleSpanProcessor(kept))
        return provider.get_tracer(SCOPE, __version__, SCHEMA_URL)

    storefront, checkout = tracer(STOREFRONT), tracer(CHECKOUT)
    start_ns = now_ns - 250 * MS
    root = storefront.start_span(
        "POST /checkout",
        Context(),
        kind=SpanKind.SERVER,
        start_time=start_ns,
        attributes={
            "http.request.method": "POST",
            "http.route": "/checkout",
            "http.response.status_code": 200,
            "url.path": "/checkout",
            "client.address": "203.0.113.7",
        },
    )
    call = storefront.start_span(
        "POST", _within(root), kind=SpanKind.CLIENT, start_time=start_ns + 4 * MS,
        attributes={"server.address": "checkout.shop.example", "server.port": 8080},
    )  # fmt: skip
    order = checkout.start_span(
        "POST /orders", _received_from(call), kind=SpanKind.SERVER, start_time=start_ns + 6 * MS,
        attributes={"order.items": ["mug", "teapot"], "order.total": 49.5, "order.express": False},
    )  # fmt: skip
    _reserve_stock(checkout, order, start_ns + 8 * MS)
    _pay(checkout, tracer(PAYMENT), order, start_ns + 40 * MS, declined=True)
    _pay(checkout, tracer(PAYMENT), order, start_ns + 110 * MS, declined=False)
    published = checkout.start_span(
        "send orders", _within(order), kind=SpanKind.PRODUCER, start_time=start_ns + 200 * MS,
        attributes={"messaging.system": "kafka", "messaging.destination.name": "orders"},
    )  # fmt: skip
    published.end(start_ns + 203 * MS)
    order.set_status(Status(StatusCode.OK))
    order.end(start_ns + 230 * MS)
    call.end(start_ns + 233 * MS)
    root.end(now_ns)
    mail = tracer("mailer").start_span(
        "process orders", Context(), kind=SpanKind.CONSUMER, start_time=start_ns + 215 * MS,
        links=[Link(published.get_span_context(), {"messaging.operation.type": "process"})],
    )  # fmt: skip
    mail.end(now_ns)
    return root.get_span_context().trace_id.to_bytes(16, "big"), _within(order)


def _reserve_stock(checkout: Tracer, order: trace.Span, start_ns: int) -> None:
    span = checkout.start_span(
        "SELECT stock", _within(order), kind=SpanKind.CLIENT, start_time=start_ns,
        attributes={"db.system.name": "postgresql", "db.query.summary": "SELECT stock"},
    )  # fmt: skip
    span.add_event("rows locked", {"db.rows": 2}, start_ns + 5 * MS)
    span.end(start_ns + 21 * MS)


def _pay(
    checkout: Tracer, payment: Tracer, order: trace.Span, start_ns: int, *, declined: bool
) -> None:
    """Ask the payment service, which records an exception when the card is declined."""
    call = checkout.start_span(
        "payment.Charge", _within(order), kind=SpanKind.CLIENT, start_time=start_ns,
        attributes={"rpc.system": "grpc", "rpc.grpc.status_code": 9 if declined else 0},
    )  # fmt: skip
    charge = payment.start_span(
        "payment.Charge", _received_from(call), kind=SpanKind.SERVER, start_time=start_ns + 2 * MS,
        attributes={"payment.provider": "example", "payment.attempt": 1 if declined else 2},
    )  # fmt: skip
    if declined:
        reason = PaymentDeclinedError("insufficient funds")
        charge.record_exception(reason, timestamp=start_ns + 50 * MS)
        charge.set_status(Status(StatusCode.ERROR, str(reason)))
        call.set_status(Status(StatusCode.ERROR, "FAILED_PRECONDITION"))
    charge.end(start_ns + 55 * MS)
    call.end(start_ns + 58 * MS)


def _within(parent: trace.Span) -> Context:
    return trace.set_span_in_context(parent, Context())


def _received_from(sender: trace.Span) -> Context:
    """Return what the service at the other end reads from the headers of the call."""
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers, _within(sender))
    return TraceContextTextMapPropagator().extract(headers, Context())


# -- metrics -------------------------------------------------------------------------------------


def _metrics(run_id: str, context: Context) -> list[MetricsData]:
    """Return a data point or two of every type that the SDK can make, cumulative and delta."""
    cumulative = InMemoryMetricReader()
    delta = InMemoryMetricReader(preferred_temporality={Histogram: AggregationTemporality.DELTA})
    exponential = View(
        instrument_name="payment.duration", aggregation=ExponentialBucketHistogramAggregation()
    )
    for reader, record in ((cumulative, _record_most), (delta, _record_delta)):
        provider = MeterProvider(
            [reader], resource_of(CHECKOUT, run_id), shutdown_on_exit=False, views=[exponential]
        )
        record(provider, context)
    return [data for reader in (cumulative, delta) if (data := reader.get_metrics_data())]


def _record_most(provider: MeterProvider, context: Context) -> None:
    meter = provider.get_meter(SCOPE, __version__, SCHEMA_URL)
    orders = meter.create_counter("orders.completed", "{order}", "Orders that were paid.")
    orders.add(2, {"order.express": False}, context)
    orders.add(1, {"order.express": True}, context)
    revenue = meter.create_counter("orders.revenue", "EUR", "Money taken.")
    revenue.add(49.5, {"currency": "EUR"}, context)
    carts = meter.create_up_down_counter("carts.open", "{cart}", "Carts that wait for a checkout.")
    carts.add(7, context=context)
    carts.add(-2, context=context)
    memory = meter.create_gauge("process.memory.usage", "By", "Physical memory in use.")
    memory.set(73_400_320, context=context)
    paying = meter.create_histogram("payment.duration", "s", "Time to charge a card.")
    for seconds in (0.0, 0.055, 0.055, 0.21):
        paying.record(seconds, {"payment.provider": "example"}, context)


def _record_delta(provider: MeterProvider, context: Context) -> None:
    meter = provider.get_meter(SCOPE, __version__, SCHEMA_URL)
    serving = meter.create_histogram(
        "http.server.request.duration", "s", "Time to answer a request.",
        explicit_bucket_boundaries_advisory=[0.005, 0.025, 0.1, 0.25, 1.0],
    )  # fmt: skip
    for seconds in (0.012, 0.24, 0.31):
        serving.record(seconds, {"http.route": "/orders"}, context)


# -- logs ----------------------------------------------------------------------------------------


def _logs(run_id: str, now_ns: int, context: Context) -> Sequence[ReadableLogRecord]:
    """Return log records with a text, a structured body, an event name and an exception."""
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource_of(CHECKOUT, run_id), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    emit: Callable[..., None] = provider.get_logger(SCOPE, __version__, SCHEMA_URL).emit
    start_ns = now_ns - 240 * MS
    emit(
        timestamp=start_ns, context=context, severity_number=SeverityNumber.INFO,
        severity_text="INFO", body="order received", attributes={"order.items": 2},
    )  # fmt: skip
    emit(
        timestamp=start_ns + 100 * MS, context=context, severity_number=SeverityNumber.ERROR,
        severity_text="ERROR", body="payment declined, trying again",
        exception=PaymentDeclinedError("insufficient funds"),
    )  # fmt: skip
    emit(
        timestamp=start_ns + 200 * MS, context=context, severity_number=SeverityNumber.INFO,
        severity_text="INFO", event_name="order.completed",
        body={"order": {"total": 49.5, "items": ["mug", "teapot"]}, "attempts": 2},
    )  # fmt: skip
    emit(observed_timestamp=now_ns, context=Context(), body="a record without time or trace")
    return kept.get_finished_logs()
