"""query.user_sql: a statement of a user's can read, and nothing else; values of every type."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from collector.errors import QueryTimeoutError, StatementError
from collector.query.sql_values import row_cells, row_json
from collector.query.user_sql import CHUNK_ROWS, Answer, run
from collector.query.view import Views
from collector.settings import DatabaseSettings
from collector.store.embedded import SUPERUSER, EmbeddedPostgres
from collector.store.pool import Connection, Database
from tests.conftest import settings_of

LETTER = (
    "INSERT INTO dead_letters (signal, received_at, reason, outcome, payload)"
    " VALUES ('logs', now(), 'nul', 'repaired', '')"
)
THEIRS = """
CREATE FUNCTION theirs(words text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE words; END'
"""
"""A function of somebody else's that does whatever it is told."""
STATE = """
SELECT (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM api_keys),
       (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
"""


@pytest.fixture
async def views(database_settings: DatabaseSettings) -> AsyncGenerator[Views]:
    """Views of the test's own database, as its owner, who may write all of it."""
    pool = Database(database_settings.model_copy(update={"connections_max": 1}))
    yield Views(pool, 20)
    await pool.stop()


@pytest.fixture(params=["owner", "superuser"])
async def powerful_views(
    request: pytest.FixtureRequest,
    database_settings: DatabaseSettings,
    server_under_test: EmbeddedPostgres,
    connection: Connection,
) -> AsyncGenerator[Views]:
    """The same as those whom no privilege holds back."""
    settings = database_settings
    if request.param == "superuser":
        name: str = await connection.fetchval("SELECT current_database()")
        settings = settings_of(server_under_test, name, role=SUPERUSER)
    pool = Database(settings.model_copy(update={"connections_max": 1}))
    yield Views(pool, 20)
    await pool.stop()


async def rows_of(answer: Answer) -> list[Any]:
    """Return all rows."""
    return [row async for chunk in answer.rows for row in chunk]


async def asked(views: Views, sql: str, **options: Any) -> list[dict[str, Any]]:
    """Return the answer to one statement, through JSON."""
    async with views.open() as view:
        answer = await run(view, sql, **options)
        return [json.loads(row_json(answer.columns, row)) for row in await rows_of(answer)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS n",
        "select 1 as n;",
        "  -- a word\n /* and another */ SELECT 1 AS n -- the end",
        "WITH a AS (SELECT 1 AS n) TABLE a",
        "(SELECT 1 AS n) UNION (VALUES (1))",
        "/* a */ SELECT n FROM (SELECT 1 AS n) /* b */ show",
        "/* x */\n" * 2_000 + "SELECT 1 AS n",
    ],
    ids=range(7),
)
async def test_a_query_is_answered(views: Views, sql: str) -> None:
    """However it begins and ends."""
    assert await asked(views, sql) == [{"n": 1}]


@pytest.mark.parametrize("sql", ["EXPLAIN SELECT 1", "-- a\nexplain (analyze) select 1", "EXPLAIN (SELECT 1)", "EXPLAIN (ANALYZE, BUFFERS off) (SELECT 1)", "explain (format json) table logs", "SHOW timezone", "/**/show\njit"])  # fmt: skip
async def test_what_no_cursor_takes_and_only_reads_is_answered(views: Views, sql: str) -> None:
    """Plans and settings."""
    assert await asked(views, sql)


