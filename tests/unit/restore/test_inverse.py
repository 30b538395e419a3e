"""restore(convert(x)) == x, over every field of the protocol (promise 8, without the database)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from collector.restore.requests import restore
from collector.rows import Signal
from tests.equality import assert_same_items
from tests.examples import same_examples
from tests.factories import ExportRequest, items_in, request_of, trace_request
from tests.round_trip import Arrivals, expected_back, with_quarantined
from tests.strategies import HostileRequest, hostile_requests, requests


def _array(value: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=[value]))


def _kvlist(value: AnyValue) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=value)]))


examples = same_examples(100)


@pytest.mark.parametrize("signal", Signal)
def test_restore_is_the_inverse_of_convert(signal: Signal) -> None:
    """Any request comes back as it was sent; what was quarantined lies whole in its dead letter."""
    arrivals = Arrivals()

    @examples
    @given(requests(signal))
    def check(request: ExportRequest) -> None:
        converted = arrivals.convert(signal, request.SerializeToString())

        restored = restore(signal, converted.rows, converted.dimensions)

        assert_same_items(restored, expected_back(converted, request))
        assert converted.repaired == 0
        if not converted.wrong_signal:
            assert_same_items(with_quarantined(restored, converted.dead_letters), request)

    check()


@pytest.mark.parametrize("signal", Signal)
def test_hostile_text_comes_back_repaired(signal: Signal) -> None:
    """NUL and bad UTF-8 become U+FFFD and are counted; nothing else changes."""
    arrivals = Arrivals()

    @examples
    @given(hostile_requests(signal))
    def check(hostile: HostileRequest) -> None:
        converted = arrivals.convert(signal, hostile.wire)

        restored = restore(signal, converted.rows, converted.dimensions)

        assert_same_items(restored, expected_back(converted, hostile.repaired, is_repaired=True))

    check()


@pytest.mark.parametrize("signal", Signal)
def test_usual_requests_come_back(signal: Signal) -> None:
    """A shop's requests come back twice over, the second time out of the memo."""
    arrivals = Arrivals()
    request = request_of(signal, items=300)

    for _ in range(2):
        converted = arrivals.convert(signal, request.SerializeToString())
        restored = restore(signal, converted.rows, converted.dimensions)

        assert items_in(restored) == 300
        assert_same_items(restored, expected_back(converted, request))


def test_a_valid_name_is_no_less_one_with_a_replacement_character() -> None:
    """U+FFFD that was sent as such says nothing about the door: points without a time are kept."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="\ufffd")
    for value in range(2):
        metric.gauge.data_points.add(as_int=value)

    converted = Arrivals().convert(Signal.METRICS, request.SerializeToString())

    assert not converted.wrong_signal
    assert len(converted.rows) == 2


@pytest.mark.parametrize(("nest", "depth"), [(_array, 47), (_kvlist, 31)])
def test_values_as_deep_as_otlp_allows_come_back(
    nest: Callable[[AnyValue], AnyValue], depth: int
) -> None:
    """What the official library can still decode is stored and restored whole."""
    arrivals = Arrivals()
    value = AnyValue(int_value=1)
    for _ in range(depth):
        value = nest(value)
    request = trace_request(items=2)
    request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep", value=value)
    wire = request.SerializeToString()
    assert ExportTraceServiceRequest.FromString(wire) == request

    converted = arrivals.convert(Signal.TRACES, wire)

    restored = restore(Signal.TRACES, converted.rows, converted.dimensions)
    assert_same_items(restored, expected_back(converted, request))
