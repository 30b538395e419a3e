"""Ctrl-C at any moment of a command's start, and standard streams that are closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tail_server import TailServer
from tests.terminal import environment

REPOSITORY = Path(__file__).parents[2]
INTERRUPTING = Path(__file__).parent / "interrupting"
END_S_MAX = 60.0
AWAY = "http://127.0.0.1:1"


def interrupted(at: str, *arguments: str, ignored: bool = False) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command that was interrupted before an import."""
    script = "trap '' INT; exec \"$@\"" if ignored else 'exec "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "collector", *arguments],
        env=environment(PYTHONPATH=f"{INTERRUPTING}:{REPOSITORY}", INTERRUPT_AT=at),
        capture_output=True, text=True, timeout=END_S_MAX, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "at", ["collector.cli", "typer", "collector.cli.tail_screen", "collector.operate.tail.client"]
)
def test_ctrl_c_ends_a_tail_well_while_it_starts(at: str) -> None:
    """From the first line of ours on, without a word."""
    assert interrupted(at, "tail", "logs", "--url", AWAY) == (0, "", "")


@pytest.mark.parametrize("at", ["collector.cli", "typer", "collector.query.view", "asyncpg"])
def test_ctrl_c_ends_other_commands_while_they_start(at: str) -> None:
    """With the code that shells know, and no traceback."""
    assert interrupted(at, "services") == (130, "", "")


def test_in_the_background_ctrl_c_is_not_for_us() -> None:
    """A shell that starts something with & lets it ignore the terminal's Ctrl-C."""
    code, _, errors = interrupted("collector.cli", "tail", "logs", "--url", AWAY, ignored=True)

    assert code == 5
    assert "Connection refused" in errors


# -- closed streams ------------------------------------------------------------------------------


def with_closed(stream: str, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command of which a shell closes a stream."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {stream}', "sh", sys.executable, "-m", "collector", *arguments],
        env=environment(**variables),
        capture_output=True, text=True, timeout=END_S_MAX, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


CLOSED = (1, "", "otlpg: standard output is closed\n")


def test_a_tail_without_output_ends_at_once() -> None:
    """Before it asks anybody."""
    assert with_closed(">&-", "tail", "logs", "--url", AWAY) == CLOSED


@pytest.mark.parametrize("arguments", ["--version", "--help", "check", "export -"])
def test_a_closed_output_is_told_where_something_would_be_printed(arguments: str) -> None:
    """In one line, whatever the command."""
    assert (
        with_closed(">&-", *arguments.split(), DATABASE_URL="postgresql://127.0.0.1:1/x") == CLOSED
    )


def test_a_command_that_prints_nothing_needs_no_output() -> None:
    """It does what it does, with the code of that."""
    code, _, errors = with_closed(">&-", "migrate", "up", DATABASE_URL="postgresql://127.0.0.1:1/x")

    assert code == 5
    assert "standard output" not in errors


@pytest.mark.parametrize("stream", ["2>&-", "<&-", "<&- 2>&-"])
def test_other_closed_streams_are_missed_by_nobody(stream: str) -> None:
    """The connection does not take the place of one: nothing is written into it."""
    with TailServer() as server:
        server.refuse_with(400, "no such field")
        code, output, errors = with_closed(stream, "tail", "logs", "--url", server.url)

    assert (code, output) == (2, "")
    assert errors == ("" if "2" in stream else "otlpg: no such field\n")


# -- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["tail", "logs"], ["logs"], ["services", "--service"]])
def test_an_argument_that_is_no_text_is_shown(command: list[str]) -> None:
    """Bytes that are no UTF-8 stand in no filter."""
    done = subprocess.run(
        [sys.executable, "-m", "collector", *command, b"a\xff\x1b"],
        env=environment(OTLPG_URL=AWAY),
        capture_output=True, timeout=END_S_MAX, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"otlpg: an argument is no text: a\\udcff\\x1b\n"
