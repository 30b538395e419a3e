"""Live tails beside ingest: what they cost it, what harms them, and how soon a reader sees an item.

Three daemons share one PostgreSQL and take turns under the same load: one without Redis, API and
tails, one with all of it and nobody who listens, and one with readers. (One daemon cannot be both:
it goes on publishing for some seconds, for readers that come back.) A round holds one turn of each kind; every other round
runs backwards, and a ratio is the median over rounds of turns in one round, so that neither a slow
minute nor a drift counts for one side. The ledger is emptied before each turn, hence the same
requests are new each time and find tables of the same size.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from typing import Any

import psutil

from collector.errors import CommandError
from collector.operate.bench.cell import (
    IN_FLIGHT_ITEMS,
    IN_FLIGHT_REQUESTS_MAX,
    ITEMS_PER_S_MAX,
    CpuMeter,
)
from collector.operate.bench.daemon import ServedDaemon, free_port
from collector.operate.bench.load import LoadPlan
from collector.operate.bench.orders import Crew
from collector.operate.bench.processes import (
    listeners,
    peak_rss_bytes,
    reset_peak_rss,
    tree_cpu_s,
)
from collector.operate.bench.redis_server import RedisServer
from collector.operate.bench.sender import Build, Connect, Order, Send, Sent
from collector.operate.bench.server import BenchServer
from collector.operate.bench.tail_readers import Await, Close, Open, ReadersOrder, Seen
from collector.rows import Signal

WORKERS = 2
READERS = 10
ITEMS_PER_REQUEST = 512
IN_FLIGHT = IN_FLIGHT_ITEMS // ITEMS_PER_REQUEST
WARM_S = 0.2
FREEZE_AT_S = 0.1
"""From the begin of a turn until Redis is frozen: readers are being served, then are not."""

BACK_S_MAX = 15.0
POLL_S = 0.1
"""Until the workers have found a Redis that answers again; they pause for 5 s at most."""

ACCOUNT_S_MAX = 5.0
"""Readers that do not know by then what became of every item have lost some."""


class Kind(StrEnum):
    """A state of the daemon under load."""

    ALONE = "alone"
    """No Redis, no API, no tails."""
    NOBODY = "nobody"
    """All of it, and nobody listens."""
    TAILS = "tails"
    """Ten readers, each of every span."""
    STUCK = "stuck"
    """The same, and one more that never reads."""
    FROZEN = "frozen"
    """Ten readers, and Redis is stopped in the middle of it."""


@dataclass(slots=True)
class Turn:
    """What one turn measured."""

    kind: Kind
    round: int
    items_per_s: float
    cpu: dict[str, float]
    """Seconds per million items: of the daemon, of its API (a part of that) and of the readers."""
    ack_p99_ms: float | None
    """At full load, so mostly a matter of how much is in flight."""
    peak_rss_mib: float
    """Of the larger worker, in this turn."""
    missing_rows: int
    refused: int
    failed: int
    shown: int | None = None
    """Items that a reader got, the least of them; None without readers."""
    unaccounted: int | None = None
    """Items that a reader neither got nor was told of, the most of them. Less than 0: it also saw
    some of the turn before, whose messages were late."""
    slow: int | None = None
    """Items that were skipped because readers were slow, those of a stuck one left out."""
    stuck_skipped: int | None = None
    """The same of the stuck reader."""


@dataclass
class TailBench:
    """Runs the turns; the two daemons are up."""

    server: BenchServer
    senders: Crew[Order]
    readers: Crew[ReadersOrder]
    redis: RedisServer
    daemons: dict[Kind, ServedDaemon]
    api_port: int
    """Of the daemon with readers."""
    seconds: float
    connections: int
    turns: list[Turn] = field(default_factory=list[Turn])

    def build(self, seed: int) -> None:
        """Prepare the requests of a turn."""
        items = round(ITEMS_PER_S_MAX[ITEMS_PER_REQUEST] * (self.seconds + WARM_S))
        plan = LoadPlan(Signal.TRACES, items, ITEMS_PER_REQUEST, seed, time.time_ns())
        self.senders.order(Build(plan))

    def turn(self, kind: Kind, number: int) -> Turn:
        """Run one turn and keep what it measured."""
        daemon = self.daemons[kind]
        self._clear(daemon)
        if kind not in (Kind.ALONE, Kind.NOBODY):
            self._open(stuck=kind is Kind.STUCK)
        warm = self._warm()
        processes = [psutil.Process(pid) for pid in daemon.worker_pids]
        for process in processes:
            reset_peak_rss(process)
        cpu = CpuMeter(
            daemon=partial(tree_cpu_s, daemon.process),
            api=partial(tree_cpu_s, self._api_process),
            readers=partial(tree_cpu_s, self.readers.process),
        )
        freeze = threading.Timer(FREEZE_AT_S, self.redis.freeze)
        if kind is Kind.FROZEN:
            freeze.start()
        order = Send(warm.requests, self._requests, IN_FLIGHT, seconds=self.seconds)
        sent: Sent = self.senders.order(order)
        freeze.cancel()
        items = sent.requests * ITEMS_PER_REQUEST
        turn = Turn(
            kind=kind,
            round=number,
            items_per_s=items / sent.seconds,
            cpu=cpu.per_million(items),
            ack_p99_ms=sent.percentile_ms(0.99),
            peak_rss_mib=max(map(peak_rss_bytes, processes)) / 2**20,
            missing_rows=items + warm.requests * ITEMS_PER_REQUEST - self._rows(),
            refused=sent.refused,
            failed=sent.failed,
        )
        if kind is Kind.FROZEN:
            self.redis.resume()
            self._await_link(daemon)
        if kind in (Kind.TAILS, Kind.STUCK):
            self._look_at_readers(turn, items + warm.requests * ITEMS_PER_REQUEST)
        self.readers.order(Close())
        self.turns.append(turn)
        return turn

    def commit_to_screen_ms(self, items_per_s: float) -> dict[str, Any]:
        """Return how long after its COMMIT an item was parsed by a reader, at ``items_per_s``.

        By the clock of PostgreSQL, which notes the time of a commit before it flushes its log: the
        flush is in what is measured.
        """
        self._clear(self.daemons[Kind.TAILS])
        self._open()
        warm = self._warm()
        begin_ns = time.time_ns()
        rate = items_per_s / ITEMS_PER_REQUEST
        stop = min(self._requests, warm.requests + max(1, round(rate * self.seconds)))
        sent: Sent = self.senders.order(
            Send(warm.requests, stop, IN_FLIGHT_REQUESTS_MAX, rate=rate)
        )
        first, *_ = self._await((warm.requests + sent.requests) * ITEMS_PER_REQUEST)
        self.readers.order(Close())
        arrivals = [(span_id, at) for span_id, at in first.arrivals if at > begin_ns]
        committed = self.server.commit_times_ns([span_id for span_id, _ in arrivals])
        lags = sorted((at - committed[span_id]) / 1e6 for span_id, at in arrivals)
        return {
            "items_per_s": sent.requests * ITEMS_PER_REQUEST / sent.seconds,
            "shown": len(lags),
            "p50": percentile(lags, 0.50),
            "p99": percentile(lags, 0.99),
            "max": percentile(lags, 1.0),
        }

    @cached_property
    def _api_process(self) -> psutil.Process:
        [process] = listeners(self.daemons[Kind.TAILS].process, self.api_port)
        return process

    @property
    def _requests(self) -> int:
        return round(ITEMS_PER_S_MAX[ITEMS_PER_REQUEST] * (self.seconds + WARM_S)) // ITEMS_PER_REQUEST  # fmt: skip

    def _clear(self, daemon: ServedDaemon) -> None:
        """Empty the tables and connect."""
        self.server.empty(dimensions=False)
        self.senders.order(Connect(daemon.endpoint(), self.connections, daemon.worker_pids))

    def _warm(self) -> Sent:
        """Send what warms up."""
        warm = round(WARM_S * self._requests / (self.seconds + WARM_S))
        return self.senders.order(Send(0, warm, IN_FLIGHT, seconds=WARM_S))

    def _await_link(self, daemon: ServedDaemon) -> None:
        """Return once every worker publishes.

        Raises:
            CommandError: one does not come back.
        """
        end = time.monotonic() + BACK_S_MAX
        while daemon.metric("otlpg_tail_link_up") < WORKERS:
            if time.monotonic() > end:
                raise CommandError("a worker does not find Redis again")
            time.sleep(POLL_S)

    def _open(self, *, stuck: bool = False) -> None:
        self.readers.order(Open(self.api_port, READERS, WORKERS, stuck))

    def _await(self, items: int) -> list[Seen]:
        return self.readers.order(Await(items, ACCOUNT_S_MAX))

    def _look_at_readers(self, turn: Turn, items: int) -> None:
        seen = self._await(items)
        reading = seen[:READERS]
        turn.shown = min(each.items for each in reading)
        turn.unaccounted = max(items - each.accounted for each in seen)
        turn.slow = max(each.skipped["slow"] for each in reading)
        if turn.kind is Kind.STUCK:
            turn.stuck_skipped = seen[-1].skipped["slow"]

    def _rows(self) -> int:
        return self.server.rows(Signal.TRACES)


def measure_tails(
    server: BenchServer,
    senders: Crew[Order],
    readers: Crew[ReadersOrder],
    tell: Callable[[str], None],
    *,
    seed: int,
    seconds: float,
    rounds: int,
    connections: int,
) -> dict[str, Any]:
    """Return what the turns of ``rounds`` rounds measured, and how soon items are seen.

    Units: ``seconds`` is the length of a turn.

    Raises:
        CommandError: Redis or a daemon did not start, or a process of ours died.
    """
    server.empty()
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(server.log_dir))
        api_port = free_port()

        def serve(name: str, **settings: str) -> ServedDaemon:
            log = server.log_dir / f"{name}.log"
            daemon = ServedDaemon(workers=WORKERS, dsn=server.dsn, log=log, settings=settings)
            return stack.enter_context(daemon)

        on = {"OTLPG_REDIS__URL": redis.url, "OTLPG_API__ENABLED": "true"}
        alone = serve("alone", OTLPG_TAIL__ENABLED="false")
        nobody = serve(
            "nobody", **on, OTLPG_API__PORT=str(free_port()), OTLPG_REDIS__CHANNEL_PREFIX="nobody"
        )
        tails = serve("tails", **on, OTLPG_API__PORT=str(api_port))
        daemons = dict.fromkeys(Kind, tails) | {Kind.ALONE: alone, Kind.NOBODY: nobody}
        bench = TailBench(server, senders, readers, redis, daemons, api_port, seconds, connections)
        bench.build(seed)
        for kind in (
            Kind.ALONE,
            Kind.NOBODY,
            Kind.TAILS,
        ):  # warms up: caches, WAL files, the first imports
            bench.turn(kind, -1)
        bench.turns.clear()
        for number in range(rounds):
            kinds = list(Kind) if number % 2 == 0 else list(reversed(Kind))
            for kind in kinds:
                turn = bench.turn(kind, number)
                tell(f"tails, round {number + 1}, {kind}: {turn.items_per_s:,.0f} items/s")
        half = statistics.median(t.items_per_s for t in bench.turns if t.kind is Kind.TAILS) / 2
        lags = bench.commit_to_screen_ms(half)
        tell(f"tails: COMMIT to screen {lags['p99']:,.1f} ms (p99)")
    return figures_of(bench.turns) | {"commit_to_screen_ms": lags}


def figures_of(turns: list[Turn]) -> dict[str, Any]:
    """Return the turns, what each kind comes to, and the ratios between kinds, all JSON-able."""
    stuck = [turn for turn in turns if turn.kind is Kind.STUCK]
    watched = [turn for turn in turns if turn.kind in (Kind.TAILS, Kind.STUCK)]
    return {
        "turns": [
            {key: getattr(turn, key) for key in Turn.__slots__ if key != "cpu"}
            | {"kind": turn.kind.value}
            | turn.cpu
            for turn in turns
        ],
        "nobody_to_alone": ratio(turns, Kind.NOBODY, Kind.ALONE),
        "tails_to_nobody": ratio(turns, Kind.TAILS, Kind.NOBODY),
        "frozen_to_nobody": ratio(turns, Kind.FROZEN, Kind.NOBODY),
        "frozen_p99_to_alone": ratio(turns, Kind.FROZEN, Kind.ALONE, "ack_p99_ms"),
        "stuck_to_tails": ratio(turns, Kind.STUCK, Kind.TAILS),
        "shown_beside_stuck": ratio(turns, Kind.STUCK, Kind.TAILS, "shown"),
        "stuck_skipped_least": min((turn.stuck_skipped or 0 for turn in stuck), default=None),
        "slow": max((turn.slow or 0 for turn in watched), default=None),
        "unaccounted": max((max(0, turn.unaccounted or 0) for turn in watched), default=None),
        "frozen_grown_mib": _peak(turns, Kind.FROZEN) - _peak(turns, Kind.NOBODY),
        "missing_rows": sum(abs(turn.missing_rows) for turn in turns),
        "failed": sum(turn.failed for turn in turns),
    }


def ratio(turns: list[Turn], kind: Kind, base: Kind, key: str = "items_per_s") -> float | None:
    """Return the median over rounds of a quotient of two turns of one round."""
    of_kind, of_base = (
        {turn.round: getattr(turn, key) for turn in turns if turn.kind is wanted}
        for wanted in (kind, base)
    )
    quotients = [
        of_kind[number] / of_base[number]
        for number in of_kind
        if of_base.get(number) and of_kind[number] is not None
    ]
    return statistics.median(quotients) if quotients else None


def percentile(ordered: list[float], share: float) -> float | None:
    """Return the value that ``share`` of ``ordered`` does not exceed; None of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _peak(turns: list[Turn], kind: Kind) -> float:
    return max((turn.peak_rss_mib for turn in turns if turn.kind is kind), default=0.0)
