"""What to do after a failure, how long to wait before that, and how often to speak of it."""

from __future__ import annotations

import traceback
from enum import Enum, auto
from typing import TYPE_CHECKING

from collector.errors import (
    MissingLeafError,
    PoisonRowError,
    StoreUnavailableError,
    UnlistedStoreError,
)
from collector.store.standing import hint
from collector.telemetry.logging import Trouble

if TYPE_CHECKING:
    from random import Random

    from collector.errors import StoreError
    from collector.store.standing import Standing
    from collector.telemetry.clock import Clock
    from collector.telemetry.metrics import Metrics

FIRST_S = 0.02
CAP_S = 1.0
"""Flushers retry for ever. The cap is well below any hold, so that senders do not notice more of a
short restart than its own length."""

LOCK_NOT_AVAILABLE = "55P03"

LOCKED_MAX = 20
"""Tries of a group that waits for the locks of its own COMMIT, whose answer is missing. Each takes
``lock_s_max`` and a pause; then the lock may be somebody else's, and each request runs alone."""


class Step(Enum):
    """What comes after a failure."""

    AGAIN = auto()  # the same requests together, after a pause
    ALONE = auto()  # each of them by itself, so that only the guilty one waits
    ASIDE = auto()  # to the stragglers: it has failed alone


def next_step(error: StoreError, requests: int, *, attempt: int, locked: int, unsure: bool) -> Step:
    """Return what to do with ``requests`` that failed together with ``error``.

    Nobody is guilty when the server is at fault, when a leaf has to be made first, or when the
    group waits for itself: a backend that was to COMMIT it may go on after its connection broke (a
    slow disk, a synchronous standby that is away) and holds all claims of the group meanwhile.

    Args:
        error: why.
        requests: how many, at least one.
        attempt: failures in a row so far, this one left out.
        locked: how many of them found a lock taken.
        unsure: a COMMIT without an answer may have stored one of the requests.
    """
    if isinstance(error, StoreUnavailableError):
        return Step.AGAIN
    if isinstance(error, MissingLeafError) and attempt == 0:
        return Step.AGAIN
    if requests == 1:
        return Step.ASIDE
    waits_for_itself = unsure and error.sqlstate == LOCK_NOT_AVAILABLE
    return Step.AGAIN if waits_for_itself and locked < LOCKED_MAX else Step.ALONE


def backoff_s(attempt: int, random: Random) -> float:
    """Return the pause after failed attempt number ``attempt`` (from 0): doubled, capped, jittered.

    Between half and all of the doubled time, so that flushers which failed together do not come
    back together.
    """
    ceiling = min(CAP_S, FIRST_S * 2.0 ** min(attempt, 16))
    return ceiling * (0.5 + random.random() / 2)


class Alarm:
    """Counts every failed transaction and writes one line per cause and interval."""

    def __init__(self, signal: str, *, clock: Clock, metrics: Metrics, standing: Standing) -> None:
        self._signal = signal
        self._metrics = metrics
        self._standing = standing
        self._trouble = Trouble("otlpg.flush", clock)

    def failed(self, error: StoreError, *, requests: int) -> None:
        """Note that a transaction of ``requests`` failed and will run again."""
        self._metrics.flush_retries.add(1, self._signal, error.sqlstate)
        self._standing.failed(self._signal, error)
        needs_somebody = isinstance(error, UnlistedStoreError | PoisonRowError)
        say = self._trouble.error if needs_somebody else self._trouble.warn
        example: dict[str, object] = {"signal": self._signal}
        if error.sqlstate:
            example["sqlstate"] = error.sqlstate
        example |= {"error": str(error), "requests": requests}
        if todo := hint(error.sqlstate):
            example["hint"] = todo
        if isinstance(error, UnlistedStoreError):
            example["frames"] = _frames(error)
        say("flush failed", error.sqlstate or type(error).__name__, **example)


def _frames(error: BaseException) -> list[str]:
    """Return where ``error`` and its causes were raised, without their texts.

    PostgreSQL puts the failing row into its messages, and a sender's data is not for our log.
    """
    frames: list[str] = []
    seen: set[BaseException] = set()
    cause: BaseException | None = error
    while cause is not None and cause not in seen:  # "raise error from error" makes a circle
        seen.add(cause)
        frames.append(type(cause).__name__)
        frames += (
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(cause.__traceback__)
        )
        cause = cause.__cause__
    return frames
