"""Connections and the pool, against a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import date
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from collector.errors import RetryableStoreError, StoreUnavailableError
from collector.settings import DatabaseSettings
from collector.store import pool
from collector.store.pool import Connection, Database, connect
from tests.fault.proxy import wire_to


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """A pool of at most two connections, which waits for one as good as not at all."""
    settings = database_settings.model_copy(update={"connections_max": 2})
    opened = Database(settings)
    yield opened
    await opened.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polite good-byes get a moment only."""
    monkeypatch.setattr(pool, "CLOSE_S_MAX", 0.05)


async def pid_of(connection: Connection) -> int:
    """Return the process id of the connection's backend."""
    return await connection.fetchval("SELECT pg_backend_pid()")


@contextmanager
def frozen(pid: int) -> Generator[None]:
    """Freeze a backend for a block: its socket is open and nobody answers, as in a black hole."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_times_are_integers_of_microseconds(connection: Connection) -> None:
    """A timestamptz goes in and comes out as microseconds since 2000, in arrays as well."""
    row = await connection.fetchrow(
        "SELECT $1::timestamptz AS one, $2::timestamptz[] AS many, 'infinity'::timestamptz AS far,"
        " $1::timestamptz = '2026-11-21 00:00:00.000001+00' AS same",
        848_534_400_000_001,
        [-1, 0, None],
    )

    assert row is not None
    assert row["one"] == 848_534_400_000_001
    assert row["many"] == [-1, 0, None]
    assert row["far"] == 2**63 - 1
    assert row["same"]


async def test_json_is_text_and_a_day_is_a_date(connection: Connection) -> None:
    """What PostgreSQL stores of a jsonb comes back as it writes it; nothing parses it."""
    row = await connection.fetchrow(
        "SELECT $1::jsonb AS json, $2::date AS day", '{"a":  1.0}', date(2026, 11, 21)
    )

    assert row is not None
    assert tuple(row.values()) == ('{"a": 1.0}', date(2026, 11, 21))


async def test_nothing_outlives_its_transaction(connection: Connection) -> None:
    """As pgbouncer in transaction mode wants it: no prepared statement stays behind."""
    async with connection.transaction():
        await connection.fetch("SELECT $1::timestamptz[]", [1])
        await connection.execute("SELECT 1")

    prepared = await connection.fetchval("SELECT count(*) FROM pg_prepared_statements")
    changed = await connection.fetch("SELECT name FROM pg_settings WHERE source = 'client'")
    assert prepared == 0
    assert {row["name"] for row in changed} <= {"application_name", "client_encoding"}


async def test_the_server_knows_us_by_name(database_settings: DatabaseSettings) -> None:
    """application_name is the setting's, whatever the DSN says: the reaper looks for it."""
    assert database_settings.dsn is not None
    dsn = database_settings.dsn.get_secret_value() + "&application_name=other&connect_timeout=3"
    connection = await connect(
        database_settings.model_copy(update={"dsn": SecretStr(dsn), "app_name": "otlpg-7"})
    )

    assert await connection.fetchval("SHOW application_name") == "otlpg-7"
    await connection.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    """Nobody listens: the error says where, and that it may work later."""
    nobody = DatabaseSettings(dsn=SecretStr("postgresql://me:secret@127.0.0.1:1/db"))

    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1/db") as caught:
        await connect(nobody)

    assert "secret" not in str(caught.value)


