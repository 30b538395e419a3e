"""Which leaves a group asks for before its transaction."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from collector.flush.leaves import make_leaves
from collector.rows import Signal
from tests.converted import DAY_US, EPOCH_DAY, log_row, request, span_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.rows import ConvertedRequest

TODAY = 26 * 365 * DAY_US
SENTINEL = date(1970, 1, 1)


class SpyLeaves:
    """Knows the days it was told, and writes down what it is asked to make."""

    def __init__(self, *days: int) -> None:
        self.days = set(days)
        self.made: list[tuple[str, Any]] = []

    def covers(self, table: str, time_min: int, time_max: int) -> bool:
        """Only within one known day: between two, a gap is possible."""
        del table
        return time_min // DAY_US == time_max // DAY_US and time_min // DAY_US in self.days

    async def ensure(self, table: str, times: Iterable[int]) -> None:
        """Write down."""
        self.made.append((table, sorted(set(times))))

    def covers_day(self, table: str, day: date) -> bool:
        """As ``covers``."""
        del table
        return (day - EPOCH_DAY).days in self.days

    async def ensure_day(self, table: str, day: date) -> None:
        """Write down."""
        self.made.append((table, day))

    def ledger_day(self, day: date, now: date) -> date:
        """Only days of this century."""
        del now
        return day if day.year >= 2000 else SENTINEL

    def forget(self) -> None:
        """Nothing is kept."""


async def asked(signal: Signal, requests: list[ConvertedRequest], *days: int) -> list[Any]:
    """Return what is made when only these days have leaves."""
    leaves = SpyLeaves(*days)
    await make_leaves(leaves, signal, requests, date(2026, 1, 1))
    return leaves.made


def day(number: int) -> date:
    """Return a date by its number since 2000-01-01."""
    return EPOCH_DAY + timedelta(days=number)


async def test_nothing_is_asked_for_what_is_covered() -> None:
    """The common case costs a look-up per group."""
    requests = [request(str(n), rows=[log_row(time=TODAY + n)]) for n in range(3)]
    assert await asked(Signal.LOGS, requests, TODAY // DAY_US) == []


async def test_only_the_request_outside_is_looked_at() -> None:
    """One late request among many: only its times are asked for."""
    late = request("late", rows=[log_row(time=TODAY - 3 * DAY_US), log_row(time=TODAY)])
    requests = [request("a", rows=[log_row(time=TODAY)]), late]

    made = await asked(Signal.LOGS, requests, TODAY // DAY_US)

    assert made == [("logs", [TODAY - 3 * DAY_US, TODAY])]


async def test_traces_need_the_days_of_their_spans() -> None:
    """Every day with a span, and none between."""
    rows = [span_row(n, time=TODAY - n * 3 * DAY_US) for n in range(3)]
    one = request("a", signal=Signal.TRACES, rows=rows)
    today = TODAY // DAY_US

    made = await asked(Signal.TRACES, [one], today)

    assert made[1:] == [("traces", day(today - 6)), ("traces", day(today - 3))]


async def test_ledger_needs_the_requests_day_or_the_sentinels() -> None:
    """A request outside the ledger needs neither; one without rows does."""
    empty = request("empty")
    empty.day = date(1999, 1, 1)
    outside = request("outside", rows=[log_row(time=TODAY)], in_ledger=False)
    inside = request("inside", rows=[log_row(time=TODAY)])
    inside.day = day(TODAY // DAY_US + 1)

    made = await asked(Signal.LOGS, [empty, outside, inside], TODAY // DAY_US)

    assert made == [("ingest_ledger", SENTINEL), ("ingest_ledger", inside.day)]
