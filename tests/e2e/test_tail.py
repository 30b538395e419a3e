"""`otlpg tail` as a process, on a real terminal and in a real pipe, beside a server of the contract."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from collector.cli.painting import Brush
from collector.operate.tail.client import NEXT_STEP
from tests.tail_server import TailServer
from tests.terminal import CTRL_C, Terminal, environment

TIME = "2025-01-02T01:02:03.456789012Z"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
END_S_MAX = 30.0
HOSTILE = "".join(map(chr, (*range(32), *range(0x7F, 0xA0)))) + (
    "\u200b\u200e\u202a\u202e\u2028\u2066\u2069\ufeff\ue000\ufe0f\u3164\U000e0001"
)


@pytest.fixture
def server() -> Generator[TailServer]:
    """A server that speaks the contract."""
    with TailServer() as running:
        yield running


def log(body: Any = "stock is low", **fields: Any) -> dict[str, Any]:
    """Return a log of a shop."""
    return {
        "signal": "logs", "time": TIME, "service": "shop", "severity": "WARN", "body": body, **fields,
    }  # fmt: skip


def span(name: str, *, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a span whose id is its name."""
    above = {} if parent is None else {"parent_span_id": parent}
    return {
        "signal": "traces", "time": TIME, "service": "shop", "trace_id": TRACE, "span_id": name,
        "name": name, "kind": "server", "status": "unset", "duration_ns": 5_000_000, **above, **fields,
    }  # fmt: skip


def words(server: TailServer, *more: str) -> list[str]:
    """Return the command line of a tail."""
    return ["tail", *(more or ("logs",)), "--url", server.url]


class Piped:
    """`otlpg tail` whose output and errors are read by us."""

    def __init__(
        self, arguments: Sequence[str], variables: Mapping[str, str], stdout: int | IO[str]
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "collector", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment(**variables),
        )

    def line(self) -> bytes:
        """Return the next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def note(self) -> str:
        """Return the next line of its errors."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode()

    def wait(self) -> tuple[int, str]:
        """Return the exit code, and what is left of its errors."""
        assert self.process.stderr is not None
        code = self.process.wait(END_S_MAX)
        return code, self.process.stderr.read().decode()


@contextmanager
def piped(
    arguments: Sequence[str],
    variables: Mapping[str, str] | None = None,
    *,
    stdout: int | IO[str] = subprocess.PIPE,
) -> Generator[Piped]:
    """Lend a tail in a pipe; it is gone afterwards."""
    running = Piped(arguments, variables or {}, stdout)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait(END_S_MAX)
        for stream in (running.process.stdout, running.process.stderr):
            if stream is not None:
                stream.close()


# -- on a terminal ---------------------------------------------------------------------------------


def test_items_are_shown_in_colours(server: TailServer) -> None:
    """The service in its own, severity by colour and letter, attributes and times dim."""
    with Terminal(words(server, "logs", "--utc")) as terminal:
        server.wait_for_request()
        server.item(log(attributes={"sku": "a 1"}))
        server.item(log("gone", severity="ERROR", service="cart"))
        terminal.wait_for("gone")

        assert terminal.lines() == [
            '2025-01-02 01:02:03.456Z W shop stock is low sku="a 1"',
            "2025-01-02 01:02:03.456Z E cart gone",
        ]
        assert terminal.cell("W shop").fg == "brown"  # pyte's name of yellow
        assert terminal.cell("E cart").fg == "red"
        assert terminal.cell("stock").fg == "default"
        assert terminal.cell("shop").fg == pyte_colour("shop")
        assert terminal.cell("cart").fg == pyte_colour("cart") != pyte_colour("shop")
    assert b'\x1b[2m sku="a 1"\x1b[0m' in terminal.raw


