"""Questions of the API on a real PostgreSQL: they end with their reader, in time, and in their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from collector.api import services
from collector.api.admission import Admission
from collector.api.application import build
from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.questions import Questions, Turns
from collector.query.service_repository import ServiceRepository
from collector.query.view import Views
from collector.receive.auth import Gate
from collector.settings import DatabaseSettings, Settings, TlsSettings
from collector.store.pool import Connection, Database, connect
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.asking import Asker
from tests.server_activity import until_counted

PATH = "/api/v1/services"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'active' AND wait_event_type = 'Lock' AND query LIKE '%FROM resources%'"
)
WAIT_S_MAX = 30.0

MakeAsker = Callable[[float], Asker]


@pytest.fixture
async def asker_of(database_settings: DatabaseSettings) -> AsyncGenerator[MakeAsker]:
    """Make who asks with a time for each answer, and one turn that is waited for shortly."""
    database = Database(database_settings)

    def make(timeout_s: float) -> Asker:
        clock = SystemClock()
        failures = Failures(clock)
        questions = Questions(Turns(1, wait_s_max=0.05), failures, clock)
        repository = ServiceRepository(Views(database, timeout_s))
        admission = Admission(Gate(TlsSettings(), None), Settings())
        routers = [services.routes(questions, repository)]
        return Asker(build(admission, failures, Answers(Metrics(), clock), routers))

    yield make
    await database.stop()


@asynccontextmanager
async def locked(database_settings: DatabaseSettings) -> AsyncGenerator[None]:
    """Keep readers from the table of resources."""
    other = await connect(database_settings)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE resources IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await other.close()


async def test_a_reader_who_leaves_ends_its_question(
    database_settings: DatabaseSettings,
    asker_of: MakeAsker,
    connection: Connection,
) -> None:
    """In PostgreSQL too, long before its time is up; its turn is free again."""
    asker, leaves = asker_of(600), asyncio.Event()
    async with locked(database_settings):
        asking = asyncio.create_task(asker.get(PATH, leaves=leaves))
        await until_counted(connection, WAITING, 1)
        leaves.set()
        said = await asking
        await until_counted(connection, WAITING, 0)

    assert said.status == 0
    assert await asker.json(PATH) == []


async def test_a_question_ends_in_time(
    database_settings: DatabaseSettings, asker_of: MakeAsker
) -> None:
    """504: to ask for the same again would not help."""
    async with locked(database_settings):
        said = await asker_of(0.2).get(PATH)

    assert (said.status, said.json["cause"]) == (504, "query_timeout")
    assert "retry-after" not in said.headers


async def test_who_gets_no_turn_comes_again(
    database_settings: DatabaseSettings,
    asker_of: MakeAsker,
    connection: Connection,
) -> None:
    """503 with Retry-After, while another question runs; afterwards there is a turn."""
    asker = asker_of(600)
    async with locked(database_settings):
        first = asyncio.create_task(asker.get(PATH))
        await until_counted(connection, WAITING, 1)
        said = await asker.get(PATH)

    assert (said.status, said.json["cause"]) == (503, "too_many_questions")
    assert said.headers["retry-after"] == "2"
    assert (await first).status == 200
    assert (await asker.get(PATH)).status == 200


async def test_a_database_that_is_away_is_told(
    database_settings: DatabaseSettings, asker_of: MakeAsker, connection: Connection
) -> None:
    """503, without a word of where it is."""
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute("ALTER TABLE resources RENAME TO resources_away")

    said = await asker_of(5).get(PATH)

    assert (said.status, said.json["cause"]) == (503, "postgres_away")
    assert name not in said.body.decode()
