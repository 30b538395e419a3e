"""Binary COPY streams are cut between rows and stay complete streams."""

from __future__ import annotations

import struct

import pytest

from collector.operate.bench.limit import HEADER_BYTES, TRAILER, cut, tuple_ends

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)


def row(*values: bytes | None) -> bytes:
    """Return one row as binary COPY writes it."""
    fields = [
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        for value in values
    ]
    return struct.pack("!h", len(values)) + b"".join(fields)


ROWS = [row(b"one", None), row(b"", b"\xff\xff"), row(b"a" * 300, b"b"), row(None, None)]
STREAM = HEADER + b"".join(ROWS) + TRAILER


def test_tuple_ends_skip_values_and_nulls() -> None:
    """Each end lies right behind its row, whatever bytes the values hold."""
    ends = list(tuple_ends(STREAM))

    starts = [HEADER_BYTES, *ends[:-1]]
    assert [STREAM[start:end] for start, end in zip(starts, ends, strict=True)] == ROWS


@pytest.mark.parametrize("rows_max", [1, 2, 3, 4, 5])
def test_cut_streams_hold_every_row_once(rows_max: int) -> None:
    """No row is lost, repeated or split, and each part has its own header and trailer."""
    parts = list(cut(STREAM, rows_max))

    bodies = [part.removeprefix(HEADER).removesuffix(TRAILER) for part in parts]
    assert b"".join(bodies) == b"".join(ROWS)
    assert all(part.startswith(HEADER) and part.endswith(TRAILER) for part in parts)
    assert all(len(list(tuple_ends(part))) <= rows_max for part in parts)


def test_cut_of_no_rows_is_nothing() -> None:
    """An empty table needs no statement."""
    assert list(cut(HEADER + TRAILER, 10)) == []
