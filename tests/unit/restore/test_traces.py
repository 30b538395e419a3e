"""A span row with everything in it, and one with nothing."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.restore.traces import restore_traces, span_of
from collector.rows import PG_EPOCH_UNIX_US, Dimensions, ResourceRow, ScopeRow, SpanRow
from tests.factories import key_values

BARE = SpanRow(
    start_time=820_454_400_000_000,
    start_ns=None,
    duration_ns=None,
    trace_id=b"t" * 16,
    span_id=b"s" * 8,
    parent_span_id=None,
    name="",
    kind=0,
    service_name=None,
    status_code=0,
    status_message=None,
    trace_state=None,
    flags=0,
    attributes="{}",
    events=None,
    links=None,
    dropped_attributes_count=None,
    dropped_events_count=None,
    dropped_links_count=None,
    resource_id=1,
    scope_id=2,
    raw='{"end_time_unix_nano": 0}',
)
START = (820_454_400_000_000 + PG_EPOCH_UNIX_US) * 1_000 + 7


def test_bare_row_is_a_bare_span() -> None:
    """The receive time in ``start_time`` is not taken for the sender's."""
    assert span_of(BARE) == Span(trace_id=b"t" * 16, span_id=b"s" * 8)


def test_every_column_comes_back() -> None:
    """Each column that can be NULL is given here, and each field of the span is expected."""
    row = BARE._replace(
        start_ns=7,
        duration_ns=1_500,
        parent_span_id=b"p" * 8,
        name="GET",
        kind=99,
        service_name="shop",
        status_code=2,
        status_message="declined",
        trace_state="a=b",
        flags=2**32 - 1,
        attributes='{"a": 1}',
        events='[{"time_unix_nano": 18446744073709551615, "name": "e", "attributes": {"b": 2.0},'
        ' "dropped_attributes_count": 1}, {}]',
        links='[{"trace_id": "01", "span_id": "", "trace_state": "c=d", "attributes": {"e": null},'
        ' "dropped_attributes_count": 2, "flags": 3}]',
        dropped_attributes_count=4,
        dropped_events_count=5,
        dropped_links_count=6,
        raw=None,
    )

    assert span_of(row) == Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        parent_span_id=b"p" * 8,
        trace_state="a=b",
        flags=2**32 - 1,
        name="GET",
        kind=99,  # pyright: ignore[reportArgumentType] -- enums are open
        start_time_unix_nano=START,
        end_time_unix_nano=START + 1_500,
        attributes=key_values({"a": 1}),
        events=[
            Span.Event(
                time_unix_nano=2**64 - 1,
                name="e",
                attributes=key_values({"b": 2.0}),
                dropped_attributes_count=1,
            ),
            Span.Event(),
        ],
        links=[
            Span.Link(
                trace_id=b"\x01",
                trace_state="c=d",
                attributes=key_values({"e": None}),
                dropped_attributes_count=2,
                flags=3,
            )
        ],
        dropped_attributes_count=4,
        dropped_events_count=5,
        dropped_links_count=6,
        status=Status(code=Status.STATUS_CODE_ERROR, message="declined"),
    )


def test_raw_wins_over_columns() -> None:
    """A clamped start, an end before it, an invalid parent and repeated keys are as they came."""
    row = BARE._replace(
        start_ns=0,
        duration_ns=10,
        attributes='{"a": 2}',
        events='[{"name": "e", "attributes": {"a": 2}}]',
        links='[{"span_id": "02", "attributes": {"a": 2}}]',
        raw='{"start_time_unix_nano": 5, "end_time_unix_nano": 3, "parent_span_id": "0a",'
        ' "attributes": [["a", 1], ["a", 2]],'
        ' "events": [{"name": "e", "attributes": [["a", 1], ["a", 2]]}],'
        ' "links": [{"span_id": "02", "attributes": [["a", 1], ["a", 2]]}]}',
    )
    repeated = [*key_values({"a": 1}), *key_values({"a": 2})]

    assert span_of(row) == Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        parent_span_id=b"\x0a",
        start_time_unix_nano=5,
        end_time_unix_nano=3,
        attributes=repeated,
        events=[Span.Event(name="e", attributes=repeated)],
        links=[Span.Link(span_id=b"\x02", attributes=repeated)],
    )


def test_a_clamped_start_moves_the_end_with_it() -> None:
    """The duration counts from the start that was sent, not from the clamped one."""
    row = BARE._replace(start_ns=0, duration_ns=10, raw='{"start_time_unix_nano": 5}')

    assert span_of(row).end_time_unix_nano == 15


def _dimensions() -> Dimensions:
    resource = ResourceRow(
        resource_id=1,
        service_name="shop",
        service_namespace=None,
        service_instance_id=None,
        attributes='{"service.name": "shop"}',
        schema_url="https://r",
        dropped_attributes_count=3,
        entity_refs='[{"schema_url": "https://e", "type": "service", "id_keys": ["service.name"],'
        ' "description_keys": ["a", "b"]}]',
        raw=None,
        digest=b"d" * 16,
    )
    bare = ResourceRow(4, None, None, None, "{}", None, None, None, None, b"e" * 16)
    scope = ScopeRow(2, "lib", "1.0", '{"x": [true]}', "https://s", 5, None, b"f" * 16)
    repeating = ScopeRow(
        3, None, None, '{"x": 2}', None, None, '{"attributes": [["x", 1], ["x", 2]]}', b"g" * 16
    )
    return Dimensions({1: resource, 4: bare}, {2: scope, 3: repeating}, {}, {})


def test_spans_come_back_in_groups_with_their_dimensions() -> None:
    """Each resource comes once, under it each of its scopes once, in the order first seen."""
    rows = [
        BARE._replace(name="a"),
        BARE._replace(name="b", resource_id=4),
        BARE._replace(name="c"),
        BARE._replace(name="d", scope_id=3),
    ]

    request = restore_traces(rows, _dimensions())

    first, second = request.resource_spans
    assert first.resource == Resource(
        attributes=key_values({"service.name": "shop"}),
        dropped_attributes_count=3,
        entity_refs=[
            EntityRef(
                schema_url="https://e",
                type="service",
                id_keys=["service.name"],
                description_keys=["a", "b"],
            )
        ],
    )
    assert first.schema_url == "https://r"
    assert first.scope_spans[0].scope == InstrumentationScope(
        name="lib", version="1.0", attributes=key_values({"x": [True]}), dropped_attributes_count=5
    )
    assert first.scope_spans[0].schema_url == "https://s"
    assert [attribute.key for attribute in first.scope_spans[1].scope.attributes] == ["x", "x"]
    assert [[span.name for span in scope.spans] for scope in first.scope_spans] == [
        ["a", "c"],
        ["d"],
    ]
    assert second.resource == Resource()
    assert [span.name for span in second.scope_spans[0].spans] == ["b"]


def test_a_missing_dimension_is_an_error() -> None:
    """Rows without their dimensions would come back as somebody else's, so they do not."""
    with pytest.raises(KeyError):
        restore_traces([BARE], Dimensions({}, {}, {}, {}))
