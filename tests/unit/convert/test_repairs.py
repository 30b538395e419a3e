"""NUL and invalid UTF-8: the row gets U+FFFD, a dead letter keeps the sender's bytes."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

from collector.convert.tags import field_of
from collector.rows import ConvertedRequest, LogRow, Reason, Signal, SpanRow
from tests.factories import any_value, key_values
from tests.unit.convert.converting import (
    NOT_UTF8,
    NOW,
    convert,
    converter,
    item_payload,
    metrics_of,
    on_the_wire,
    span_of,
    traces_of,
    valid_span,
)
from tests.unit.convert.work import lines_run

BAD, GOOD = NOT_UTF8 + b"a", "\ufffd\ufffda"
TIME = b"\x09" + NOW.to_bytes(8, "little")


def key_value(key: bytes, value: bytes) -> bytes:
    """Return a KeyValue with a string value."""
    return field_of(0x0A, key) + field_of(0x12, field_of(0x0A, value))


def one_span(extra: bytes) -> tuple[ConvertedRequest, SpanRow]:
    """Return what a request of one span with ``extra`` fields becomes."""
    converted = convert(Signal.TRACES, on_the_wire(valid_span(extra)))
    [row] = converted.rows
    return converted, SpanRow(*row)


def assert_one_letter(
    converted: ConvertedRequest, signal: Signal, reason: Reason, index: int = 0
) -> None:
    """Check that the original of item ``index`` is kept, and that one item counts as repaired."""
    [letter] = converted.dead_letters
    assert (letter.outcome, letter.reason, converted.repaired) == ("repaired", reason, 1)
    assert letter.payload == item_payload(signal, converted.payload, index)


@pytest.mark.parametrize(
    ("raw", "repaired", "reason"),
    [
        (b"a\0b", "a\ufffdb", Reason.NUL),
        (BAD, GOOD, Reason.INVALID_UTF8),
        (b"\0\xff", "\ufffd\ufffd", Reason.INVALID_UTF8),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", Reason.INVALID_UTF8),  # a surrogate
    ],
)
def test_name_is_repaired(raw: bytes, repaired: str, reason: Reason) -> None:
    """Each bad byte becomes one U+FFFD."""
    converted, row = one_span(field_of(0x2A, raw))

    assert row.name == repaired
    assert_one_letter(converted, Signal.TRACES, reason)


@pytest.mark.parametrize(
    ("extra", "column", "stored"),
    [
        (field_of(0x1A, BAD), "trace_state", GOOD),
        (field_of(0x7A, field_of(0x12, BAD)), "status_message", GOOD),
        (field_of(0x4A, key_value(b"k", BAD)), "attributes", {"k": GOOD}),
        (field_of(0x4A, key_value(BAD, b"v")), "attributes", {GOOD: "v"}),
        (field_of(0x4A, key_value(b"$" + BAD, b"v")), "attributes", {"$$" + GOOD: "v"}),
        (field_of(0x5A, field_of(0x12, BAD)), "events", [{"name": GOOD}]),
        (
            field_of(0x5A, field_of(0x1A, key_value(b"k", BAD))),
            "events",
            [{"attributes": {"k": GOOD}}],
        ),
        (field_of(0x6A, field_of(0x1A, BAD)), "links", [{"trace_state": GOOD}]),
        (
            field_of(0x6A, field_of(0x22, key_value(b"k", BAD))),
            "links",
            [{"attributes": {"k": GOOD}}],
        ),
    ],
)
def test_every_text_of_a_span_is_repaired(extra: bytes, column: str, stored: object) -> None:
    """No text column or jsonb gets what PostgreSQL would refuse."""
    converted, row = one_span(extra)

    value = getattr(row, column)
    assert (json.loads(value) if isinstance(stored, (dict, list)) else value) == stored
    assert_one_letter(converted, Signal.TRACES, Reason.INVALID_UTF8)


@pytest.mark.parametrize(
    ("extra", "column", "stored"),
    [
        (field_of(0x1A, BAD), "severity_text", GOOD),
        (field_of(0x62, BAD), "event_name", GOOD),
        (field_of(0x2A, field_of(0x0A, BAD)), "body_text", GOOD),
        (field_of(0x2A, field_of(0x2A, field_of(0x0A, field_of(0x0A, BAD)))), "body", [GOOD]),
        (field_of(0x32, key_value(b"k", BAD)), "attributes", {"k": GOOD}),
    ],
)
def test_every_text_of_a_log_record_is_repaired(extra: bytes, column: str, stored: object) -> None:
    """As above."""
    converted = convert(Signal.LOGS, on_the_wire(TIME + extra))

    value = getattr(LogRow(*converted.rows[0]), column)
    assert (json.loads(value) if isinstance(stored, (dict, list)) else value) == stored
    assert_one_letter(converted, Signal.LOGS, Reason.INVALID_UTF8)


def test_neighbours_of_a_repaired_item_stay_as_they_are() -> None:
    """Only the bad one counts and is kept twice."""
    spans = [valid_span(field_of(0x2A, name)) for name in (b"one", BAD, b"three")]

    converted = convert(Signal.TRACES, on_the_wire(*spans))

    assert [SpanRow(*row).name for row in converted.rows] == ["one", GOOD, "three"]
    assert_one_letter(converted, Signal.TRACES, Reason.INVALID_UTF8, index=1)
    assert converted.item_indexes is None


def test_every_sight_of_a_bad_attribute_counts() -> None:
    """A repaired value is never remembered as if it were regular."""
    span = valid_span(field_of(0x4A, key_value(b"k", BAD)))
    one = converter()

    repaired = [convert(Signal.TRACES, on_the_wire(span, span), by=one).repaired for _ in range(3)]

    assert repaired == [2, 2, 2]


def test_every_sight_of_bad_surroundings_counts() -> None:
    """A repaired resource, scope, metric or series is never remembered either."""
    points = [NumberDataPoint(time_unix_nano=NOW, attributes=key_values({"k": "a\0"}))]
    requests = [metrics_of(Metric(name="m", gauge=Gauge(data_points=points))) for _ in range(4)]
    requests[0].resource_metrics[0].schema_url = "\0"
    requests[1].resource_metrics[0].scope_metrics[0].schema_url = "\0"
    requests[2].resource_metrics[0].scope_metrics[0].metrics[0].unit = "\0"
    for request in requests[:3]:
        del (
            request.resource_metrics[0]
            .scope_metrics[0]
            .metrics[0]
            .gauge.data_points[0]
            .attributes[:]
        )
    one = converter()

    for request in requests * 3:
        assert convert(Signal.METRICS, request, by=one).repaired == 1


# -- keys that become equal ----------------------------------------------------------------------


def test_keys_that_a_repair_makes_equal_are_both_kept() -> None:
    """The one that was so from the start keeps its name, whatever the order."""
    attributes = b"".join(
        [
            field_of(0x4A, key_value(key, value))
            for key, value in ((b"a\0", b"1"), ("a\ufffd".encode(), b"2"), (b"a\xff", b"3"))
        ]
    )

    converted, row = one_span(attributes)

    assert json.loads(row.attributes) == {
        "a\ufffd#2": "1",
        "a\ufffd": "2",
        "a\ufffd#3": "3",
    }
    assert "attributes" not in json.loads(row.raw or "")
    assert_one_letter(converted, Signal.TRACES, Reason.NUL)


@pytest.mark.parametrize("suffix", [b"", b"#2"])
def test_keys_that_repair_to_one_text_cost_the_same_each(suffix: bytes) -> None:
    """Each suffix is tried once per text: ten times the keys are ten times the work."""

    def work(keys: int) -> int:
        bad = [bytes((128 + number // 64, 128 + number % 64)) + suffix for number in range(keys)]
        body = field_of(0x32, b"".join([field_of(0x0A, field_of(0x0A, key)) for key in bad]))
        payload = on_the_wire(TIME + field_of(0x2A, body))
        return lines_run(lambda: convert(Signal.LOGS, payload))

    assert work(1_000) < 12 * work(100)


def test_equal_bad_keys_are_duplicates() -> None:
    """They were equal before the repair: the last wins."""
    attributes = field_of(0x4A, key_value(b"a\0", b"1")) + field_of(0x4A, key_value(b"a\0", b"2"))

    _, row = one_span(attributes)

    assert json.loads(row.attributes) == {"a\ufffd": "2"}
    raw = json.loads(row.raw or "")
    assert raw["attributes"] == [["a\ufffd", "1"], ["a\ufffd", "2"]]


# -- around the items ----------------------------------------------------------------------------


def scope_of(spans: int, head: bytes = b"") -> bytes:
    """Return a ScopeSpans field."""
    return field_of(0x12, head + b"".join([field_of(0x12, valid_span())] * spans))


def test_bad_resource_affects_its_items_and_has_one_letter() -> None:
    """Two scopes of one resource: five repaired items, one original."""
    resource = field_of(0x0A, field_of(0x0A, key_value(b"service.name", BAD)))
    good = field_of(0x0A, scope_of(2))
    request = field_of(0x0A, resource + scope_of(2) + scope_of(3)) + good

    converted = convert(Signal.TRACES, request)

    names = [SpanRow(*row).service_name for row in converted.rows]
    assert names == [GOOD] * 5 + [None] * 2
    assert converted.repaired == 5
    [letter] = converted.dead_letters
    assert letter.payload == field_of(0x0A, resource + scope_of(1))


def test_bad_scope_and_schema_urls_are_repaired() -> None:
    """Each frame that was repaired keeps its original, once."""
    head = field_of(0x0A, field_of(0x0A, BAD) + field_of(0x12, BAD)) + field_of(0x1A, b"s\0")
    request = field_of(0x0A, scope_of(2, head) + field_of(0x1A, BAD))

    converted = convert(Signal.TRACES, request)

    [resource], [scope] = (
        list(converted.dimensions.resources.values()),
        list(converted.dimensions.scopes.values()),
    )
    assert resource.schema_url == GOOD
    assert (scope.name, scope.version, scope.schema_url) == (GOOD, GOOD, "s\ufffd")
    assert converted.repaired == 2
    assert len(converted.dead_letters) == 1


def test_bad_entity_refs_are_repaired() -> None:
    """Their keys are text too."""
    entity = field_of(0x0A, BAD) + field_of(0x12, b"service") + field_of(0x1A, BAD)
    request = field_of(0x0A, field_of(0x0A, field_of(0x1A, entity)) + scope_of(1))

    converted = convert(Signal.TRACES, request)

    [resource] = converted.dimensions.resources.values()
    assert json.loads(resource.entity_refs or "") == [
        {"schema_url": GOOD, "type": "service", "id_keys": [GOOD]}
    ]
    assert converted.repaired == 1


def test_bad_metric_affects_its_points() -> None:
    """Name, unit and description belong to all points of the metric."""
    points = [NumberDataPoint(time_unix_nano=NOW, as_int=number) for number in (1, 2)]
    good = Metric(name="good", gauge=Gauge(data_points=points))
    request = metrics_of(Metric(name="bad\0", unit="\0", gauge=Gauge(data_points=points)), good)

    converted = convert(Signal.METRICS, request)

    assert {row.name for row in converted.dimensions.metrics.values()} == {"bad\ufffd", "good"}
    assert (len(converted.rows), converted.repaired) == (4, 2)
    assert len(converted.dead_letters) == 1


def test_bad_series_affects_its_point() -> None:
    """A series is made of a point's own attributes."""
    points = [
        NumberDataPoint(as_int=1, attributes=key_values({"k": "a\0"})),
        NumberDataPoint(as_int=1, attributes=key_values({"k": "a"})),
    ]
    request = metrics_of(Metric(name="m", gauge=Gauge(data_points=points)))

    converted = convert(Signal.METRICS, request)

    assert {row.attributes for row in converted.dimensions.series.values()} == {
        '{"k":"a\ufffd"}',
        '{"k":"a"}',
    }
    assert_one_letter(converted, Signal.METRICS, Reason.NUL)


def test_item_and_resource_repaired_count_once() -> None:
    """One item is one item, whatever was wrong with it."""
    request = traces_of(span_of(name="a\0"), span_of([KeyValue(key="k", value=any_value("v"))]))
    request.resource_spans[0].resource.attributes.extend(key_values({"r": "\0"}))

    converted = convert(Signal.TRACES, request)

    assert converted.repaired == 2
    assert len(converted.dead_letters) == 1  # the first item's: with it comes the resource


def test_letter_of_a_repaired_resource_skips_quarantined_items() -> None:
    """The first item with a row carries it; a quarantined one has a letter anyway."""
    request = traces_of(span_of(trace_id=b"bad"), span_of(), span_of())
    request.resource_spans[0].resource.attributes.extend(key_values({"r": "\0"}))

    converted = convert(Signal.TRACES, request)

    assert (converted.quarantined, converted.repaired) == (1, 2)
    assert [letter.outcome for letter in converted.dead_letters] == ["quarantined", "repaired"]
    assert converted.dead_letters[1].payload == item_payload(Signal.TRACES, converted.payload, 1)