async def test_an_answer_of_many_chunks_is_whole_and_in_order(views: Views) -> None:
    """Chunk by chunk, none of them too long."""
    count = 2 * CHUNK_ROWS + 1
    async with views.open() as view:
        answer = await run(view, f"SELECT n FROM generate_series(1, {count}) AS n")
        chunks = [[row["n"] for row in chunk] async for chunk in answer.rows]

    assert [n for chunk in chunks for n in chunk] == list(range(1, count + 1))
    assert max(map(len, chunks)) == CHUNK_ROWS


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        # ways out of the transaction
        ("COMMIT", "42601"),
        ("commit; " + LETTER, "42601"),
        ("ROLLBACK; " + LETTER, "42601"),
        ("ABORT AND CHAIN", "42601"),
        ("SELECT 1; COMMIT", "42601"),
        ("SELECT 1; " + LETTER, "42601"),
        ("SELECT 1; SELECT 2", "42601"),
        ("EXPLAIN SELECT 1; " + LETTER, "42601"),
        ("SHOW jit; COMMIT", "42601"),
        ("SELECT 1) SELECT 2; COMMIT --", "42601"),
        ("PREPARE TRANSACTION 'x'", "42601"),
        ("EXPLAIN COMMIT", "42601"),
        # other settings for what follows
        ("SET ROLE postgres", "42601"),
        ("RESET ROLE", "42601"),
        ("SET SESSION AUTHORIZATION DEFAULT", "42601"),
        ("SET TRANSACTION READ WRITE", "42601"),
        ("SELECT set_config('transaction_read_only', 'off', false)", "25001"),
        ("SELECT set_config('transaction_read_only', 'off', true), pg_sleep(0)", "25001"),
        # writing
        (LETTER, "42601"),
        ("DELETE FROM api_keys", "42601"),
        ("WITH x AS (" + LETTER + " RETURNING id) SELECT * FROM x", "0A000"),
        ("WITH x AS (DELETE FROM dead_letters RETURNING id) SELECT 1", "0A000"),
        ("EXPLAIN ANALYZE " + LETTER, "42601"),
        ("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "42601"),
        ("EXPLAIN (ANALYZE, COSTS off) SELECT 1 INTO t", "42601"),
        ("EXPLAIN ANALYZE VERBOSE WITH a AS (SELECT 1) SELECT * INTO t FROM a", "42601"),
        ("/* /* */ EXPLAIN SELECT 1 */ CREATE TABLE t ()", "42601"),
        ("/* /* */ SHOW jit */ COMMIT", "42601"),
        ("EXPLAIN ANALYZE WITH x AS (DELETE FROM dead_letters RETURNING id) SELECT 1", "0A000"),
        ("SELECT * INTO t FROM logs", "42601"),
        ("SELECT 1 FROM dead_letters FOR UPDATE", "25006"),
        ("SELECT nextval(pg_get_serial_sequence('dead_letters', 'id'))", "25006"),
        ("SELECT setval(pg_get_serial_sequence('dead_letters', 'id'), 9)", "25006"),
        ("SELECT otlpg_make_leaf('logs', now() + interval '99 days', 24)", "25006"),
        ("SELECT theirs('DELETE FROM dead_letters')", "25006"),
        ("SELECT theirs('SET TRANSACTION READ WRITE')", "25001"),
        ("SELECT theirs('COMMIT')", "0A000"),
        # other statements
        ("COPY logs TO PROGRAM 'true'", "42601"),
        ("COPY (SELECT 1) TO '/tmp/x'", "42601"),
        ("DO $$ BEGIN DELETE FROM dead_letters; COMMIT; END $$", "42601"),
        ("CALL x()", "42601"),
        ("VACUUM", "42601"),
        ("LOCK logs", "42601"),
        ("NOTIFY x", "42601"),
        ("LISTEN x", "42601"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "42601"),
        ("EXECUTE x", "42601"),
        ("DISCARD ALL", "42601"),
        ("", "42601"),
        ("-- nothing", "42601"),
    ],
)  # fmt: skip
async def test_nothing_can_be_written_and_nothing_leaves_the_transaction(
    powerful_views: Views, connection: Connection, sql: str, sqlstate: str
) -> None:
    """Whoever asks: PostgreSQL refuses it, and afterwards all is as it was."""
    await connection.execute(LETTER)
    await connection.execute(THEIRS)
    before = await connection.fetchrow(STATE)

    with pytest.raises(StatementError) as caught:
        await asked(powerful_views, sql)

    assert caught.value.sqlstate == sqlstate
    assert await connection.fetchrow(STATE) == before
    assert await asked(powerful_views, "SHOW transaction_read_only") == [
        {"transaction_read_only": "on"}
    ]


async def test_a_large_object_is_refused_or_undone(
    powerful_views: Views, connection: Connection
) -> None:
    """PostgreSQL refuses it from 16 on; before, it ends with its transaction."""
    sql = "SELECT lo_from_bytea(0, 'x')"

    if connection.get_server_version().major >= 16:
        with pytest.raises(StatementError) as caught:
            await asked(powerful_views, sql)
        assert caught.value.sqlstate == "25006"
    else:
        assert len(await asked(powerful_views, sql)) == 1

    assert await connection.fetchval("SELECT count(*) FROM pg_largeobject_metadata") == 0


