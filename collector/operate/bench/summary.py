"""The figures that have a target, each with its target and whether it is reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, TypeAlias

Cells = list[dict[str, Any]]

RATIO_MIN = {"traces": 0.50, "logs": 0.40, "metrics": 0.35}
WORKERS_GAIN_MIN = 1.5
SMALL_SHARE_MIN = 0.25
HALF_P99_MS_MAX = 250.0
IDLE_MS_MAX = 15.0
LEDGER_SHARE_MIN = 0.97
GUARDED_SHARE_MIN = 0.90
HTTP_SHARE_MIN = {"http/protobuf": 0.70, "http/json": 0.15}
WORKER_MIB_MAX = 200.0
OUTAGE_BUDGET_SHARE_MAX = 1.2
SCREEN_P99_MS_MAX = 50.0
NOBODY_SHARE_MIN = 0.99
TAILS_SHARE_MIN = 0.95
FROZEN_SHARE_MIN = 0.98
STUCK_SHARE_MIN = 0.95
FROZEN_P99_SHARE_MAX = 1.05
FROZEN_MIB_MAX = 8.0  # tail.backlog_bytes_max


Part: TypeAlias = dict[str, Any]


def summary(
    measured: Cells, outage: Part | None = None, tails: Part | None = None
) -> list[dict[str, Any]]:
    """Return one entry per figure: ``name``, ``value`` (None: not measured), ``target``, ``ok``.

    A part that is None was left out. Cells that only warmed up count where rows and memory do, not where speed does.
    """
    steady = [cell for cell in measured if not cell.get("warm_up")]
    plain = [cell for cell in steady if not cell.get("guarded")]
    cells = where(plain, protocol="grpc")
    figures: list[dict[str, Any]] = []
    for signal in dict.fromkeys(cell["signal"] for cell in cells):
        figures += _of_signal(signal, [cell for cell in cells if cell["signal"] == signal])
    ledger_off = [cell for cell in cells if not cell["ledger"]]
    if ledger_off:
        on = median(large(cells, ledger_off[0]["signal"]), "items_per_s")
        off = median(ledger_off, "items_per_s")
        figures.append(at_least("ledger on / off", quotient(on, off), LEDGER_SHARE_MIN))
    guarded = [cell for cell in steady if cell.get("guarded")]
    if guarded:
        open_door = median(large(cells, guarded[0]["signal"]), "items_per_s")
        share = quotient(median(guarded, "items_per_s"), open_door)
        figures.append(at_least("with TLS and keys / without", share, GUARDED_SHARE_MIN))
    figures += _of_http(plain)
    if measured:
        peak = max(peak for cell in measured for peak in cell["peak_rss_mib"])
        figures.append(at_most("worker's peak memory, MiB", peak, WORKER_MIB_MAX))
        replayed = [cell["replay_new_rows"] for cell in measured if "replay_new_rows" in cell]
        figures.append(at_most("new rows after a replay", max(replayed, default=None), 0))
    if outage is not None:
        figures += _of_outage(outage)
    if tails is not None:
        figures += _of_tails(tails)
    wrong = wrong_rows(measured, outage, tails)
    return [*figures, at_most("rows acknowledged and missing", wrong, 0)]


def wrong_rows(cells: Cells, *parts: Part | None) -> int:
    """Return how many rows are missing or too many, over all cells that have a ledger."""
    found = [*cells, *(part for part in parts if part is not None)]
    return sum(abs(part["missing_rows"]) for part in found if part.get("ledger", True))


def books_balance(cells: Cells, outage: Part | None = None, tails: Part | None = None) -> bool:
    """Return whether each acknowledged item is stored, none twice, and nothing failed for good."""
    replayed = sum(cell.get("replay_new_rows", 0) for cell in cells)
    parts = [part for part in (outage, tails) if part is not None]
    failed = sum(part["failed"] for part in [*cells, *parts])
    too_early = sum(part.get("acknowledged_without_postgres", 0) for part in parts)
    return not any((wrong_rows(cells, *parts), replayed, failed, too_early))


def _of_http(cells: Cells) -> list[dict[str, Any]]:
    """Return the shares of gRPC's speed, each of the same signal and size; none without HTTP."""
    figures: list[dict[str, Any]] = []
    for protocol, share_min in HTTP_SHARE_MIN.items():
        http = where(cells, protocol=protocol)
        for signal, size in dict.fromkeys((c["signal"], c["items_per_request"]) for c in http):
            same = where(cells, signal=signal, items_per_request=size, workers=2, ledger=True)
            speed, grpc = (
                median(where(same, protocol=each), "items_per_s") for each in (protocol, "grpc")
            )
            name = f"{signal}: {protocol} / gRPC, {size} per request"
            figures.append(at_least(name, quotient(speed, grpc), share_min))
    return figures


