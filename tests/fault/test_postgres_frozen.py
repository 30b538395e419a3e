"""Processes of PostgreSQL stand still under load: the postmaster, or single backends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from random import Random

import psutil
import pytest

from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, failing, run_under, serves_again

ACKNOWLEDGED_BETWEEN_FREEZES_MAX = 50
FROZEN_S = (0.5, 4.0)
"""Shorter and longer than otlpg waits for a statement (``IMPATIENT``, and two seconds of grace)."""
IMPATIENT = {"OTLPG_DATABASE__STATEMENT_S_MAX": "1", "OTLPG_DATABASE__CONNECT_S_MAX": "1"}
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'otlpg'"
BACKENDS_AT_WORK = f"{BACKENDS} AND xact_start IS NOT NULL"
END_BACKENDS = BACKENDS.replace("pid", "pg_terminate_backend(pid)", 1)
ROUNDS_PER_RUN = 4
LONG_RUNS = 4


@contextmanager
def frozen(*pids: int) -> Generator[None]:
    """Let these processes stand still for a block; one that is gone already is none."""
    stopped: list[psutil.Process] = []
    try:
        for pid in pids:
            if psutil.pid_exists(pid):
                process = psutil.Process(pid)
                process.send_signal(signal.SIGSTOP)
                stopped.append(process)
        yield
    finally:
        for process in stopped:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


def freeze_postmaster(server: EmbeddedPostgres, administrator: Connection, rounds: int) -> Fault:
    """Return the fault in which connections are lost and nobody makes new ones for a while."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(rounds):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_FREEZES_MAX))
            assert server.pid is not None
            with frozen(server.pid):
                await administrator.execute(END_BACKENDS)
                await failing(daemon, "", times=6)
            await serves_again(sender)

    return fault


def freeze_backends(administrator: Connection, rounds: int) -> Fault:
    """Return the fault in which some of otlpg's backends stand still wherever they are.

    One may hold a claim in the ledger, a row of ``traces`` or a lock of PostgreSQL's own, so that
    everybody waits; what matters is that nobody does when it goes on.
    """

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(rounds):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_FREEZES_MAX))
            while not (rows := await administrator.fetch(BACKENDS_AT_WORK)):
                pass  # until somebody is at work
            pids = [row["pid"] for row in rows]
            with frozen(*rng.sample(pids, rng.randint(1, len(pids)))):
                await asyncio.sleep(rng.choice(FROZEN_S))  # it is the hazard
            await serves_again(sender)

    return fault


async def test_a_frozen_postmaster_costs_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """No new connection comes to be; afterwards what was held is stored exactly once."""
    fault = freeze_postmaster(durable_server, administrator, 1)

    verdict = await run_under(fault, durable_database, seed=4, environment=IMPATIENT)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 1


async def test_frozen_backends_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """A backend that wakes up after otlpg gave it up commits nothing that is stored once more."""
    fault = freeze_backends(administrator, 2)

    verdict = await run_under(fault, durable_database, seed=5, environment=IMPATIENT)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 2


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(400, 400 + LONG_RUNS))
async def test_many_freezes_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres,
    durable_database: DatabaseSettings,
    administrator: Connection,
    seed: int,
) -> None:
    """Both, again and again."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await freeze_backends(administrator, ROUNDS_PER_RUN)(daemon, sender, rng)
        await freeze_postmaster(durable_server, administrator, 2)(daemon, sender, rng)

    verdict = await run_under(fault, durable_database, seed=seed, environment=IMPATIENT)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > ROUNDS_PER_RUN