async def test_without_a_host_of_the_wanted_kind_it_is_unavailable(
    database_settings: DatabaseSettings,
) -> None:
    """target_session_attrs finds no match, as during a failover: it may work later."""
    assert database_settings.dsn is not None
    dsn = database_settings.dsn.get_secret_value() + "&target_session_attrs=standby"

    with pytest.raises(StoreUnavailableError, match="None of the hosts match"):
        await connect(database_settings.model_copy(update={"dsn": SecretStr(dsn)}))


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """Somebody listens and says nothing: the attempt ends after connect_s_max."""
    silent = await asyncio.start_server(lambda _, writer: holding.append(writer), "127.0.0.1", 0)
    holding: list[asyncio.StreamWriter] = []
    port = silent.sockets[0].getsockname()[1]
    settings = DatabaseSettings(host="127.0.0.1", port=port, name="x", user="x", connect_s_max=0.1)

    with pytest.raises(StoreUnavailableError, match="no answer in time"):
        await connect(settings)

    silent.close()
    for writer in holding:
        writer.close()


async def test_a_refused_login_says_why(database_settings: DatabaseSettings) -> None:
    """The server's own code is kept: 3D000 is a database that does not exist."""
    assert database_settings.dsn is not None
    dsn = database_settings.dsn.get_secret_value().replace("/test_", "/missing_")

    with pytest.raises(StoreUnavailableError) as caught:
        await connect(database_settings.model_copy(update={"dsn": SecretStr(dsn)}))

    assert caught.value.sqlstate == "3D000"


async def test_a_released_connection_is_lent_again(database: Database) -> None:
    """One connection serves one block after the other, without a round trip in between."""
    async with database.acquire() as first:
        pid = await pid_of(first)
    async with database.acquire() as second:
        assert await pid_of(second) == pid

    assert database.statistics() == {"idle": 1, "held": 0, "waiting": 0, "max": 2}


async def test_start_opens_the_fewest_and_is_safe_twice(database: Database) -> None:
    """After start connections_min connections wait; a second start adds none."""
    await database.start()
    await database.start()

    assert database.statistics()["idle"] == database.settings.connections_min == 2


async def test_nobody_gets_more_than_the_bound(database: Database) -> None:
    """The third of two is refused, and the text names the setting that would help."""
    database.settings = database.settings.model_copy(update={"connect_s_max": 0.05})
    held = [await database.take(), await database.take()]

    with pytest.raises(RetryableStoreError, match=r"all 2 connections .*DB_MAX_CONNECTIONS"):
        await database.take()

    assert database.statistics() == {"idle": 0, "held": 2, "waiting": 0, "max": 2}
    database.release(held[0])
    assert await database.take() is held[0]


async def test_who_waits_is_next(database: Database) -> None:
    """A taker waits until another holder lets go."""
    held = [await database.take(), await database.take()]
    waiting = asyncio.create_task(database.take())
    await asyncio.sleep(0)  # one turn of the loop: it has begun
    assert database.statistics()["waiting"] == 1

    await database.discard(held[0])

    third = await waiting
    assert third not in held
    assert database.statistics() == {"idle": 0, "held": 2, "waiting": 0, "max": 2}


async def test_a_lost_connection_is_not_lent(
    database: Database, other_connection: Connection
) -> None:
    """A connection that the server ended while idle is left out; its place is not lost."""
    async with database.acquire() as connection:
        pid = await pid_of(connection)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
    await other_connection.execute("SELECT pg_terminate_backend($1)", pid)
    await lost.wait()

    async with database.acquire() as first, database.acquire() as second:
        assert pid not in {await pid_of(first), await pid_of(second)}


async def test_an_error_of_postgresql_keeps_the_connection(database: Database) -> None:
    """A refused statement outside a transaction leaves a clean connection behind."""
    async with database.acquire() as connection:
        pid = await pid_of(connection)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.acquire() as connection:
            await connection.execute("SELECT 1/0")

    async with database.acquire() as again:
        assert await pid_of(again) == pid


async def test_an_open_transaction_costs_the_connection(database: Database) -> None:
    """A holder that forgets its transaction does not hand it to the next one."""
    async with database.acquire() as connection:
        await connection.execute("BEGIN")

    assert connection.is_closed()
    assert database.statistics() == {"idle": 0, "held": 0, "waiting": 0, "max": 2}


