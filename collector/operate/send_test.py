"""``otlpg send-test``: a realistic sample through the real SDK exporters, every reply checked.

The exporters only log a failure, so their log is read here and becomes the error's text. A summary
cannot be made with the SDK's API; it goes as a raw OTLP request over the same protocol.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Metric,
    ResourceMetrics,
    ScopeMetrics,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.errors import CommandError, UnreachableError
from collector.operate.access import Access
from collector.operate.endpoint import Endpoint, parse

if TYPE_CHECKING:
    from collector.operate.sample import Sample

_EXPORTER_LOG = "opentelemetry.exporter.otlp.proto.grpc"
_LATER = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""Codes of a daemon that refuses for now, or does not answer: the same request may do later."""


@dataclass(frozen=True)
class Sent:
    """What was sent, and acknowledged, by one run."""

    endpoint: str
    run_id: str
    trace_id: bytes
    started_ns: int
    spans: int
    points: int
    log_records: int


def send(endpoint: str, timeout_s: float, access: Access = Access()) -> Sent:  # noqa: B008 -- immutable
    """Send the sample and return when every request was acknowledged.

    ``endpoint`` is a URL as in ``OTEL_EXPORTER_OTLP_ENDPOINT``; ``https`` means TLS.

    Raises:
        CommandError: the SDK is not installed, or the daemon will never take a request.
        UnreachableError: nobody listens there, or a request was not acknowledged in time.
        SettingsError: ``endpoint`` is none.
    """
    make_sample = _import_sample()
    target = parse(endpoint)
    with access.channel(target) as channel:
        _await_listener(channel, endpoint, timeout_s)
        started_ns = time.time_ns()
        sample = make_sample(uuid.uuid4().hex, started_ns)
        if not (sample.spans and sample.points and sample.logs):
            raise CommandError("the SDK made nothing to send; is OTEL_SDK_DISABLED set?")
        _export(sample, target, access, timeout_s)
        send_summary(channel, sample.run_id, started_ns, timeout_s, access)
    return Sent(
        endpoint=endpoint,
        run_id=sample.run_id,
        trace_id=sample.trace_id,
        started_ns=started_ns,
        spans=len(sample.spans),
        points=sample.points + 1,  # the summary's
        log_records=len(sample.logs),
    )


def _import_sample() -> Callable[[str, int], Sample]:
    """Return what makes the sample, once the SDK and its exporters are known to be there.

    Without the SDK it is an ImportError and no ModuleNotFoundError: ``opentelemetry-proto``, which
    the daemon needs too, shares the SDK's top folder.
    """
    try:
        importlib.import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
        from collector.operate.sample import make_sample
    except ImportError as error:
        raise CommandError(
            "send-test needs the OpenTelemetry SDK, which is not installed; "
            "pip install 'otlpg[send-test]'"
        ) from error
    return make_sample


def _await_listener(channel: grpc.Channel, endpoint: str, timeout_s: float) -> None:
    """Tell at once when nobody listens; the exporters would try again for a long time."""
    states: SimpleQueue[grpc.ChannelConnectivity] = SimpleQueue()
    deadline_s = time.monotonic() + timeout_s
    state = grpc.ChannelConnectivity.IDLE
    channel.subscribe(states.put, try_to_connect=True)
    try:
        while state not in {
            grpc.ChannelConnectivity.READY,
            grpc.ChannelConnectivity.TRANSIENT_FAILURE,
        }:
            state = states.get(timeout=max(0, deadline_s - time.monotonic()))
    except Empty:
        state = grpc.ChannelConnectivity.TRANSIENT_FAILURE
    finally:
        channel.unsubscribe(states.put)
    if state is not grpc.ChannelConnectivity.READY:
        raise UnreachableError(
            f"nobody takes OTLP/gRPC at {endpoint}; start `otlpg dev`, or name the daemon with "
            "--endpoint http://host:port, https:// where it speaks TLS (and --ca-file if its "
            "certificate is of your own CA)"
        )


