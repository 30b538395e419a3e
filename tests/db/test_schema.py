"""The schema keeps what DESIGN says about it: cheap to write, and it teaches its reader."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.rows import PG_EPOCH_UNIX_US, MetricRow, SpanRow
from collector.store.pool import Connection

pytestmark = pytest.mark.postgres_versions

FACTS = ("trace_spans", "logs", "metric_data_points")
NOW_US = 848_577_600_000_000
"""Some microsecond of the year 2026."""


async def make_leaf(connection: Connection, table: str = "trace_spans") -> None:
    """Make the leaf that the rows of these tests go to."""
    await connection.execute("SELECT otlpg_make_leaf($1, $2, 24)", table, NOW_US)


async def store_span(connection: Connection, **values: Any) -> None:
    """Store a span with these values and no others."""
    defaults: dict[str, Any] = dict.fromkeys(SpanRow._fields) | {
        "start_time": NOW_US, "trace_id": b"t" * 16, "span_id": b"s" * 8, "name": "GET /",
        "kind": 2, "status_code": 0, "flags": 1, "attributes": "{}", "resource_id": 1, "scope_id": 2,
    }  # fmt: skip
    row = SpanRow(**defaults | values)
    await connection.copy_records_to_table("trace_spans", columns=row._fields, records=[row])


async def test_every_table_and_column_is_explained(connection: Connection) -> None:
    r"""``\d+`` shows a comment for each table, view, column and function, leaves included."""
    await make_leaf(connection)
    missing = await connection.fetch(
        """
        SELECT c.relname, a.attname FROM pg_class AS c
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = 'public'::regnamespace
          AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)
        UNION ALL
        SELECT proname, NULL FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
        """
    )

    assert not missing


@pytest.mark.parametrize("table", FACTS)
async def test_facts_carry_nothing_that_slows_a_copy(connection: Connection, table: str) -> None:
    """No constraint but NOT NULL, no trigger, default, DEFAULT partition or index but btree."""
    await make_leaf(connection, table)
    found = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype <> 'n')
                   AS constraints,
               (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid) AS triggers,
               (SELECT count(*) FROM pg_attrdef WHERE adrelid = c.oid) AS defaults,
               (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = c.oid) AS default_leaf,
               (SELECT array_agg(DISTINCT am.amname::text) FROM pg_index AS i
                JOIN pg_class AS x ON x.oid = i.indexrelid JOIN pg_am AS am ON am.oid = x.relam
                WHERE i.indrelid = c.oid) AS methods
        FROM pg_class AS c WHERE c.oid = $1::text::regclass
        """,
        table,
    )

    assert found is not None
    assert tuple(found.values()) == (0, 0, 0, 0, ["btree"])


async def test_the_hot_indexes_are_these(connection: Connection) -> None:
    """Each further index costs every COPY; a new one is a decision, not an accident."""
    rows = await connection.fetch(
        "SELECT replace(indexdef, ' ON ONLY public.', ' ON ') AS line FROM pg_indexes"
        " WHERE schemaname = 'public' AND tablename = ANY($1::text[])",
        [*FACTS, "traces", "ingest_ledger"],
    )

    assert {row["line"].partition(" ON ")[2] for row in rows} == {
        "trace_spans USING btree (trace_id)",
        "trace_spans USING btree (service_name, start_time)",
        'logs USING btree (service_name, "time")',
        "logs USING btree (trace_id) WHERE (trace_id IS NOT NULL)",
        'metric_data_points USING btree (series_id, "time")',
        "traces USING btree (trace_id, day)",
        "traces USING btree (start_time)",
        "ingest_ledger USING btree (day, digest)",
    }


async def test_nothing_needed_a_superuser(connection: Connection) -> None:
    """The role that migrated the test's database, and owns everything in it, is none."""
    found = await connection.fetch(
        "SELECT DISTINCT rolname, rolsuper FROM pg_class JOIN pg_roles ON relowner = pg_roles.oid"
        " WHERE relnamespace = 'public'::regnamespace"
    )

    assert [tuple(row.values()) for row in found] == [("otlpg", False)]


