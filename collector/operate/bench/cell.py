"""One cell of the table: a fresh daemon, one load, and everything that is measured on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from collector.operate.access import Access
from collector.operate.bench.daemon import ServedDaemon
from collector.operate.bench.guard import Guard
from collector.operate.bench.load import LoadPlan
from collector.operate.bench.orders import Crew
from collector.operate.bench.processes import tree_cpu_s
from collector.operate.bench.sender import Build, Connect, Order, Send, Sent
from collector.operate.bench.server import BenchServer
from collector.operate.verify.options import Protocol
from collector.rows import FACT_TABLES, Signal

MIB = 2**20
IN_FLIGHT_ITEMS = 32_768
"""Items that the full load keeps in flight: more than one group commit, less than the queue."""

JSON_IN_FLIGHT_ITEMS = 16_384
"""As many large requests as two workers have slots; a longer line, at a third of the speed, would
wait past ``receive.slot_wait_s_max``."""

IN_FLIGHT_REQUESTS_MAX = 512
ITEMS_PER_S_MAX = {10: 30_000, 100: 90_000, 512: 140_000}
JSON_ITEMS_PER_S_MAX = {10: 12_000, 512: 32_000}
"""How much to build per second of full load; a daemon that is faster ends its run early."""

WARM_SHARE = 0.1  # of one second's items, sent before the clock starts
IDLE_REQUESTS = 50


@dataclass(frozen=True, slots=True)
class Cell:
    """What differs between two measurements."""

    signal: Signal
    workers: int
    items_per_request: int
    ledger: bool = True
    guarded: bool = False
    """With TLS and a key, or in clear and anonymous."""
    protocol: Protocol = Protocol.GRPC

    @property
    def name(self) -> str:
        """A short text for people."""
        ledger = "" if self.ledger else ", no ledger"
        guarded = ", TLS and key" if self.guarded else ""
        protocol = "" if self.protocol is Protocol.GRPC else f", {self.protocol}"
        return f"{self.signal}, {self.workers} workers x {self.items_per_request}{ledger}{guarded}{protocol}"

    @property
    def is_json(self) -> bool:
        """Whether bodies are JSON."""
        return self.protocol is Protocol.HTTP_JSON

    @property
    def in_flight(self) -> int:
        """Requests that the full load keeps open."""
        items = JSON_IN_FLIGHT_ITEMS if self.is_json else IN_FLIGHT_ITEMS
        return min(IN_FLIGHT_REQUESTS_MAX, items // self.items_per_request)

    @property
    def items_per_s_max(self) -> int:
        """How much to build per second of full load."""
        found = JSON_ITEMS_PER_S_MAX if self.is_json else ITEMS_PER_S_MAX
        return found[self.items_per_request]

    def connections(self, shared: int) -> int:
        """Return how many connections the load needs: ``shared``, or one for each open request.

        Over HTTP/1.1 a connection has one request at a time.
        """
        return shared if self.protocol is Protocol.GRPC else self.in_flight

    @property
    def settings(self) -> dict[str, str]:
        """Environment of the daemon."""
        return {} if self.ledger else {"OTLPG_INGEST__LEDGER": "false"}


@dataclass(frozen=True, slots=True)
class Sections:
    """Where each part of the load lies in the list of requests; no request is in two of them."""

    warm: range
    idle: range
    half: range
    full: range

    @classmethod
    def of(cls, items_per_request: int, items_per_s: int, seconds: float) -> Sections:
        """Return sections for ``seconds`` of full and as much of half load."""
        per_s = items_per_s / items_per_request
        ends = [0]
        for requests in (WARM_SHARE * per_s, IDLE_REQUESTS, per_s * seconds / 2, per_s * seconds):
            ends.append(ends[-1] + max(1, round(requests)))
        return cls(*(range(start, stop) for start, stop in pairwise(ends)))


def latency_ms(sent: Sent) -> dict[str, float | None]:
    """Return the latencies that go into the report."""
    return {"p50": sent.percentile_ms(0.50), "p99": sent.percentile_ms(0.99)}


class LoadedDaemon:
    """Sends the sections of one load to one endpoint and keeps count of what was acknowledged."""

    def __init__(self, crew: Crew[Order], cell: Cell, *, seed: int, seconds: float) -> None:
        self._crew = crew
        self._cell = cell
        self._seconds = seconds
        self.sections = Sections.of(cell.items_per_request, cell.items_per_s_max, seconds)
        plan = LoadPlan(
            cell.signal,
            self.sections.full.stop * cell.items_per_request,
            cell.items_per_request,
            seed,
            time.time_ns(),
            json=cell.is_json,
        )
        crew.order(Build(plan))
        self.acknowledged_items = 0
        self.refused = 0
        self.failed = 0

    def connect(
        self,
        endpoint: str,
        connections: int,
        worker_pids: list[int],
        access: Access | None = None,
    ) -> None:
        """Open the connections and send the section that warms up.

        ``connections`` are those of a cell over gRPC; others have their own number.
        """
        cell = self._cell
        self._crew.order(
            Connect(endpoint, cell.connections(connections), worker_pids, access, cell.protocol)
        )
        self._send(self.sections.warm, self._cell.in_flight)

    def full(self) -> Sent:
        """Return what happened under as much load as the daemon takes."""
        return self._send(self.sections.full, self._cell.in_flight, seconds=self._seconds)

    def half(self, full: Sent) -> Sent:
        """Return what happened at half the rate of ``full``, in an open loop."""
        rate = full.requests / full.seconds / 2
        requests = min(len(self.sections.half), round(rate * self._seconds))
        section = self.sections.half[:requests]
        return self._send(section, IN_FLIGHT_REQUESTS_MAX, rate=rate)

    def idle(self) -> Sent:
        """Return what happened to requests that were alone."""
        return self._send(self.sections.idle, 1)

    def again(self, full: Sent) -> Sent:
        """Send all of ``full`` a second time; only what fails is counted."""
        start = self.sections.full.start
        order = Send(start, start + full.requests, self._cell.in_flight)
        sent = self._crew.order(order)
        self.failed += sent.failed
        return sent

    def items(self, sent: Sent) -> int:
        """Return how many items ``sent`` stored."""
        return sent.requests * self._cell.items_per_request

    def _send(
        self,
        section: range,
        in_flight: int,
        *,
        rate: float | None = None,
        seconds: float | None = None,
    ) -> Sent:
        sent = self._crew.order(Send(section.start, section.stop, in_flight, rate, seconds))
        self.acknowledged_items += self.items(sent)
        self.refused += sent.refused
        self.failed += sent.failed
        return sent


def measure(
    cell: Cell,
    server: BenchServer,
    crew: Crew[Order],
    *,
    seed: int,
    seconds: float,
    connections: int,
    latencies: bool = True,
    replay: bool = False,
) -> dict[str, Any]:
    """Return what one cell measured; the rows stay in the tables for whoever fetches them."""
    server.empty()
    sizes = Sizes(server, cell.signal)
    load = LoadedDaemon(crew, cell, seed=seed, seconds=seconds)
    log = server.log_dir / "daemon.log"
    guard = Guard.make(server.log_dir, server) if cell.guarded else None
    settings, access = cell.settings, None
    if guard is not None:
        settings, access = settings | guard.settings, guard.access
    with ServedDaemon(workers=cell.workers, dsn=server.dsn, log=log, settings=settings) as daemon:
        load.connect(daemon.endpoint(cell.protocol), connections, daemon.worker_pids, access)
        server.checkpoint()
        cpu = CpuMeter(
            daemon=partial(tree_cpu_s, daemon.process),
            postgres=server.cpu_s,
            sender=partial(tree_cpu_s, crew.process),
        )
        full = load.full()
        items, cpu_s = load.items(full), cpu.per_million(load.items(full))
        found: dict[str, Any] = {
            "signal": cell.signal.value,
            "workers": cell.workers,
            "items_per_request": cell.items_per_request,
            "ledger": cell.ledger,
            "guarded": cell.guarded,
            "protocol": cell.protocol.value,
            "items_per_s": items / full.seconds,
            **cpu_s,
            "cores_busy": sum(cpu_s.values()) * items / 1e6 / full.seconds,
            "ack_ms": {"full": latency_ms(full)},
        }
        if latencies:
            found["ack_ms"]["half"] = latency_ms(load.half(full))
            found["ack_ms"]["idle"] = latency_ms(load.idle())
        found["peak_rss_mib"] = daemon.peaks_mib()
        found["bytes_per_item"] = sizes.per_item(load.acknowledged_items)
        found["missing_rows"] = load.acknowledged_items - server.rows(cell.signal)
        if replay:
            found["replayed_items"] = load.items(load.again(full))
            found["replay_new_rows"] = server.rows(cell.signal) - load.acknowledged_items
    return {**found, "refused": load.refused, "failed": load.failed}


class CpuMeter:
    """CPU seconds of the parties since it was made."""

    def __init__(self, **parties: Callable[[], float]) -> None:
        """``parties`` tell, by name, how many seconds they have used so far."""
        self._read = lambda: {name: read() for name, read in parties.items()}
        self._begin = self._read()

    def per_million(self, items: int) -> dict[str, float]:
        """Return the seconds of each party per million of ``items``."""
        return {
            f"{party}_cpu_s_per_million": (seconds - self._begin[party]) / items * 1e6
            for party, seconds in self._read().items()
        }


class Sizes:
    """Growth of the tables on disk since it was made."""

    def __init__(self, server: BenchServer, signal: Signal) -> None:
        self._read = lambda: {
            "facts": server.size_bytes(FACT_TABLES[signal]),
            "traces": server.size_bytes("traces"),
            "ledger": server.size_bytes("ingest_ledger"),
        }
        self._begin = self._read()

    def per_item(self, items: int) -> dict[str, float]:
        """Return the bytes per item of each table, indexes and TOAST included."""
        return {table: (size - self._begin[table]) / items for table, size in self._read().items()}
