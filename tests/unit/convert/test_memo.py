"""The memo is bounded, and nothing but speed depends on it."""

from __future__ import annotations

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

from collector.convert.memo import PAIR_BYTES_MAX, Memo
from collector.convert.tags import field_of
from collector.errors import IrregularError
from collector.rows import Signal
from tests.factories import AttributeValue, any_value, key_values, request_of
from tests.unit.convert.converting import convert, converter, metrics_of, span_of, traces_of

BYTES_MAX = 2**16


def key_value(key: str, value: AttributeValue) -> bytes:
    """Return a KeyValue as sent."""
    return field_of(0x0A, key.encode()) + field_of(0x12, any_value(value).SerializeToString())


def test_attribute_is_remembered_at_the_second_sight() -> None:
    """What comes once would only push out what repeats."""
    memo = Memo(BYTES_MAX)
    raw = key_value("k", "v")

    first = memo.pairs[raw]
    seen_once = len(memo.pairs)
    second = memo.pairs[raw]

    assert first == second == ("k", '"k":"v"')
    assert seen_once == 0
    assert memo.pairs[raw] is second


def test_long_attribute_is_not_remembered() -> None:
    """One byte more than the limit is too much."""
    fits = key_value("k", "v" * (PAIR_BYTES_MAX - 9))
    too_long = key_value("k", "v" * (PAIR_BYTES_MAX - 8))
    memo = Memo(BYTES_MAX)

    for raw in (fits, too_long) * 3:
        assert memo.pairs[raw][0] == "k"

    assert (len(fits), len(too_long)) == (PAIR_BYTES_MAX, PAIR_BYTES_MAX + 1)
    assert list(memo.pairs) == [fits]


@pytest.mark.parametrize(
    "raw",
    [
        key_value("k", "\0"),
        key_value("\0", "v"),
        field_of(0x0A, b"k") + field_of(0x12, field_of(0x0A, b"\xff")),
        field_of(0x0A, b"\xff"),
        field_of(0x0A, b"k") + field_of(0x12, field_of(0x32, field_of(0x0A, b"\x0a\x01a") * 2)),
        field_of(0x0A, b"k") + b"\x12\x05",
        field_of(0x0A, b"k") + b"\x12\x85\x0a\x83" + b"v" * 131,  # a length of two bytes, too long
    ],
)
def test_irregular_attribute_is_refused_every_time(raw: bytes) -> None:
    """Or the second repair, or the second pair of equal keys, would go unseen."""
    memo = Memo(BYTES_MAX)

    for _ in range(3):
        with pytest.raises(IrregularError):
            _ = memo.pairs[raw]

    assert len(memo.pairs) == 0


@pytest.mark.parametrize("key", ["k", "$k", "", "é", "k" * 127, "k" * 128])
@pytest.mark.parametrize(
    "value",
    ["", "v", "é", "v" * 100, "v" * 127, 0, 5, 2**40, -1, 1.5, float("inf"), True, b"b", [1], {}, None],
)  # fmt: skip
def test_quick_road_and_careful_road_agree(key: str, value: AttributeValue) -> None:
    """A plain KeyValue read in place equals the same one decoded as a message."""
    memo = Memo(2**20)
    raw = key_value(key, value)
    decoded_as_message = raw + field_of(0x3FA, b"unknown field")

    assert memo.pairs[raw] == memo.pairs[decoded_as_message]


@pytest.mark.parametrize("signal", Signal)
def test_memo_stays_within_its_bytes(signal: Signal) -> None:
    """Whatever comes: ids, keys, values, resources and series that never repeat."""
    small, large = converter(memo_bytes_max=BYTES_MAX), converter()

    for seed in range(40):
        request = request_of(signal, items=100, seed=seed % 20)
        a, b = (convert(signal, request, by=one) for one in (small, large))
        assert a.rows == b.rows
        assert a.dimensions == b.dimensions
        assert small.memo.used_bytes <= BYTES_MAX

    assert large.memo.used_bytes > BYTES_MAX


def test_series_that_never_repeat_stay_within_the_bytes() -> None:
    """A cardinality bomb only costs time."""
    one = converter(memo_bytes_max=BYTES_MAX)
    points = [NumberDataPoint(attributes=key_values({"id": n}), as_int=n) for n in range(2_000)]
    request = metrics_of(Metric(name="bomb", gauge=Gauge(data_points=points)))

    converted = [convert(Signal.METRICS, request, by=one) for _ in range(2)]

    assert len(converted[0].dimensions.series) == 2_000
    assert converted[0].rows == converted[1].rows
    assert one.memo.used_bytes <= BYTES_MAX


def test_keys_that_never_repeat_stay_within_the_bytes() -> None:
    """Keys are remembered on their own, at first sight."""
    one = converter(memo_bytes_max=BYTES_MAX)

    for number in range(40):
        attributes: dict[str, AttributeValue] = {f"{number} {n}": "v" for n in range(100)}
        convert(Signal.TRACES, traces_of(span_of(attributes)), by=one)
        assert one.memo.used_bytes <= BYTES_MAX
