"""What an operator types for a time, and what he is told about one."""

from __future__ import annotations

import pytest

from collector.errors import (
    CommandError,
    RetryableStoreError,
    StoreUnavailableError,
    UnlistedStoreError,
    UsageError,
)
from collector.operate.letters import EXPLANATIONS, explained, iso, moment
from collector.rows import Reason

NOW_NS = 1_767_268_800_000_000_000  # 2026-01-01 12:00 UTC
NOON = "2026-01-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("0s", NOON),
        ("90min", "2026-01-01T10:30:00.000000Z"),
        ("2h", "2026-01-01T10:00:00.000000Z"),
        ("30d", "2025-12-02T12:00:00.000000Z"),
        ("2026-01-01", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T12:00", NOON),
        ("2026-01-01 14:00:00.5+02:00", "2026-01-01T12:00:00.500000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_time_or_an_age(text: str, at: str) -> None:
    """In UTC unless it names its offset."""
    assert iso(moment(text, now_ns=NOW_NS)) == at


@pytest.mark.parametrize("text", ["", "30", "yesterday", "1month", "-2h", "5000000d", "2h\x1b[2J"])
def test_what_is_neither_is_refused(text: str) -> None:
    """A bare number has no unit; the words of the refusal are safe for a terminal."""
    with pytest.raises(UsageError) as caught:
        moment(text, now_ns=NOW_NS)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("received_at", [-(2**63), 2**63 - 1])
def test_a_time_that_no_calendar_holds_is_shown(received_at: int) -> None:
    """PostgreSQL's infinities, which somebody else wrote."""
    assert str(received_at) in iso(received_at)


def test_every_reason_is_explained() -> None:
    """A new reason needs a line that says what it means."""
    assert EXPLANATIONS.keys() == set(Reason)


def test_what_an_operator_can_mend_is_said_in_his_words() -> None:
    """A missing privilege names the roles; a server that is away stays what it is."""
    with pytest.raises(CommandError, match="otlpg_read"), explained("read dead letters"):
        raise RetryableStoreError("denied", sqlstate="42501")
    with pytest.raises(CommandError, match="nobody foresaw"), explained("read dead letters"):
        raise UnlistedStoreError("nobody foresaw")
    with pytest.raises(StoreUnavailableError), explained("read dead letters"):
        raise StoreUnavailableError("away", sqlstate="08006")