async def test_a_role_is_the_one_that_asks(views: Views, connection: Connection) -> None:
    """What it may not read it does not get; the next question is asked as before."""
    await connection.execute("CREATE ROLE sql_nobody; GRANT sql_nobody TO CURRENT_USER")
    try:
        with pytest.raises(StatementError, match="permission denied for table logs") as caught:
            await asked(views, "SELECT * FROM logs", role="sql_nobody")
        as_nobody = await asked(views, "SELECT current_user AS me", role="sql_nobody")
        as_before = await asked(views, "SELECT current_user AS me")
        with pytest.raises(StatementError, match="does not exist"):
            await asked(views, "SELECT 1", role='no " one')
    finally:
        await connection.execute("DROP ROLE sql_nobody")

    assert caught.value.sqlstate == "42501"
    assert as_nobody == [{"me": "sql_nobody"}]
    assert as_before == [{"me": "otlpg"}]


async def test_a_statement_that_takes_too_long_is_ended(views: Views) -> None:
    """As any other question."""

    async def ask() -> None:
        async with views.open(timeout_s=0.05) as view:
            answer = await run(view, "SELECT pg_sleep(600)")
            await rows_of(answer)

    with pytest.raises(QueryTimeoutError):
        await ask()


@pytest.mark.parametrize(
    ("sql", "position", "message"),
    [
        ("select nam from logs", 7, 'column "nam" does not exist'),
        ("select 'é' || x\nfrom logs", 14, 'column "x" does not exist'),
        ("selec 1", 0, 'syntax error at or near "selec"'),
        ("select 1 /", 10, "syntax error at end of input"),
        ("select 1; select 2", None, "cannot insert multiple commands into a prepared statement"),
        ("explain select nam from logs", 15, 'column "nam" does not exist'),
        ("select 1/0", None, "division by zero"),
    ],
)
async def test_what_postgresql_says_is_told(
    views: Views, sql: str, position: int | None, message: str
) -> None:
    """In its words, and at which character of what the user wrote."""
    with pytest.raises(StatementError) as caught:
        await asked(views, sql)

    assert str(caught.value) == message
    assert caught.value.position == position


