"""The fault tests can fail: a daemon, or a server, broken on purpose turns the oracle red.

Daemons are broken from outside, by the environment of their processes; where there is a test of the
same run on whole ones, it is named.
"""

from __future__ import annotations

import asyncio
import copy
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import Connection, connect
from tests.conftest import settings_of
from tests.e2e.daemon import POLL_S, Daemon
from tests.fault.broken import changed_by
from tests.fault.conftest import durable
from tests.fault.oracle import Verdict, judge
from tests.fault.records import Record
from tests.fault.stage import grown, load, run_under, serves_again, stored_items
from tests.fault.test_redis_frozen import run_frozen
from tests.fault.test_sigkill import kill_workers

ACKNOWLEDGED_BEFORE = 60
ACKNOWLEDGED_UNSYNCED = 60
REDIS_TIMEOUT_S = 4.0
"""Less than the patience of a sender: requests stall, and are not refused."""
COMMITS_IN_VAIN = 12
"""So many have waited for their standby until they were ended."""


async def test_acknowledging_before_commit_loses_items(
    durable_database: DatabaseSettings,
) -> None:
    """A daemon that says OK for what it has queued loses acknowledged items when it is killed.

    Whole: ``test_sigkill.py::test_killed_workers_lose_and_repeat_nothing``.
    """
    verdict = await run_under(
        kill_workers(5),
        durable_database,
        seed=1,
        workers_die=True,
        pause_s=0,
        environment=changed_by("early_ack") | {"OTLPG_INGEST__GATHER_S": "1s"},  # much waits
    )

    assert verdict.lost
    with pytest.raises(AssertionError, match="lost: acknowledged, but not stored"):
        verdict.assert_promises_kept()


async def test_without_ledger_items_are_repeated(durable_database: DatabaseSettings) -> None:
    """A daemon that does not know its requests again stores a repeated one twice. Whole: as above."""
    verdict = await run_under(
        kill_workers(5),
        durable_database,
        seed=1,
        workers_die=True,
        pause_s=0,
        environment={"OTLPG_INGEST__LEDGER": "false"},
    )

    assert verdict.repeated
    assert not verdict.lost
    with pytest.raises(AssertionError, match="repeated: stored more than once"):
        verdict.assert_promises_kept()


@pytest.mark.long
async def test_a_publisher_that_is_waited_for_stalls_ingest(
    database_settings: DatabaseSettings,
) -> None:
    """While Redis stands still, each flush stays until what it committed is published.

    Whole: ``test_redis_frozen.py::test_no_request_waits_and_the_tail_tells_the_gap``.
    """
    verdict, frozen = await run_frozen(
        database_settings,
        21,
        timeout_s=REDIS_TIMEOUT_S,
        environment=changed_by("awaited_publish"),
    )

    verdict.assert_promises_kept()
    with pytest.raises(AssertionError, match="wait_s"):
        frozen.assert_unnoticed()


# -- a ledger that a repeated request does not write to ------------------------------------------


