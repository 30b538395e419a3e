"""Pauses between tries, and the one line that speaks of them."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from structlog.testing import capture_logs

from collector.errors import (
    MissingLeafError,
    PoisonRowError,
    RetryableStoreError,
    StoreError,
    StoreUnavailableError,
    UnlistedStoreError,
)
from collector.flush.retry import (
    CAP_S,
    FIRST_S,
    LOCK_NOT_AVAILABLE,
    LOCKED_MAX,
    Alarm,
    Step,
    backoff_s,
    next_step,
)
from collector.store.standing import Standing
from collector.telemetry.logging import EVERY_S
from collector.telemetry.metrics import Metrics
from tests.clocks import HandClock


def test_pauses_double_up_to_the_cap_and_are_jittered() -> None:
    """Between half and all of the doubled time, for ever."""
    random = Random(1)
    for attempt in (*range(12), 10_000):
        ceiling = min(CAP_S, FIRST_S * 2 ** min(attempt, 30))
        pauses = {backoff_s(attempt, random) for _ in range(50)}
        assert ceiling / 2 <= min(pauses) <= max(pauses) <= ceiling
        assert len(pauses) > 10


AWAY = StoreUnavailableError("x", sqlstate="08006")
NO_LEAF = MissingLeafError("x", sqlstate="23514")
LOCKED = RetryableStoreError("x", sqlstate=LOCK_NOT_AVAILABLE)
DEADLOCK = RetryableStoreError("x", sqlstate="40P01")
POISON = PoisonRowError("x", sqlstate="22021", table=None, row=None)


@pytest.mark.parametrize(
    ("error", "requests", "attempt", "locked", "unsure", "step"),
    [
        pytest.param(AWAY, 9, 99, 0, False, Step.AGAIN, id="the server is away"),
        pytest.param(AWAY, 1, 99, 0, False, Step.AGAIN, id="nor is a single one guilty of that"),
        pytest.param(NO_LEAF, 9, 0, 0, False, Step.AGAIN, id="a leaf is made first"),
        pytest.param(NO_LEAF, 9, 1, 0, False, Step.ALONE, id="but not for ever"),
        pytest.param(NO_LEAF, 1, 1, 0, False, Step.ASIDE, id="nor for one that is alone"),
        pytest.param(DEADLOCK, 9, 0, 0, True, Step.ALONE, id="one of the group is guilty"),
        pytest.param(POISON, 9, 0, 0, False, Step.ALONE, id="one of the rows is"),
        pytest.param(POISON, 1, 0, 0, False, Step.ASIDE, id="it is this one"),
        pytest.param(LOCKED, 9, 0, 0, True, Step.AGAIN, id="the group's own lock"),
        pytest.param(LOCKED, 9, 0, 0, False, Step.ALONE, id="somebody else's lock"),
        pytest.param(LOCKED, 9, 20, LOCKED_MAX, True, Step.ALONE, id="a lock for too long"),
        pytest.param(LOCKED, 1, 0, 0, True, Step.ASIDE, id="the lock of a single one"),
    ],
)
def test_only_the_guilty_wait_alone(
    error: StoreError, requests: int, attempt: int, locked: int, unsure: bool, step: Step
) -> None:
    """Whatever may be nobody's fault keeps the group together; the rest takes it apart."""
    found = next_step(error, requests, attempt=attempt, locked=locked, unsure=unsure)

    assert found is step


def alarm_of(clock: HandClock, metrics: Metrics) -> Alarm:
    """Return the alarm of logs."""
    standing = Standing(clock=clock, metrics=metrics)
    return Alarm("logs", clock=clock, metrics=metrics, standing=standing)


def test_an_error_that_is_its_own_cause_is_told_once() -> None:
    """Translating one of our own errors anew raises it from itself."""
    error = UnlistedStoreError("x", sqlstate="XX000")
    error.__cause__ = error
    alarm = alarm_of(HandClock(), Metrics())

    with capture_logs() as lines:
        alarm.failed(error, requests=1)

    assert lines[0]["frames"] == ["UnlistedStoreError"]


def test_same_cause_is_logged_once_per_interval() -> None:
    """Every failure is counted; a flood of one cause is one line, which says how many it stands for."""
    clock, metrics = HandClock(), Metrics()
    alarm = alarm_of(clock, metrics)
    with capture_logs() as lines:
        for _ in range(5):
            alarm.failed(RetryableStoreError("x", sqlstate="40P01"), requests=1)
        alarm.failed(RetryableStoreError("x", sqlstate="55P03"), requests=1)
        clock.move(timedelta(seconds=EVERY_S))
        alarm.failed(RetryableStoreError("x", sqlstate="40P01"), requests=1)

    assert {line["event"] for line in lines} == {"flush failed"}
    assert [(line["sqlstate"], line["more_like_this"]) for line in lines] == [
        ("40P01", 0),
        ("55P03", 0),
        ("40P01", 4),
    ]
    assert metrics.flush_retries.values == {("logs", "40P01"): 6, ("logs", "55P03"): 1}


def test_what_nobody_foresaw_is_an_error_with_its_place_and_without_its_text() -> None:
    """PostgreSQL quotes rows; the log gets where it happened, not what was in them."""
    alarm = alarm_of(HandClock(), Metrics())
    try:
        try:
            raise KeyError("a sender's text")  # noqa: TRY301
        except KeyError as error:
            raise UnlistedStoreError("unexpected KeyError") from error
    except UnlistedStoreError as error:
        failure = error

    with capture_logs() as lines:
        alarm.failed(failure, requests=1)

    (line,) = lines
    assert line["log_level"] == "error"
    assert "KeyError" in line["frames"]
    assert any("test_retry.py" in frame for frame in line["frames"])
    assert "sender" not in str(line)


def test_a_line_has_no_empty_fields() -> None:
    """Where no server spoke there is no SQLSTATE, and frames belong to the unforeseen alone."""
    alarm = alarm_of(HandClock(), Metrics())

    with capture_logs() as lines:
        alarm.failed(StoreUnavailableError("no connection: OSError"), requests=2)

    assert lines == [
        {
            "event": "flush failed",
            "log_level": "warning",
            "signal": "logs",
            "cause": "StoreUnavailableError",
            "error": "no connection: OSError",
            "requests": 2,
            "more_like_this": 0,
        }
    ]


def test_server_at_fault_shows_in_the_gauge() -> None:
    """store_up falls when the server is away, not when a request is at fault."""
    metrics = Metrics()
    metrics.store_up.set(1)
    alarm = alarm_of(HandClock(), metrics)

    alarm.failed(RetryableStoreError("x", sqlstate="55P03"), requests=1)
    assert metrics.store_up.values == {(): 1}
    alarm.failed(StoreUnavailableError("x", sqlstate="57P03"), requests=1)
    assert metrics.store_up.values == {(): 0}
