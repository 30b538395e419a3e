"""``otlpg logs`` and ``otlpg services`` as people and scripts type them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.rows import LogRow, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, resolve_dsn
from tests.converted import digest_of, log_row, span_row
from tests.db.querying import MINUTE_US, prepare, write
from tests.db.writing import NOW
from tests.e2e.commands import otlpg
from tests.terminal import Terminal


@pytest.fixture
async def database(connection: Connection, database_settings: DatabaseSettings) -> DatabaseSettings:
    """A shop that logged four times within the hour, once before it, and was asked twice."""
    await prepare(connection)
    rows = [
        LogRow(*log_row(time=NOW - minutes * MINUTE_US, body=body, service=service))
        for minutes, body, service in (
            (1, "newest", "shop"),
            (2, "evil \x1b[31m", "shop"),
            (3, "theirs", "bank"),
            (4, "oldest", "shop"),
            (90, "before", "shop"),
        )
    ]
    rows[3] = rows[3]._replace(severity_number=17, trace_id=digest_of("trace"))
    await write(connection, Signal.LOGS, *rows)
    spans = [
        span_row(1, time=NOW - MINUTE_US, root=True, status=2),
        span_row(2, time=NOW - MINUTE_US, duration_ns=3_000_000),
    ]
    await write(connection, Signal.TRACES, *spans)
    return database_settings


async def _found(database: DatabaseSettings, *arguments: str) -> tuple[list[Any], str]:
    code, out, err = await otlpg(*arguments, database=database)
    assert code == 0, err
    assert out.isascii()
    return [json.loads(line) for line in out.splitlines()], err


async def test_logs_come_oldest_first_as_tail_gives_them(database: DatabaseSettings) -> None:
    """The last of the hour; what there is more is told."""
    items, told = await _found(database, "logs", "-n", "3")
    every, untold = await _found(database, "logs")

    assert [item["body"] for item in items] == ["theirs", "evil \x1b[31m", "newest"]
    assert items[-1]["signal"] == "logs"
    assert items[-1]["severity"] == "INFO"
    assert told == "there are more than 3: --limit\n"
    assert (len(every), untold) == (4, "")


async def test_records_that_are_too_large_for_one_answer_are_told_of(
    database: DatabaseSettings, connection: Connection
) -> None:
    """The newest come, and --limit is not what keeps the others."""
    large = "x" * 2**20
    rows = [log_row(time=NOW - MINUTE_US - n, body=large, service="bank") for n in range(18)]
    await write(connection, Signal.LOGS, *rows)

    items, told = await _found(database, "logs", "-n", "1000", "-s", "bank")

    assert len(items) == 16
    assert told == "there are more than 16, and larger than one answer: --from, --to\n"


@pytest.mark.parametrize(
    ("arguments", "bodies"),
    [
        (["--service", "bank"], ["theirs"]),
        (["--level", "warn"], ["oldest"]),
        (["--trace", digest_of("trace").hex()[:8]], ["oldest"]),
        (["evil", "-s", "shop"], ["evil \x1b[31m"]),
        (["--", "-service:shop"], ["theirs"]),
        (["--oldest", "-n", "1"], ["oldest"]),
        (["--from", "2h", "--to", "1h"], ["before"]),
    ],
)
async def test_logs_are_chosen_by_options_and_filter(
    database: DatabaseSettings, arguments: list[str], bodies: list[str]
) -> None:
    """All of them must match."""
    items, _ = await _found(database, "logs", *arguments)

    assert [item["body"] for item in items] == bodies


async def test_no_logs_are_told_and_a_bad_filter_is_refused(database: DatabaseSettings) -> None:
    """An empty answer is no failure; a filter that cannot be read is one of usage."""
    assert await _found(database, "logs", "nothing") == ([], "no log records in this time\n")

    code, out, err = await otlpg("logs", "nofield:x", database=database)
    assert (code, out) == (2, "")
    assert "is no field" in err


def test_a_terminal_gets_the_lines_of_tail(database: DatabaseSettings) -> None:
    """Nothing that a sender wrote is a command to it."""
    with Terminal(["logs", "--utc", "-n", "2"], DATABASE_URL=resolve_dsn(database)) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("newest")

        evil, newest = (line for line in terminal.lines() if " I shop " in line)
        assert evil.endswith("Z I shop evil \\x1b[31m")
        assert newest.endswith("Z I shop newest")


async def test_services_come_with_what_came_into_them(database: DatabaseSettings) -> None:
    """In the hour; one that nothing came into is there, too."""
    (bank, shop), told = await _found(database, "services")

    assert told == ""
    assert (bank["service"], bank["requests"], bank["p95_ns"]) == ("bank", 0, None)
    assert (shop["service"], shop["requests"], shop["errors"]) == ("shop", 2, 1)
    assert shop["requests_per_s"] == pytest.approx(2 / 3600, abs=1e-6)
    assert shop["p95_ns"] == pytest.approx(3_000_000, rel=0.022)


def test_a_terminal_gets_a_table_of_services(database: DatabaseSettings) -> None:
    """With a share of errors and durations in the units that people choose."""
    with Terminal(["services"], DATABASE_URL=resolve_dsn(database)) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("shop")

        heading, bank, shop = terminal.lines()
        assert heading.split() == (
            [
                "service",
                "requests",
                "per",
                "second",
                "errors",
                "p50",
                "p95",
                "p99",
                "resources",
                "last",
                "seen",
            ]
        )
        assert bank.split()[:7] == ["bank", *["-"] * 6]
        assert shop.split()[:7] == ["shop", "2", "0.00", "50.0%", "983us", "3.0ms", "3.0ms"]


async def test_no_services_are_told(database: DatabaseSettings) -> None:
    """The future has none."""
    assert await _found(database, "services", "--from", "2099-01-01", "--to", "2099-01-02") == (
        [],
        "no services in this time\n",
    )
