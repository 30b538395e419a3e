"""How `otlpg verify` shows a report: a line to read, or a map to process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.cli import printing

if TYPE_CHECKING:
    from collector.operate.verify.tally import Report

ALWAYS_SHOWN = ("stored", "refused", "lost", "duplicated", "altered")
"""The others appear once they have happened."""


def as_map(report: Report) -> dict[str, object]:
    """Return a report as a JSON-able map; delays in seconds."""
    return {
        "report": "summary" if report.is_summary else "interval",
        "at": printing.utc(report.at_unix_nano),
        "seconds": round(report.seconds, 3),
        "rounds": report.rounds,
        "items": {str(end): count for end, count in report.ends.items()},
        "ack_s": _percentiles_map(report.ack_s),
        "visible_s": _percentiles_map(report.visible_s),
    }


def _percentiles_map(delays_s: tuple[float, float] | None) -> dict[str, float] | None:
    if delays_s is None:
        return None
    return {"p50": round(delays_s[0], 6), "p99": round(delays_s[1], 6)}


def as_text(report: Report) -> str:
    """Return a report as one line; ends that are rare appear once they have happened."""
    clock = printing.utc(report.at_unix_nano)[11:19]
    begun = sum(report.rounds.values()) - report.rounds["skipped"]
    items = ", ".join(
        f"{count:,} {end}"
        for end, count in report.ends.items()
        if count or str(end) in ALWAYS_SHOWN
    )
    rounds = f"{begun:,} rounds" + (
        f" ({report.rounds['skipped']:,} skipped)" if report.rounds["skipped"] else ""
    )
    head = f"in {report.seconds:,.0f} s all in all" if report.is_summary else clock
    return (
        f"{head}  {rounds}; {items}; OK after {_percentiles_text(report.ack_s)}, "
        f"visible after {_percentiles_text(report.visible_s)}"
    )


def _percentiles_text(delays_s: tuple[float, float] | None) -> str:
    if delays_s is None:
        return "-"
    return f"{delays_s[0] * 1000:.1f} ms (p99 {delays_s[1] * 1000:.1f})"