async def test_a_ledger_that_does_nothing_acknowledges_what_a_failover_loses(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """A COMMIT that waited for its standby in vain is tried again, finds itself, and says OK."""
    heard = await run_without_standby(
        durable_database, administrator, changed_by("do_nothing") | REAPED_SOON
    )

    verdict = judge(heard, STANDBY_HOLDS)
    assert verdict.lost
    with pytest.raises(AssertionError, match="lost: acknowledged, but not stored"):
        verdict.assert_promises_kept()


async def test_a_whole_ledger_acknowledges_nothing_without_the_standby(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """The same run: the repetition writes too, so it waits too."""
    heard = await run_without_standby(durable_database, administrator, REAPED_SOON)

    judge(heard, STANDBY_HOLDS).assert_promises_kept()


REAPED_SOON = {
    "OTLPG_DATABASE__IDLE_IN_TRANSACTION_S_MAX": "0.5s",
    "OTLPG_DATABASE__REAP_AFTER_S": "0.5s",
    "OTLPG_DATABASE__LOCK_S_MAX": "0.2s",
    "OTLPG_DATABASE__STATEMENT_S_MAX": "0.5s",
}
"""A COMMIT that waits for its standby is given up, and ended, while its sender has patience."""

STANDBY_HOLDS: list[str] = []
"""It was gone before the first request came: whoever fails over to it finds nothing."""


async def run_without_standby(
    database: DatabaseSettings, administrator: Connection, environment: dict[str, str]
) -> list[Record]:
    """Return the requests that were acknowledged while a synchronous standby was to be waited for."""
    with Daemon(database, workers=1, await_store=True, **environment) as daemon:
        try:
            await require_standby(database, administrator)
            async with load(f"127.0.0.1:{daemon.grpc_port}", seed=13) as sender:
                await grown(daemon, "otlpg_reaped_backends_total", COMMITS_IN_VAIN)
                heard = [copy.copy(record) for record in sender.records if record.acknowledged]
                await do_without_standby(administrator)
                await serves_again(sender)
        finally:
            await do_without_standby(administrator)
    judge(sender.records, await stored_items(database)).assert_promises_kept()
    return heard


async def require_standby(database: DatabaseSettings, administrator: Connection) -> None:
    """Let every COMMIT wait for a standby that there is not; return when one does."""
    await administrator.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    await administrator.execute("SELECT pg_reload_conf()")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = $1::integer"
    )
    writer = await connect(database)
    pid = writer.get_server_pid()
    writing = asyncio.create_task(write_until_held(writer))
    while not await administrator.fetchval(waiting, pid):  # noqa: ASYNC110 -- the server knows
        await asyncio.sleep(POLL_S)
    writing.cancel()
    await asyncio.wait((writing,))
    writer.terminate()


async def write_until_held(writer: Connection) -> None:
    """Commit small transactions; the server's processes learn of its settings one by one."""
    while True:
        await writer.execute("SELECT pg_logical_emit_message(true, 'otlpg', '')")


async def do_without_standby(administrator: Connection) -> None:
    """Let COMMIT be as it was. Safe twice."""
    await administrator.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await administrator.execute("SELECT pg_reload_conf()")


# -- a server that does not sync -----------------------------------------------------------------


async def test_a_server_without_fsync_loses_items_in_a_power_cut(tmp_path: Path) -> None:
    """Nothing obliges the disk to hold more than it held some time before.

    Simulated: the operating system had written back everything at one moment and nothing since.
    With fsync on, the server itself has seen to every COMMIT that it answered, and there is nothing
    to take away from the disk; whole is ``test_postgres_restart.py``.
    """
    verdict = await run_with_power_cut(tmp_path / "disk")

    assert verdict.lost
    assert not verdict.torn
    with pytest.raises(AssertionError, match="lost: acknowledged, but not stored"):
        verdict.assert_promises_kept()


async def run_with_power_cut(disk: Path) -> Verdict:
    """Return the verdict on a server that has lost under load what it had not synced."""
    with durable(fsync="off") as server:
        database = settings_of(server, "otlpg")
        connection = await connect(database)
        await migrate.up(connection)
        await connection.close()
        with Daemon(database) as daemon:
            async with load(f"127.0.0.1:{daemon.grpc_port}", seed=14) as sender:
                await sender.acknowledged(ACKNOWLEDGED_BEFORE)
                await asyncio.to_thread(write_back, server, disk)
                await sender.acknowledged(ACKNOWLEDGED_UNSYNCED)
                await asyncio.to_thread(cut_power, server, disk)
                await serves_again(sender)
        return judge(sender.records, await stored_items(database))


def write_back(server: EmbeddedPostgres, disk: Path) -> None:
    """Copy to ``disk`` what the server's files hold at one moment, in which all of it stands still."""
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        subprocess.run(["cp", "-a", data_of(server), disk], check=True)
    finally:
        for process in processes:
            process.resume()


def cut_power(server: EmbeddedPostgres, disk: Path) -> None:
    """End the server at once, forget what is not on ``disk``, and start it again."""
    folder = data_of(server).parent
    server.stop("immediate")
    shutil.rmtree(data_of(server))
    (disk / "postmaster.pid").unlink()
    subprocess.run(["cp", "-a", disk, data_of(server)], check=True)
    server.start(folder)


def data_of(server: EmbeddedPostgres) -> Path:
    """Return PostgreSQL's data folder."""
    return server.log_file.parent / "pgdata"
