"""The order of measurements: limit and daemon in turns, so that a slow minute hits both."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from collector.operate.bench import limit, redis_server, sender, tail_readers
from collector.operate.bench.cell import Cell, measure
from collector.operate.bench.limit import Fetch, Write, Wrote
from collector.operate.bench.machine import about_machine, sigterm_as_interrupt
from collector.operate.bench.options import BenchOptions
from collector.operate.bench.orders import Crew
from collector.operate.bench.outage import memory_in_outage
from collector.operate.bench.remote import measure_endpoint
from collector.operate.bench.server import BenchServer
from collector.operate.bench.summary import books_balance, summary
from collector.operate.bench.tails import measure_tails
from collector.operate.verify.options import Protocol
from collector.rows import FACT_COLUMNS, FACT_TABLES, Signal
from collector.settings import IngestSettings

Tell = Callable[[str], None]
LARGE, MIDDLE, SMALL = 512, 100, 10


def run(options: BenchOptions, tell: Tell) -> dict[str, Any]:
    """Measure all that ``options`` ask for and return the report; ``tell`` gets a line per step.

    The report is JSON-able. Its ``summary`` holds the figures that have a target.

    Raises:
        CommandError: PostgreSQL or the daemon did not start, or a process of ours died.
    """
    with ExitStack() as stack:
        stack.enter_context(sigterm_as_interrupt())
        crew = Crew[sender.Order](sender.main)
        stack.callback(crew.stop)
        if options.endpoint is not None:
            return {**about(options), **measure_endpoint(options, crew, tell)}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otlpg-bench-")))
        server = stack.enter_context(BenchServer(folder))
        copier = Crew[Fetch | Write](limit.main)
        stack.callback(copier.stop)
        bench = LocalBench(options, server, crew, copier, tell)
        return {**about(options), "postgres": server.about(), **bench.report()}


def about(options: BenchOptions) -> dict[str, Any]:
    """Return where, with what and how the figures were taken."""
    return {
        **about_machine(),
        "options": {
            "quick": options.quick,
            "endpoint": options.endpoint,
            "connections": options.connections,
            "limit_connections": options.limit_connections,
            "seconds": options.seconds,
            "seed": options.seed,
        },
    }


def plan(signal: Signal, *, quick: bool) -> Iterator[Cell]:
    """Yield the cells of one signal; the first warms up, repeated ones count by their median.

    What is compared stands close together: the machine's speed drifts in minutes.
    """
    base, small = Cell(signal, 2, LARGE), Cell(signal, 2, SMALL)
    variants = (
        replace(base, ledger=False),
        replace(base, guarded=True),
        base,
        replace(base, protocol=Protocol.HTTP_PROTOBUF),
        replace(base, protocol=Protocol.HTTP_JSON),
        base,
    )
    is_traces = signal is Signal.TRACES
    yield base
    yield base
    if not quick or is_traces:
        yield replace(base, workers=1)
        yield small
    if is_traces:
        yield replace(small, protocol=Protocol.HTTP_PROTOBUF)
        yield from variants
    else:
        yield base
    if quick:
        return
    if is_traces:
        yield from variants
        yield from variants
        yield small
        yield replace(small, protocol=Protocol.HTTP_PROTOBUF)
        yield replace(small, protocol=Protocol.HTTP_JSON)
    yield replace(base, workers=1)
    yield replace(base, items_per_request=MIDDLE)
    yield replace(base, workers=1, items_per_request=MIDDLE)
    yield replace(small, workers=1)


class LocalBench:
    """All measurements on one server."""

    def __init__(
        self,
        options: BenchOptions,
        server: BenchServer,
        crew: Crew[sender.Order],
        copier: Crew[Fetch | Write],
        tell: Tell,
    ) -> None:
        self._options = options
        self._server = server
        self._crew = crew
        self._copier = copier
        self._tell = tell
        self._seed = options.seed
        self._cells: list[dict[str, Any]] = []
        self._limits: list[dict[str, Any]] = []

    def report(self) -> dict[str, Any]:
        """Return the cells, the limits, the outage, the tails and what they amount to."""
        if "ingest" in self._options.parts:
            for each in self._options.signals:
                self._signal(each)
        outage = self._outage() if "outage" in self._options.parts else None
        tails = self._tails() if "tails" in self._options.parts else None
        medians = {
            limit["signal"]: statistics.median(
                other["rows_per_s"] for other in self._limits if other["signal"] == limit["signal"]
            )
            for limit in self._limits
        }
        for cell in self._cells:
            cell["ratio_to_limit"] = cell["items_per_s"] / medians[cell["signal"]]
        return {
            "cells": self._cells,
            "limits": self._limits,
            "outage": outage,
            "tails": tails,
            "summary": summary(self._cells, outage, tails),
            "books_balance": books_balance(self._cells, outage, tails),
        }

    def _outage(self) -> dict[str, Any]:
        return memory_in_outage(
            self._server,
            self._crew,
            self._tell,
            seed=self._next_seed(),
            seconds=self._options.outage_seconds,
        )

    def _tails(self) -> dict[str, Any] | None:
        """Measure live tails, where there is a Redis to do it with.

        Raises:
            CommandError: there is none, and nothing else was asked for.
        """
        if self._options.parts != ("tails",) and not redis_server.is_installed():
            self._tell(f"live tails are left out: {redis_server.COMMAND} is not on PATH")
            return None
        readers = Crew[tail_readers.ReadersOrder](tail_readers.main)
        try:
            return measure_tails(
                self._server,
                self._crew,
                readers,
                self._tell,
                seed=self._next_seed(),
                seconds=self._options.tail_seconds,
                rounds=self._options.tail_rounds,
                connections=self._options.connections,
            )
        finally:
            readers.stop()

    def _signal(self, signal: Signal) -> None:
        """Measure one signal; the rows of a cell that only warms up are what the limit writes.

        Warming up: the server writes its first WAL files, which later cells and the limit find
        ready. Twice the time: the limit is two to three times as fast, so it takes as long as a
        cell, and the kernel and the checkpointer write as much behind both.
        """
        first, *others = plan(signal, quick=self._options.quick)
        self._cell(first, replay=False, latencies=False, seconds=2 * self._options.seconds)
        self._cells[-1]["warm_up"] = True
        self._fetch(signal)
        for number, cell in enumerate(others):
            if number % 2 == 0:
                self._limit(signal)
            self._cell(cell, replay=cell == first, latencies=True)
        self._limit(signal)

    def _cell(
        self, cell: Cell, *, replay: bool, latencies: bool, seconds: float | None = None
    ) -> None:
        found = measure(
            cell,
            self._server,
            self._crew,
            seed=self._next_seed(),
            seconds=seconds or self._options.seconds,
            connections=self._options.connections,
            latencies=latencies,
            replay=replay,
        )
        self._cells.append(found)
        self._tell(f"{cell.name}: {found['items_per_s']:,.0f} items/s")

    def _fetch(self, signal: Signal) -> None:
        order = Fetch(
            self._server.dsn,
            FACT_TABLES[signal],
            FACT_COLUMNS[signal],
            IngestSettings().flush_rows_max,
        )
        rows = self._copier.order(order)
        self._tell(f"{signal}: {rows:,} rows ready for the limit")

    def _limit(self, signal: Signal) -> None:
        self._server.empty()
        before = self._server.cpu_s()
        wrote: Wrote = self._copier.order(Write(self._options.limit_connections))
        cpu_s = self._server.cpu_s() - before
        self._limits.append(
            {
                "signal": signal.value,
                "rows_per_s": wrote.rows / wrote.seconds,
                "postgres_cpu_s_per_million": cpu_s / wrote.rows * 1e6,
            }
        )
        self._tell(f"{signal}, limit: {wrote.rows / wrote.seconds:,.0f} rows/s")

    def _next_seed(self) -> int:
        self._seed += 1
        return self._seed
