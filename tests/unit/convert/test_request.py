"""The whole request: bounds, the wrong door, what survives what, and what the ledger is told."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.convert.extract import item_payload
from collector.convert.identity import request_digest
from collector.convert.tags import field_of
from collector.errors import TooManyItemsError, UndecodableError
from collector.rows import TIME_INDEX, Reason, Signal
from tests.factories import any_value, items_in, key_values, request_of
from tests.unit.convert.converting import (
    NOW,
    TRACE_ID,
    convert,
    converter,
    logs_of,
    metrics_of,
    on_the_wire,
    pg_us,
    span_of,
    traces_of,
    valid_span,
)

EVERY_SIGNAL = pytest.mark.parametrize("signal", Signal)


# -- bounds --------------------------------------------------------------------------------------


@EVERY_SIGNAL
def test_empty_request_is_nothing(signal: Signal) -> None:
    """Valid, and no item."""
    converted = convert(signal, b"")

    assert (converted.items, converted.rows, converted.dead_letters) == (0, [], [])
    assert (converted.time_min, converted.time_max, converted.in_ledger) == (0, 0, False)


@EVERY_SIGNAL
def test_groups_without_items_are_nothing(signal: Signal) -> None:
    """No dimension is made for nobody."""
    converted = convert(signal, field_of(0x0A, b"") + field_of(0x0A, field_of(0x12, b"")))

    assert converted.items == 0
    assert all(not rows for rows in converted.dimensions)


@EVERY_SIGNAL
@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"\x0a",
        b"\x0a\x05",
        b"\x00\x00",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"{}",
        b"\x0a\x02\x12\x05",
        b"\x0a\x04\x12\x02\x12\x09",
        b"\x1b\x1c\x1c",
        b"\x0b" * 200,
    ],
)
def test_broken_framing_is_undecodable(signal: Signal, payload: bytes) -> None:
    """Where items cannot be told apart, none can be saved."""
    with pytest.raises(UndecodableError):
        convert(signal, payload)


@EVERY_SIGNAL
def test_item_cap(signal: Signal) -> None:
    """As many items as allowed pass, one more is refused before any is decoded."""
    request = request_of(signal, items=10)

    assert len(convert(signal, request, by=converter(items_max=10)).rows) == 10
    with pytest.raises(TooManyItemsError) as caught:
        convert(signal, request, by=converter(items_max=9))
    assert caught.value.items_max == 9


@EVERY_SIGNAL
@pytest.mark.parametrize(
    "flood",
    [
        b"\x0a\x00" * 10_000,
        field_of(0x0A, b"\x12\x00" * 10_000),
        field_of(0x0A, b"\x0a\x00" * 10_000),
        field_of(0x0A, field_of(0x12, b"\x0a\x00" * 10_000)),
        field_of(0x0A, field_of(0x12, b"\x12\x00" * 10_000)),
    ],
    ids=["resources", "scopes", "resource pieces", "scope pieces", "items or metrics"],
)
def test_flood_of_empty_submessages_is_refused(signal: Signal, flood: bytes) -> None:
    """Groups without items count as well: their walk costs time."""
    with pytest.raises(TooManyItemsError):
        convert(signal, flood, by=converter(items_max=1_000))


@EVERY_SIGNAL
def test_steps_yield_between_slices(signal: Signal) -> None:
    """Ten items in slices of at most three: at least three turns for others, the same result."""
    payload = request_of(signal, items=10).SerializeToString()
    one = converter(slice_items=3)

    steps = one.steps(signal, payload, digest=b"d" * 16, now_ns=NOW)
    turns = 0
    try:
        while True:
            next(steps)
            turns += 1
    except StopIteration as done:
        converted = done.value

    assert turns >= 3
    at_once = convert(signal, payload)
    assert replace(converted, size_bytes=0) == replace(at_once, size_bytes=0)


def test_slice_ends_at_its_bytes_too() -> None:
    """A few large items are a turn of their own."""
    records = [LogRecord(time_unix_nano=NOW, body=any_value("x" * 700_000)) for _ in range(4)]
    steps = converter().steps(
        Signal.LOGS, logs_of(*records).SerializeToString(), digest=b"d" * 16, now_ns=NOW
    )

    assert len(list(steps)) >= 2


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

    converted = convert(Signal.TRACES, traces_of(span_of(links=[link] * 10_000)))

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
@pytest.mark.parametrize("where", ["span", "event", "body"])
def test_nesting_limit_is_that_of_a_full_message(value: bytes, where: str) -> None:
    """What opentelemetry-proto decodes is stored; what it does not is quarantined as too deep."""
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


# -- the wrong door ------------------------------------------------------------------------------


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


# -- what the ledger and the flusher are told ----------------------------------------------------


@EVERY_SIGNAL
def test_books_balance_and_times_span_the_rows(signal: Signal) -> None:
    """``items == rows + quarantined + rejected``; ``time_min`` and ``time_max`` are of rows."""
    request = request_of(signal, items=50)

    converted = convert(signal, request)

    assert converted.items == items_in(request) == len(converted.rows)
    times = [row[TIME_INDEX[signal]] for row in converted.rows]
    assert (converted.time_min, converted.time_max) == (min(times), max(times))
    assert converted.digest == b"d" * 16
    assert converted.received_at == pg_us(NOW)
    assert converted.payload == request.SerializeToString()


@pytest.mark.parametrize(
    ("times", "day"),
    [
        ([0], date(1970, 1, 1)),
        ([NOW, 0, NOW - 86_400 * 10**9], date(2026, 1, 1)),
        ([86_400 * 10**9 - 1], date(1970, 1, 1)),
        ([86_400 * 10**9], date(1970, 1, 2)),
        ([2**64 - 1], date(2554, 7, 21)),
    ],
)
def test_day_is_that_of_the_latest_event_time(times: list[int], day: date) -> None:
    """A function of the bytes alone, so that retries meet; absurd times have a day too."""
    spans = [span_of(start_time_unix_nano=time, end_time_unix_nano=0) for time in times]
    records = [LogRecord(time_unix_nano=time, body=any_value("b")) for time in times]
    points = [NumberDataPoint(time_unix_nano=time) for time in times]
    metric = Metric(name="m", gauge=Gauge(data_points=points))

    assert convert(Signal.TRACES, traces_of(*spans)).day == day
    assert convert(Signal.LOGS, logs_of(*records)).day == day
    assert convert(Signal.METRICS, metrics_of(metric)).day == day


def test_day_of_a_log_falls_back_to_the_observed_time() -> None:
    """As the row's time does."""
    assert convert(Signal.LOGS, logs_of(LogRecord(observed_time_unix_nano=NOW))).day == date(
        2026, 1, 1
    )


