"""Ingest beside the questions: spans over gRPC, at half of what the daemon takes."""

from __future__ import annotations

import time
from typing import Any, Final

from collector.operate.bench.cell import IN_FLIGHT_ITEMS, IN_FLIGHT_REQUESTS_MAX, ITEMS_PER_S_MAX
from collector.operate.bench.daemon import ServedDaemon
from collector.operate.bench.load import LoadPlan
from collector.operate.bench.orders import Crew
from collector.operate.bench.sender import Build, Connect, Order, Send, Sent
from collector.rows import Signal

ITEMS_PER_REQUEST: Final = 512
CONNECTIONS: Final = 8


class HalfLoad:
    """Measures once what the daemon takes, and sends half of it as often as it is told."""

    def __init__(self, crew: Crew[Order], daemon: ServedDaemon, *, seed: int) -> None:
        self._crew = crew
        self._seed = seed
        self._requests_per_s = 0.0
        self._requests = 0
        self._sent: list[Sent] = []
        self._crew.order(Connect(daemon.endpoint(), CONNECTIONS, daemon.worker_pids))

    def calibrate(self, seconds: float) -> None:
        """Send as much as the daemon takes, for so long."""
        self._build(round(ITEMS_PER_S_MAX[ITEMS_PER_REQUEST] * seconds / ITEMS_PER_REQUEST))
        in_flight = IN_FLIGHT_ITEMS // ITEMS_PER_REQUEST
        sent: Sent = self._crew.order(Send(0, self._requests, in_flight, seconds=seconds))
        self._requests_per_s = sent.requests / sent.seconds / 2
        self._sent.append(sent)

    def build(self, seconds: float) -> None:
        """Prepare half the load of so many seconds, which nobody has sent before."""
        self._build(max(1, round(self._requests_per_s * seconds)))

    def send(self) -> None:
        """Send what was built, in an open loop; returns when all of it was acknowledged."""
        order = Send(0, self._requests, IN_FLIGHT_REQUESTS_MAX, rate=self._requests_per_s)
        self._sent.append(self._crew.order(order))

    @property
    def acknowledged_items(self) -> int:
        """How many items were acknowledged so far."""
        return sum(sent.requests for sent in self._sent) * ITEMS_PER_REQUEST

    def figures(self) -> dict[str, Any]:
        """Return what goes into the report: rate of the load, as wanted and as acknowledged."""
        _, *stretches = self._sent
        seconds = sum(sent.seconds for sent in stretches)
        items = sum(sent.requests for sent in stretches) * ITEMS_PER_REQUEST
        return {
            "items_per_s_wanted": self._requests_per_s * ITEMS_PER_REQUEST,
            "items_per_s": items / seconds if seconds else 0.0,
            "seconds": seconds,
            "refused": sum(sent.refused for sent in self._sent),
            "failed": sum(sent.failed for sent in self._sent),
        }

    def _build(self, requests: int) -> None:
        self._seed += 1
        plan = LoadPlan(
            Signal.TRACES, requests * ITEMS_PER_REQUEST, ITEMS_PER_REQUEST, self._seed,
            time.time_ns(),
        )  # fmt: skip
        self._requests = self._crew.order(Build(plan))
