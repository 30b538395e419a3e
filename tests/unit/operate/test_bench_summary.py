"""The figures with targets follow from the cells."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from collector.operate.bench.summary import at_least, at_most, books_balance, summary
from collector.operate.bench.table import tables

OUTAGE = {
    "start_rss_mib": 60.0,
    "peak_rss_mib": 252.0,
    "budget_mib": 192.0,
    "missing_rows": 0,
    "failed": 0,
    "acknowledged_without_postgres": 0,
}


def cell(**changes: Any) -> dict[str, Any]:
    """Return a cell in which every target is reached."""
    return {
        "signal": "traces",
        "workers": 2,
        "items_per_request": 512,
        "ledger": True,
        "protocol": "grpc",
        "items_per_s": 100_000.0,
        "ratio_to_limit": 0.55,
        "ack_ms": {"full": {"p50": 300.0, "p99": 500.0}},
        "peak_rss_mib": [150.0, 160.0],
        "missing_rows": 0,
        "failed": 0,
        **changes,
    }


def figures(*cells: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the summary of ``cells`` by name."""
    return {figure["name"]: figure for figure in summary(list(cells), OUTAGE)}


def test_repeated_cells_count_by_their_median() -> None:
    """One bad repetition does not spoil a figure, nor does one good one save it."""
    found = figures(*(cell(ratio_to_limit=ratio) for ratio in (0.2, 0.48, 0.9)))

    assert found["traces: items/s / raw COPY"]["value"] == 0.48
    assert found["traces: items/s / raw COPY"]["ok"] is False


def test_warming_up_counts_for_rows_and_not_for_speed() -> None:
    """The first cell pays for the server's first WAL files; what it loses is lost all the same."""
    found = figures(cell(), cell(warm_up=True, ratio_to_limit=0.1, missing_rows=2))

    assert found["traces: items/s / raw COPY"]["value"] == 0.55
    assert found["rows acknowledged and missing"]["value"] == 2


def test_ledger_share_compares_cells_of_the_same_signal() -> None:
    """On is divided by off; cells without a ledger count nowhere else."""
    found = figures(
        cell(), cell(ledger=False, items_per_s=125_000.0, ratio_to_limit=0.9, missing_rows=7)
    )

    assert found["ledger on / off"]["value"] == 0.8
    assert found["traces: items/s / raw COPY"]["value"] == 0.55
    assert found["rows acknowledged and missing"]["value"] == 0


def test_http_is_compared_with_grpc_of_the_same_size() -> None:
    """Each protocol and size has its ratio and target; cells over HTTP count nowhere else."""
    found = figures(
        cell(),
        cell(items_per_request=10, items_per_s=20_000.0),
        cell(protocol="http/protobuf", items_per_s=90_000.0, ratio_to_limit=0.1),
        cell(protocol="http/protobuf", items_per_request=10, items_per_s=13_000.0),
        cell(protocol="http/json", items_per_s=15_000.0, ratio_to_limit=0.1, missing_rows=3),
    )

    shares = {
        name: (f["value"], f["target"], f["ok"]) for name, f in found.items() if "http" in name
    }
    assert shares == {
        "traces: http/protobuf / gRPC, 512 per request": (0.9, ">= 0.7", True),
        "traces: http/protobuf / gRPC, 10 per request": (0.65, ">= 0.7", False),
        "traces: http/json / gRPC, 512 per request": (0.15, ">= 0.15", True),
    }
    assert found["traces: items/s / raw COPY"]["value"] == 0.55
    assert found["traces: 10 per request / 512"]["value"] == 0.2
    assert found["rows acknowledged and missing"]["value"] == 3


def test_the_budget_is_for_what_waits() -> None:
    """In an outage the growth counts, not what the worker needs to run at all."""
    assert figures(cell())["memory grown in an outage / budget"]["value"] == 1.0


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    """A quick run leaves figures open instead of inventing them."""
    found = figures(cell())

    assert found["traces: 2 workers / 1 worker"] == {
        "name": "traces: 2 workers / 1 worker",
        "value": None,
        "target": ">= 1.5",
        "ok": None,
    }