def pyte_colour(service: str) -> str:
    """Return a service's colour as pyte calls it: the channels of xterm's cube in hex."""
    levels = (0, 95, 135, 175, 215, 255)
    place = int(Brush(True, True).colour_of(service).rpartition(";")[2]) - 16
    return bytes((levels[place // 36], levels[place // 6 % 6], levels[place % 6])).hex()


@pytest.mark.parametrize(
    ("more", "term", "no_color"),
    [(["--no-color"], "xterm", ""), ([], "xterm", "1"), ([], "dumb", "")],
    ids=["--no-color", "NO_COLOR", "dumb"],
)
def test_no_colour_where_none_is_wanted(
    more: list[str], term: str, no_color: str, server: TailServer
) -> None:
    """Nor in what is no item; the letter is there."""
    with Terminal(words(server, "logs", *more), TERM=term, NO_COLOR=no_color) as terminal:
        server.wait_for_request()
        server.item(log())
        server.event("skipped", {"signal": "logs", "items": 120, "why": "sampled"})
        terminal.wait_for("-- 120 items skipped: the worker's rate cap")

        assert " W shop stock" in terminal.text()
    assert b"\x1b" not in terminal.raw


def test_a_line_is_as_wide_as_the_terminal_is_just_then(server: TailServer) -> None:
    """Cut, so that an item is a line; a terminal that grows has more of the next one."""
    with Terminal(words(server, "logs", "--utc"), columns=60) as terminal:
        server.wait_for_request()
        server.item(log("東" * 100))
        terminal.until(lambda: len(terminal.lines()) == 1)
        assert terminal.lines()[0].rstrip().endswith("…")
        terminal.resize(120)
        server.item(log("x" * 200))
        terminal.until(lambda: len(terminal.lines()) == 2)

        assert terminal.lines()[1].endswith("x…")
        assert len(terminal.lines()[1]) == 120


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, "\\u6771" * 5 + "\\>"),
        ({"LC_ALL": "C"}, "東" * 15 + ">"),
    ],
)
def test_a_line_is_cut_on_a_terminal_without_an_ellipsis(
    variables: dict[str, str], shown: str, server: TailServer
) -> None:
    """Where it should be: what is written as an escape takes more cells."""
    with Terminal(words(server, "logs", "--utc"), columns=64, rows=30, **variables) as terminal:
        server.wait_for_request()
        server.item(log("東" * 100))
        server.item(log("end"))
        terminal.wait_for("end")

        first, _ = terminal.lines()
        assert first == f"2025-01-02 01:02:03.456Z W shop {shown}"


def test_wrapped_lines_are_whole(server: TailServer) -> None:
    """Where the terminal breaks them."""
    with Terminal(words(server, "logs", "--wrap"), columns=60) as terminal:
        server.wait_for_request()
        server.item(log("x" * 200 + "end"))
        terminal.wait_for("end")

        assert len(terminal.lines()) == 4


def test_times_are_local_unless_utc_is_asked_for(server: TailServer) -> None:
    """In the zone of the terminal's user."""
    with Terminal(words(server), TZ="Asia/Kolkata") as terminal:
        server.wait_for_request()
        server.item(log())
        terminal.wait_for(" W ")

        assert "2025-01-02 06:32:03.456 W" in terminal.text()


def test_nothing_that_a_sender_writes_reaches_the_terminal(server: TailServer) -> None:
    """In no field, and of no signal; nor what the server itself says."""
    evil = f"\x1b[2J\x1b]0;title\x07{HOSTILE}\x9b31m\x1b[31mred"
    with Terminal(words(server, "all", "--wrap", "--no-color"), columns=200, rows=200) as terminal:
        server.wait_for_request()
        server.item(log(evil, service=evil, event=evil, severity=evil, attributes={evil: evil}))
        server.item(log({evil: [evil]}, time=evil, trace_id=evil))
        server.item(span(evil, kind=evil, status=evil, status_message=evil, trace_id=evil))
        server.item({"signal": evil, "metric": evil, "unit": evil, "value": {"$double": evil}})
        server.event("skipped", {"signal": evil, "items": 1, "why": evil})
        server.event("link", {"up": False, "message": evil})
        server.item(log("the end"))
        terminal.wait_for("the end")

    shown = terminal.raw.replace(b"\r\n", b"").decode()
    assert "\\x1b[2J" in shown
    assert "\\u202e" in shown
    assert not set(HOSTILE) & set(shown)
    assert shown.isprintable()


def test_what_is_no_item_is_dim(server: TailServer) -> None:
    """It cannot be taken for telemetry."""
    with Terminal(words(server)) as terminal:
        server.wait_for_request()
        server.event("link", {"up": False, "message": "Redis is away"})
        terminal.wait_for("-- nothing new can come now: Redis is away")

    assert b"\x1b[2m-- nothing new can come now: Redis is away\x1b[0m" in terminal.raw


def test_an_empty_screen_says_that_it_may_stay_so(server: TailServer) -> None:
    """Once, when there is nothing stored; nor later, when it is connected anew."""
    with Terminal(words(server)) as terminal:
        server.wait_for_request()
        server.live()
        terminal.wait_for("-- connected; nothing to show yet")
        server.drop()
        server.wait_for_request(2)
        server.live()
        terminal.wait_for("-- connected again, ")

        assert terminal.text().count("nothing to show") == 1


# -- traces ----------------------------------------------------------------------------------------


def test_roots_are_a_line_per_trace(server: TailServer) -> None:
    """With what was seen of it shortly after its root came."""
    with Terminal(words(server, "spans", "--roots", "--utc")) as terminal:
        server.wait_for_request()
        server.item(span("SELECT", parent="root", status="error"))
        server.item(span("GET /", duration_ns=231_000_000))
        server.event("skipped", {"signal": "traces", "items": 9, "why": "sampled"})
        server.item(span("send", parent="root"))
        terminal.wait_for("GET /")

        assert terminal.lines() == [
            "-- 9 items skipped: the worker's rate cap",
            "2025-01-02 01:02:03.456Z - shop GET / 231ms 3 spans 1 error (incomplete) 4bf92f35",
        ]


