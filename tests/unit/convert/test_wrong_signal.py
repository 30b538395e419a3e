"""Requests that came to the wrong door (DESIGN section 7)."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

from collector.rows import Reason, Signal
from tests.factories import any_value, key_values, request_of
from tests.unit.convert.converting import (
    NOW,
    convert,
    converter,
    logs_of,
    metrics_of,
    on_the_wire,
    span_of,
    traces_of,
    valid_span,
)

EVERY_SIGNAL = pytest.mark.parametrize("signal", Signal)


@EVERY_SIGNAL
@pytest.mark.parametrize("door", Signal)
def test_request_of_another_signal_is_rejected_whole(signal: Signal, door: Signal) -> None:
    """Its bytes are kept once; nothing of it is stored as something else."""
    payload = request_of(signal, items=200).SerializeToString()

    converted = convert(door, payload)

    if signal is door:
        assert not converted.wrong_signal
        return
    if converted.items == 0:
        return
    assert converted.wrong_signal
    assert (converted.rows, converted.rejected) == ([], converted.items)
    assert (converted.quarantined, converted.repaired) == (0, 0)
    [letter] = converted.dead_letters
    assert (letter.outcome, letter.reason) == ("rejected", Reason.WRONG_SIGNAL)
    assert letter.payload == payload


def test_one_item_without_identity_is_quarantined_not_rejected() -> None:
    """One bad span says nothing about its sender."""
    converted = convert(Signal.TRACES, traces_of(span_of(trace_id=b"")))

    assert not converted.wrong_signal
    assert converted.quarantined == 1


def test_two_spans_without_ids_are_rejected() -> None:
    """Also of the right signal: the rule looks at items only."""
    converted = convert(Signal.TRACES, traces_of(span_of(trace_id=b""), span_of(span_id=b"")))

    assert converted.wrong_signal
    assert converted.rejected == 2


@pytest.mark.parametrize(
    ("record", "is_wrong"),
    [
        (LogRecord(), True),
        (LogRecord(attributes=key_values({"a": 1})), True),
        (LogRecord(body=AnyValue()), True),
        (LogRecord(body=any_value("")), False),
        (LogRecord(body=any_value(1)), False),
        (LogRecord(time_unix_nano=1), False),
        (LogRecord(observed_time_unix_nano=1), False),
    ],
)
def test_log_record_is_known_by_time_or_body(record: LogRecord, is_wrong: bool) -> None:
    """One such record vouches for the others."""
    assert convert(Signal.LOGS, logs_of(LogRecord(), record)).wrong_signal is is_wrong


def test_data_point_is_known_by_its_metric_s_name() -> None:
    """Two points of a nameless metric could be anything."""
    points = [NumberDataPoint(time_unix_nano=NOW), NumberDataPoint()]

    nameless = convert(Signal.METRICS, metrics_of(Metric(gauge=Gauge(data_points=points))))
    named = convert(Signal.METRICS, metrics_of(Metric(name="n", gauge=Gauge(data_points=points))))

    assert nameless.wrong_signal
    assert not named.wrong_signal
    assert nameless.dimensions.metrics == {}


def test_oversized_spans_do_not_look_like_another_signal() -> None:
    """They were not decoded, so nothing is known against them."""
    spans = [valid_span(b"\x4a\x00" * 200)] * 2

    converted = convert(Signal.TRACES, on_the_wire(*spans), by=converter(parts_max=100))

    assert not converted.wrong_signal
    assert converted.quarantined == 2
