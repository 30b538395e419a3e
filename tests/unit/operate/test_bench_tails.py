"""What turns beside live tails come to."""

from __future__ import annotations

from typing import Any

import pytest

from collector.operate.bench.tail_readers import TailReader
from collector.operate.bench.tails import Kind, Turn, figures_of, percentile, ratio


def turn(kind: Kind, round_: int, items_per_s: float, **changes: Any) -> Turn:
    """Return a turn in which nothing went wrong."""
    plain: dict[str, Any] = {
        "cpu": {"daemon_cpu_s_per_million": 14.0},
        "ack_p99_ms": 300.0,
        "peak_rss_mib": 120.0,
        "missing_rows": 0,
        "refused": 0,
        "failed": 0,
    }
    return Turn(kind, round_, items_per_s, **{**plain, **changes})


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    """A slow minute hits both sides of a round and says nothing."""
    turns = [
        turn(kind, number, speed * share)
        for number, speed in enumerate((90_000.0, 30_000.0, 60_000.0))
        for kind, share in ((Kind.NOBODY, 1.0), (Kind.TAILS, 0.96))
    ]

    assert ratio(turns, Kind.TAILS, Kind.NOBODY) == pytest.approx(0.96)
    assert ratio(turns, Kind.STUCK, Kind.TAILS) is None


def test_memory_grown_is_that_of_the_worst_turn() -> None:
    """One turn in which a worker kept everything is enough to see it."""
    turns = [
        turn(Kind.NOBODY, 0, 1.0),
        turn(Kind.FROZEN, 0, 1.0),
        turn(Kind.NOBODY, 1, 1.0),
        turn(Kind.FROZEN, 1, 1.0, peak_rss_mib=150.0),
    ]

    assert figures_of(turns)["frozen_grown_mib"] == 30.0


def test_surplus_in_one_turn_hides_no_loss_in_another() -> None:
    """A late message of the turn before is no credit, and missing and surplus rows add up."""
    turns = [
        turn(Kind.TAILS, 0, 1.0, unaccounted=-500, missing_rows=3),
        turn(Kind.TAILS, 1, 1.0, unaccounted=7, missing_rows=-3),
    ]

    assert figures_of(turns)["unaccounted"] == 7
    assert figures_of(turns)["missing_rows"] == 6


def test_percentiles_are_values_that_were_measured() -> None:
    """The largest is the last, and nothing has none."""
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 1.0) == 4.0
    assert percentile([], 0.5) is None


@pytest.mark.parametrize("notes", [True, False])
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_a_reader_counts_the_same_however_the_stream_is_cut(piece: int, *, notes: bool) -> None:
    """Items, skips and what looks like one within an item; a counting reader as one that parses."""
    stream = (
        b'event: skipped\ndata: {"signal": "traces", "items": 40, "why": "sampled"}\n\n'
        b'id: a-1\nevent: item\ndata: {"span_id": "01"}\n\n'
        b": heartbeat\n\n"
        b'id: a-2\nevent: item\ndata: {"span_id": "02", "name": "event: skipped\\n"}\n\n'
        b'event: skipped\ndata: {"signal": "all", "items": null, "why": "lost"}\n\n'
        b'event: skipped\ndata: {"signal": "traces", "items": 2, "why": "sampled"}\n\n'
    )
    reader = TailReader(notes=notes)

    for start in range(0, len(stream), piece):
        reader.take(stream[start : start + piece])

    assert reader.seen.items == 2
    assert dict(reader.seen.skipped) == {"sampled": 42, "unknown": 1}
    assert reader.seen.accounted == 44
    assert [span_id for span_id, _ in reader.seen.arrivals] == (["01", "02"] if notes else [])