@pytest.mark.parametrize(
    ("record", "in_ledger"),
    [
        (LogRecord(body=any_value("tick")), False),
        (LogRecord(body=any_value("tick"), time_unix_nano=1), True),
        (LogRecord(body=any_value("tick"), observed_time_unix_nano=1), True),
        (LogRecord(body=any_value("tick"), trace_id=b"t" * 16), True),
        (LogRecord(body=any_value("tick"), span_id=b"odd"), True),
    ],
)
def test_request_without_entropy_skips_the_ledger(
    record: LogRecord,
    in_ledger: bool,
) -> None:
    """Equal bytes of two senders without a clock are no retry."""
    assert convert(Signal.LOGS, logs_of(record)).in_ledger is in_ledger


def test_entropy_of_spans_and_points() -> None:
    """A span's ids are entropy; a point needs a time, be it its start."""
    bare_span = span_of(start_time_unix_nano=0, end_time_unix_nano=0)
    bare, started = NumberDataPoint(as_int=1), NumberDataPoint(start_time_unix_nano=1)

    assert convert(Signal.TRACES, traces_of(bare_span)).in_ledger
    for point, in_ledger in ((bare, False), (started, True)):
        metric = Metric(name="m", gauge=Gauge(data_points=[point]))
        assert convert(Signal.METRICS, metrics_of(metric)).in_ledger is in_ledger


