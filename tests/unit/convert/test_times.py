"""Windows and days."""

from __future__ import annotations

from datetime import date

import pytest

from collector.convert.times import day_of, optional_time, pg_us, window_at
from tests.unit.convert.converting import DAY_S, NOW


def test_window_reaches_from_retention_to_tomorrow() -> None:
    """Both ends inside."""
    window = window_at(NOW, 2 * DAY_S)

    assert window.low == NOW - 2 * DAY_S * 10**9
    assert window.high == NOW + DAY_S * 10**9
    assert window.received_at == pg_us(NOW)


def test_zero_is_never_inside() -> None:
    """Even when retention reaches back before 1970: 0 means "not given"."""
    assert window_at(5, DAY_S).low == 1


@pytest.mark.parametrize(
    ("unix_ns", "microseconds"),
    [
        (946_684_800_000_000_000, 0),
        (946_684_800_000_000_999, 0),
        (946_684_799_999_999_999, -1),
        (0, -946_684_800_000_000),
    ],
)
def test_microseconds_count_from_2000_and_round_down(unix_ns: int, microseconds: int) -> None:
    """So that the nanoseconds below are always 0-999."""
    assert pg_us(unix_ns) == microseconds


@pytest.mark.parametrize("unix_ns", [1, 999, 1_000, NOW + 7, 2**64 - 1])
def test_optional_time_is_exact(unix_ns: int) -> None:
    """Microseconds and nanoseconds give the sent integer back."""
    time, below = optional_time(unix_ns)

    assert time is not None
    assert below is not None
    assert (time - pg_us(0)) * 1_000 + below == unix_ns


def test_optional_time_that_was_not_given() -> None:
    """Both columns are NULL."""
    assert optional_time(0) == (None, None)


@pytest.mark.parametrize(
    ("unix_ns", "day"), [(0, date(1970, 1, 1)), (NOW, date(2026, 1, 1)), (2**64 - 1, date(2554, 7, 21))]
)  # fmt: skip
def test_every_time_has_a_day(unix_ns: int, day: date) -> None:
    """In UTC."""
    assert day_of(unix_ns) == day
