"""Connections and the pool, against a real server."""

from __future__ import annotations

from collector.store.pool import Connection


async def test_times_are_integers_of_microseconds(connection: Connection) -> None:
    """A timestamptz goes in and comes out as microseconds since 2000, in arrays as well."""
    row = await connection.fetchrow(
        "SELECT $1::timestamptz AS one, $2::timestamptz[] AS many,"
        " $1::timestamptz = '2026-11-21 00:00:00.000001+00' AS same",
        848_534_400_000_001,
        [-1, 0, None],
    )

    assert row is not None
    assert row["one"] == 848_534_400_000_001
    assert row["many"] == [-1, 0, None]
    assert row["same"]
