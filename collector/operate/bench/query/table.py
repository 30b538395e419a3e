"""The report as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from collector.operate.bench.table import figures_table, number

PARTS = (
    ("idle", "alone"),
    ("loaded", "beside ingest"),
    ("http", "over HTTP"),
    ("jaeger", "Jaeger"),
)


def tables(report: dict[str, Any]) -> RenderableType:
    """Return the latencies of each question, and the figures with targets."""
    return Group(_latencies(report), figures_table(report["summary"]))


def _latencies(report: dict[str, Any]) -> Table:
    jaeger: dict[str, Any] = report["jaeger"] or {"http": {}}
    parts: dict[str, dict[str, Any]] = {**report, "jaeger": jaeger["http"]}
    rows = ", ".join(f"{count:,} {signal}" for signal, count in report["data"]["rows"].items())
    table = Table(title=f"Answers, ms; rows: {rows}", title_justify="left")
    table.add_column("question")
    for _, title in PARTS:
        for name in (f"{title}: p50", "p99", "max"):
            table.add_column(name, justify="right")
    table.add_column("CPU alone", justify="right")
    for question, alone in report["idle"].items():
        cells = [
            number(parts[part].get(question, {}).get(key), 1)
            for part, _ in PARTS
            for key in ("p50_ms", "p99_ms", "max_ms")
        ]
        table.add_row(question, *cells, number(alone["cpu_ms"], 1))
    return table
