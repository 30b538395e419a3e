"""api.jaeger.mapping: spans that were sent, as Jaeger writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.api.jaeger.mapping import (
    NO_SERVICE,
    JaegerSpan,
    JaegerTrace,
    JaegerTraces,
    trace_id_text,
)
from collector.api.jaeger.tags import INTEGER_MAX
from collector.rows import Signal
from tests.factories import key_values, trace_request
from tests.golden.jaeger import CASES, path_of, rendered
from tests.round_trip import Arrivals

TRACE = bytes.fromhex("83a9efd15c1c98a977e0711cc93ee28b")
START = 1_706_678_909_209_712_000


def trace_of(groups: Iterable[ResourceSpans], warnings: Iterable[str] = ()) -> JaegerTrace:
    """Return how spans are shown that are one trace, as soon as they are rows."""
    request = ExportTraceServiceRequest(resource_spans=groups)
    converted = Arrivals().convert(Signal.TRACES, request.SerializeToString())
    return JaegerTraces(converted.dimensions).trace_of(converted.rows, warnings)


def grouped(*spans: Span, resource: Resource | None = None, **scope: Any) -> ResourceSpans:
    """Return spans under one resource and scope."""
    scoped = ScopeSpans(scope=InstrumentationScope(**scope), spans=spans)
    return ResourceSpans(resource=resource, scope_spans=[scoped])


def shown(span: Span, **scope: Any) -> JaegerSpan:
    """Return how one span of a trace is shown."""
    [found] = trace_of([grouped(span, **scope)])["spans"]
    return found


def span_with(**fields: Any) -> Span:
    """Return a span with ids and these fields."""
    return Span(trace_id=TRACE, span_id=b"\x01" * 8, **fields)


def test_a_trace_is_what_jaeger_makes_of_it() -> None:
    """The span of telemetrygen that Jaeger's own tests convert, in Jaeger's own words."""
    span = Span(
        trace_id=TRACE,
        span_id=bytes.fromhex("e127af99e3b3e074"),
        parent_span_id=bytes.fromhex("909541b92cf05311"),
        name="okey-dokey-0",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=START,
        end_time_unix_nano=START + 123_000,
        attributes=key_values({"net.peer.ip": "1.2.3.4", "peer.service": "telemetrygen-client"}),
    )
    resource = Resource(attributes=key_values({"service.name": "telemetrygen"}))

    found = trace_of([grouped(span, resource=resource, name="telemetrygen")])

    assert found == {
        "traceID": "83a9efd15c1c98a977e0711cc93ee28b",
        "spans": [
            {
                "traceID": "83a9efd15c1c98a977e0711cc93ee28b",
                "spanID": "e127af99e3b3e074",
                "operationName": "okey-dokey-0",
                "references": [
                    {
                        "refType": "CHILD_OF",
                        "traceID": "83a9efd15c1c98a977e0711cc93ee28b",
                        "spanID": "909541b92cf05311",
                    }
                ],
                "startTime": 1_706_678_909_209_712,
                "duration": 123,
                "tags": [
                    {"key": "otel.scope.name", "type": "string", "value": "telemetrygen"},
                    {"key": "net.peer.ip", "type": "string", "value": "1.2.3.4"},
                    {"key": "peer.service", "type": "string", "value": "telemetrygen-client"},
                    {"key": "span.kind", "type": "string", "value": "server"},
                ],
                "logs": [],
                "processID": "p1",
                "warnings": None,
            }
        ],
        "processes": {"p1": {"serviceName": "telemetrygen", "tags": []}},
        "warnings": None,
    }


def test_what_jaeger_knows_only_as_tags_comes_in_its_order() -> None:
    """Scope, attributes, kind, status, error, description, trace state."""
    span = span_with(
        attributes=key_values({"a": 1}),
        kind=Span.SPAN_KIND_CONSUMER,
        status=Status(code=Status.STATUS_CODE_ERROR, message="declined"),
        trace_state="k=v",
    )

    tags = shown(span, name="lib", version="1.2")["tags"]

    assert [(tag["key"], tag["value"]) for tag in tags] == [
        ("otel.scope.name", "lib"), ("otel.scope.version", "1.2"), ("a", 1),
        ("span.kind", "consumer"), ("otel.status_code", "ERROR"), ("error", True),
        ("otel.status_description", "declined"), ("w3c.tracestate", "k=v"),
    ]  # fmt: skip


def test_a_status_of_ok_is_no_error() -> None:
    """And an unspecified kind, an unset status have no tag at all."""
    assert shown(span_with(status=Status(code=Status.STATUS_CODE_OK)))["tags"] == [
        {"key": "otel.status_code", "type": "string", "value": "OK"}
    ]
    assert shown(span_with(kind=99))["tags"] == []


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (AnyValue(string_value="x"), "string", "x"),
        (AnyValue(string_value="<&>é"), "string", "<&>é"),
        (AnyValue(bool_value=False), "bool", False),
        (AnyValue(int_value=INTEGER_MAX), "int64", INTEGER_MAX),
        (AnyValue(int_value=INTEGER_MAX + 1), "int64", "9007199254740992"),
        (AnyValue(int_value=-(2**63)), "int64", "-9223372036854775808"),
        (AnyValue(double_value=0.5), "float64", 0.5),
        (AnyValue(double_value=math.nan), "float64", "NaN"),
        (AnyValue(double_value=-math.inf), "float64", "-Inf"),
        (AnyValue(bytes_value=b"\xff\x00"), "binary", "/wA="),
        (AnyValue(), "string", ""),
        (AnyValue(array_value=ArrayValue()), "string", "[]"),
        (
            AnyValue(
                kvlist_value=KeyValueList(
                    values=[
                        KeyValue(key="b", value=AnyValue(int_value=2**63 - 1)),
                        KeyValue(
                            key="a",
                            value=AnyValue(
                                array_value=ArrayValue(
                                    values=[AnyValue(), AnyValue(bytes_value=b"\xff")]
                                )
                            ),
                        ),
                    ]
                )
            ),
            "string",
            '{"a":[null,"/w=="],"b":9223372036854775807}',
        ),
    ],
)
def test_every_kind_of_value_has_its_type(value: AnyValue, kind: str, expected: Any) -> None:
    """What JavaScript cannot hold is text of the same type."""
    span = span_with(attributes=[KeyValue(key="k", value=value)])

    [found] = shown(span)["tags"]

    assert found == {"key": "k", "type": kind, "value": expected}
    assert type(found["value"]) is type(expected)


def test_events_are_logs_with_the_name_as_a_field() -> None:
    """Unless an attribute is already called so."""
    span = span_with(
        events=[
            Span.Event(
                time_unix_nano=START + 999, name="exception", attributes=key_values({"a": 1})
            ),
            Span.Event(time_unix_nano=START, name="lost", attributes=key_values({"event": "kept"})),
        ]
    )

    assert shown(span)["logs"] == [
        {
            "timestamp": START // 1_000,
            "fields": [
                {"key": "event", "type": "string", "value": "exception"},
                {"key": "a", "type": "int64", "value": 1},
            ],
        },
        {
            "timestamp": START // 1_000,
            "fields": [{"key": "event", "type": "string", "value": "kept"}],
        },
    ]


def test_links_are_references_behind_the_parent() -> None:
    """A link to the parent says what the parent is; broken ids cannot be written."""
    parent, other = b"\x02" * 8, b"\x03" * 16
    span = span_with(
        parent_span_id=parent,
        links=[
            Span.Link(trace_id=other, span_id=parent),
            Span.Link(trace_id=TRACE, span_id=parent),
            Span.Link(trace_id=b"short", span_id=parent),
            Span.Link(
                trace_id=other,
                span_id=b"\x04" * 8,
                attributes=key_values({"opentracing.ref_type": "child_of"}),
            ),
        ],
    )

    assert [(r["refType"], r["traceID"], r["spanID"]) for r in shown(span)["references"]] == [
        ("FOLLOWS_FROM", TRACE.hex(), "02" * 8),
        ("FOLLOWS_FROM", "03" * 16, "02" * 8),
        ("CHILD_OF", "03" * 16, "04" * 8),
    ]


def test_a_root_has_no_reference() -> None:
    """Neither without a parent's id, nor with one of zeros."""
    assert shown(span_with())["references"] == []
    assert shown(span_with(parent_span_id=bytes(8)))["references"] == []


