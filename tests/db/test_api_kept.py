"""What the API keeps, on a real PostgreSQL and a real Redis that hangs and dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from functools import partial

import orjson
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from collector.api import metrics, services
from collector.api.errors import Failures
from collector.api.kept import Kept
from collector.api.questions import Questions, Turns
from collector.errors import LinkError
from collector.query.identity import database_identity
from collector.query.metric_repository import MetricRepository
from collector.query.service_repository import ServiceRepository
from collector.query.view import Views
from collector.rows import Signal
from collector.settings import DatabaseSettings, RedisSettings
from collector.store.pool import Connection, Database
from collector.tail.redis_answers import RedisAnswers
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.asking import NDJSON, Asker
from tests.converted import span_row
from tests.db.querying import prepare, write
from tests.db.writing import NOW
from tests.redis_server import RedisServer, redis_server

FOREVER_S = 3_600
TIMEOUT_S = 0.2


@pytest.fixture(scope="module")
def redis() -> Generator[RedisServer]:
    """A Redis of this file's own."""
    with redis_server() as server:
        yield server


@pytest.fixture
async def answers(redis: RedisServer) -> AsyncGenerator[RedisAnswers]:
    """What is kept in it."""
    found = RedisAnswers(RedisSettings(url=SecretStr(redis.url), timeout_s=TIMEOUT_S))
    yield found
    await found.stop()


@pytest.fixture
async def asker(connection: Connection, views: Views, answers: RedisAnswers) -> Asker:
    """Who asks about a shop and a bank, and hears the same for an hour."""
    await prepare(connection)
    await write(connection, Signal.TRACES, span_row(1, time=NOW - 60_000_000, service="shop"))
    clock = SystemClock()
    kept = Kept(FOREVER_S, partial(database_identity, views), clock, Metrics(), answers)
    questions = Questions(Turns(2), Failures(clock), clock, kept)
    app = FastAPI()
    app.include_router(services.routes(questions, ServiceRepository(views)))
    app.include_router(metrics.routes(questions, MetricRepository(views)))
    return Asker(app)


async def services_of(asker: Asker) -> list[str]:
    """Return the names of all services."""
    return [one["name"] for one in await asker.json("/api/v1/services")]


async def test_redis_keeps_an_answer(
    asker: Asker, connection: Connection, redis: RedisServer
) -> None:
    """What came since is not in it, an exact range is asked anew; no key says what was asked."""
    with redis.client() as client:
        client.flushall()
    assert await services_of(asker) == ["bank", "shop"]
    assert (await asker.json("/api/v1/metrics"))["items"][0]["name"] == "requests"
    operations = {"shop": [{"name": "GET /", "kind": 2, "spans": 1}], "bank": []}
    await connection.execute("UPDATE resources SET service_name = 'x' WHERE service_name = 'bank'")

    assert await services_of(asker) == ["bank", "shop"]
    exact = await asker.json("/api/v1/services", start="2026-01-01T00:00:00Z")
    assert [one["name"] for one in exact] == ["shop", "x"]
    for name in ("bank", "shop"):
        assert await asker.json(f"/api/v1/services/{name}/operations") == operations[name]
    lines = await asker.get("/api/v1/metrics", headers=NDJSON)
    assert [line["name"] for line in lines.lines] == ["requests"]
    with redis.client() as client:
        keys: list[bytes] = client.keys("*")
        assert len(keys) == 5
        for key in keys:
            assert key.startswith(b"otlpg:answer:")
            assert len(key) == len(b"otlpg:answer:") + 64
            assert orjson.loads(client.get(key)) is not None
            assert 0 < client.pttl(key) <= FOREVER_S * 1_000


async def test_more_readers_than_connections_wait_for_one(answers: RedisAnswers) -> None:
    """A burst is no Redis that is away."""
    await answers.put("a", b"kept", 60)

    found = await asyncio.gather(*(answers.get("a") for _ in range(200)))

    assert set(found) == {b"kept"}


@pytest.mark.parametrize("how", ["freeze", "kill"])
async def test_a_redis_that_is_away_costs_one_short_wait(
    asker: Asker, redis: RedisServer, how: str
) -> None:
    """Hung or gone: readers have their answers, and afterwards nobody waits for it."""
    getattr(redis, how)()
    try:
        first = await services_of(asker)
        async with asyncio.timeout(20):
            again = [await services_of(asker) for _ in range(200)]
    finally:
        redis.thaw() if how == "freeze" else redis.start()

    assert first == ["bank", "shop"]
    assert again == [first] * 200


async def test_a_hung_redis_is_waited_for_shortly(
    redis: RedisServer, answers: RedisAnswers
) -> None:
    """As a link that fails."""
    redis.freeze()
    try:
        with pytest.raises(LinkError, match="does not answer"):
            await answers.get("a" * 64)
        with pytest.raises(LinkError, match="does not answer"):
            await answers.put("a" * 64, b"[]", 1)
    finally:
        redis.thaw()
    await answers.put("a" * 64, b"[]", 60)
    assert await answers.get("a" * 64) == b"[]"


async def test_each_database_has_its_own_identity(
    database_settings: DatabaseSettings, empty_database: DatabaseSettings
) -> None:
    """Of the same server too; it is the same each time."""
    found: set[str] = set()
    for settings in (database_settings, empty_database, database_settings):
        database = Database(settings)
        try:
            found.add(await database_identity(Views(database, 30)))
        finally:
            await database.stop()

    assert len(found) == 2
