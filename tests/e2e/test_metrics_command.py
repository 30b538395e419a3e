"""``otlpg metrics`` as people and scripts type it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.query.display import rfc3339
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, resolve_dsn
from tests.db.measuring import MINUTE_US, START, Measured, metric, point, series_of, store
from tests.e2e.commands import otlpg
from tests.terminal import Terminal

POINTS = 60
WINDOW = (
    "--utc", "--from", rfc3339(START, 0)[:19], "--to", rfc3339(START + POINTS * MINUTE_US, 0)[:19],
)  # fmt: skip


@pytest.fixture
async def stored(connection: Connection, database_settings: DatabaseSettings) -> DatabaseSettings:
    """A database with a gauge of two hosts, which rises, and a counter of hostile names."""
    gauge = metric("cpu", "gauge")
    counter = metric("evil\x1b[31m", "sum", temporality=1, is_monotonic=True, unit="{\x1b}")
    measured: list[Measured] = []
    for host in ("a", "b\x1b[2J"):
        series = series_of(gauge, {"host": host})
        rows = [point(series, START + n * MINUTE_US, value=float(n)) for n in range(POINTS)]
        measured.append(Measured(gauge, series, rows))
    series = series_of(counter, {"k": "v"})
    measured.append(Measured(counter, series, [point(series, START, value_int=120)]))
    await store(connection, *measured)
    return database_settings


async def records(*words: str, database: DatabaseSettings) -> list[dict[str, Any]]:
    """Return the lines of JSON that a command prints in a pipe."""
    code, out, err = await otlpg("metrics", *words, *WINDOW, database=database)
    assert (code, err) == (0, "")
    assert out.isascii()
    return [json.loads(line) for line in out.splitlines()]


async def test_a_pipe_gets_the_list_as_json_lines(stored: DatabaseSettings) -> None:
    """By name, with what a chart needs to know."""
    first, second = await records(database=stored)

    assert (first["name"], first["type"], first["series_total"]) == ("cpu", "gauge", 2)
    assert (second["name"], second["temporality"]) == ("evil\x1b[31m", "delta")
    assert [found["name"] for found in await records("--contains", "CPU", database=stored)] == [
        "cpu"
    ]


async def test_a_pipe_gets_each_value(stored: DatabaseSettings) -> None:
    """Of one line, of groups, or of each series; by filter, function and step."""
    one = await records("cpu", "--step", "30m", "-f", "max", database=stored)
    groups = await records("cpu", "--step", "1h", "-g", "host", database=stored)
    each = await records("cpu", "@host:a", "--each", "--step", "1h", database=stored)

    assert [record["value"] for record in one] == [29.0, 59.0]
    assert one[0] == {
        "time": rfc3339(START, 0), "metric": "cpu", "function": "max", "labels": {}, "value": 29.0,
    }  # fmt: skip
    assert [record["labels"] for record in groups] == [{"host": "a"}, {"host": "b\x1b[2J"}]
    assert [record["labels"] for record in each] == [{"service.name": "shop", "host": "a"}]
    assert each[0]["function"] == "avg"


def test_a_terminal_gets_a_chart(stored: DatabaseSettings) -> None:
    """With its range on the left and its times below, in the width of the terminal."""
    url = resolve_dsn(stored)
    with Terminal(["metrics", "cpu", *WINDOW], DATABASE_URL=url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("00:00:00")
        lines = [line.rstrip() for line in terminal.lines()]

    title, *chart, axis = lines
    assert title == "cpu 1  avg of gauge, steps of 30 s"
    assert chart[0].startswith("  59 | ")
    assert chart[-1].startswith("   0 | ⡀")
    assert len(chart) == 12
    assert axis.split() == [
        *rfc3339(START, 0)[:10].split(),
        "00:00:00.000Z",
        axis.split()[2],
        "01:00:00.000Z",
    ]


def test_a_terminal_gets_a_line_for_each_group(stored: DatabaseSettings) -> None:
    """Nothing in it is a command to the terminal."""
    url = resolve_dsn(stored)
    words = ["metrics", "cpu", "-g", "host", "--step", "15m", *WINDOW]
    with Terminal(words, DATABASE_URL=url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("host=")
        lines = terminal.lines()

    assert lines[1].split() == ["course", "min", "max", "last", "labels"]
    assert [line.split()[-4:] for line in lines[2:]] == [
        ["7", "52", "52", "host=a"],
        ["7", "52", "52", "host=b\\x1b[2J"],
    ]


def test_a_terminal_gets_the_list_as_a_table(stored: DatabaseSettings) -> None:
    """Escaped, whatever a sender named."""
    with Terminal(["metrics", *WINDOW], DATABASE_URL=resolve_dsn(stored)) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("evil")
        lines = terminal.lines()

    assert lines[0].split() == ["metric", "type", "unit", "temporality", "series", "services"]
    assert lines[1].split() == ["cpu", "gauge", "1", "2", "shop"]
    assert lines[2].split() == ["evil\\x1b[31m", "sum", "{\\x1b}", "delta", "1", "shop"]


async def test_what_cannot_be_answered_has_its_exit_code(stored: DatabaseSettings) -> None:
    """3 for a metric that is not there, 2 for a function that means nothing."""
    missing, _, told = await otlpg("metrics", "nope", *WINDOW, database=stored)
    wrong, _, why = await otlpg("metrics", "cpu", "-f", "rate", *WINDOW, database=stored)

    assert (missing, told.startswith("otlpg: no metric")) == (3, True)
    assert "function" in why
    assert wrong != 0
