"""The synchronous standby is gone while letters are replayed: nothing is told before it has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from collector.errors import CommitUnknownError
from collector.operate import replay_store
from collector.operate.replay_result import End
from collector.store.pool import connect
from collector.telemetry.probe import TestProbe
from tests.db.lettering import put, replay
from tests.db.test_replay import log
from tests.db.writing import count, make_leaves
from tests.fault.test_synchronous_standby import CANCEL, wait_for_standby

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.operate.replay_result import Result
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

WAITING = "pg_stat_activity", "application_name = 'otlpg' AND wait_event = 'SyncRep'"
WRITE = "SELECT pg_logical_emit_message(true, '', '')"
END_REAPED = CANCEL.replace("pg_cancel_backend", "pg_terminate_backend")


@pytest.fixture
async def standby(administrator: Connection) -> AsyncGenerator[Connection]:
    """Nobody is waited for, before and after."""
    yield administrator
    await wait_for_standby(administrator, "")


async def lose_standby(settings: DatabaseSettings, administrator: Connection) -> None:
    """Return once a COMMIT does wait for a standby that is not there."""
    await wait_for_standby(administrator, "nobody")
    witness = await connect(settings.model_copy(update={"app_name": "witness"}))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    writes = asyncio.create_task(witness.execute(WRITE))
    while not await administrator.fetchval(waits):
        if writes.done():  # before the server had read its new configuration
            await writes
            writes = asyncio.create_task(witness.execute(WRITE))
    writes.cancel()
    await asyncio.wait([writes])
    witness.terminate()


async def replay_without_standby(
    settings: DatabaseSettings, administrator: Connection, probe: TestProbe, end_wait: str
) -> asyncio.Task[list[Result]]:
    """Return a replay of one letter whose wait for the standby was ended, once or until it gave up."""
    await make_leaves(settings)
    await put(administrator, log())
    probe.hold("flush.before_commit")
    probe.hold("replay.failed")
    running = asyncio.create_task(replay(settings, probe=probe))
    await probe.reached("flush.before_commit")
    await lose_standby(settings, administrator)
    probe.release("flush.before_commit")
    while not running.done() and not probe.counts["replay.failed"]:
        await administrator.execute(end_wait)
    return running


@pytest.mark.parametrize("end_wait", [CANCEL, END_REAPED], ids=["cancelled", "reaped"])
async def test_stored_is_told_once_the_standby_has_it(
    durable_database: DatabaseSettings, standby: Connection, end_wait: str
) -> None:
    """The rows can be seen at once; that they are safe is known when a later COMMIT is."""
    probe = TestProbe()
    running = await replay_without_standby(durable_database, standby, probe, end_wait)
    assert await count(standby, "logs") == 1
    probe.release("replay.failed")

    while not running.done() and not await count(standby, *WAITING):
        pass
    told_early = running.done()
    await wait_for_standby(standby, "")
    [result] = await running

    assert not told_early
    assert result.end is End.STORED
    assert await count(standby, "logs") == 1


async def test_without_its_standby_a_replay_ends_as_unconfirmed(
    durable_database: DatabaseSettings, standby: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes back in time: the command says what it does not know, and how to find out."""
    monkeypatch.setattr(replay_store, "GIVE_UP_S", 0.0)

    running = await replay_without_standby(durable_database, standby, TestProbe(), CANCEL)

    with pytest.raises(CommitUnknownError, match="1 letters are stored is not certain") as caught:
        await running
    assert "standby" in caught.value.hint
