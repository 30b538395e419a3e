"""A cardinality bomb: its new series wait, and whoever brings none is stored meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from collector.buffer.entry import End, Outcome
from collector.errors import SeriesLimitError
from collector.rows import FACT_COLUMNS, Signal
from collector.telemetry.clock import SystemClock
from tests.converted import (
    dimensions,
    metric_row,
    point_row,
    request,
    resource_row,
    scope_row,
    series_row,
)
from tests.db.flushing import flushing
from tests.db.writing import NOW, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection
    from tests.db.flushing import Stand

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flusher'"
MINUTE_S = 60.0


class MinuteClock(SystemClock):
    """Knows the date, and lets seconds pass only by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        """Return the seconds that were let pass."""
        return self.now_s


@pytest.fixture
async def settings(settings: DatabaseSettings) -> DatabaseSettings:
    """A database with leaves around now, and a name by which its flushers can be told."""
    return settings.model_copy(update={"app_name": "flusher"})


def points(name: str, metrics: Sequence[str]) -> ConvertedRequest:
    """Return a request with one point of each metric, and so of one series each."""
    resource, scope = resource_row(), scope_row()
    rows = [metric_row(metric) for metric in metrics]
    series = [series_row(row, resource, scope) for row in rows]
    return request(
        name,
        signal=Signal.METRICS,
        rows=[point_row(one, time=NOW) for one in series],
        dims=dimensions([resource], [scope], rows, series),
    )


def names(first: int, number: int) -> list[str]:
    """Return ``number`` names of metrics."""
    return [f"m{n}" for n in range(first, first + number)]


async def send_as_one_group(
    stand: Stand, *requests: ConvertedRequest
) -> list[asyncio.Task[Outcome]]:
    """Send requests while a transaction is under way, so that the next one takes them together."""
    stand.probe.hold("flush.taken")
    blocker = stand.send(points("blocker", names(0, 1)))
    await stand.probe.reached("flush.taken", stand.probe.counts["flush.taken"] + 1)
    senders = [stand.send(one) for one in requests]
    stand.probe.release("flush.taken")
    assert await blocker is Outcome.STORED
    return senders