@pytest.mark.parametrize(("end", "word"), [(START - 1, "before"), (0, "no end")])
def test_a_span_that_has_no_duration_says_so(end: int, word: str) -> None:
    """It is shown as zero, since Jaeger's durations cannot be negative."""
    found = shown(span_with(start_time_unix_nano=START, end_time_unix_nano=end))

    assert found["duration"] == 0
    assert found["warnings"] is not None
    assert word in found["warnings"][0]


def test_a_trace_id_of_64_bits_has_sixteen_digits() -> None:
    """As Jaeger writes it; leading zeros of what is left are kept."""
    assert trace_id_text(bytes(8) + b"\x00" * 7 + b"\x2a") == "000000000000002a"
    assert trace_id_text(b"\x00" * 7 + b"\x01" + bytes(8)) == "0000000000000001" + "0" * 16


def test_each_resource_is_one_process() -> None:
    """Also when it comes twice; its name is no tag, and one without a name has one for display."""
    shop = Resource(attributes=key_values({"service.name": "shop", "host": "a"}))
    groups = [
        grouped(span_with(), resource=shop),
        grouped(span_with()),
        grouped(span_with(), resource=shop),
    ]

    found = trace_of(groups)

    assert [span["processID"] for span in found["spans"]] == ["p1", "p1", "p2"]
    assert found["processes"] == {
        "p1": {"serviceName": "shop", "tags": [{"key": "host", "type": "string", "value": "a"}]},
        "p2": {"serviceName": NO_SERVICE, "tags": []},
    }


