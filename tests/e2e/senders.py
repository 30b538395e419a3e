"""Senders of the end-to-end tests: the real SDK exporters, and raw calls for what no SDK does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

import grpc
from google.rpc import error_details_pb2, status_pb2
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto import http
from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_log
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metric
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_trace
from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_log
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metric
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from collector.receive.grpc_service import SERVICES
from collector.rows import Signal

METHODS = {signal: f"/{service}/Export" for service, signal in SERVICES.items()}
RESOURCE = Resource.create({"service.name": "e2e"})

# -- raw calls -----------------------------------------------------------------------------------


class Failure(NamedTuple):
    """What a sender hears that is not OK."""

    code: grpc.StatusCode
    details: str
    retry_s: float | None  # from google.rpc.retryinfo-bin
    status_retry_s: float | None  # from grpc-status-details-bin
    took_s: float
    everything: str  # all texts of the reply, to look for leaks


class Caller:
    """One connection of its own; ``send`` returns the reply's bytes or a Failure."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def send(
        self, signal: Signal, body: bytes, *, timeout_s: float | None = 30.0, **options: Any
    ) -> bytes | Failure:
        """Make one unary call."""
        call = self.channel.unary_unary(METHODS[signal], bytes, bytes)
        return _heard(lambda: call(body, timeout=timeout_s, **options))

    def send_messages(self, signal: Signal, bodies: Iterable[bytes]) -> bytes | Failure:
        """Make one call with any number of messages."""
        call = self.channel.stream_unary(METHODS[signal], bytes, bytes)
        return _heard(lambda: call(iter(bodies), timeout=30.0))


def _heard(call: Callable[[], bytes]) -> bytes | Failure:
    began_s = time.monotonic()
    try:
        return call()
    except grpc.RpcError as error:
        failed: Any = error
        trailers: dict[str, bytes] = dict(failed.trailing_metadata() or ())
        return Failure(
            failed.code(),
            failed.details(),
            _retry_s(trailers.get("google.rpc.retryinfo-bin")),
            _status_retry_s(trailers.get("grpc-status-details-bin")),
            time.monotonic() - began_s,
            f"{failed.details()} {trailers}",
        )


def _retry_s(raw: bytes | None) -> float | None:
    if raw is None:
        return None
    return error_details_pb2.RetryInfo.FromString(raw).retry_delay.ToMilliseconds() / 1000


def _status_retry_s(raw: bytes | None) -> float | None:
    if raw is None:
        return None
    info = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(raw).details[0].Unpack(info)
    return info.retry_delay.ToMilliseconds() / 1000


def numbered_logs(numbers: Iterable[int]) -> bytes:
    """Return a request with one log record per number, whose body is the number."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    now = time.time_ns()
    for number in numbers:
        record = records.add(time_unix_nano=now)
        record.body.string_value = str(number)
    return request.SerializeToString()


class Load:
    """Threads that send numbered log records until a call fails; ``acked`` holds what is safe."""

    def __init__(self, port: int, *, threads: int = 8, timeout_s: float = 30.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(threads)
        ]
        self._changed = threading.Condition()
        self.acked: set[int] = set()
        self.failures: list[Failure] = []

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def wait_until_acked(self, count: int) -> None:
        """Return once this many requests were acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acked) >= count, 30), self.failures

    def join(self) -> None:
        """Return when every thread met its failure."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, thread: int) -> None:
        number = thread * 1_000_000
        with Caller(self._port) as caller:
            while True:
                number += 1
                heard = caller.send(Signal.LOGS, numbered_logs([number]), timeout_s=self._timeout_s)
                with self._changed:
                    if isinstance(heard, Failure):
                        self.failures.append(heard)
                        return
                    self.acked.add(number)
                    self._changed.notify_all()


# -- the real SDK --------------------------------------------------------------------------------

GRPC_EXPORTERS: dict[Signal, Any] = {
    Signal.TRACES: grpc_trace.OTLPSpanExporter,
    Signal.METRICS: grpc_metric.OTLPMetricExporter,
    Signal.LOGS: grpc_log.OTLPLogExporter,
}
HTTP_EXPORTERS: dict[Signal, Any] = {
    Signal.TRACES: http_trace.OTLPSpanExporter,
    Signal.METRICS: http_metric.OTLPMetricExporter,
    Signal.LOGS: http_log.OTLPLogExporter,
}


def grpc_exporter(signal: Signal, port: int, compression: grpc.Compression) -> Any:
    """Return the SDK's exporter over gRPC."""
    endpoint = f"http://127.0.0.1:{port}"
    return GRPC_EXPORTERS[signal](endpoint=endpoint, insecure=True, compression=compression)


def http_exporter(signal: Signal, port: int, compression: http.Compression) -> Any:
    """Return the SDK's exporter over HTTP."""
    endpoint = f"http://127.0.0.1:{port}/v1/{signal}"
    return HTTP_EXPORTERS[signal](endpoint=endpoint, compression=compression)


def export_spans(exporter: Any, names: Iterable[str]) -> Any:
    """Make a span per name with the SDK and export them in one request; return the SDK's result."""
    finished = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(finished))
    tracer = provider.get_tracer("e2e")
    for name in names:
        with tracer.start_as_current_span(name, attributes={"e2e.name": name}) as span:
            span.add_event("seen", {"n": 1})
    try:
        return exporter.export(finished.get_finished_spans())
    finally:
        exporter.shutdown()
        provider.shutdown()


def export_metrics(exporter: Any, names: Iterable[str]) -> Any:
    """Count once per name with the SDK and export the points in one request."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=RESOURCE)
    counter = provider.get_meter("e2e").create_counter("e2e.count", unit="1")
    for name in names:
        counter.add(1, {"e2e.name": name})
    try:
        data = reader.get_metrics_data()
        assert data is not None
        return exporter.export(data)
    finally:
        exporter.shutdown()
        provider.shutdown()


def export_logs(exporter: Any, names: Iterable[str]) -> Any:
    """Log each name with the SDK and export the records in one request."""
    finished = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(finished))
    logger = provider.get_logger("e2e")
    for name in names:
        logger.emit(
            LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber.INFO, body=name)
        )
    try:
        return exporter.export(finished.get_finished_logs())
    finally:
        exporter.shutdown()
        provider.shutdown()
