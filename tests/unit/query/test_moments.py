"""query.moments: times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from collector.errors import UsageError
from collector.query.moments import age_ns, moment_ns, time_range
from collector.query.time_range import TimeRange

NOW_NS = 1_790_000_000_123_456_789
HOUR_NS = 3_600 * 10**9


@pytest.mark.parametrize(
    ("text", "length_ns"),
    [("1ms", 10**6), ("30s", 30 * 10**9), ("5m", 300 * 10**9), ("2h", 2 * HOUR_NS),
     ("1d", 24 * HOUR_NS), ("2w", 14 * 24 * HOUR_NS)],
)  # fmt: skip
def test_a_length_of_time_has_one_unit(text: str, length_ns: int) -> None:
    """As everywhere (``query.lengths``)."""
    assert age_ns(text) == length_ns


@pytest.mark.parametrize("text", ["", "5", "m", "0s", "-1h", "1h30m", "1 h", "1y", "999999999d", "²h"])  # fmt: skip
def test_what_is_no_length_is_refused(text: str) -> None:
    """It is never taken for another one."""
    with pytest.raises(UsageError, match="30s"):
        age_ns(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00.000001", datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_exact(text: str, moment: datetime) -> None:
    """An offset is minded; without one it is of the zone that was asked for."""
    seconds = int(moment.timestamp())

    found = moment_ns(text, now_ns=NOW_NS, zone=UTC)

    assert found == seconds * 10**9 + moment.microsecond * 1_000


def test_a_time_without_an_offset_is_of_the_zone() -> None:
    """Shown and typed times are of one zone."""
    zone = timezone(timedelta(hours=5))

    in_zone = moment_ns("2026-01-31T12:00", now_ns=NOW_NS, zone=zone)

    assert in_zone == moment_ns("2026-01-31T07:00Z", now_ns=NOW_NS)


def test_ages_and_now_count_from_now() -> None:
    """To the nanosecond."""
    assert moment_ns("now", now_ns=NOW_NS) == NOW_NS
    assert moment_ns("2h", now_ns=NOW_NS) == NOW_NS - 2 * HOUR_NS


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "12:00", "1e9", "99999999999999999999"])  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """With a word on what would be one."""
    with pytest.raises(UsageError, match="2026-01-31T12:00"):
        moment_ns(text, now_ns=NOW_NS)


@pytest.mark.parametrize(
    ("words", "start_ns", "end_ns"),
    [
        ((None, None, None), NOW_NS - HOUR_NS, NOW_NS),
        (("5m", None, None), NOW_NS - 300 * 10**9, NOW_NS),
        ((None, "2h", None), NOW_NS - 2 * HOUR_NS, NOW_NS),
        ((None, "3h", "2h"), NOW_NS - 3 * HOUR_NS, NOW_NS - 2 * HOUR_NS),
        ((None, None, "2h"), NOW_NS - 3 * HOUR_NS, NOW_NS - 2 * HOUR_NS),
    ],
)
def test_a_range_has_both_ends(
    words: tuple[str | None, str | None, str | None], start_ns: int, end_ns: int
) -> None:
    """Whatever was left open, it is never open."""
    assert time_range(*words, now_ns=NOW_NS) == TimeRange.from_unix_ns(start_ns, end_ns)


@pytest.mark.parametrize("words", [("1h", "2h", None), ("1h", None, "now"), (None, "1h", "2h"), (None, "1h", "1h")])  # fmt: skip
def test_a_range_that_contradicts_itself_is_refused(
    words: tuple[str | None, str | None, str | None],
) -> None:
    """Nothing is ignored, and nothing is turned around."""
    with pytest.raises(UsageError, match="--from"):
        time_range(*words, now_ns=NOW_NS)
