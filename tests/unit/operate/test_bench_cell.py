"""A load is cut into sections that share no request."""

from __future__ import annotations

from itertools import pairwise

import pytest

from collector.operate.bench.cell import Cell, Sections
from collector.operate.bench.sender import Sent
from collector.rows import Signal


@pytest.mark.parametrize("items_per_request", [10, 100, 512])
def test_sections_share_no_request(items_per_request: int) -> None:
    """Warming up, lone requests, half and full load all send requests of their own."""
    sections = Sections.of(items_per_request, 50_000, 2.0)

    parts = [sections.warm, sections.idle, sections.half, sections.full]
    assert parts[0].start == 0
    assert all(before.stop == after.start for before, after in pairwise(parts))
    assert abs(len(sections.full) - 2 * len(sections.half)) <= 1


def test_full_load_keeps_bounded_items_in_flight() -> None:
    """Small requests are limited in number, large ones in items."""
    assert Cell(Signal.LOGS, 2, 10).in_flight == 512
    assert Cell(Signal.LOGS, 2, 512).in_flight == 64


def test_percentiles_are_measured_values() -> None:
    """p50 and p99 are latencies that some request had; without any there is none."""
    sent = Sent(100, 1.0, 0, 0, [float(number) for number in range(100, 0, -1)])

    assert sent.percentile_ms(0.50) == 50.0
    assert sent.percentile_ms(0.99) == 99.0
    assert Sent(0, 1.0, 0, 0, []).percentile_ms(0.5) is None
