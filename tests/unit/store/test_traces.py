"""The summary that one batch adds to ``traces``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.rows import SpanRow, TraceRow
from collector.store import traces
from collector.store.traces import SERVICES_MAX, array_text, day_of, parameters
from tests.converted import DAY_US, span_row

TIME = 26 * 365 * DAY_US

spans = st.builds(
    span_row,
    st.integers(0, 10_000),
    time=st.integers(TIME, TIME + 3 * DAY_US),
    trace=st.sampled_from("abc"),
    root=st.booleans(),
    service=st.sampled_from([None, "shop", "cart"]),
    status=st.integers(0, 3),
    duration_ns=st.one_of(st.none(), st.integers(0, 10**12)),
)


@given(st.lists(spans, max_size=40))
def test_summary_adds_up_each_trace_and_day(rows: list[tuple[Any, ...]]) -> None:
    """Counts, bounds, root and services are those of the rows, sorted by key."""
    groups: dict[tuple[bytes, date], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        groups[row[3], day_of(row[0])].append(row)

    statements = asyncio.run(parameters(rows))

    summaries = [
        TraceRow._make(row) for columns in statements for row in zip(*columns, strict=True)
    ]
    assert [(summary.trace_id, summary.day) for summary in summaries] == sorted(groups)
    for summary in summaries:
        group = groups[summary.trace_id, summary.day]
        assert summary.start_time == min(row[0] for row in group)
        assert summary.end_time == max(row[0] + (row[2] or 0) // 1000 for row in group)
        assert summary.span_count == len(group)
        assert summary.error_count == sum(row[9] == 2 for row in group)
        roots = [row for row in group if row[5] is None]
        root = min(roots, key=lambda row: row[0]) if roots else (None,) * len(SpanRow._fields)
        assert summary.root_service == root[8]
        assert summary.root_name == root[6]
        assert summary.root_status_code == root[9]
        assert summary.root_duration_ns == root[2]
        services = list(dict.fromkeys(row[8] for row in group if row[8] is not None))
        assert summary.services == array_text(services)


def test_services_are_capped() -> None:
    """A trace through very many services names the first ones."""
    rows = [span_row(n, time=TIME, service=f"service {n}") for n in range(100)]

    (columns,) = asyncio.run(parameters(rows))

    services = columns[TraceRow._fields.index("services")]
    assert list(services) == [array_text([f"service {n}" for n in range(SERVICES_MAX)])]


def test_no_rows_no_parameters() -> None:
    """Nothing to upsert."""
    assert asyncio.run(parameters([])) == []


async def test_many_traces_are_several_statements_in_one_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sorted over all statements, or two writers could wait for each other in a circle."""
    monkeypatch.setattr(traces, "UPSERT_TRACES", 3)
    rows = [span_row(n, time=TIME + n, trace=f"{n * 7 % 10}") for n in range(10)]

    statements = await parameters(rows)

    assert [len(columns[0]) for columns in statements] == [3, 3, 3, 1]
    keys = [key for columns in statements for key in columns[0]]
    assert keys == sorted(row[3] for row in rows)


async def test_others_have_their_turn_between_two_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small group is added up at once; a large one gives way after each slice."""
    monkeypatch.setattr(traces, "SLICE_ROWS", 5)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await parameters([span_row(n, time=TIME + n) for n in range(4)])
    assert turns == 0
    await parameters([span_row(n, time=TIME + n) for n in range(20)])
    task.cancel()

    assert turns >= 4


def test_array_text_escapes_what_arrays_use() -> None:
    """Quotes and backslashes are a sender's to use; NULL is a name like others."""
    assert array_text([]) == "{}"
    assert array_text(["a", "NULL", 'b"c', "d\\e", "{f,g}", ""]) == (
        '{"a","NULL","b\\"c","d\\\\e","{f,g}",""}'
    )
