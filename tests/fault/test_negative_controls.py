"""The fault tests can fail: a daemon broken on purpose turns the oracle red.

Both controls are broken from outside, by the environment of their processes; the run, the seed and
the oracle are those of ``test_sigkill.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.settings import DatabaseSettings
from tests.fault.stage import run_under
from tests.fault.test_sigkill import kill_workers

CONTROLS = Path(__file__).parent / "controls"
REPOSITORY = Path(__file__).parents[2]


async def test_acknowledging_before_commit_loses_items(
    durable_database: DatabaseSettings,
) -> None:
    """A daemon that says OK for what it has queued loses acknowledged items when it is killed."""
    path = f"{CONTROLS / 'early_ack'}:{REPOSITORY}"

    verdict = await run_under(kill_workers(5), durable_database, seed=1, PYTHONPATH=path)

    assert verdict.lost
    with pytest.raises(AssertionError, match="lost: acknowledged, but not stored"):
        verdict.assert_promises_kept()


async def test_without_ledger_items_are_repeated(durable_database: DatabaseSettings) -> None:
    """A daemon that does not know its requests again stores a repeated one twice."""
    verdict = await run_under(
        kill_workers(5), durable_database, seed=1, OTLPG_INGEST__LEDGER="false"
    )

    assert verdict.repeated
    assert not verdict.lost
    with pytest.raises(AssertionError, match="repeated: stored more than once"):
        verdict.assert_promises_kept()