async def test_bomb_is_refused_and_known_series_of_its_group_are_stored(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Nothing of the refused request is written, no row of a dimension either; the books balance."""
    async with flushing(
        settings, Signal.METRICS, clock=MinuteClock(), series_new_per_minute_max=10
    ) as stand:
        assert await stand.send(points("first", names(0, 10))) is Outcome.STORED

        with capture_logs() as logged:
            senders = await send_as_one_group(
                stand,
                points("known", names(0, 4)),
                points("bomb", names(100, 50)),
                points("also known", names(4, 4)),
            )
            known, bomb, also_known = await asyncio.gather(*senders, return_exceptions=True)

        assert isinstance(bomb, SeriesLimitError)
        assert bomb.per_minute_max == 10
        assert (known, also_known) == (Outcome.STORED, Outcome.STORED)
        assert await count(connection, "metric_series") == await count(connection, "metrics") == 10
        assert await count(connection, "metric_data_points") == 10 + 1 + 4 + 4
        assert (stand.books[End.STORED], stand.books[End.REFUSED]) == (19, 50)
        assert stand.probe.counts["flush.committed"] == 3, "the others stayed together"
        assert stand.retries() == {}
        stand.check_books()
    (line,) = [line for line in logged if line["event"] == "new series refused"]
    assert (line["cause"], line["example"], line["series"]) == ("series_limit", "m100", 50)


async def test_refused_request_is_stored_once_time_has_passed(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The same bytes come again, and nothing of the refusal is in their way."""
    clock = MinuteClock()
    async with flushing(
        settings, Signal.METRICS, clock=clock, series_new_per_minute_max=10
    ) as stand:
        await stand.send(points("first", names(0, 10)))
        with pytest.raises(SeriesLimitError):
            await stand.send(points("second", names(10, 10)))

        clock.now_s += MINUTE_S

        assert await stand.send(points("second", names(10, 10))) is Outcome.STORED
        with pytest.raises(SeriesLimitError):
            await stand.send(points("third", names(20, 1)))
        stand.check_books()
    assert await count(connection, "metric_series") == 20


async def test_lost_connection_makes_no_series_new(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Everything is unknown after it and nothing new: the tables are asked, and all go on."""
    async with flushing(
        settings, Signal.METRICS, clock=MinuteClock(), series_new_per_minute_max=10
    ) as stand:
        await stand.send(points("first", names(0, 10)))
        await connection.execute(KILL)

        assert await stand.send(points("second", names(0, 10))) is Outcome.STORED
        assert stand.known.epoch > 1, "it was cleared"
        with pytest.raises(SeriesLimitError):
            await stand.send(points("third", names(9, 2)))
        stand.check_books()


async def test_series_that_are_found_do_not_count(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Another process has written them: they use up nothing of this one's minute."""
    async with flushing(settings, Signal.METRICS) as other:
        await other.send(points("theirs", names(0, 50)))

    async with flushing(
        settings, Signal.METRICS, clock=MinuteClock(), series_new_per_minute_max=10
    ) as stand:
        assert await stand.send(points("a", names(0, 50))) is Outcome.STORED
        assert await stand.send(points("b", names(50, 10))) is Outcome.STORED
    assert await count(connection, "metric_series") == 60


async def test_request_with_more_series_than_the_limit_passes(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """It is stored whole, and what it took too much is waited for."""
    clock = MinuteClock()
    async with flushing(
        settings, Signal.METRICS, clock=clock, series_new_per_minute_max=10
    ) as stand:
        assert await stand.send(points("giant", names(0, 30))) is Outcome.STORED
        clock.now_s += MINUTE_S * 2
        with pytest.raises(SeriesLimitError):
            await stand.send(points("small", names(30, 1)))
        clock.now_s += MINUTE_S / 10

        assert await stand.send(points("small", names(30, 1))) is Outcome.STORED
    assert await count(connection, "metric_series") == 31


async def test_refused_request_stays_refused_when_each_of_its_group_is_tried_alone(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Its sender was told so: the tries after a bad row must not store it behind its back."""
    clock = MinuteClock()
    bad = points("bad", names(1, 1))
    exemplars = FACT_COLUMNS[Signal.METRICS].index("exemplars")
    ((*row,),) = bad.rows
    row[exemplars] = "no JSON"
    bad.rows = [tuple(row)]
    async with flushing(
        settings, Signal.METRICS, clock=clock, series_new_per_minute_max=10
    ) as stand:
        await stand.send(points("first", names(0, 10)))
        bomb, good, bad_one = await send_as_one_group(
            stand, points("bomb", names(10, 5)), points("good", names(0, 1)), bad
        )
        stand.probe.hold("flush.begun")
        with pytest.raises(SeriesLimitError):
            await bomb
        await stand.probe.reached("flush.begun", 3)
        clock.now_s += MINUTE_S  # now it would pass
        stand.probe.release("flush.begun")

        assert await good is await bad_one is Outcome.STORED
        stand.check_books()
        assert stand.books[End.STORED] == 10 + 1 + 1
        assert (stand.books[End.QUARANTINED], stand.books[End.REFUSED]) == (1, 5)
    assert await count(connection, "metric_series") == 10


async def test_known_series_ask_the_tables_nothing(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Nothing is left and the rows are gone: nobody looks, since this process knows them."""
    async with flushing(
        settings, Signal.METRICS, clock=MinuteClock(), series_new_per_minute_max=10
    ) as stand:
        await stand.send(points("first", names(0, 10)))
        await connection.execute("DELETE FROM metric_series")

        assert await stand.send(points("second", names(0, 10))) is Outcome.STORED
    assert await count(connection, "metric_series") == 0
