"""cli.output: tables that fit, and an output that may be gone."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from collector.cli.output import Column, Output, shown_time
from collector.cli.painting import Brush, Part

COLUMNS = (Column("name", cells_max=6), Column("spans", is_number=True), Column("text"))


def table(capsys: pytest.CaptureFixture[str], *rows: tuple[Part | str, ...]) -> list[str]:
    """Return the lines of a table without colours."""
    Output(is_text=True, brush=Brush(colours=False), zone=UTC).table(COLUMNS, rows)
    return capsys.readouterr().out.splitlines()


def test_columns_are_as_wide_as_their_widest_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stand to the right; nothing pads the last column; a wide sign takes two cells."""
    assert table(capsys, ("a", "5", "x"), (Part("日本"), "12,345", "y")) == [
        "name   spans  text",
        "a          5  x",
        "日本  12,345  y",
    ]


def test_a_column_with_a_bound_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """And the cut can be seen."""
    assert table(capsys, ("abcdefgh", "1", "x"))[1] == "abcde…      1  x"


def test_no_rows_are_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A heading alone tells nothing."""
    assert table(capsys) == []


def test_a_row_has_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing would shift what follows it."""
    with pytest.raises(ValueError, match="zip"):
        table(capsys, ("a", "b"))


@pytest.mark.parametrize(
    ("unix_nano", "zone", "text"),
    [
        (0, UTC, "1970-01-01 00:00:00.000Z"),
        (1_790_000_000_123_999_999, UTC, "2026-09-21 14:13:20.123Z"),
        (0, timezone(timedelta(hours=2)), "1970-01-01 02:00:00.000"),
        (-1, UTC, "1969-12-31 23:59:59.999Z"),
        (2**63 * 1_000, UTC, "9223372036854775808000ns"),
    ],
)
def test_times_are_shown_in_the_zone(unix_nano: int, zone: timezone, text: str) -> None:
    """To the millisecond, never rounded up; a time that no zone can show is its number."""
    assert shown_time(unix_nano, zone) == text


WRITES = """
import sys
from collector.cli import app, run
from collector.cli.output import output

@app.command("write")
def write(lines: int) -> None:
    with output(as_json=True) as out:
        for number in range(lines):
            out.record({"number": number})
    sys.stderr.write("all is written")

sys.exit(run(["write", sys.argv[1]]))
"""


def write_into(descriptor: int, lines: int) -> tuple[int, str]:
    """Let a command write lines; return its exit code and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(lines)],
        stdout=descriptor, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_ends_it_quietly(lines: int) -> None:
    """With 0 and not a word, whether the pipe breaks under way or at the last flush."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert write_into(writer, lines) == (0, "")
    finally:
        os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has this device")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_told(lines: int) -> None:
    """What was to be written is not there, and a script must know."""
    with Path("/dev/full").open("w") as full:
        code, words = write_into(full.fileno(), lines)

    assert code == 1
    assert words == "otlpg: standard output: No space left on device\n"