def test_retry_of_bad_items_is_recognised() -> None:
    """Quarantined items must not be kept once per retry."""
    undecodable = convert(Signal.TRACES, on_the_wire(b"\x0a\x05"))
    bad_id = convert(Signal.TRACES, traces_of(span_of(trace_id=b"x")))
    rejected = convert(Signal.LOGS, logs_of(LogRecord(), LogRecord()))

    assert undecodable.in_ledger
    assert bad_id.in_ledger
    assert rejected.in_ledger


# -- extraction and identity ---------------------------------------------------------------------


@EVERY_SIGNAL
def test_every_item_can_be_cut_out(signal: Signal) -> None:
    """Alone, it becomes the row that it has among the others."""
    payload = request_of(signal, items=60).SerializeToString()
    converted = convert(signal, payload)

    alone = [convert(signal, item_payload(signal, payload, index)) for index in range(60)]

    assert [one.rows for one in alone] == [[row] for row in converted.rows]
    for one in alone:
        for mine, all_of_them in zip(one.dimensions, converted.dimensions, strict=True):
            assert mine.items() <= all_of_them.items()


@EVERY_SIGNAL
@pytest.mark.parametrize("index", [-1, 5])
def test_no_such_item(signal: Signal, index: int) -> None:
    """Out of range is an error, not another item."""
    with pytest.raises(IndexError):
        item_payload(signal, request_of(signal, items=5).SerializeToString(), index)


def test_cut_out_item_keeps_unknown_fields_and_bytes() -> None:
    """Everything around it is the sender's, in the order that it came."""
    resource, unknown = field_of(0x0A, b"\x10\x05"), field_of(0x3FA, b"future")
    span = valid_span(unknown)
    payload = field_of(
        0x0A,
        unknown
        + field_of(0x12, field_of(0x12, valid_span()) + field_of(0x12, span) + unknown)
        + resource,
    )

    cut = item_payload(Signal.TRACES, payload, 1)

    scope = field_of(0x12, unknown + field_of(0x12, span))
    assert cut == field_of(0x0A, unknown + resource + scope)


def test_letters_of_very_many_bad_items_share_their_surroundings() -> None:
    """A large resource is not written once per item; every item is still there once."""
    resource = field_of(
        0x0A, field_of(0x0A, field_of(0x0A, b"k") + field_of(0x12, field_of(0x0A, b"r" * 100_000)))
    )
    spans = [valid_span()] + [
        field_of(0x0A, TRACE_ID) + field_of(0x2A, b"%02d" % n) for n in range(90)
    ]
    scopes = [field_of(0x12, b"".join([field_of(0x12, span) for span in spans]))] * 2

    converted = convert(Signal.TRACES, field_of(0x0A, resource + b"".join(scopes)))

    assert (len(converted.rows), converted.quarantined) == (2, 180)
    letters = [
        ExportTraceServiceRequest.FromString(letter.payload) for letter in converted.dead_letters
    ]
    assert sum(map(items_in, letters)) == 180
    assert 1 < len(letters) < 180
    assert (
        sum(len(letter.payload) for letter in converted.dead_letters)
        < 4 * len(converted.payload) + 2**20
    )
    assert len(letters[-1].resource_spans) == 1
    assert len(letters[-1].resource_spans[0].scope_spans) == 2


def test_digest_is_of_all_three_fields() -> None:
    """Lengths keep them apart; 16 bytes."""
    digests = {
        request_digest(b"", Signal.TRACES, b"x"),
        request_digest(b"a", Signal.TRACES, b"x"),
        request_digest(b"", Signal.LOGS, b"x"),
        request_digest(b"", Signal.TRACES, b""),
        request_digest(b"x", Signal.TRACES, b""),
    }

    assert len(digests) == 5
    assert {len(digest) for digest in digests} == {16}


def test_digest_is_stable() -> None:
    """Other versions must find it in the ledger."""
    fields = b"\0\0\0\0\0\0\0\x01c" + b"\0\0\0\0\0\0\0\x04logs" + b"\0\0\0\0\0\0\0\x01p"

    assert request_digest(b"c", Signal.LOGS, b"p") == hashlib.sha256(fields).digest()[:16]
