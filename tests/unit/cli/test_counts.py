"""cli.counts: the live count of `otlpg dev`."""

from __future__ import annotations

import sys

import pyte
import pytest

from collector.cli.counts import LiveCounts, items_by_end, line
from collector.telemetry.metrics import Metrics, Snapshot


def snapshot(**stored: int) -> Snapshot:
    """Return a snapshot in which so many items of each signal were stored."""
    metrics = Metrics()
    for signal, count in stored.items():
        metrics.items.add(count, signal, "stored")
    return metrics.snapshot()


def test_line_without_items() -> None:
    """Before the first item the line says what is missing."""
    assert line({}) == "waiting for the first item"


def test_line_counts_each_signal_in_its_own_word() -> None:
    """All three signals stand there from the first item on."""
    items = items_by_end(snapshot(traces=12_345, logs=2))

    assert line(items) == "stored 12,345 spans, 0 data points, 2 log records"


def test_line_shows_trouble_once_there_is_some() -> None:
    """Items that met another end are added up over the signals."""
    items = {
        ("traces", "stored"): 1,
        ("traces", "refused"): 2,
        ("logs", "refused"): 3,
        ("metrics", "duplicate"): 4,
    }

    assert line(items).endswith("; 4 duplicate, 5 refused")


def test_a_pipe_gets_a_line_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing before the banner, then a line whenever the counts differ from the last."""
    with LiveCounts() as counts:
        counts.show(snapshot(traces=1))
        counts.start()
        for stored in (1, 1, 2):
            counts.show(snapshot(traces=stored))

    assert capsys.readouterr().out.splitlines() == [
        "waiting for the first item",
        "stored 1 spans, 0 data points, 0 log records",
        "stored 2 spans, 0 data points, 0 log records",
    ]


def test_a_terminal_shows_them_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of the log takes the place of the counts, which come back below it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    screen = pyte.Screen(100, 10)
    terminal = pyte.Stream(screen)

    def shown() -> list[str]:
        terminal.feed(capsys.readouterr().out.replace("\n", "\r\n"))
        return [line.rstrip() for line in screen.display if line.strip()]

    with LiveCounts() as counts:
        counts.start()
        counts.show(snapshot(traces=12))
        assert shown() == ["stored 12 spans, 0 data points, 0 log records"]
        sys.stdout.write(
            "2026-11-26T09:34:46.099038Z [warning] live tails are away, and more of it\n"
        )
        counts.show(snapshot(traces=123))
        assert shown()[1] == "stored 123 spans, 0 data points, 0 log records"
        sys.stdout.write("^C")

    assert shown() == [
        "2026-11-26T09:34:46.099038Z [warning] live tails are away, and more of it",
        "stored 123 spans, 0 data points, 0 log records",
    ]
    assert screen.cursor.y == 2
