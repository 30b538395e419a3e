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