def test_missing_and_surplus_rows_do_not_cancel_out() -> None:
    """A row too many in one cell never hides a lost one in another."""
    found = figures(cell(missing_rows=5), cell(missing_rows=-5))

    assert found["rows acknowledged and missing"]["value"] == 10
    assert found["rows acknowledged and missing"]["ok"] is False


@pytest.mark.parametrize(
    "change", [{"missing_rows": 1}, {"missing_rows": -1}, {"replay_new_rows": 1}, {"failed": 1}]
)
def test_one_wrong_row_unbalances_the_books(change: dict[str, int]) -> None:
    """Speed is no excuse: one lost, surplus, repeated or refused item fails the run."""
    assert books_balance([cell(), cell(replay_new_rows=0)], OUTAGE)
    assert not books_balance([cell(), cell(**change)], OUTAGE)


def test_an_ok_without_postgres_unbalances_the_books() -> None:
    """Nothing can have been committed then, even if it is stored later."""
    outage = {**OUTAGE, "acknowledged_without_postgres": 1}

    assert not books_balance([cell()], outage)
    found = {figure["name"]: figure for figure in summary([cell()], outage)}
    assert not found["OKs while PostgreSQL was stopped"]["ok"]


TAILS = {
    "commit_to_screen_ms": {"p99": 20.0},
    "nobody_to_alone": 1.0,
    "tails_to_nobody": 0.96,
    "frozen_to_nobody": 0.99,
    "frozen_p99_to_alone": 1.0,
    "frozen_grown_mib": 4.0,
    "stuck_to_tails": 1.0,
    "shown_beside_stuck": 1.0,
    "slow": 0,
    "stuck_skipped_least": 100,
    "unaccounted": 0,
    "missing_rows": 0,
    "failed": 0,
}


def test_live_tails_reach_their_targets_one_by_one() -> None:
    """Each figure is judged by its own bound, and one that misses it pulls no other down."""
    assert all(figure["ok"] for figure in summary([], None, TAILS))
    for key, missed in {
        "commit_to_screen_ms": {"p99": 50.1},
        "nobody_to_alone": 0.98,
        "tails_to_nobody": 0.94,
        "frozen_to_nobody": 0.97,
        "frozen_p99_to_alone": 1.06,
        "frozen_grown_mib": 8.1,
        "stuck_to_tails": 0.9,
        "shown_beside_stuck": 0.9,
        "slow": 1,
        "stuck_skipped_least": 0,
        "unaccounted": 1,
        "missing_rows": 1,
    }.items():
        assert [f["ok"] for f in summary([], None, {**TAILS, key: missed})].count(False) == 1, key


def test_a_row_missing_beside_live_tails_unbalances_the_books() -> None:
    """Tails are measured on the same promise as everything else."""
    assert books_balance([], None, TAILS)
    assert not books_balance([], None, {**TAILS, "missing_rows": -1})
    assert not books_balance([], None, {**TAILS, "failed": 1})


def test_bounds_are_inclusive() -> None:
    """A target is reached by the very number that it names."""
    assert at_least("x", 0.5, 0.5)["ok"] is True
    assert at_most("x", 250.0, 250.0)["ok"] is True


def test_tables_show_every_cell_and_figure() -> None:
    """The table for people holds what the JSON holds, a dash where nothing was measured."""
    cells = [
        cell(),
        cell(workers=1, items_per_s=60_000.0),
        cell(protocol="http/json", items_per_s=30_000.0),
    ]
    console = Console(width=200, record=True, quiet=True)

    with console.capture() as captured:
        console.quiet = False
        console.print(tables({"cells": cells, "summary": summary(cells, OUTAGE)}))

    text = captured.get()
    assert "100,000" in text
    assert "60,000" in text
    assert re.search(r"traces, JSON .*30,000", text)
    assert re.search(r"traces: http/json / gRPC, 512 per request .*0\.30 .*>= 0\.15 .*yes", text)
    assert "traces: 2 workers / 1 worker" in text
