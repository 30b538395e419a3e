"""A daemon that runs already: what its senders see, and nothing that needs its machine."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from collector.errors import UnreachableError
from collector.operate.bench.cell import Cell, LoadedDaemon, latency_ms
from collector.operate.bench.options import BenchOptions
from collector.operate.bench.orders import Crew
from collector.operate.bench.sender import Order

SIZES = (512, 100, 10)
QUICK_SIZES = (512,)
CONNECT_S_MAX = 5.0


def _await_listener(endpoint: str) -> None:
    """Return when somebody takes connections there.

    Raises:
        UnreachableError: nobody does.
    """
    host, port = endpoint.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S_MAX).close()
    except (OSError, ValueError) as error:
        raise UnreachableError(
            f"nobody takes OTLP/gRPC at {endpoint}; start a daemon there, or use --local"
        ) from error


def measure_endpoint(
    options: BenchOptions, crew: Crew[Order], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Return throughput and latency of ``options.endpoint``; what was sent stays stored there.

    Raises:
        UnreachableError: nobody listens there.
    """
    assert options.endpoint is not None
    _await_listener(options.endpoint)
    cells: list[dict[str, Any]] = []
    for signal in options.signals:
        for size in QUICK_SIZES if options.quick else SIZES:
            cell = Cell(signal, 0, size)
            load = LoadedDaemon(crew, cell, seed=options.seed + len(cells), seconds=options.seconds)
            load.connect(options.endpoint, options.connections, [])
            full = load.full()
            cells.append(
                {
                    "signal": signal.value,
                    "items_per_request": size,
                    "items_per_s": load.items(full) / full.seconds,
                    "ack_ms": {
                        "full": latency_ms(full),
                        "half": latency_ms(load.half(full)),
                        "idle": latency_ms(load.idle()),
                    },
                    "acknowledged_items": load.acknowledged_items,
                    "refused": load.refused,
                    "failed": load.failed,
                }
            )
            tell(f"{signal} x {size}: {cells[-1]['items_per_s']:,.0f} items/s")
    return {"cells": cells, "books_balance": not any(cell["failed"] for cell in cells)}