async def test_a_cancelled_holder_costs_the_connection(
    database: Database, other_connection: Connection
) -> None:
    """What a cancelled statement left on the wire nobody knows: the connection is cut."""
    await other_connection.execute("SELECT pg_advisory_lock(1)")

    async def hold() -> None:
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock(1)")

    holder = asyncio.create_task(hold())
    while not await other_connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        pass
    holder.cancel()
    await asyncio.wait([holder])

    assert holder.cancelled()
    assert database.statistics() == {"idle": 0, "held": 0, "waiting": 0, "max": 2}


async def test_a_failed_connect_keeps_its_place_free() -> None:
    """Attempts while PostgreSQL is away do not use up the bound."""
    database = Database(
        DatabaseSettings(dsn=SecretStr("postgresql://me@127.0.0.1:1/db"), connections_max=1)
    )
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            await database.take()

    assert database.statistics() == {"idle": 0, "held": 0, "waiting": 0, "max": 1}
    await database.stop()


@pytest.mark.usefixtures("impatient")
async def test_stop_waits_for_nobody(database: Database) -> None:
    """Stop ends in time though one backend is frozen and another connection is still held."""
    held, idle = await database.take(), await database.take()
    pid = await pid_of(idle)
    database.release(idle)
    with frozen(pid):
        async with asyncio.timeout(5):
            await database.stop()

    assert held.is_closed()
    assert idle.is_closed()
    with pytest.raises(RetryableStoreError, match="stopped"):
        await database.take()


async def test_discard_waits_for_nobody(database: Database) -> None:
    """A connection into a black hole is cut at once, and another takes its place."""
    held = [await database.take(), await database.take()]
    with frozen(await pid_of(held[0])):
        async with asyncio.timeout(5):
            await database.discard(held[0])
            await database.discard(held[0])  # safe twice
            assert await pid_of(await database.take())


async def test_a_tcp_connection_notices_a_peer_that_vanished(
    database_settings: DatabaseSettings,
) -> None:
    """Keepalive is on for TCP; where the system can, unanswered bytes end the connection too."""
    seen: list[socket.socket] = []

    class Watched(pool.OtlpgConnection):
        def __init__(self, protocol: Any, transport: Any, *args: Any) -> None:
            super().__init__(protocol, transport, *args)
            seen.append(transport.get_extra_info("socket"))

    async with wire_to(database_settings) as (_, over_tcp):
        connection = await connect(over_tcp, connection_class=Watched)
        assert seen[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert seen[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        connection.terminate()


async def test_a_connection_that_is_lost_at_the_question_is_no_missing_right(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not lent, and the next one is asked."""
    with monkeypatch.context() as patched:
        patched.setattr(pool, "_IDENTITY", "SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(StoreUnavailableError):
            async with database.acquire():
                pass

    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    assert database.identity is not None


async def test_without_the_right_a_database_has_no_identity(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is used as any other."""
    monkeypatch.setattr(pool, "_IDENTITY", "SELECT no_such_function()")

    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    assert database.identity is None


async def test_each_new_connection_is_asked_which_database_it_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the same address there may be another one."""
    seen: list[str | None] = []
    for name in ("one", "two"):
        monkeypatch.setattr(pool, "_IDENTITY", f"SELECT '{name}'")
        connection = await database.take()
        seen.append(database.identity)
        await database.discard(connection)

    assert seen == ["one", "two"]


async def test_a_database_is_told_from_others(
    database: Database, empty_database: DatabaseSettings
) -> None:
    """Known with the first connection; another database of the same cluster differs."""
    other = Database(empty_database)
    assert database.identity is None

    for each in (database, other):
        async with each.acquire():
            pass
    await other.stop()

    assert database.identity is not None
    assert other.identity is not None
    ours, theirs = database.identity.split("."), other.identity.split(".")
    assert ours[0] == theirs[0]
    assert ours[1] != theirs[1]
