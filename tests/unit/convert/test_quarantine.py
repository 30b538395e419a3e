"""One bad item never costs a good one: too many parts, undecodable, nested too deep."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.convert.tags import field_of
from collector.rows import Reason, Signal, SpanRow
from tests.factories import key_values
from tests.unit.convert.converting import (
    NOW,
    convert,
    converter,
    on_the_wire,
    pg_us,
    span_of,
    traces_of,
    valid_span,
)


@pytest.mark.parametrize("extra", [b"\x4a\x00", b"\x5a\x00", b"\x6a\x00", b"\x7a\x00"])
def test_span_with_too_many_parts_is_quarantined(extra: bytes) -> None:
    """Attributes, events, links; one bad span does not cost the others."""
    small, large = valid_span(extra * 100), valid_span(extra * 101)

    converted = convert(
        Signal.TRACES, on_the_wire(small, large, small), by=converter(parts_max=100)
    )

    assert (len(converted.rows), converted.item_indexes) == (2, [0, 2])
    [letter] = converted.dead_letters
    assert letter.reason == Reason.TOO_MANY_PARTS
    assert letter.payload == on_the_wire(large)


def test_many_links_with_attributes_pass() -> None:
    """The cap on all depths together is far above that on an item's own parts."""
    link = Span.Link(trace_id=b"t" * 16, attributes=key_values({"a": 1, "b": 2}))

    converted = convert(Signal.TRACES, traces_of(span_of(links=[link] * 6_000)))

    assert (len(converted.rows), converted.quarantined) == (1, 0)


def test_too_many_parts_deep_inside_are_quarantined() -> None:
    """A value of a million empty values costs as much as a million attributes."""
    value = field_of(0x12, field_of(0x2A, b"\x0a\x00" * 200_000))

    converted = convert(Signal.TRACES, on_the_wire(valid_span(field_of(0x4A, value))))

    assert converted.dead_letters[0].reason == Reason.TOO_MANY_PARTS


def test_points_with_too_many_counts_are_quarantined() -> None:
    """Packed numbers are parts as well: one byte each."""
    counts = field_of(0x12, b"\x00" * 200_000)
    point = field_of(0x42, counts)
    metric = field_of(0x0A, b"m") + field_of(0x52, field_of(0x0A, point))

    converted = convert(Signal.METRICS, on_the_wire(metric))

    assert converted.dead_letters[0].reason == Reason.TOO_MANY_PARTS


# -- one bad item --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "bad", "good"),
    [
        (Signal.TRACES, b"\x0a\x05", valid_span()),
        (Signal.TRACES, valid_span(field_of(0x4A, b"\x0a\x05")), valid_span()),
        (Signal.TRACES, valid_span(field_of(0x5A, b"\x0a")), valid_span()),
        (Signal.TRACES, valid_span(field_of(0x7A, b"\x12\x05")), valid_span()),
        (Signal.LOGS, b"\x09\x05", b"\x09" + NOW.to_bytes(8, "little")),
        (Signal.LOGS, field_of(0x2A, b"\x0a\x05"), b"\x09" + NOW.to_bytes(8, "little")),
        (Signal.LOGS, field_of(0x32, b"\x12\x01\x0a"), b"\x09" + NOW.to_bytes(8, "little")),
    ],
)
def test_undecodable_item_is_quarantined(signal: Signal, bad: bytes, good: bytes) -> None:
    """Its neighbours are stored, its bytes kept."""
    converted = convert(signal, on_the_wire(good, bad, good))

    assert (len(converted.rows), converted.quarantined, converted.items) == (2, 1, 3)
    [letter] = converted.dead_letters
    assert (letter.outcome, letter.reason) == ("quarantined", Reason.UNDECODABLE)
    assert letter.payload == on_the_wire(bad)
    assert letter.received_at == pg_us(NOW)


def test_quarantined_item_leaves_nothing_to_the_next() -> None:
    """Neither its repair nor its ``raw``."""
    parent, bad_key = field_of(0x22, b"short"), field_of(0x4A, field_of(0x0A, b"\xff"))
    bad = valid_span(parent + bad_key + field_of(0x4A, b"\x12\x05"))
    times = b"\x39" + NOW.to_bytes(8, "little") + b"\x41" + NOW.to_bytes(8, "little")

    converted = convert(Signal.TRACES, on_the_wire(bad, valid_span(times)))

    assert (converted.quarantined, converted.repaired) == (1, 0)
    assert SpanRow(*converted.rows[0]).raw is None


