"""Outages shorter than a sender's own patience cost nothing: real SDKs, real otel-collector."""

from __future__ import annotations

import pytest

from tests.interop.outage import FULL, RETRYING, SDKS, Loss, losses_away, losses_full, stage

pytestmark = pytest.mark.interop


def assert_nothing_lost(found: dict[str, Loss]) -> None:
    """Fail unless every sender's spans are stored once."""
    assert all(loss.sent for loss in found.values()), found
    assert not any(loss.lost or loss.twice for loss in found.values()), found


@pytest.mark.parametrize("outage_s", [1.0, 3.0])
async def test_postgresql_is_away_for_seconds(outage_s: float) -> None:
    """Nobody loses a span, and no retry stores one twice (promises 2 and 4)."""
    async with stage() as on:
        found = await losses_away(on, outage_s, SDKS)

    assert_nothing_lost(found)


async def test_the_budget_is_full_for_a_second() -> None:
    """Senders that are refused at once come again, and lose nothing."""
    async with stage(**FULL) as on:
        found = await losses_full(on, 1.0, RETRYING)

    assert_nothing_lost(found)