def test_trees_are_indented(server: TailServer) -> None:
    """Children below their parent, an orphan marked."""
    with Terminal(words(server, "spans", "--tree", "--utc")) as terminal:
        server.wait_for_request()
        server.item(span("SELECT", parent="root"))
        server.item(span("lonely", parent="x"))
        server.item(span("root"))
        terminal.wait_for("lonely")

        assert terminal.lines() == [
            f"trace {TRACE}: 3 spans",
            "  2025-01-02 01:02:03.456Z - shop root server 5.0ms",
            "    2025-01-02 01:02:03.456Z - shop SELECT server 5.0ms",
            "  2025-01-02 01:02:03.456Z - shop (orphan) lonely server 5.0ms",
        ]


def test_a_trace_of_which_stored_spans_were_cut_off_is_incomplete(server: TailServer) -> None:
    """The last so many stored spans begin in the middle of something."""
    with piped([*words(server, "spans", "--tree", "-n", "1"), "--json"]) as tail:
        server.wait_for_request()
        server.item(span("root"))
        server.live()

        [trace] = [json.loads(tail.line())]

    assert trace["incomplete"]
    assert [one["span"]["name"] for one in trace["tree"]] == ["root"]


# -- in a pipe -------------------------------------------------------------------------------------


def test_a_pipe_gets_json_lines_at_once(server: TailServer) -> None:
    """Each item as the server sent it, while the tail goes on; all else goes to standard error."""
    items = [log(), span("a"), {"signal": "metrics", "value": 0.1}, log({"a": [HOSTILE, "\ud800"]})]
    with piped(words(server, "all")) as tail:
        server.wait_for_request()
        for item in items:
            server.item(item)
            line = tail.line()
            assert line.endswith(b"\n")
            assert line[:-1].decode("ascii").isprintable()
            assert json.loads(line) == item
        server.event("skipped", {"signal": "logs", "items": 1, "why": "slow"})
        assert tail.note() == "-- 1 item skipped: this reader is too slow\n"


def test_what_is_skipped_is_summed_up(server: TailServer) -> None:
    """And what is not told yet is told at the end, whatever ends it."""
    with piped(words(server)) as tail:
        server.wait_for_request()
        for items in range(1, 101):
            server.event("skipped", {"signal": "logs", "items": items, "why": "sampled"})
        server.item(log())
        tail.line()
        tail.process.send_signal(signal.SIGINT)
        code, notes = tail.wait()

    told = [int(line.split()[1].replace(",", "")) for line in notes.splitlines()]
    assert code == 0
    assert sum(told) == 5_050
    assert len(told) < 50


def test_json_is_had_on_a_terminal_too(server: TailServer) -> None:
    """When it is asked for."""
    with Terminal(words(server, "logs", "--json")) as terminal:
        server.wait_for_request()
        server.item({"signal": "logs", "body": "\x1b[2J"})
        terminal.wait_for("}")

        assert '{"signal": "logs", "body": "\\u001b[2J"}' in terminal.text()


def test_a_closed_pipe_ends_the_tail_well(server: TailServer) -> None:
    """Though nothing more comes: `| head` does not wait for another item."""
    with piped(words(server)) as tail:
        server.wait_for_request()
        server.item(log())
        tail.line()
        assert tail.process.stdout is not None
        tail.process.stdout.close()

        assert tail.wait() == (0, "")


def test_items_for_nobody_end_it_well(server: TailServer) -> None:
    """Where the system does not tell that the reader has left, the next item does."""
    ours, theirs = socket.socketpair()
    with theirs, piped(words(server), stdout=theirs.fileno()) as tail:
        ours.close()
        theirs.close()
        server.wait_for_request()
        server.item(log())

        assert tail.wait() == (0, "")


def test_a_full_disk_is_said(server: TailServer) -> None:
    """Exit 1, and no traceback now or at exit."""
    with Path("/dev/full").open("w") as full, piped(words(server), stdout=full) as tail:
        server.wait_for_request()
        server.item(log())

        assert tail.wait() == (1, "otlpg: standard output: No space left on device\n")


# -- Ctrl-C ----------------------------------------------------------------------------------------


def test_ctrl_c_ends_it_well(server: TailServer) -> None:
    """At once, without a word, and with the shell's prompt on a line of its own."""
    with Terminal(words(server)) as terminal:
        server.wait_for_request()
        server.item(log())
        terminal.wait_for("stock")
        terminal.press(CTRL_C)

        assert terminal.wait() == 0
        terminal.until(lambda: terminal.raw.endswith(b"stock is low\r\n^C\r\n"))


