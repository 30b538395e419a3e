"""``otlpg traces`` as people and scripts type it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.cli import run
from collector.query import view
from collector.rows import SpanRow
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, resolve_dsn
from tests.converted import digest_of, span_row
from tests.db.querying import BANK, MINUTE_US, prepare, write_spans
from tests.db.writing import NOW
from tests.e2e.daemon import FOREIGN_SETTINGS
from tests.terminal import Terminal

TRACE = digest_of("trace").hex()
SHORT = "00000000000000ab"
EVENTS = json.dumps(
    [{"time_unix_nano": 1, "name": "exception", "attributes": {"exception.message": "\x1b[2J"}}]
)


@pytest.fixture
async def database(connection: Connection, database_settings: DatabaseSettings) -> DatabaseSettings:
    """A shop that called a bank, which failed; before it another trace with a short id."""
    await prepare(connection)
    root = SpanRow._make(
        span_row(1, time=NOW - MINUTE_US, root=True, name="evil \x1b[31m", duration_ns=10**9)
    )
    child = SpanRow._make(
        span_row(2, time=NOW - MINUTE_US + 250_000, service="bank", status=2, resource=BANK, duration_ns=5 * 10**8)
    )._replace(parent_span_id=root.span_id, events=EVENTS)  # fmt: skip
    short = SpanRow._make(span_row(1, time=NOW - 2 * MINUTE_US, root=True))
    rows = [root, child, short._replace(trace_id=bytes.fromhex(SHORT).rjust(16, b"\0"))]
    await write_spans(connection, *rows)
    return database_settings


Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def traces(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return the function that runs the command here, and returns its code and what it printed."""
    for name in [name for name in os.environ if name.startswith(FOREIGN_SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", resolve_dsn(database))

    async def ran(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, ["traces", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return ran


async def _said(traces: Command, *words: str) -> tuple[str, str]:
    code, out, err = await traces(*words)
    assert code == 0, err
    return out, err


async def test_traces_come_as_lines_of_json_the_newest_last(traces: Command) -> None:
    """Those of which one span matches; what there is more is told."""
    out, told = await _said(traces)
    older, newer = map(json.loads, out.splitlines())
    assert out.isascii()
    assert told == ""
    assert older["trace_id"] == SHORT.rjust(32, "0")
    assert {name: newer[name] for name in ("trace_id", "service", "name", "spans", "errors", "services")} == {
        "trace_id": TRACE, "service": "shop", "name": "evil \x1b[31m", "spans": 2, "errors": 1,
        "services": ["bank", "shop"],
    }  # fmt: skip
    assert (newer["duration_ns"], newer["status"], newer["root_seen"]) == (10**9, "unset", True)

    asked: list[tuple[list[str], str]] = [
        (["status:error"], ""),
        (["-s", "bank"], ""),
        (["find", "duration:>=1s"], ""),
        (["-n", "1"], "there are more than 1: --limit\n"),
    ]
    for words, expected in asked:
        assert await _said(traces, *words) == (out.splitlines(keepends=True)[1], expected)
    assert await _said(traces, "--", "-name:*", "kind:client") == ("", "no traces in this time\n")


async def test_a_trace_in_a_pipe_is_otlp(traces: Command) -> None:
    """All of it, on one line; a reader of protobuf's JSON takes it once ids are base64 again."""
    out, _ = await _said(traces, "show", TRACE.upper())

    assert out.isascii()
    assert out.count("\n") == 1
    document: dict[str, Any] = json.loads(out)
    spans = [
        span
        for group in document["resourceSpans"]
        for s in group["scopeSpans"]
        for span in s["spans"]
    ]
    assert [span["name"] for span in spans] == ["evil \x1b[31m", "GET /"]
    assert {span["traceId"] for span in spans} == {TRACE}
    assert spans[1]["events"][0]["attributes"][0]["value"] == {"stringValue": "\x1b[2J"}
    json_format.ParseDict(document, ExportTraceServiceRequest())


async def test_a_trace_as_markdown(traces: Command) -> None:
    """To be pasted: nothing in it is a command or markup."""
    out, told = await _said(traces, "show", TRACE, "--markdown", "--utc")
    head, _, root, child, event, *_ = out.splitlines()

    assert told == ""
    assert head.startswith(f"**Trace `{TRACE}`** 20")
    assert root == "- `shop` `evil \\x1b[31m` **1.00s** +0ns"
    assert child == "  - `bank` `GET /` **500ms** +250ms **error**"
    assert event.startswith("    - `exception \\x1b[2J`")
    few, told = await _said(traces, "show", TRACE, "--markdown", "-n", "1")
    assert "- … 1 more span" in few
    assert told == "1 spans are not shown: --limit, or --json\n"


async def test_what_is_wrong_is_told(traces: Command) -> None:
    """By the exit code, too."""
    for words, code, told in (
        (["show", "0" * 31 + "1"], 3, "no such trace"),
        (["show", "zz"], 2, "a trace id is 32 digits of hex"),
        (["show", TRACE, "--json", "--markdown"], 2, "give --json or --markdown"),
        (["nofield:x"], 2, "is no field"),
    ):
        found, out, err = await traces(*words)

        assert (found, out) == (code, "")
        assert told in err


def test_a_terminal_gets_a_table_and_a_waterfall(database: DatabaseSettings) -> None:
    """Nothing that a sender wrote is a command to it."""
    url = resolve_dsn(database)
    with Terminal(["traces", "--utc"], columns=140, DATABASE_URL=url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("evil")
        heading, older, newer = terminal.lines()
    assert heading.split() == ["start", "trace", "duration", "spans", "errors", "service", "name", "services"]  # fmt: skip
    assert older.split()[2:] == [
        SHORT.rjust(32, "0"),
        "1.0ms",
        "1",
        "0",
        "shop",
        "GET",
        "/",
        "shop",
    ]
    assert newer.split()[2:] == [TRACE, "1.00s", "2", "1", "shop", "evil", "\\x1b[31m", "bank,", "shop"]  # fmt: skip

    with Terminal(["traces", "show", TRACE, "--utc"], columns=80, DATABASE_URL=url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("waited for")
        _, head, _, root, child, event, _ = terminal.lines()
        assert terminal.cell("GET /").fg == "red"
    assert head.endswith("Z  1.00s  2 spans, 2 services, 1 error")
    bar = root.split()[-1]
    assert root.startswith("shop evil \\x1b[31m     1.00s  █")
    assert set(bar) == {"█", "░"}
    assert child.startswith("  bank GET /           500ms   ")
    assert set(child.split()[-1]) == {"█"}
    assert event.strip().endswith("exception \\x1b[2J")


@pytest.mark.parametrize("said", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_a_terminal_of_ascii_gets_its_own_signs(
    database: DatabaseSettings, said: dict[str, Any]
) -> None:
    """Bars need no sign that it lacks, whichever way that is known."""
    words, url = ["traces", "show", SHORT], resolve_dsn(database)
    with Terminal(words, columns=80, DATABASE_URL=url, **said) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("# what the root waited for")
        assert terminal.lines()[3].endswith("#" * 20)


async def test_what_is_too_large_to_be_shown_whole_is_told(
    traces: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spans that start first are shown."""
    monkeypatch.setattr(view, "Views", partial(view.Views, page_bytes_max=1, whole_bytes_max=1))

    out, told = await _said(traces, "show", TRACE, "--json")

    [group] = json.loads(out)["resourceSpans"]
    assert [span["name"] for span in group["scopeSpans"][0]["spans"]] == ["evil \x1b[31m"]
    assert told == "the trace is not whole: spans are gone, or it is too large\n"
