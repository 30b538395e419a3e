"""Convert is total: any bytes become rows, letters, or one of two errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import TooManyItemsError, UndecodableError
from collector.restore.requests import restore
from collector.rows import FACT_COLUMNS, ConvertedRequest, Signal
from tests.equality import assert_same_items
from tests.factories import items_in, request_of
from tests.golden.convert import JSON_COLUMNS
from tests.round_trip import expected_back
from tests.strategies import NOW_UNIX_NANO, REQUEST_TYPES, hostile_requests, requests
from tests.unit.convert.converting import converter

EVERY_SIGNAL = pytest.mark.parametrize("signal", Signal)
patient = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

REMEMBERING = converter(items_max=1_000, parts_max=50, memo_bytes_max=2**17)
"""One converter for all examples, so that what it remembers of one can harm another."""


def convert(signal: Signal, payload: bytes) -> ConvertedRequest:
    """Return what ``payload`` becomes, by the converter that has seen all before."""
    return REMEMBERING.convert(signal, payload, digest=b"d" * 16, now_ns=NOW_UNIX_NANO)


def assert_consistent(converted: ConvertedRequest) -> None:
    """Fail unless all holds that must hold for any result, whatever the bytes were."""
    assert converted.items == len(converted.rows) + converted.quarantined + converted.rejected
    assert converted.repaired <= len(converted.rows)
    letters = [letter.outcome for letter in converted.dead_letters]
    assert (converted.quarantined > 0) == ("quarantined" in letters)
    assert (converted.repaired > 0) == ("repaired" in letters)
    assert (converted.rejected > 0) == ("rejected" in letters)
    if converted.quarantined:
        assert converted.item_indexes is not None
        assert len(converted.item_indexes) == len(converted.rows)
    for row in converted.rows:
        assert len(row) == len(FACT_COLUMNS[converted.signal])
        for column, value in zip(FACT_COLUMNS[converted.signal], row, strict=True):
            if isinstance(value, str):
                assert_storable(column, value)
    for rows in converted.dimensions:
        for row_id, row in rows.items():
            assert row[0] == row_id
            for column, value in zip(row._fields, row, strict=True):
                if isinstance(value, str):
                    assert_storable(column, value)


def assert_storable(column: str, text: str) -> None:
    """Fail unless PostgreSQL takes the text: no NUL, no surrogate, and JSON where it must be."""
    text.encode()
    assert "\0" not in text
    if column in JSON_COLUMNS:
        assert "\\u0000" not in text.replace("\\\\", "")
        json.loads(text, parse_constant=refuse)


def refuse(constant: str) -> None:
    """Fail on NaN and Infinity, which jsonb does not know."""
    raise AssertionError(constant)


@EVERY_SIGNAL
@patient
@given(payload=st.binary(max_size=200))
def test_any_bytes(signal: Signal, payload: bytes) -> None:
    """Noise becomes a consistent result, or one of the two errors."""
    with suppress(UndecodableError, TooManyItemsError):
        assert_consistent(convert(signal, payload))


@EVERY_SIGNAL
@patient
@given(data=st.data())
def test_damaged_requests(signal: Signal, data: st.DataObject) -> None:
    """Deep damage, bytes changed or cut out, becomes a consistent result or one of the two errors."""
    payload = bytearray(data.draw(requests(signal)).SerializeToString() or b"\x0a\x00")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload) - 1)) if payload else 0
        length = data.draw(st.integers(0, 3))
        payload[place : place + length] = data.draw(st.binary(max_size=4))

    with suppress(UndecodableError, TooManyItemsError):
        assert_consistent(convert(signal, bytes(payload)))


@EVERY_SIGNAL
@settings(patient, max_examples=300)
@given(data=st.data())
def test_damage_that_still_decodes_says_the_same(signal: Signal, data: st.DataObject) -> None:
    """What opentelemetry-proto reads in a damaged request, and nothing else, is stored."""
    seed = data.draw(st.integers(0, 5))
    payload = bytearray(request_of(signal, items=6, seed=seed).SerializeToString())
    for place in data.draw(st.lists(st.integers(0, len(payload) - 4), min_size=1, max_size=3)):
        payload[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        request = REQUEST_TYPES[signal].FromString(bytes(payload))
    except DecodeError:
        return

    converted = convert(signal, bytes(payload))

    if not converted.repaired:  # a NUL is valid there, and not in PostgreSQL
        expected = expected_back(converted, request)
        assert_same_items(restore(signal, converted.rows, converted.dimensions), expected)


@EVERY_SIGNAL
@patient
@given(data=st.data())
def test_valid_requests_of_any_signal_at_any_door(signal: Signal, data: st.DataObject) -> None:
    """What is valid elsewhere is noise here: a consistent result, or one of the two errors."""
    payload = data.draw(requests(data.draw(st.sampled_from(Signal)))).SerializeToString()

    with suppress(UndecodableError, TooManyItemsError):
        assert_consistent(convert(signal, payload))


@EVERY_SIGNAL
@patient
@given(data=st.data())
def test_valid_requests_always_convert(signal: Signal, data: st.DataObject) -> None:
    """And every item is counted."""
    request = data.draw(requests(signal))

    converted = convert(signal, request.SerializeToString())

    assert_consistent(converted)
    assert converted.items == items_in(request)


@EVERY_SIGNAL
@patient
@given(data=st.data())
def test_hostile_text_always_converts(signal: Signal, data: st.DataObject) -> None:
    """NUL and bad UTF-8 in any string."""
    hostile = data.draw(hostile_requests(signal))

    converted = convert(signal, hostile.wire)

    assert_consistent(converted)
    assert converted.items == items_in(hostile.repaired)


@EVERY_SIGNAL
def test_letters_and_rows_together_are_the_request(signal: Signal) -> None:
    """What is quarantined lies whole in the letters, what is not comes back from the rows."""
    for payload in truncations(request_of(signal, items=20).SerializeToString()):
        with suppress(UndecodableError):
            converted = convert(signal, payload)
            assert_consistent(converted)
            if not converted.quarantined and not converted.rejected:
                restored = restore(signal, converted.rows, converted.dimensions)
                assert_same_items(restored, REQUEST_TYPES[signal].FromString(payload))


def truncations(payload: bytes) -> Iterator[bytes]:
    """Yield the payload cut after every 37th byte, and whole."""
    for length in range(0, len(payload), 37):
        yield payload[:length]
    yield payload