def test_undecodable_point_and_metric_are_quarantined() -> None:
    """A metric whose framing is broken is one bad item, since its points cannot be counted."""
    good = Metric(name="g", gauge=Gauge(data_points=[NumberDataPoint()])).SerializeToString()
    bad_point = field_of(0x0A, b"p") + field_of(0x2A, field_of(0x0A, b"\x19") + b"\x0a\x00")
    bad_metric = field_of(0x0A, b"m") + field_of(0x2A, b"\x0a\x05")

    converted = convert(Signal.METRICS, on_the_wire(good, bad_point, bad_metric, good))

    assert (converted.items, len(converted.rows), converted.quarantined) == (5, 3, 2)
    assert converted.item_indexes == [0, 2, 4]
    assert [letter.payload for letter in converted.dead_letters] == [
        on_the_wire(field_of(0x0A, b"p") + field_of(0x2A, field_of(0x0A, b"\x19"))),
        on_the_wire(bad_metric),
    ]


def test_undecodable_resource_quarantines_its_items_only() -> None:
    """Items of other resources are stored."""
    scope = field_of(0x12, field_of(0x12, valid_span()))
    bad = field_of(0x0A, field_of(0x0A, field_of(0x0A, b"\x12\x01\x0a")) + scope + scope)

    converted = convert(Signal.TRACES, bad + field_of(0x0A, scope))

    assert (len(converted.rows), converted.quarantined) == (1, 2)
    assert {letter.reason for letter in converted.dead_letters} == {Reason.UNDECODABLE}


@pytest.mark.parametrize(
    ("signal", "cut", "rest"),
    [
        (Signal.TRACES, b"\x7a\x04\x12\x0aab", b"\x7a\x08cdefghij"),
        (Signal.LOGS, b"\x2a\x04\x0a\x0aab", b"\x2a\x08cdefghij"),
    ],
)
def test_a_part_that_is_cut_off_is_not_completed_by_the_next(
    signal: Signal, cut: bytes, rest: bytes
) -> None:
    """A status or a body may come in parts, each of them whole."""
    good = valid_span() if signal is Signal.TRACES else b"\x09" + NOW.to_bytes(8, "little")
    bad = good + cut + rest

    converted = convert(signal, on_the_wire(good, bad, good))

    assert (len(converted.rows), converted.quarantined) == (2, 1)
    [letter] = converted.dead_letters
    assert (letter.reason, letter.payload) == (Reason.UNDECODABLE, on_the_wire(bad))


@pytest.mark.parametrize("place", ["resource", "scope"])
def test_a_head_that_is_cut_off_is_not_completed_by_the_next(place: str) -> None:
    """Neither is a resource or a scope; the items under it are quarantined."""
    parts = b"\x0a\x04\x52\x0aab" + b"\x0a\x08cdefghij"
    item = field_of(0x12, valid_span())
    if place == "resource":
        payload = field_of(0x0A, parts + field_of(0x12, item))
    else:
        payload = field_of(0x0A, field_of(0x12, parts + item))

    converted = convert(Signal.TRACES, payload)

    assert (len(converted.rows), converted.quarantined) == (0, 1)
    assert converted.dead_letters[0].reason == Reason.UNDECODABLE


def test_unknown_fields_are_ignored() -> None:
    """At every level, groups too: future senders know more than we do."""
    unknown = field_of(0x3FA, b"x") + b"\xd3\x3e\x0b\x08\x01\x0c\xd4\x3e" + b"\xd0\x3e\x07"
    span = field_of(0x12, unknown + valid_span(unknown))
    scope = field_of(0x12, unknown + span + unknown + span)
    payload = unknown + field_of(0x0A, unknown + scope + unknown) + unknown

    converted = convert(Signal.TRACES, payload)

    assert (len(converted.rows), converted.quarantined) == (2, 0)


# -- nesting -------------------------------------------------------------------------------------


def nested_array(depth: int, inner: bytes = b"") -> bytes:
    """Return an AnyValue of arrays in arrays."""
    value = inner
    for _ in range(depth):
        value = field_of(0x2A, field_of(0x0A, value))
    return value


def nested_kvlist(depth: int) -> bytes:
    """Return an AnyValue of kvlists in kvlists."""
    value = b""
    for _ in range(depth):
        value = field_of(0x32, field_of(0x0A, field_of(0x12, value)))
    return value


@pytest.mark.parametrize(
    "value",
    [
        *(nested_array(depth, inner) for depth in (46, 47, 48) for inner in (b"", b"\x2a\x00")),
        *(nested_array(depth, b"\x32\x02\x0a\x00") for depth in (46, 47)),
        *(nested_kvlist(depth) for depth in (30, 31, 32)),
        nested_array(5_000),
        nested_kvlist(5_000),
    ],
)
@pytest.mark.parametrize("voided", [False, True])
@pytest.mark.parametrize("where", ["span", "event", "body"])
def test_nesting_limit_is_that_of_a_full_message(value: bytes, where: str, voided: bool) -> None:
    """What opentelemetry-proto decodes is stored; what it does not is quarantined as too deep.

    Also where nothing of the depth is to be seen any more, because a later member of the oneof
    has taken its place.
    """
    if voided:
        value += field_of(0x0A, b"shop")
    key_value = field_of(0x12, value)
    item, signal, kind = {
        "span": (valid_span(field_of(0x4A, key_value)), Signal.TRACES, ExportTraceServiceRequest),
        "event": (
            valid_span(field_of(0x5A, field_of(0x1A, key_value))),
            Signal.TRACES,
            ExportTraceServiceRequest,
        ),
        "body": (field_of(0x2A, value), Signal.LOGS, ExportLogsServiceRequest),
    }[where]
    payload = on_the_wire(item)

    for _ in range(3):  # remembered or not
        converted = convert(signal, payload)

        if _decodes(kind, payload):
            assert (len(converted.rows), converted.quarantined) == (1, 0)
        else:
            assert converted.dead_letters[0].reason == Reason.TOO_DEEP


