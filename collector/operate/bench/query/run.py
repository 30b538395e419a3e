"""The order of it: fill, warm up, ask; over HTTP, beside ingest, and Jaeger."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr

from collector.operate.bench import sender
from collector.operate.bench.daemon import ServedDaemon, free_port
from collector.operate.bench.machine import about_machine, sigterm_as_interrupt
from collector.operate.bench.orders import Crew
from collector.operate.bench.query import logs, metrics, traces
from collector.operate.bench.query.asking import (
    Asker,
    Figures,
    HttpLine,
    await_answers,
    figures_of,
)
from collector.operate.bench.query.case import Question, Repositories
from collector.operate.bench.query.data.filling import Filled, fill
from collector.operate.bench.query.jaeger import STORAGE, Jaeger
from collector.operate.bench.query.load import HalfLoad
from collector.operate.bench.query.options import QueryBenchOptions
from collector.operate.bench.query.summary import answers_are_right, summary
from collector.operate.bench.server import BenchServer
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Database

Tell = Callable[[str], None]
WORKERS = 2
MEMORY_PART = 4
"""Of the memory PostgreSQL has one part of so many as its buffers, as its manual advises."""
READY_S_MAX = 30.0


def run(options: QueryBenchOptions, tell: Tell) -> dict[str, Any]:
    """Fill a PostgreSQL of its own, ask everything, and return the report.

    The report is JSON-able. Its ``summary`` holds the figures that have a target.

    Raises:
        CommandError: PostgreSQL, the daemon or Jaeger did not start or answer.
    """
    with ExitStack() as stack:
        stack.enter_context(sigterm_as_interrupt())
        crew = Crew[sender.Order](sender.main)
        stack.callback(crew.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otlpg-bench-")))
        buffers_mib = psutil.virtual_memory().total // MEMORY_PART // 2**20
        server = stack.enter_context(BenchServer(folder, shared_buffers=f"{buffers_mib}MB"))
        bench = QueryBench(options, server, crew, tell)
        return {**about_machine(), "postgres": server.about(), **bench.report()}


class QueryBench:
    """All measurements on one server."""

    def __init__(
        self, options: QueryBenchOptions, server: BenchServer, crew: Crew[sender.Order], tell: Tell
    ) -> None:
        self._options = options
        self._server = server
        self._crew = crew
        self._tell = tell

    def report(self) -> dict[str, Any]:
        """Return what was measured, and what it amounts to."""
        filled, questions = asyncio.run(self._prepare())
        self._server.checkpoint()
        found: dict[str, Any] = {
            "data": self._about_data(filled),
            "load_average": list(psutil.getloadavg()),
            "idle": self._idle(questions),
        }
        with ServedDaemon(
            workers=WORKERS,
            dsn=self._server.dsn,
            log=self._server.log_dir / "daemon.log",
            settings={"OTLPG_API__ENABLED": "true", "OTLPG_API__PORT": str(port := free_port())},
        ) as daemon:
            found["http"] = self._over_http(questions, port)
            found["loaded"], found["load"] = self._loaded(questions, daemon, filled)
        found["jaeger"] = self._jaeger(questions)
        return {**found, "summary": summary(questions, found), "right": answers_are_right(found)}

    async def _prepare(self) -> tuple[Filled, tuple[Question, ...]]:
        shape = self._options.shape
        database = self._database()
        try:
            filled = await fill(database, shape, self._tell)
            self._tell("questions are being prepared, with their right answers")
            rng = shape.rng(f"questions {self._options.seed}")
            async with database.acquire() as connection:
                questions = (
                    *await traces.questions(connection, shape, filled.large, rng),
                    *await logs.questions(connection, shape, rng),
                    *metrics.questions(shape, rng),
                )
        finally:
            await database.stop()
        return filled, questions

    def _about_data(self, filled: Filled) -> dict[str, Any]:
        shape = self._options.shape
        size = self._server.value("SELECT pg_database_size(current_database())")
        return {"rows": filled.rows, "days": shape.days, "bytes": size, "seed": shape.seed}

    def _idle(self, questions: Sequence[Question]) -> Figures:
        async def ask(rounds: int) -> Figures:
            asker = Asker(questions, self._server.cpu_s)
            database = self._database()
            try:
                repositories = Repositories(database)
                for _ in range(rounds):
                    await asker.round(repositories)
            finally:
                await database.stop()
            return figures_of(asker)

        asyncio.run(ask(self._options.warm_rounds))
        figures = asyncio.run(ask(self._options.rounds))
        self._tell(f"asked {self._options.rounds} times each, alone")
        return figures

    def _over_http(self, questions: Sequence[Question], port: int) -> Figures:
        await_answers(port, READY_S_MAX)
        line = HttpLine(port)
        try:
            for rounds in (self._options.warm_rounds, self._options.http_rounds):
                asker = Asker(questions)
                for _ in range(rounds):
                    asker.round_over_http(line)
        finally:
            line.close()
        return figures_of(asker)

    def _loaded(
        self, questions: Sequence[Question], daemon: ServedDaemon, filled: Filled
    ) -> tuple[Figures, dict[str, Any]]:
        """Ask beside ingest, in stretches; between two of them the next load is built."""
        options = self._options
        load = HalfLoad(self._crew, daemon, seed=options.seed)
        load.calibrate(options.calibrate_seconds)
        asker = Asker(questions)
        left_s = options.load_seconds
        while left_s > 0:
            load.build(min(left_s, options.stretch_seconds))
            asyncio.run(self._ask_while(asker, load))
            left_s -= options.stretch_seconds
        rows = self._server.rows(Signal.TRACES) - filled.rows[Signal.TRACES]
        missing = load.acknowledged_items - rows
        self._tell(f"asked beside {load.figures()['items_per_s']:,.0f} spans/s")
        return figures_of(asker), {**load.figures(), "missing_rows": missing}

    async def _ask_while(self, asker: Asker, load: HalfLoad) -> None:
        """Ask as long as the load is being sent; what is asked at its end, still counts."""
        sending = asyncio.create_task(asyncio.to_thread(load.send))
        database = self._database()
        try:
            repositories = Repositories(database)
            while not sending.done():
                await asker.round(repositories)
        finally:
            await sending
            await database.stop()

    def _jaeger(self, questions: Sequence[Question]) -> dict[str, Any] | None:
        """Ask the official Jaeger the same over HTTP; None where there is none."""
        program = self._options.jaeger
        if program is None:
            self._tell("there is no jaeger on PATH: its figures are left out")
            return None
        with Jaeger(program, self._server.log_dir) as jaeger:
            self._tell("Jaeger is being fed with the spans")
            database = self._database()
            fed = asyncio.run(jaeger.feed(database, self._options.shape.all_days(), self._tell))
            self._tell(f"Jaeger has {fed:,} spans")
            figures = self._over_http(questions, jaeger.http_port)
            return {"storage": STORAGE, "spans": fed, "http": figures}

    def _database(self) -> Database:
        return Database(DatabaseSettings(dsn=SecretStr(self._server.dsn)))
