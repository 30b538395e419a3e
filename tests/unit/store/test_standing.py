"""Whether the store is up, out of what the pulse and the transactions say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.errors import (
    CommitUnknownError,
    MissingLeafError,
    PoisonRowError,
    RetryableStoreError,
    StoreError,
    StoreUnavailableError,
)
from collector.store.standing import FAILURE_S, Standing
from collector.telemetry.metrics import Metrics
from tests.clocks import HandClock


class Desk:
    """A standing, and what it says."""

    def __init__(self) -> None:
        self.clock, self.metrics = HandClock(), Metrics()
        self.standing = Standing(clock=self.clock, metrics=self.metrics)
        self.standing.asked(could_write=True)

    @property
    def up(self) -> bool:
        """The gauge."""
        return bool(self.metrics.store_up.values[()])


@pytest.mark.parametrize(
    ("error", "up"),
    [
        (StoreUnavailableError("x"), False),
        (CommitUnknownError("x"), False),
        (RetryableStoreError("x", sqlstate="42501"), False),
        (RetryableStoreError("x", sqlstate="42P01"), False),
        (RetryableStoreError("x", sqlstate="57014"), True),
        (RetryableStoreError("x", sqlstate="55P03"), True),
        (RetryableStoreError("x"), True),
        (MissingLeafError("x", sqlstate="23514"), True),
        (PoisonRowError("x", sqlstate="22021", table=None, row=None), True),
    ],
    ids=lambda value: getattr(value, "sqlstate", "") or str(value),
)
def test_only_the_fault_of_the_server_or_the_role_counts(error: StoreError, up: bool) -> None:
    """One request in trouble does not take a worker out of service."""
    desk = Desk()

    desk.standing.failed("logs", error)

    assert desk.up is up


def test_a_failure_stands_until_its_signal_is_stored_or_nobody_repeats_it() -> None:
    """Neither the pulse nor another signal takes it back; time does, or it would last for ever."""
    desk = Desk()
    desk.standing.failed("logs", RetryableStoreError("x", sqlstate="42501"))
    desk.standing.stored("traces")
    desk.standing.asked(could_write=True)
    assert not desk.up

    desk.standing.stored("logs")
    assert desk.up

    desk.standing.failed("logs", StoreUnavailableError("x"))
    desk.clock.move(timedelta(seconds=FAILURE_S))
    desk.standing.asked(could_write=True)
    assert desk.up


def test_what_the_pulse_found_stands_until_it_asks_again() -> None:
    """That one signal can be stored does not mean that all can."""
    desk = Desk()
    desk.standing.asked(could_write=False)
    desk.standing.stored("logs")
    assert not desk.up

    desk.standing.asked(could_write=True)
    assert desk.up
