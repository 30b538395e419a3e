"""A load is cut into sections that share no request."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from collector.operate.bench.cell import Cell, Sections
from collector.operate.bench.run import plan
from collector.operate.bench.sender import Sent
from collector.operate.verify.options import Protocol
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
    assert Cell(Signal.LOGS, 2, 512, protocol=Protocol.HTTP_JSON).in_flight == 32


def test_over_http_each_open_request_has_a_connection() -> None:
    """HTTP/1.1 answers in order, so two requests on one connection would wait for each other."""
    assert Cell(Signal.LOGS, 2, 512).connections(8) == 8
    assert Cell(Signal.LOGS, 2, 512, protocol=Protocol.HTTP_PROTOBUF).connections(8) == 64
    assert Cell(Signal.LOGS, 2, 512, protocol=Protocol.HTTP_JSON).connections(8) == 32


@pytest.mark.parametrize("quick", [True, False])
def test_http_is_measured_between_cells_over_grpc(quick: bool) -> None:
    """Each size over HTTP has its like over gRPC in the same run, the main one on both sides."""
    cells = list(plan(Signal.TRACES, quick=quick))

    http = [cell for cell in cells if cell.protocol is not Protocol.GRPC]
    assert {(cell.protocol, cell.items_per_request) for cell in http} >= {
        (Protocol.HTTP_PROTOBUF, 512),
        (Protocol.HTTP_PROTOBUF, 10),
        (Protocol.HTTP_JSON, 512),
    }
    for cell in http:
        assert replace(cell, protocol=Protocol.GRPC) in cells[: cells.index(cell)]
    json = cells.index(replace(cells[0], protocol=Protocol.HTTP_JSON))
    assert cells[0] in cells[json:], "the machine may have become slower or faster"


def test_percentiles_are_measured_values() -> None:
    """p50 and p99 are latencies that some request had; without any there is none."""
    sent = Sent(100, 1.0, 0, 0, [float(number) for number in range(100, 0, -1)])

    assert sent.percentile_ms(0.50) == 50.0
    assert sent.percentile_ms(0.99) == 99.0
    assert Sent(0, 1.0, 0, 0, []).percentile_ms(0.5) is None
