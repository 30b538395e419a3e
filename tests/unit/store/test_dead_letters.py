"""Moving a row's item to the dead letters."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.convert import letters
from collector.rows import DeadLetterRow, Reason, Signal
from collector.store.dead_letters import quarantine
from tests.converted import log_row, request
from tests.db.writing import letters_of
from tests.equality import assert_same_items
from tests.factories import request_of
from tests.round_trip import with_quarantined
from tests.unit.convert.converting import SPAN_ID, convert, item_payload, span_of, traces_of


async def test_quarantined_rows_leave_and_their_bytes_stay() -> None:
    """Rows, item numbers, counts and time bounds agree afterwards; order is kept."""
    one = request("a", rows=[log_row(time=10 * n) for n in range(1, 6)], received_at=99)

    await quarantine(one, [4, 0], Reason.ID_COLLISION, letters_of)

    assert [row[0] for row in one.rows] == [20, 30, 40]
    assert one.item_indexes == [1, 2, 3]
    assert (one.time_min, one.time_max) == (20, 40)
    assert (one.items, one.quarantined) == (5, 2)
    assert one.dead_letters == [
        DeadLetterRow("logs", 99, "id_collision", "quarantined", b"logs item %d of a" % item)
        for item in (0, 4)
    ]


async def test_item_numbers_follow_the_wire() -> None:
    """Rows that were left out before do not shift the item that a row came from."""
    one = request("a", rows=[log_row(time=n) for n in range(3)], item_indexes=[2, 5, 7])

    await quarantine(one, [1], Reason.REFUSED_BY_POSTGRES, letters_of)
    await quarantine(one, [1], Reason.REFUSED_BY_POSTGRES, letters_of)

    assert one.item_indexes == [2]
    assert [letter.payload for letter in one.dead_letters] == [
        b"logs item 5 of a",
        b"logs item 7 of a",
    ]


async def test_nothing_left() -> None:
    """A request without rows has no time bounds."""
    one = request("a", rows=[log_row(time=10)])

    await quarantine(one, [0], Reason.REFUSED_BY_POSTGRES, letters_of)

    assert (one.rows, one.item_indexes, one.time_min, one.time_max) == ([], [], 0, 0)


@pytest.mark.parametrize("signal", Signal)
async def test_letter_is_the_item_as_it_was_sent(signal: Signal) -> None:
    """One item, its resource and scope, byte for byte; the reason is the caller's."""
    payload = request_of(signal, items=20).SerializeToString()
    one = convert(signal, payload)

    await quarantine(one, [17, 3], Reason.REFUSED_BY_POSTGRES, letters.letters_of)

    assert one.dead_letters == [
        DeadLetterRow(
            signal,
            one.received_at,
            Reason.REFUSED_BY_POSTGRES,
            "quarantined",
            item_payload(signal, payload, index),
        )
        for index in (3, 17)
    ]


async def test_items_beyond_the_budget_share_a_letter() -> None:
    """A large resource is not kept once per item, however often items are moved."""
    request = large_resource(items=100)
    one = convert(Signal.TRACES, request)
    for reason in (Reason.ID_COLLISION, *[Reason.REFUSED_BY_POSTGRES] * 9):
        await quarantine(one, range(10), reason, letters.letters_of)

    kept = [ExportTraceServiceRequest.FromString(row.payload) for row in one.dead_letters]

    assert_same_items(with_quarantined(type(request)(), one.dead_letters), request)
    assert (one.rows, one.quarantined, one.items) == ([], 100, 100)
    assert 1 < len(kept) < 100
    assert sum(len(row.payload) for row in one.dead_letters) < 4 * len(one.payload) + 2**20
    assert {row.reason for row in one.dead_letters} == set(one.moved.values())


async def test_letters_of_the_conversion_stay() -> None:
    """What convert quarantined keeps its letters, ahead of those of rows that are moved later."""
    one = convert(
        Signal.TRACES,
        traces_of(*(span_of(name=f"{n}", span_id=b"" if n == 1 else SPAN_ID) for n in range(10))),
    )
    [before] = one.dead_letters

    for _ in range(2):
        await quarantine(one, [2], Reason.REFUSED_BY_POSTGRES, letters.letters_of)

    assert one.dead_letters[0] == before
    assert [row.payload for row in one.dead_letters[1:]] == [
        item_payload(Signal.TRACES, one.payload, index) for index in (3, 4)
    ]
    assert (one.quarantined, len(one.rows)) == (3, 7)


async def test_others_have_their_turn_meanwhile() -> None:
    """The event loop turns between pieces of the work."""
    turns = count()

    async def others() -> None:
        for _ in turns:
            await asyncio.sleep(0)

    one = convert(Signal.LOGS, request_of(Signal.LOGS, items=5_000))
    waiting = asyncio.create_task(others())
    await quarantine(one, range(5_000), Reason.REFUSED_BY_POSTGRES, letters.letters_of)
    waiting.cancel()

    assert next(turns) > 1
    assert one.quarantined == 5_000


async def test_cancelled_in_between_nothing_has_changed() -> None:
    """Rows and letters agree at every await."""
    one = request("a", rows=[log_row(time=10)])
    moving = asyncio.create_task(quarantine(one, [0], Reason.REFUSED_BY_POSTGRES, letters_of))
    await asyncio.sleep(0)

    moving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await moving
    assert (len(one.rows), one.dead_letters, one.moved, one.quarantined) == (1, [], {}, 0)


def large_resource(items: int) -> ExportTraceServiceRequest:
    """Return a request whose resource has two megabytes."""
    request = request_of(Signal.TRACES, items=items)
    assert isinstance(request, ExportTraceServiceRequest)
    attribute = request.resource_spans[0].resource.attributes.add(key="large")
    attribute.value.string_value = "r" * 2_000_000
    return request
