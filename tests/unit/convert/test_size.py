"""``size_bytes`` is what a converted request holds in memory, within a fifth."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from collector.convert.tags import field_of
from collector.rows import Signal
from tests.factories import any_value, key_values, request_of
from tests.unit.convert.converting import (
    NOW,
    convert,
    converter,
    logs_of,
    metrics_of,
    on_the_wire,
    valid_span,
)


def _series() -> bytes:
    points = [NumberDataPoint(attributes=key_values({"id": n}), as_int=n) for n in range(1_000)]
    return metrics_of(Metric(name="m", gauge=Gauge(data_points=points))).SerializeToString()


def _histograms() -> bytes:
    points = [
        HistogramDataPoint(
            time_unix_nano=NOW + n,
            count=n,
            sum=n * 1.5,
            bucket_counts=[n * 7 + bucket for bucket in range(16)],
            explicit_bounds=[bucket * 1.1 for bucket in range(15)],
        )
        for n in range(500)
    ]
    metric = Metric(name="h", histogram=Histogram(data_points=points))
    return metrics_of(metric).SerializeToString()


def _resources() -> bytes:
    request = ExportLogsServiceRequest()
    for n in range(500):
        group = request.resource_logs.add()
        group.resource.attributes.extend(key_values({"host.name": f"host-{n}"}))
        group.scope_logs.add().log_records.add(time_unix_nano=NOW)
    return request.SerializeToString()


def _bodies(text: str, records: int) -> bytes:
    record = LogRecord(time_unix_nano=NOW, body=any_value(text))
    return logs_of(*[record] * records).SerializeToString()


REQUESTS: dict[str, tuple[Signal, Callable[[], bytes]]] = {
    **{
        f"{signal} of a shop": (
            signal,
            lambda s=signal: request_of(s, items=512).SerializeToString(),
        )
        for signal in Signal
    },
    **{
        f"ten {signal}": (signal, lambda s=signal: request_of(s, items=10).SerializeToString())
        for signal in Signal
    },
    "bare spans": (Signal.TRACES, lambda: on_the_wire(*[valid_span()] * 2_000)),
    "bare logs": (Signal.LOGS, lambda: on_the_wire(*[b"\x09" + b"\x01" * 8] * 2_000)),
    "empty spans": (Signal.TRACES, lambda: on_the_wire(valid_span(), *[b""] * 2_000)),
    "empty events": (Signal.TRACES, lambda: on_the_wire(*[valid_span(b"\x5a\x00" * 2_000)] * 9)),
    "empty attributes": (
        Signal.TRACES,
        lambda: on_the_wire(*[valid_span(b"\x4a\x00" * 2_000)] * 9),
    ),
    "bad names": (Signal.TRACES, lambda: on_the_wire(*[valid_span(field_of(0x2A, b"\xff"))] * 999)),
    "one emoji": (Signal.LOGS, lambda: _bodies("a" * 100 + "😀", 500)),
    "long bodies": (Signal.LOGS, lambda: _bodies("x" * 100_000, 10)),
    "series": (Signal.METRICS, _series),
    "histograms": (Signal.METRICS, _histograms),
    "resources": (Signal.LOGS, _resources),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("sights", [0, 2])
def test_estimate_is_within_a_fifth(name: str, sights: int) -> None:
    """For typical requests, for pathological ones, for new and for remembered dimensions."""
    signal, make = REQUESTS[name]
    payload = make()
    one = converter()
    for _ in range(sights):
        convert(signal, payload, by=one)
    gc.collect()
    tracemalloc.start()
    try:
        body = bytes(bytearray(payload))  # counted, as the body that receive hands over
        converted = convert(signal, body, by=one)
        del one, body
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 0.8 * held <= converted.size_bytes <= 1.25 * held


UNDER_WAY: dict[str, tuple[Signal, Callable[[], bytes]]] = {
    "a record per resource": (Signal.LOGS, lambda: on_the_wire(b"") * 12_000),
    "a point per metric": (
        Signal.METRICS,
        lambda: on_the_wire(*[field_of(0x2A, field_of(0x0A, b""))] * 12_000),
    ),
    "fields between records": (
        Signal.LOGS,
        lambda: field_of(0x0A, field_of(0x12, b"\x12\x00\x22\x00" * 30_000)),
    ),
    "empty records": (Signal.LOGS, lambda: on_the_wire(*[b""] * 30_000)),
    "no trace ids": (Signal.TRACES, lambda: on_the_wire(*[b""] * 30_000)),
}


@pytest.mark.parametrize("name", UNDER_WAY)
def test_what_is_under_way_is_charged_for(name: str) -> None:
    """Between any two slices it holds no more than it says, but for a quarter of a MiB."""
    signal, make = UNDER_WAY[name]
    payload, one = make(), converter()
    gc.collect()
    tracemalloc.start()
    try:
        steps = one.steps(signal, payload, digest=b"d" * 16, now_ns=NOW)
        beyond = [tracemalloc.get_traced_memory()[0] - 1.25 * charged for charged in steps]
    finally:
        tracemalloc.stop()

    assert len(beyond) > 2
    assert max(beyond) < 2**18