def _decodes(kind: type, payload: bytes) -> bool:
    try:
        kind.FromString(payload)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 -- DecodeError of whichever implementation
        return False
    return True


# -- size ----------------------------------------------------------------------------------------


def text_of(size: int) -> bytes:
    """Return an attribute field of a span whose value is that long."""
    return field_of(0x4A, field_of(0x0A, b"k") + field_of(0x12, field_of(0x0A, b"x" * size)))


def test_item_larger_than_its_cap_is_quarantined() -> None:
    """Its bytes are kept, its neighbours stored; the cap counts the item with its tag."""
    fitting, large = valid_span(text_of(1_975)), valid_span(text_of(1_976))

    converted = convert(
        Signal.TRACES, on_the_wire(fitting, large, fitting), by=converter(item_bytes_max=2_018)
    )

    assert (len(converted.rows), converted.item_indexes) == (2, [0, 2])
    [letter] = converted.dead_letters
    assert (letter.outcome, letter.reason) == ("quarantined", Reason.TOO_LARGE)
    assert letter.payload == on_the_wire(large)


def test_item_of_four_mebibytes_is_stored_by_default() -> None:
    """A prompt or a stack trace of that size is no mistake."""
    converted = convert(Signal.TRACES, on_the_wire(valid_span(text_of(4_000_000))))

    assert (len(converted.rows), converted.quarantined) == (1, 0)


HEADS = {
    "resource": (Signal.TRACES, 1, field_of(0x0A, field_of(0x0A, field_of(0x0A, b"x" * 2_000)))),
    "schema_url": (Signal.TRACES, 1, field_of(0x1A, b"x" * 2_000)),
    "scope": (Signal.LOGS, 2, field_of(0x0A, field_of(0x0A, b"x" * 2_000))),
    "metric": (Signal.METRICS, 3, field_of(0x12, b"x" * 2_000)),
    "data": (Signal.METRICS, 4, field_of(0x3A, b"x" * 2_000)),
}
ITEMS = {Signal.TRACES: valid_span(), Signal.LOGS: b"\x0a\x00", Signal.METRICS: b""}


def around(signal: Signal, depth: int, head: bytes) -> bytes:
    """Return a request of one item with ``head`` in its frame at ``depth``."""
    content = ITEMS[signal]
    tags = (0x0A, 0x12, 0x12, 0x2A, 0x0A) if signal is Signal.METRICS else (0x0A, 0x12, 0x12)
    for level, tag in reversed(list(enumerate(tags))):
        content = field_of(tag, (head if level + 1 == depth else b"") + content)
    return content


@pytest.mark.parametrize(("signal", "depth", "head"), HEADS.values(), ids=HEADS)
def test_items_under_too_large_a_head_are_quarantined(
    signal: Signal, depth: int, head: bytes
) -> None:
    """What is around items has the same cap; those under another resource are stored."""
    good, bad = around(signal, 0, b""), around(signal, depth, head)

    converted = convert(signal, good + bad, by=converter(item_bytes_max=1_024))

    assert (len(converted.rows), converted.item_indexes) == (1, [0])
    [letter] = converted.dead_letters
    assert (letter.reason, letter.payload) == (Reason.TOO_LARGE, bad)


@pytest.mark.parametrize(
    ("signal", "depth", "head"),
    [
        (Signal.TRACES, 1, field_of(0x0A, b"\x0a\x00" * 1_300)),
        (Signal.LOGS, 2, field_of(0x0A, b"\x1a\x00" * 1_300)),
        (Signal.METRICS, 3, b"\x62\x00" * 101),
    ],
)
def test_items_under_a_head_with_too_many_parts_are_quarantined(
    signal: Signal, depth: int, head: bytes
) -> None:
    """A resource, scope or metric may cost as much as an item and no more."""
    good, bad = around(signal, 0, b""), around(signal, depth, head)

    converted = convert(signal, good + bad, by=converter(parts_max=100))

    assert (len(converted.rows), converted.item_indexes) == (1, [0])
    [letter] = converted.dead_letters
    assert (letter.reason, letter.payload) == (Reason.TOO_MANY_PARTS, bad)