def _export(sample: Sample, target: Endpoint, access: Access, timeout_s: float) -> None:
    """Hand each signal to its real exporter; one request per signal and metric reader."""
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    options: dict[str, Any] = {
        "endpoint": target.authority,
        "insecure": not target.secure,
        "credentials": access.credentials() if target.secure else None,
        "headers": access.headers,
        "timeout": timeout_s,
    }
    # Any: the signatures of the metrics exporter hold an untyped **kwargs.
    spans, metrics, logs = exporters = [
        cast("Any", exporter(**options))
        for exporter in (OTLPSpanExporter, OTLPMetricExporter, OTLPLogExporter)
    ]
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("traces", lambda: spans.export(sample.spans)),
        *(("metrics", lambda data=data: metrics.export(data)) for data in sample.metrics),
        ("logs", lambda: logs.export(sample.logs)),
    ]
    try:
        for signal, call in calls:
            with _complaints() as complaints:
                result = call()
            if result.name != "SUCCESS":
                raise _not_acknowledged(signal, _reason(complaints))
    finally:
        for exporter in exporters:
            exporter.shutdown()


def _not_acknowledged(what: str, reason: str) -> CommandError:
    """Return the error for a request that came back, or did not: whether to look or to correct."""
    reason = _one_line(reason)
    if any(code in reason for code in _LATER):
        return UnreachableError(
            f"the daemon did not acknowledge {what} ({reason}); is PostgreSQL away? "
            "its log says why, and so does /health/ready on its telemetry port (9095)"
        )
    return CommandError(f"the daemon did not take {what}: {reason}")


def _one_line(said: str) -> str:
    """Return the words of whoever listens there as one line: they may not look like one of ours."""
    return " ".join(said.splitlines())


def _reason(complaints: list[str]) -> str:
    """Return the daemon's own words, where it had some, before those about the SDK's deadline.

    A refusal invites the exporter to come again, so the last complaint is often only that its
    time was over.
    """
    said = [text for text in complaints if "DEADLINE_EXCEEDED" not in text] or complaints
    if not said:
        return "the exporter gives no reason"
    code = re.search(r"StatusCode\.(\w+)", said[-1])
    details = re.search(r"error details: (.+)$", said[-1], re.IGNORECASE | re.DOTALL)
    return f"{code[1]}, {details[1]}" if code and details else said[-1]


@contextlib.contextmanager
def _complaints() -> Generator[list[str]]:
    """Collect what the exporters log during a block instead of letting it to the terminal."""
    collected: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            collected.append(record.getMessage())

    logger = logging.getLogger(_EXPORTER_LOG)
    handler, propagated = Collect(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield collected
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def send_summary(
    channel: grpc.Channel,
    run_id: str,
    now_ns: int,
    timeout_s: float,
    access: Access = Access(),  # noqa: B008 -- immutable
) -> None:
    """Send the one metric type that only old libraries make: a summary with its quantiles.

    Raises:
        CommandError: the request was not acknowledged, or only in part.
    """
    stub: Any = MetricsServiceStub(channel)  # generated without types
    export: Callable[..., ExportMetricsServiceResponse] = stub.Export
    try:
        reply = export(summary_request(run_id, now_ns), timeout=timeout_s, metadata=access.headers)
    except grpc.RpcError as error:
        raise _not_acknowledged("the summary", f"{error.code().name}, {error.details()}") from error
    if reply.partial_success.rejected_data_points:
        said = _one_line(reply.partial_success.error_message)
        raise CommandError(f"the summary was rejected: {said}")


def summary_request(run_id: str, now_ns: int) -> ExportMetricsServiceRequest:
    """Return a request with one summary data point, as a Prometheus client library reports it."""
    point = SummaryDataPoint(
        attributes=[KeyValue(key="http.route", value=AnyValue(string_value="/checkout"))],
        start_time_unix_nano=now_ns - 60_000_000_000,
        time_unix_nano=now_ns,
        count=120,
        sum=21.6,
        quantile_values=[
            SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=value)
            for quantile, value in ((0.5, 0.15), (0.9, 0.32), (0.99, 0.48))
        ],
    )
    metric = Metric(
        name="legacy.request.latency",
        description="Latency as an old client library reports it.",
        unit="s",
        summary=Summary(data_points=[point]),
    )
    identity = {
        "service.name": "storefront",
        "service.namespace": "shop",
        "service.instance.id": run_id,
    }
    return ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                resource=Resource(
                    attributes=[
                        KeyValue(key=key, value=AnyValue(string_value=value))
                        for key, value in identity.items()
                    ]
                ),
                scope_metrics=[
                    ScopeMetrics(
                        scope=InstrumentationScope(name="otlpg.send-test"), metrics=[metric]
                    )
                ],
            )
        ]
    )
