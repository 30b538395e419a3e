"""The walk through the framing: what is nothing, what is broken, what is too much."""

from __future__ import annotations

import pytest

from collector.convert.tags import field_of
from collector.errors import TooManyItemsError, UndecodableError
from collector.rows import Signal
from tests.factories import request_of
from tests.unit.convert.converting import (
    convert,
    converter,
    valid_span,
)

EVERY_SIGNAL = pytest.mark.parametrize("signal", Signal)


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
def test_every_item_may_be_alone_in_its_resource(signal: Signal) -> None:
    """Groups that hold items are no flood, up to the cap on items."""
    payload = b"".join(
        [request_of(signal, items=1, seed=seed).SerializeToString() for seed in range(50)]
    )

    assert len(convert(signal, payload, by=converter(items_max=50)).rows) == 50


def test_items_are_found_wherever_other_fields_stand() -> None:
    """Before, between and after the items; also where a tag takes more bytes than it needs."""
    span, name = field_of(0x12, valid_span()), field_of(0x1A, b"url")
    long_tag = b"\x92\x00" + span[1:]
    long_length = span[:1] + bytes([span[1] | 128, 0]) + span[2:]
    scope = name + span + span + name + long_tag + span + long_length + name

    converted = convert(Signal.TRACES, field_of(0x0A, field_of(0x12, scope)))

    assert (len(converted.rows), converted.quarantined) == (5, 0)
    assert [row.schema_url for row in converted.dimensions.scopes.values()] == ["url"]


@pytest.mark.parametrize("flood", [b"\x12\x00" * 300, b"\x1a\x00" * 300], ids=["scopes", "others"])
def test_what_items_do_not_use_is_not_saved_for_a_flood(flood: bytes) -> None:
    """Many items earn no room for the fields of one resource: each costs 200 bytes of memory."""
    items = field_of(0x0A, field_of(0x12, b"\x12\x00" * 1_000))
    payload = items + field_of(0x0A, flood * 10)

    with pytest.raises(TooManyItemsError):
        convert(Signal.TRACES, payload, by=converter(items_max=1_000))


@pytest.mark.parametrize(
    ("groups", "error"), [([10_001], UndecodableError), ([1_000] * 4, TooManyItemsError)]
)
def test_fields_inside_groups_count(groups: list[int], error: type[Exception]) -> None:
    """A group is skipped, which costs as much as its fields do."""
    payload = b"".join([b"\x0b" + b"\x08\x01" * fields + b"\x0c" for fields in groups])

    with pytest.raises(error):
        convert(Signal.TRACES, payload, by=converter(items_max=1_000))
