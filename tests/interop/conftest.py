"""A PostgreSQL that writes to disk, otlpg, otel-collector and telemetrygen: real, on loopback."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.pool import connect
from tests.conftest import TEMPLATE, make_template, settings_of
from tests.e2e.daemon import Daemon
from tests.interop import binaries
from tests.interop.chain import Chain, crash
from tests.interop.otelcol import BATCHING, HTTP, JSON, UNCOMPRESSED, OtelCollector
from tests.interop.stored import Stored
from tests.interop.telemetrygen import Telemetrygen
from tests.interop.waiting import free_port

SHAPES: dict[str, tuple[Path, ...]] = {
    "requests on disk": (),
    "batches in memory": (BATCHING,),
    "uncompressed": (UNCOMPRESSED,),
    "over HTTP": (HTTP,),
    "over HTTP in JSON": (HTTP, JSON),
}
"""Configurations of the collector: the sample of `deploy/`, with these files over it."""

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def programs() -> binaries.Binaries:
    """The programs that `make interop` has built."""
    return binaries.find()


@pytest.fixture(scope="session")
def durable_postgres() -> Generator[EmbeddedPostgres]:
    """A server with PostgreSQL's own defaults, fsync included; tests may pull its plug."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-interop-"))
    server = EmbeddedPostgres()
    try:
        server.start(folder / "server")
        asyncio.run(make_template(server))
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture
async def stored(durable_postgres: EmbeddedPostgres) -> AsyncGenerator[Stored]:
    """A migrated database of this test's own."""
    name = f"interop_{next(_numbers)}"
    await _administer(durable_postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {ROLE}")
    yield Stored(settings_of(durable_postgres, name))
    await _administer(durable_postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(server: EmbeddedPostgres, command: str) -> None:
    admin = await connect(settings_of(server, "postgres", role=SUPERUSER))
    try:
        await admin.execute(command)
    finally:
        await admin.close()


@pytest.fixture
async def otlpg(stored: Stored) -> AsyncGenerator[Daemon]:
    """A daemon with two workers; started again it listens on the same port."""
    port = str(free_port())
    http_port = str(free_port())
    daemon = Daemon(
        stored.database,
        workers=2,
        OTLPG_RECEIVE__GRPC_PORT=port,
        OTLPG_RECEIVE__HTTP_PORT=http_port,
    )
    try:
        await asyncio.to_thread(daemon.start)
        yield daemon
    finally:
        await asyncio.to_thread(crash, daemon)


@pytest.fixture
def shape() -> str:
    """How the collector is set up, unless a test says otherwise."""
    return "requests on disk"


@pytest.fixture
async def chain(
    programs: binaries.Binaries, otlpg: Daemon, stored: Stored, shape: str, tmp_path: Path
) -> AsyncGenerator[Chain]:
    """Everything from the load generator to the database."""
    otelcol = OtelCollector(
        programs.otelcol,
        tmp_path,
        forward_to=otlpg.grpc_port,
        forward_http_to=otlpg.http_port,
        overlays=SHAPES[shape],
    )
    await otelcol.start()
    try:
        telemetrygen = Telemetrygen(programs.telemetrygen, tmp_path, otelcol.port)
        yield Chain(telemetrygen, otelcol, otlpg, stored)
    finally:
        await otelcol.kill()
