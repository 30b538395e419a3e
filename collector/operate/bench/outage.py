"""Memory while PostgreSQL is away and senders push on: what the settings allow must hold.

Two settings say how much a worker may keep: ``ingest.queue_bytes_max`` and ``convert.memo_bytes_max``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from collector.operate.bench.daemon import ServedDaemon
from collector.operate.bench.load import LoadPlan
from collector.operate.bench.orders import Crew
from collector.operate.bench.sender import Build, Connect, Order, Push, Send
from collector.operate.bench.server import BenchServer
from collector.rows import Signal
from collector.settings import ConvertSettings, IngestSettings

ITEMS_PER_REQUEST = 512
REQUESTS = 1_000  # several times the budget, converted
IN_FLIGHT = 400  # more than the budget takes, so that the rest is refused
TIMEOUT_S = 4.0
CONNECTIONS = 8


def memory_in_outage(
    server: BenchServer,
    crew: Crew[Order],
    tell: Callable[[str], None],
    *,
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    """Return one worker's peak memory with PostgreSQL stopped, and how it fared afterwards.

    ``missing_rows`` is what was acknowledged once PostgreSQL was back, less what is stored then:
    0. Requests of the outage may be stored too (nobody heard OK); the second sending joins them.
    """
    server.empty()
    plan = LoadPlan(
        Signal.TRACES, REQUESTS * ITEMS_PER_REQUEST, ITEMS_PER_REQUEST, seed, time.time_ns()
    )
    crew.order(Build(plan))
    log = server.log_dir / "outage.log"
    with ServedDaemon(workers=1, dsn=server.dsn, log=log) as daemon:
        crew.order(Connect(daemon.endpoint(), CONNECTIONS, daemon.worker_pids))
        start = max(daemon.peaks_mib())
        server.stop()
        pushed = crew.order(Push(0, REQUESTS, IN_FLIGHT, seconds, TIMEOUT_S))
        peak = max(daemon.peaks_mib())
        server.start()
        sent = crew.order(Send(0, REQUESTS, IN_FLIGHT // 8))
        missing = sent.requests * ITEMS_PER_REQUEST - server.rows(Signal.TRACES)
    budget_mib = (IngestSettings().queue_bytes_max + ConvertSettings().memo_bytes_max) / 2**20
    tell(f"outage: from {start:,.0f} to {peak:,.0f} MiB, the budget is {budget_mib:,.0f} MiB")
    return {
        "start_rss_mib": start,
        "peak_rss_mib": peak,
        "budget_mib": budget_mib,
        "refused": pushed.refused,
        "acknowledged_without_postgres": pushed.requests,
        "failed": pushed.failed + sent.failed,
        "missing_rows": missing,
    }