async def test_names_of_any_length_can_be_stored(connection: Connection) -> None:
    """No index on a sender's text refuses a long one, incompressible and beyond a page."""
    noise = await connection.fetchval(
        "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 4000) AS n"
    )
    assert len(noise) == 128_000
    row = MetricRow(1, noise, noise, noise, "gauge", None, None, "{}", None, b"d" * 16)
    await connection.copy_records_to_table("metrics", columns=row._fields, records=[row])
    await connection.execute(
        "INSERT INTO metric_series (series_id, metric_id, resource_id, scope_id, attributes, digest)"
        " VALUES (1, 1, 1, 1, jsonb_build_object($1::text, $1::text), '')",
        noise,
    )
    await connection.execute(
        "INSERT INTO resources (resource_id, service_name, attributes, digest)"
        " VALUES (1, $1, jsonb_build_object($1::text, $1::text), '')",
        noise,
    )

    await connection.execute("SET enable_seqscan = off")
    assert await connection.fetchval("SELECT metric_id FROM metrics WHERE name = $1", noise) == 1


async def test_events_are_spread_with_exact_times(connection: Connection) -> None:
    """Times are exact to the nanosecond, also where days are not 24 hours and years are far."""
    await make_leaf(connection)
    unix_ns = [1_774_746_000_123_456_789, 1_774_753_200_999_999_999, 1, 2**63, 2**64 - 1, 0]
    events = [{"time_unix_nano": n, "name": f"event {n}"} if n else {"name": "none"}
              for n in unix_ns]  # fmt: skip
    await store_span(connection, events=json.dumps(events), service_name="cart")
    await connection.execute("SET timezone = 'Europe/Berlin'")  # 2026-03-29 has 23 hours there

    rows = await connection.fetch("SELECT * FROM trace_events ORDER BY event_index")

    assert [row["name"] for row in rows] == [event["name"] for event in events]
    exact = [None if row["time"] is None else (row["time"] + PG_EPOCH_UNIX_US) * 1000 + row["time_ns"]
             for row in rows]  # fmt: skip
    assert exact == [*unix_ns[:-1], None]
    assert rows[0]["service_name"] == "cart"
    assert rows[0]["attributes"] == "{}"
    assert rows[0]["dropped_attributes_count"] == 0


async def test_links_are_spread_with_ids_of_any_length(connection: Connection) -> None:
    """A link's ids are bytes again, even where the sender's were not valid; defaults are filled."""
    await make_leaf(connection)
    links: list[dict[str, Any]] = [
        {"trace_id": "0a" * 16, "span_id": "0b" * 8, "trace_state": "a=b", "flags": 2**32 - 1,
         "attributes": {"k": 1}, "dropped_attributes_count": 7},
        {"trace_id": "ff"},
        {},
    ]  # fmt: skip
    await store_span(connection, links=json.dumps(links))

    rows = await connection.fetch(
        "SELECT linked_trace_id, linked_span_id, trace_state, flags, attributes,"
        " dropped_attributes_count FROM trace_links ORDER BY link_index"
    )

    assert [tuple(row.values()) for row in rows] == [
        (b"\x0a" * 16, b"\x0b" * 8, "a=b", 2**32 - 1, '{"k": 1}', 7),
        (b"\xff", None, None, 0, "{}", 0),
        (None, None, None, 0, "{}", 0),
    ]


async def test_spans_without_events_cost_the_views_nothing(connection: Connection) -> None:
    """A span with neither events nor links appears in neither view."""
    await make_leaf(connection)
    await store_span(connection)

    assert await connection.fetchval("SELECT count(*) FROM trace_events") == 0
    assert await connection.fetchval("SELECT count(*) FROM trace_links") == 0
