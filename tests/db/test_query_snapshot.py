"""Snapshots and JSON texts are read and written as PostgreSQL itself does it."""

from __future__ import annotations

import orjson
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.items import JsonValue
from collector.query.json_text import json_text
from collector.query.snapshot import Snapshot
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, connect
from tests.round_trip import for_all
from tests.strategies import int64s, keys, texts

OWN_XID = "SELECT pg_current_xact_id()::text::bigint"


async def test_what_a_snapshot_sees_is_what_postgres_says(
    connection: Connection, database_settings: DatabaseSettings
) -> None:
    """For transactions that are over, run, were rolled back, or have not begun."""
    others = [await connect(database_settings) for _ in range(6)]
    xids: list[int] = []
    for other in others:
        await other.execute("BEGIN")
        xids.append(await other.fetchval(OWN_XID))
    for place in (1, 4):
        await others[place].execute("COMMIT")
    await others[2].execute("ROLLBACK")

    text: str = await connection.fetchval("SELECT pg_current_snapshot()::text")
    rows = await connection.fetch(
        "SELECT xid, pg_visible_in_snapshot(xid::text::xid8, $1::text::pg_snapshot)"
        " FROM generate_series($2::bigint, $3::bigint) AS xid",
        text,
        min(xids) - 5,
        max(xids) + 5,
    )

    for other in others:
        other.terminate()
    found = Snapshot.parse(text)
    assert [found.sees(xid) for xid, _ in rows] == [seen for _, seen in rows]
    assert [found.sees(xid) for xid in xids] == [False, True, True, False, True, False]
    assert str(found) == text


_numbers = st.one_of(
    int64s,
    st.floats(1e-15, 1e15, exclude_max=True),
    st.floats(-1e15, -1e-15, exclude_min=True),
    st.just(0.0),
)
_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


async def test_json_is_written_as_postgres_writes_it(connection: Connection) -> None:
    """Of every value in the stored forms, before and after it was stored."""

    async def check(value: JsonValue) -> None:
        stored: str = await connection.fetchval(
            "SELECT $1::jsonb::text", orjson.dumps(value).decode()
        )

        assert json_text(value) == stored
        assert json_text(orjson.loads(stored)) == stored

    await for_all(_values, check, settings=hypothesis_settings(max_examples=300, derandomize=True))
