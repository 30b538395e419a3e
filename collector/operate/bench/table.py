"""The report as a table for people."""

from __future__ import annotations

import statistics
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

NOT_MEASURED = "-"
PROTOCOLS = {"grpc": "", "http/protobuf": ", HTTP", "http/json": ", JSON"}
LATENCIES = (
    ("full", "p50"), ("full", "p99"), ("half", "p50"), ("half", "p99"), ("idle", "p50"),
)  # fmt: skip


def tables(report: dict[str, Any]) -> RenderableType:
    """Return the cells, the limits and the figures with targets, each as a table."""
    parts: list[RenderableType] = []
    if report["cells"]:
        parts.append(_cells(report["cells"]))
    if report.get("limits"):
        parts.append(_limits(report["limits"]))
    if report.get("tails") is not None:
        parts.append(_tails(report["tails"]["turns"]))
    if "summary" in report:
        parts.append(figures_table(report["summary"]))
    return Group(*parts)


def _cells(cells: list[dict[str, Any]]) -> Table:
    table = Table(title="Committed items", title_justify="left")
    table.add_column("signal")
    for name in (
        "workers", "per request", "items/s", "/ COPY", "CPU s/M daemon", "postgres", "sender",
        "cores", "full p50 ms", "p99", "half p50", "p99", "idle p50", "worker MiB", "bytes/item",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for cell in cells:
        table.add_row(*_row(cell))
    return table


def _row(cell: dict[str, Any]) -> list[str]:
    ack = cell["ack_ms"]
    signal = cell["signal"] + ("" if cell.get("ledger", True) else ", no ledger")
    signal += ", TLS and key" if cell.get("guarded") else ""
    signal += PROTOCOLS[cell.get("protocol", "grpc")]
    signal += ", warm-up" if cell.get("warm_up") else ""
    return [
        signal,
        number(cell.get("workers")),
        number(cell["items_per_request"]),
        number(cell["items_per_s"]),
        number(cell.get("ratio_to_limit"), 2),
        *(
            number(cell.get(f"{party}_cpu_s_per_million"), 1)
            for party in ("daemon", "postgres", "sender")
        ),
        number(cell.get("cores_busy"), 2),
        *(number(ack.get(load, {}).get(share), 1) for load, share in LATENCIES),
        number(max(cell.get("peak_rss_mib", []), default=None)),
        number(sum(cell["bytes_per_item"].values()) if "bytes_per_item" in cell else None),
    ]


def _limits(limits: list[dict[str, Any]]) -> Table:
    table = Table(title="Limit: raw binary COPY of the same rows", title_justify="left")
    table.add_column("signal")
    table.add_column("rows/s", justify="right")
    table.add_column("CPU s/M postgres", justify="right")
    for limit in limits:
        table.add_row(
            limit["signal"],
            number(limit["rows_per_s"]),
            number(limit["postgres_cpu_s_per_million"], 1),
        )
    return table


def _tails(turns: list[dict[str, Any]]) -> Table:
    table = Table(title="Beside live tails: medians of the turns", title_justify="left")
    table.add_column("state")
    for name in ("items/s", "CPU s/M daemon", "its API", "readers", "worker MiB", "shown"):
        table.add_column(name, justify="right")
    for kind in dict.fromkeys(turn["kind"] for turn in turns):
        of_kind = [turn for turn in turns if turn["kind"] == kind]
        table.add_row(
            kind,
            number(_median(of_kind, "items_per_s")),
            *(
                number(_median(of_kind, f"{party}_cpu_s_per_million"), 1)
                for party in ("daemon", "api", "readers")
            ),
            number(_median(of_kind, "peak_rss_mib")),
            number(_median(of_kind, "shown")),
        )
    return table


def _median(turns: list[dict[str, Any]], key: str) -> float | None:
    values = [turn[key] for turn in turns if turn[key] is not None]
    return statistics.median(values) if values else None


def figures_table(figures: list[dict[str, Any]]) -> Table:
    """Return the figures that have a target, each with whether it is reached."""
    table = Table(title="Figures and targets", title_justify="left")
    for name in ("figure", "value", "target", "reached"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for figure in figures:
        reached = {True: "yes", False: "no", None: NOT_MEASURED}[figure["ok"]]
        table.add_row(figure["name"], number(figure["value"], 2), figure["target"], reached)
    return table


def number(value: float | None, digits: int = 0) -> str:
    """Return ``value`` for a column, or a dash when it was not measured."""
    return NOT_MEASURED if value is None else f"{value:,.{digits}f}"