VALUES = [
    ("null::int", "null", None),
    ("true", "true", "true"),
    ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
    ("1.50::numeric", "1.50", "1.50"),
    ("1e30::numeric", "1" + "0" * 30, "1" + "0" * 30),
    ("'NaN'::numeric", '"NaN"', "NaN"),
    ("'-Infinity'::numeric", '"-Infinity"', "-Infinity"),
    ("'NaN'::float8", '"NaN"', "NaN"),
    ("'-Infinity'::float4", '"-Infinity"', "-Infinity"),
    ("1e300::float8", "1e+300", "1e+300"),
    ("0.1::float4", "0.1", "0.1"),
    ("'NaN'::float4", '"NaN"', "NaN"),
    ("16777217::float4", "16777216.0", "16777216.0"),
    ("-1.1754944e-38::float4", "-1.1754944e-38", "-1.1754944e-38"),
    ("1e-45::float4", "1e-45", "1e-45"),
    ("3.4028235e38::float4", "3.4028235e+38", "3.4028235e+38"),
    ("array[0.1::float4, null]", "[0.1,null]", "[0.1,null]"),
    ("row(0.1::float4)", "[0.1]", "[0.1]"),
    ("'\\x00ff'::bytea", '"00ff"', "00ff"),
    ("'a\"b'", '"a\\"b"', 'a"b'),
    (
        "timestamptz '2026-01-31 12:00:00.1234+02'",
        '"2026-01-31T10:00:00.123400Z"',
        "2026-01-31T10:00:00.123400Z",
    ),
    ("timestamptz '2026-01-31'", '"2026-01-31T00:00:00Z"', "2026-01-31T00:00:00Z"),
    ("timestamptz 'infinity'", '"infinity"', "infinity"),
    ("timestamptz '-infinity'", '"-infinity"', "-infinity"),
    (
        "timestamptz '4713-01-01 BC'",
        '"-211810204800000000 us after 2000-01-01 UTC"',
        "-211810204800000000 us after 2000-01-01 UTC",
    ),
    ("timestamp '2026-01-31 12:00'", '"2026-01-31T12:00:00"', "2026-01-31T12:00:00"),
    ("date '2026-01-31'", '"2026-01-31"', "2026-01-31"),
    ("date 'infinity'", '"infinity"', "infinity"),
    ("time '10:00'", '"10:00:00"', "10:00:00"),
    ("interval '1 mon -2 days 03:04:05.6'", '"P1M-2DT11045.6S"', "P1M-2DT11045.6S"),
    ("interval '-1 s'", '"PT-1S"', "PT-1S"),
    ("interval '0'", '"PT0S"', "PT0S"),
    (
        '\'{"a": [1, null], "é": 1e400}\'::json',
        '{"a": [1, null], "é": 1e400}',
        '{"a": [1, null], "é": 1e400}',
    ),
    ("E'{\"a\":\\n1}'::json", '{"a": 1}', '{"a": 1}'),
    ("'\"x\"'::jsonb", '"x"', '"x"'),
    ("array['{\"a\": 1}'::jsonb, null]", '[{"a": 1},null]', '[{"a": 1},null]'),
    ("array[[1,2],[3,4]]", "[[1,2],[3,4]]", "[[1,2],[3,4]]"),
    ("array[timestamptz '2026-01-31']", '["2026-01-31T00:00:00Z"]', '["2026-01-31T00:00:00Z"]'),
    ("array['NaN'::float8]", '["NaN"]', '["NaN"]'),
    (
        "row(1, 'a', timestamptz '2026-01-31')",
        '[1,"a","2026-01-31T00:00:00Z"]',
        '[1,"a","2026-01-31T00:00:00Z"]',
    ),
    ("(SELECT t FROM (SELECT 1) AS t(a))", "[1]", "[1]"),
    ("int4range(1, 5)", '"[1,5)"', "[1,5)"),
    (
        "tstzrange(timestamptz '2026-01-31', null)",
        '"[2026-01-31T00:00:00Z,)"',
        "[2026-01-31T00:00:00Z,)",
    ),
    ("'empty'::int4range", '"empty"', "empty"),
    ("B'10100'", '"10100"', "10100"),
    (
        "uuid '01df9e7c-b297-4431-8309-8f6f94386eaa'",
        '"01df9e7c-b297-4431-8309-8f6f94386eaa"',
        "01df9e7c-b297-4431-8309-8f6f94386eaa",
    ),
    ("inet '10.0.0.0/8'", '"10.0.0.0/8"', "10.0.0.0/8"),
    ("pg_lsn '0/1A'", '"0/1A"', "0/1A"),
    ("'x'::\"char\"", '"x"', "x"),
    ('null::"char"', "null", None),
    ("'logs'::regclass", '"logs"', "logs"),
    ("'12.30'::money", '"$12.30"', "$12.30"),
    ("tid '(0,1)'", '"(0,1)"', "(0,1)"),
    ("'a b'::tsvector", "\"'a' 'b'\"", "'a' 'b'"),
    ("point '(1,2)'", "[1.0,2.0]", "[1.0,2.0]"),
]


@pytest.mark.parametrize(("sql", "as_json", "as_text"), VALUES, ids=[sql for sql, _, _ in VALUES])
async def test_values_of_every_type_are_shown(
    views: Views, sql: str, as_json: str, as_text: str | None
) -> None:
    """JSON stays JSON, ids are hex, times are RFC 3339, and no value ends the answer."""
    async with views.open() as view:
        answer = await run(view, f"SELECT {sql} AS v")
        [row] = await rows_of(answer)

    assert row_json(answer.columns, row) == f'{{"v":{as_json}}}'
    assert row_cells(answer.columns, row) == [as_text]


async def test_a_value_that_python_cannot_hold_is_told(views: Views) -> None:
    """With what to do about it."""
    with pytest.raises(StatementError, match="cannot be shown") as caught:
        await asked(views, "SELECT d FROM pg_database AS d")

    assert "to_jsonb" in caught.value.hint


async def test_every_table_of_ours_can_be_selected_whole(
    views: Views, connection: Connection
) -> None:
    """Columns of every type that we have; those of one name are all there."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p', 'v') AND NOT relispartition"
    )
    assert len(tables) >= 12
    for (name,) in tables:
        async with views.open() as view:
            answer = await run(
                view, f"SELECT a.*, b.* FROM {name} AS a FULL JOIN {name} AS b ON true"
            )
            assert answer.columns
            await rows_of(answer)
