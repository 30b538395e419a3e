"""Requests built before the clock starts, no two alike.

Decision: a load is a list of finished request bodies, held in memory, and sending it costs one
list index per request. Protobuf builds a span of eight attributes in some 15 us, which on two
cores would be most of what is measured; a ``Template`` is built once per shape and filled with
fresh ids, times and values at about 1 us per item.

What repeats is what repeats in production (resources, scopes, names, most attribute values, metric
series); what is fresh is ids, times, numbers and about one attribute value per span and log
record, so that neither the converter's memo nor the ledger sees the same bytes twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.operate.bench.load import logs, metrics, traces
from collector.restore.equality import ExportRequest
from collector.restore.otlp_json import document_of
from collector.rows import Signal

ITEMS = {Signal.TRACES: traces.items, Signal.METRICS: metrics.items, Signal.LOGS: logs.items}
WRAP = {Signal.TRACES: traces.wrap, Signal.METRICS: metrics.wrap, Signal.LOGS: logs.wrap}
MESSAGES: dict[Signal, type[ExportRequest]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to build. Equal plans build equal bytes; another seed shares no request."""

    signal: Signal
    items: int
    items_per_request: int
    seed: int
    now_unix_ns: int
    json: bool = False
    """The same requests as OTLP/JSON, which takes some 80 us per item to write."""

    def requests(self) -> list[bytes]:
        """Return the finished bodies; the last is shorter when the items do not divide evenly."""
        stream = ITEMS[self.signal](random.Random(self.seed), self.now_unix_ns)
        encode = self._to_json if self.json else bytes
        return [encode(self._request(number, stream)) for number in range(self._count())]

    def _count(self) -> int:
        return -(-self.items // self.items_per_request)

    def _request(self, number: int, stream: Iterator[bytes]) -> bytes:
        items = min(self.items_per_request, self.items - number * self.items_per_request)
        return WRAP[self.signal](number, [next(stream) for _ in range(items)])

    def _to_json(self, request: bytes) -> bytes:
        """Return ``request`` as an SDK writes it that leaves no space between tokens."""
        return orjson.dumps(document_of(MESSAGES[self.signal].FromString(request)))