def test_ctrl_c_while_connecting() -> None:
    """At once too, where a server takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Terminal(["tail", "logs", "--url", url]) as terminal:
            silent.settimeout(END_S_MAX)
            connection, _ = silent.accept()
            with connection:
                begun = time.monotonic()
                terminal.press(CTRL_C)

                assert terminal.wait() == 0
                assert time.monotonic() - begun < 5


def test_ctrl_c_while_nobody_reads(server: TailServer) -> None:
    """A line that no pipe can hold is half written, and the tail waits for its reader."""
    with piped(words(server)) as tail:
        server.wait_for_request()
        server.item(log("x" * 500_000))
        assert tail.process.stdout is not None
        os.read(tail.process.stdout.fileno(), 1)
        tail.process.send_signal(signal.SIGINT)

        assert tail.process.wait(END_S_MAX) == 0


# -- going on --------------------------------------------------------------------------------------


def test_a_lost_connection_is_resumed(server: TailServer) -> None:
    """With what was missed in between, as far as it is known."""
    with Terminal(words(server, "logs", "--utc")) as terminal:
        server.wait_for_request()
        server.item(log("first"), id="7-1")
        terminal.wait_for("first")
        server.stop()
        terminal.wait_for("-- connection lost")
        server.start()
        resumed = server.wait_for_request(2)
        server.event("skipped", {"signal": "logs", "items": 34, "why": "lost"})
        server.item(log("second"), id="7-36")
        terminal.wait_for("second")

        assert resumed.headers["last-event-id"] == "7-1"
        shown = terminal.lines()
        assert shown.pop(1).startswith("-- connection lost: ")
        assert shown == [
            "2025-01-02 01:02:03.456Z W shop first",
            "-- connected again, 34 items missed",
            "2025-01-02 01:02:03.456Z W shop second",
        ]


# -- what cannot go on -----------------------------------------------------------------------------


def end_of(*arguments: str, **variables: str) -> tuple[int, str]:
    """Return exit code and errors of a tail that ends by itself."""
    with piped(["tail", *arguments], variables) as tail:
        return tail.wait()


def test_without_a_server_it_says_which_must_run() -> None:
    """Exit 5, with the address, which the environment may name."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    code, errors = end_of("logs", OTLPG_URL=url)

    assert code == 5
    assert errors.splitlines() == [
        f"otlpg: no live tail at {url}: Connection refused",
        NEXT_STEP,
    ]


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 1), (403, 1), (503, 5)])
def test_a_refusal_ends_it(status: int, code: int, server: TailServer) -> None:
    """With the code of its kind; what the server says is harmless and one line."""
    server.refuse_with(status, "position 3\n\x1b[2J\u202e")

    ended, errors = end_of("logs", "--url", server.url, OTLPG_API_KEY="secret")

    assert ended == code
    assert errors.replace("\n", "").isprintable()
    assert "Traceback" not in errors
    assert "secret" not in errors
    assert ("position 3 \\x1b[2J\\u202e\n" in errors) is (status in {400, 503})


def test_what_is_asked_for_is_sent(server: TailServer) -> None:
    """Options become terms before the filter; the key goes as a header."""
    server.refuse_with(400, "no")

    end_of(
        "spans", "-s", 'a "b"', "--trace", "4bf9", "--since", "5m", "--url", server.url,
        "--", "word", "-status:error", OTLPG_API_KEY="secret",
    )  # fmt: skip
    end_of("logs", "--level", "warn", "-n", "3", "--url", server.url)

    assert server.wait_for_request(1).parameters == {
        "path": "/api/v1/tail", "signal": "traces", "since": "5m", "n": "1000",
        "q": r'service:"a \"b\"" trace:4bf9 word -status:error',
    }  # fmt: skip
    assert server.wait_for_request(1).headers["x-api-key"] == "secret"
    assert server.wait_for_request(2).parameters == {
        "path": "/api/v1/tail", "signal": "logs", "n": "3", "q": "severity:>=warn",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["spans", "--level", "warn"], "status:error"),
        (["metrics", "--level", "warn"], "--level is about logs"),
        (["metrics", "--trace", "4bf9"], "--trace is about spans and logs"),
        (["logs", "--tree"], "otlpg tail spans --tree"),
        (["spans", "--tree", "--roots"], "not both"),
        (["logs", "-status:error"], "-- -status:error"),
        (["logs", "-n", "1001"], "less than or equal to 1000"),
        (["pictures"], "pictures"),
        ([], "argument"),
    ],
)
def test_a_wrong_command_line_is_told_before_anything_is_asked(
    arguments: list[str], text: str
) -> None:
    """Exit 2, and what would do."""
    code, errors = end_of(*arguments)

    assert code == 2
    assert text in errors