def _of_outage(outage: Part) -> list[dict[str, Any]]:
    grown = (outage["peak_rss_mib"] - outage["start_rss_mib"]) / outage["budget_mib"]
    too_early = outage["acknowledged_without_postgres"]
    return [
        at_most("memory grown in an outage / budget", grown, OUTAGE_BUDGET_SHARE_MAX),
        at_most("OKs while PostgreSQL was stopped", too_early, 0),
    ]


def _of_tails(tails: Part) -> list[dict[str, Any]]:
    screen_ms = tails["commit_to_screen_ms"]["p99"]
    return [
        at_most("tails: COMMIT to screen p99 at half load, ms", screen_ms, SCREEN_P99_MS_MAX),
        at_least(
            "tails: nobody listens / no tails at all", tails["nobody_to_alone"], NOBODY_SHARE_MIN
        ),
        at_least("tails: 10 tails / nobody listens", tails["tails_to_nobody"], TAILS_SHARE_MIN),
        at_least(
            "tails: Redis frozen / nobody listens", tails["frozen_to_nobody"], FROZEN_SHARE_MIN
        ),
        at_most(
            "tails: ack p99, Redis frozen / no tails at all",
            tails["frozen_p99_to_alone"],
            FROZEN_P99_SHARE_MAX,
        ),
        at_most(
            "tails: memory grown, Redis frozen, MiB", tails["frozen_grown_mib"], FROZEN_MIB_MAX
        ),
        at_least(
            "tails: beside one that never reads, ingest", tails["stuck_to_tails"], STUCK_SHARE_MIN
        ),
        at_least("tails: .. shown to others", tails["shown_beside_stuck"], STUCK_SHARE_MIN),
        at_most("tails: .. skipped by others, being slow", tails["slow"], 0),
        at_least("tails: .. skipped by it", tails["stuck_skipped_least"], 1),
        at_most("tails: items neither shown nor counted", tails["unaccounted"], 0),
    ]


def _of_signal(signal: str, cells: Cells) -> list[dict[str, Any]]:
    base = large(cells, signal)
    full = median(base, "items_per_s")
    one = median(where(cells, workers=1, items_per_request=512), "items_per_s")
    small = median(where(cells, workers=2, items_per_request=10), "items_per_s")
    return [
        at_least(
            f"{signal}: items/s / raw COPY", median(base, "ratio_to_limit"), RATIO_MIN[signal]
        ),
        at_least(f"{signal}: 2 workers / 1 worker", quotient(full, one), WORKERS_GAIN_MIN),
        at_least(f"{signal}: 10 per request / 512", quotient(small, full), SMALL_SHARE_MIN),
        at_most(
            f"{signal}: ack p99 at half load, ms", latency(base, "half", "p99"), HALF_P99_MS_MAX
        ),
        at_most(f"{signal}: lone ack p50, ms", latency(base, "idle", "p50"), IDLE_MS_MAX),
        at_most(f"{signal}: lone ack p99, ms", latency(base, "idle", "p99"), IDLE_MS_MAX),
    ]


def large(cells: Cells, signal: str) -> Cells:
    """Return the repeated main cell: 2 workers, 512 items per request, ledger on."""
    return [
        cell
        for cell in where(cells, workers=2, items_per_request=512, ledger=True)
        if cell["signal"] == signal
    ]


def where(cells: Cells, **values: object) -> Cells:
    """Return the cells that have all ``values``."""
    return [cell for cell in cells if all(cell[key] == value for key, value in values.items())]


def median(cells: Cells, key: str) -> float | None:
    """Return the median of ``key``, or None without cells."""
    return statistics.median(cell[key] for cell in cells) if cells else None


def latency(cells: Cells, load: str, share: str) -> float | None:
    """Return the median over cells of one share of the latencies under one load."""
    found = [cell["ack_ms"][load][share] for cell in cells if load in cell["ack_ms"]]
    return statistics.median(found) if found else None


def quotient(above: float | None, below: float | None) -> float | None:
    """Return ``above / below`` when both were measured."""
    return above / below if above is not None and below else None


def at_least(name: str, value: float | None, bound: float) -> dict[str, Any]:
    """Return a figure that must not fall below ``bound``."""
    return _figure(name, value, f">= {bound:g}", lambda number: number >= bound)


def at_most(name: str, value: float | None, bound: float) -> dict[str, Any]:
    """Return a figure that must not exceed ``bound``."""
    return _figure(name, value, f"<= {bound:g}", lambda number: number <= bound)


def _figure(
    name: str, value: float | None, target: str, test: Callable[[float], bool]
) -> dict[str, Any]:
    ok = None if value is None else test(value)
    return {"name": name, "value": value, "target": target, "ok": ok}
