"""PostgreSQL does not let otlpg in for a while, under load: no room, no login, another password."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from collector.errors import StoreUnavailableError
from collector.settings import DatabaseSettings
from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.pool import Connection, connect
from tests.conftest import settings_of
from tests.e2e.daemon import Daemon
from tests.fault.conftest import durable, migrate_durably
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, failing, run_under, serves_again

ACKNOWLEDGED_BETWEEN_REFUSALS_MAX = 50
TOO_MANY_CONNECTIONS = "53300"
INVALID_PASSWORD = "28P01"
NO_LOGIN = "28000"
END_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'otlpg'"
)
LONG_RUNS = 3


@pytest.fixture
def guarded_server() -> Generator[EmbeddedPostgres]:
    """A server on loopback TCP that asks for a password, and has few connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with durable(tcp_port=port, max_connections="30") as server:
        yield server


@pytest.fixture
async def master(guarded_server: EmbeddedPostgres) -> AsyncGenerator[Connection]:
    """A superuser's connection, over the socket."""
    settings = settings_of(guarded_server, "postgres", role=SUPERUSER)
    opened = await connect(settings.model_copy(update={"app_name": "master"}))
    yield opened
    opened.terminate()


@pytest.fixture
async def guarded(guarded_server: EmbeddedPostgres) -> DatabaseSettings:
    """The migrated database, over TCP, with the password in the DSN."""
    dsn = guarded_server.tcp_dsn()
    assert dsn is not None
    settings = DatabaseSettings(dsn=SecretStr(dsn))
    await migrate_durably(settings)
    return settings


def refuse(master: Connection, *, away: str, back: str, sqlstate: str) -> Fault:
    """Return the fault in which ``away`` keeps otlpg out until ``back``."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_REFUSALS_MAX))
        await master.execute(away)
        await master.execute(END_BACKENDS)
        await failing(daemon, sqlstate, times=6)
        await master.execute(back)
        await serves_again(sender)

    return fault


def take_every_connection(server: EmbeddedPostgres, master: Connection) -> Fault:
    """Return the fault in which somebody else has every connection that the server offers."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_REFUSALS_MAX))
        others = settings_of(server, "postgres").model_copy(update={"app_name": "others"})
        taken: list[Connection] = []
        refused = asyncio.create_task(failing(daemon, TOO_MANY_CONNECTIONS, times=6))
        try:
            while not refused.done():
                await master.execute(END_BACKENDS)  # and who comes first, has it
                taken += await as_many_as_there_are(others)
                await asyncio.wait([refused], timeout=0.1)
        finally:
            for connection in taken:
                connection.terminate()
        await refused
        await serves_again(sender)

    return fault


async def as_many_as_there_are(settings: DatabaseSettings) -> list[Connection]:
    """Open connections until the server has none left."""
    opened: list[Connection] = []
    while True:
        try:
            opened.append(await connect(settings))
        except StoreUnavailableError as error:
            if error.sqlstate != TOO_MANY_CONNECTIONS:
                raise
            return opened


def rotate_password(master: Connection, passfile: Path) -> Fault:
    """Return the fault in which the role's password is another one before the password file's."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_REFUSALS_MAX))
        password = f"rotated-{rng.getrandbits(64):x}"
        await master.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        await master.execute(END_BACKENDS)
        await failing(daemon, INVALID_PASSWORD, times=6)
        write_passfile(passfile, password)
        await serves_again(sender)

    return fault


def write_passfile(passfile: Path, password: str) -> None:
    """Write the file anew, at once and private, as libpq wants it."""
    fresh = passfile.with_suffix(".new")
    fresh.touch(0o600)
    fresh.write_text(f"*:*:*:*:{password}\n")
    fresh.rename(passfile)


def refusals(master: Connection, server: EmbeddedPostgres) -> list[Fault]:
    """Return every way in which somebody who knows the password is not let in for a while."""
    role = f"ALTER ROLE {ROLE}"
    full, closed = TOO_MANY_CONNECTIONS, NO_LOGIN
    return [
        take_every_connection(server, master),
        refuse(
            master,
            away=f"{role} CONNECTION LIMIT 0",
            back=f"{role} CONNECTION LIMIT -1",
            sqlstate=full,
        ),
        refuse(master, away=f"{role} NOLOGIN", back=f"{role} LOGIN", sqlstate=closed),
    ]


@pytest.mark.long
async def test_refused_logins_lose_and_repeat_nothing(
    guarded_server: EmbeddedPostgres, guarded: DatabaseSettings, master: Connection, tmp_path: Path
) -> None:
    """Full, locked out, and a rotated password that only the password file tells of: no restart."""
    assert guarded.dsn is not None
    dsn = guarded.dsn.get_secret_value()
    password = dsn.partition(f"{ROLE}:")[2].partition("@")[0]
    passfile = tmp_path / "pgpass"
    write_passfile(passfile, password)
    without = guarded.model_copy(update={"dsn": SecretStr(dsn.replace(f":{password}@", "@"))})

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        ways = [*refusals(master, guarded_server), rotate_password(master, passfile)]
        for way in rng.sample(ways, len(ways)):
            await way(daemon, sender, rng)

    verdict = await run_under(
        fault,
        without,
        seed=13,
        judged=settings_of(guarded_server, ROLE),
        environment={"PGPASSFILE": str(passfile)},
    )

    verdict.assert_promises_kept()


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(1300, 1300 + LONG_RUNS))
async def test_many_refused_logins_lose_and_repeat_nothing(
    guarded_server: EmbeddedPostgres, guarded: DatabaseSettings, master: Connection, seed: int
) -> None:
    """Every way twice, and a password in the settings that is wrong until it is put back."""
    assert guarded.dsn is not None
    password = guarded.dsn.get_secret_value().partition(f"{ROLE}:")[2].partition("@")[0]
    set_password = f"ALTER ROLE {ROLE} PASSWORD "
    rotated = refuse(
        master,
        away=f"{set_password}'another'",
        back=f"{set_password}'{password}'",
        sqlstate=INVALID_PASSWORD,
    )

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        ways = [*refusals(master, guarded_server), rotated] * 2
        for way in rng.sample(ways, len(ways)):
            await way(daemon, sender, rng)

    verdict = await run_under(fault, guarded, seed=seed, judged=settings_of(guarded_server, ROLE))

    verdict.assert_promises_kept()
