"""PostgreSQL takes no writes for a while, under load: a standby, later promoted; or a setting.

The failover is the usual one: a synchronous standby has all that was acknowledged, the address moves
to it, and some time passes until it is promoted.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from collector.settings import DatabaseSettings
from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.embedded_host import as_user, make_folder, server_user
from collector.store.pool import Connection, connect
from tests.conftest import memory_folder, settings_of
from tests.e2e.daemon import Daemon
from tests.fault.conftest import durable, migrate_durably
from tests.fault.proxy import Proxy, socket_of
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, failing, run_under, serves_again

ACKNOWLEDGED_BEFORE_MAX = 50
READ_ONLY = "25006"
STANDBY = "standby"
END_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'otlpg'"
)
LONG_RUNS = 3


@contextmanager
def standby_of(primary: EmbeddedPostgres) -> Generator[EmbeddedPostgres]:
    """Lend a hot standby, which the primary knows as ``STANDBY``."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-standby-", dir=memory_folder()))
    folder.chmod(0o711)
    standby = EmbeddedPostgres(binaries=primary.binaries)
    user = server_user()
    try:
        standby.claim(folder / "server")
        make_folder(folder / "server" / "pgdata", 0o700, user)
        assert primary.binaries is not None
        subprocess.run(
            [
                primary.binaries / "pg_basebackup",
                "--pgdata", folder / "server" / "pgdata", "--write-recovery-conf",
                "--checkpoint=fast", "--no-sync",
                "--dbname", f"{primary.dsn(role=SUPERUSER)}&application_name={STANDBY}",
            ],
            **as_user(user), check=True,
        )  # fmt: skip
        standby.start(folder / "server")
        yield standby
    finally:
        standby.stop("immediate")
        shutil.rmtree(folder)


async def superuser(server: EmbeddedPostgres) -> Connection:
    """Return a connection that nobody takes for otlpg's."""
    settings = settings_of(server, ROLE, role=SUPERUSER)
    return await connect(settings.model_copy(update={"app_name": "administrator"}))


async def assert_a_failover_costs_nothing(seed: int) -> None:
    """Run the load, move the address to the standby, promote it; fail unless that kept promises."""
    with durable() as primary, standby_of(primary) as standby:
        await migrate_durably(settings_of(primary, ROLE))
        old, new = await superuser(primary), await superuser(standby)
        await old.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        await old.execute("SELECT pg_reload_conf()")

        async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BEFORE_MAX))
            address.target = await socket_of(new)
            assert address.cut() > 0
            await failing(daemon, READ_ONLY, times=6)
            assert await new.fetchval("SELECT pg_promote()")
            await serves_again(sender)

        async with Proxy(await socket_of(old), seed=seed) as address:
            dsn = f"postgresql://{ROLE}@127.0.0.1:{address.port}/{ROLE}?sslmode=disable"
            verdict = await run_under(
                fault,
                DatabaseSettings(dsn=SecretStr(dsn)),
                seed=seed,
                judged=settings_of(standby, ROLE),
            )
        old.terminate()
        new.terminate()
    verdict.assert_promises_kept()
    assert verdict.acknowledged > 1


async def test_a_failover_loses_and_repeats_nothing() -> None:
    """Held while the standby is read-only, stored once it is promoted, the unsure ones once."""
    await assert_a_failover_costs_nothing(15)


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(1500, 1500 + LONG_RUNS))
async def test_many_failovers_lose_and_repeat_nothing(seed: int) -> None:
    """The same, at other moments."""
    await assert_a_failover_costs_nothing(seed)


async def test_a_read_only_setting_is_told_and_loses_nothing(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """``default_transaction_read_only``: readiness says so.

    It is a default, and our transactions ask for READ WRITE, so what is sent is stored meanwhile.
    """
    name = await administrator.fetchval("SELECT current_database()")
    setting = f"ALTER DATABASE {name} SET default_transaction_read_only"

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BEFORE_MAX))
        await administrator.execute(f"{setting} = on")
        await administrator.execute(END_BACKENDS)
        await asyncio.to_thread(daemon.wait_until_ready, ready=False)
        await sender.served_again()
        await administrator.execute("SET default_transaction_read_only = off")
        await administrator.execute(f"{setting} = off")
        await administrator.execute(END_BACKENDS)
        await serves_again(sender)
        await asyncio.to_thread(daemon.wait_until_ready)

    verdict = await run_under(fault, durable_database, seed=16)

    verdict.assert_promises_kept()