def test_every_span_of_a_realistic_request_is_shown() -> None:
    """With its id, its process and its parent."""
    request = trace_request(items=200)

    found = trace_of(request.resource_spans, ["some are missing"])

    spans = [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
    assert [span["spanID"] for span in found["spans"]] == [span.span_id.hex() for span in spans]
    assert {span["processID"] for span in found["spans"]} == found["processes"].keys()
    assert found["warnings"] == ["some are missing"]
    for span, source in zip(found["spans"], spans, strict=True):
        above = [source.parent_span_id.hex()] if source.parent_span_id else []
        assert [r["spanID"] for r in span["references"]][: len(above)] == above


def test_resources_that_differ_by_their_schema_alone_are_one_process() -> None:
    """Jaeger has no schemas; spans of the second come behind those of the first."""
    groups = [grouped(span_with()), grouped(span_with(name="other"))]
    groups[1].schema_url = "https://opentelemetry.io/schemas/1.30.0"

    found = trace_of(groups)

    assert [(span["operationName"], span["processID"]) for span in found["spans"]] == [
        ("", "p1"),
        ("other", "p1"),
    ]
    assert list(found["processes"]) == ["p1"]


def test_a_key_that_begins_with_a_dollar_is_shown_as_it_was_sent() -> None:
    """Also deep inside, and beside the tags of otlpg's own forms."""
    deep = {"$double": "1", "$": 1.5}
    span = span_with(attributes=key_values({"$bytes": "x", "$map": deep, "one": {"$kvlist": 1}}))

    assert {tag["key"]: tag["value"] for tag in shown(span)["tags"]} == {
        "$bytes": "x",
        "$map": '{"$":1.5,"$double":"1"}',
        "one": '{"$kvlist":1}',
    }


@pytest.mark.parametrize("case", CASES)
def test_answers_are_those_of_the_golden_file(case: str) -> None:
    """After a change on purpose: ``.venv/bin/python -m tests.golden.jaeger``."""
    assert rendered(case) == path_of(case).read_bytes()
