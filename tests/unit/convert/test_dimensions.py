"""Ids of dimensions follow from their content, and from nothing else."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import EntityRef, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.convert.dimensions import content_id
from collector.convert.tags import field_of
from collector.rows import ResourceRow, ScopeRow, Signal, SpanRow
from tests.factories import AttributeValue, any_value, key_values
from tests.strategies import key_value_lists
from tests.unit.convert.converting import convert, converter, span_of, traces_of, valid_span


def resource_row(resource: Resource | None, schema_url: str = "") -> ResourceRow:
    """Return the dimension row of a resource, made by a converter that remembers nothing."""
    request = traces_of(span_of())
    request.resource_spans[0].schema_url = schema_url
    if resource is not None:
        request.resource_spans[0].resource.CopyFrom(resource)
    [row] = convert(Signal.TRACES, request).dimensions.resources.values()
    return row


def resource_with(attributes: dict[str, AttributeValue]) -> ResourceRow:
    """Return the row of a resource with these attributes."""
    return resource_row(Resource(attributes=key_values(attributes)))


def test_content_id_is_stable() -> None:
    """Every process and version computes the same id; a change would double every dimension."""
    assert content_id("resources", "{}", None, 3) == (
        -7390238378516497240,
        bytes.fromhex("997099599310bca8d7b2ccb70fc5fdc0"),
    )


def test_id_is_the_first_half_of_the_digest() -> None:
    """Signed, so that it fits a bigint."""
    number, digest = content_id("scopes", "a")

    assert len(digest) == 16
    assert number.to_bytes(8, "big", signed=True) == digest[:8]


def test_no_two_column_lists_hash_the_same_text() -> None:
    """Lengths keep columns apart, and so do tables."""
    ids = {
        content_id("t", "ab", "c")[0],
        content_id("t", "a", "bc")[0],
        content_id("t", "ab", "c", None)[0],
        content_id("t", "ab", None, "c")[0],
        content_id("t", "ab", "-", "c")[0],
        content_id("u", "ab", "c")[0],
    }

    assert len(ids) == 6


def test_order_of_attributes_does_not_matter() -> None:
    """At no depth."""
    nested: dict[str, AttributeValue] = {"x": 1, "y": {"p": True, "q": [1]}, "a": "b"}
    orders = [dict(order) for order in permutations(nested.items())]

    ids = {resource_with({"n": order, **order}).resource_id for order in orders}
    ids |= {resource_with({**order, "n": order}).resource_id for order in orders}

    assert len(ids) == 1


@given(key_value_lists(depth=1), st.randoms())
def test_any_order_gives_the_same_id(pairs: list[KeyValue], dice: Random) -> None:
    """Lists without a repeated key are maps."""
    unique = list({pair.key: pair for pair in pairs}.values())
    shuffled = dice.sample(unique, len(unique))

    first = resource_row(Resource(attributes=unique))
    second = resource_row(Resource(attributes=shuffled))

    if first.raw is None:  # nested lists may still repeat keys
        assert first == second


@pytest.mark.parametrize(
    "other",
    [
        Resource(attributes=key_values({"a": 2})),
        Resource(attributes=key_values({"a": 1.0})),
        Resource(attributes=key_values({"a": "1"})),
        Resource(attributes=key_values({"a": 1, "b": None})),
        Resource(attributes=[KeyValue(key="a", value=any_value(1))] * 2),
        Resource(attributes=key_values({"a": 1}), dropped_attributes_count=1),
        Resource(attributes=key_values({"a": 1}), entity_refs=[EntityRef(type="t")]),
    ],
)
def test_any_difference_gives_another_id(other: Resource) -> None:
    """Values, types, counts, references and duplicates are all content."""
    one = resource_with({"a": 1})

    assert resource_row(other).resource_id != one.resource_id
    assert resource_row(Resource(attributes=key_values({"a": 1})), "url").resource_id != (
        one.resource_id
    )


def test_missing_resource_and_scope_are_empty_ones() -> None:
    """Ids are never NULL."""
    converted = convert(Signal.TRACES, traces_of(span_of()))

    row = SpanRow(*converted.rows[0])
    assert resource_row(None) == resource_row(Resource())
    assert converted.dimensions.resources[row.resource_id].attributes == "{}"
    assert converted.dimensions.scopes[row.scope_id] == ScopeRow(
        row.scope_id,
        None,
        None,
        "{}",
        None,
        None,
        None,
        converted.dimensions.scopes[row.scope_id].digest,
    )


def test_service_columns_are_taken_from_attributes() -> None:
    """Namespace and instance too."""
    row = resource_with(
        {"service.name": "n", "service.namespace": "ns", "service.instance.id": "i", "x": 1}
    )

    assert (row.service_name, row.service_namespace, row.service_instance_id) == ("n", "ns", "i")


@pytest.mark.parametrize("value", [1, True, 1.5, b"n", ["n"], {"n": 1}, None, ""])
def test_service_name_that_is_no_text_is_null(value: AttributeValue) -> None:
    """The attribute keeps what was sent."""
    assert resource_with({"service.name": value}).service_name is None


@pytest.mark.parametrize("name", ["s" * 300, "é\n" * 300, "😀" * 300])
def test_long_service_name_is_cut_to_255_characters(name: str) -> None:
    """The whole stays in the attributes."""
    row = resource_with({"service.name": name})

    assert row.service_name == name[:255]
    assert resource_with({"service.name": name[:255]}).resource_id != row.resource_id


def test_dimension_of_many_items_is_one_row() -> None:
    """Once per request, whatever the number of groups."""
    request = ExportTraceServiceRequest()
    for _ in range(5):
        request.MergeFrom(traces_of(span_of(), span_of()))

    converted = convert(Signal.TRACES, request)

    assert len(converted.rows) == 10
    assert len(converted.dimensions.resources) == len(converted.dimensions.scopes) == 1


def test_resource_in_pieces_is_merged() -> None:
    """A singular message that comes twice is one message."""
    pieces = [
        field_of(0x0A, Resource(attributes=key_values({key: 1})).SerializeToString())
        for key in ("a", "b")
    ]
    scope = field_of(0x12, field_of(0x12, valid_span()))

    converted = convert(Signal.TRACES, field_of(0x0A, pieces[0] + scope + pieces[1]))

    [row] = converted.dimensions.resources.values()
    assert row == resource_with({"a": 1, "b": 1})


def test_remembered_dimension_equals_a_new_one() -> None:
    """Nothing but speed depends on the memo."""
    request = traces_of(span_of({"a": 1}))
    request.resource_spans[0].resource.attributes.extend(key_values({"service.name": "s"}))
    one = converter()

    results = [convert(Signal.TRACES, request, by=one) for _ in range(3)]

    assert results[0].dimensions == results[1].dimensions == results[2].dimensions
    assert results[0].rows == results[1].rows == results[2].rows
