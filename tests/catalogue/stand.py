"""A daemon and its database on which the whole catalogue is tried, one input after another."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc
import psutil

from collector.restore.requests import restore
from collector.rows import FACT_COLUMNS, FACT_TABLES, TIME_INDEX, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, connect
from collector.store.read import TIME_MAX, TIME_MIN, snapshot
from tests.catalogue import neighbours
from tests.catalogue.case import Accepted, Case, Rejected, Run, Transport
from tests.catalogue.entry import accepted
from tests.catalogue.sending import Answer, Senders
from tests.e2e.daemon import Daemon
from tests.e2e.senders import numbered_logs
from tests.equality import assert_same_items
from tests.factories import ExportRequest
from tests.strategies import REQUEST_TYPES

Result = TypeVar("Result")

NEXT_S_MAX = 5.0
"""The next good request: one second on an idle machine, and tests run on busy ones."""

RSS_BYTES_MAX = 400 * 2**20
"""Of the worker, over the whole run: see README's promise 6 for what it is made of."""

LINE_CHARS_MAX = 4_000
"""A line of the log has few texts, none of which is above 2 000 characters."""

_EMPTY = "TRUNCATE trace_spans, logs, metric_data_points, traces, ingest_ledger, dead_letters"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]")


class Stand:
    """Sends cases, and looks at everything that is said and stored.

    Shape: synchronous, so that hundreds of tests can share it; ``runner`` holds the database's loop.
    """

    def __init__(
        self, runner: asyncio.Runner, settings: DatabaseSettings, daemon: Daemon, senders: Senders
    ) -> None:
        self._runner = runner
        self.daemon = daemon
        self._senders = senders
        self._connection: Connection = self._await(connect(settings))
        [self._worker] = daemon.workers()
        self._good: dict[Signal, tuple[int, int]] = {}
        self._number = 0
        self.rss_bytes_max = 0
        self.next_s_max = 0.0

    def close(self) -> None:
        """Leave the database."""
        self._connection.terminate()

    def _await(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    def reconnect(self) -> None:
        """Let the next requests over gRPC go by a new connection."""
        self._senders.reconnect()

    def send(self, signal: Signal, way: Transport, body: bytes) -> Answer:
        """Send any body."""
        return self._senders.send(signal, way, body)

    def send_request(self, request: ExportRequest, way: Transport) -> None:
        """Send a good request, which must be taken."""
        case = accepted(0, "good", request)
        answer = self.send(case.signal, way, case.body(way, company=False))
        assert (answer.code, answer.said) == (grpc.StatusCode.OK, "")

    # -- one input ---------------------------------------------------------------------------------

    def empty(self) -> None:
        """Forget all items and letters; the daemon may go on to know its dimensions."""
        self._await(self._connection.execute(_EMPTY))

    def assert_ends_as_it_must(self, run: Run) -> None:
        """Send a case; fail unless it ends as it says, and neither neighbours nor daemon suffer."""
        case, way, company = run
        self.empty()
        body = case.body(way, company=company)

        answer = self._senders.send(case.signal, way, body, case.headers)

        if isinstance(case.end, Rejected):
            self._assert_rejected(case, case.end, answer, body)
        else:
            self._assert_accepted(case, case.end, answer, company=company)
        self.assert_healthy(way)

    def _assert_rejected(self, case: Case, end: Rejected, answer: Answer, body: bytes) -> None:
        assert (answer.code, answer.may_retry) == (end.code, False), answer.said
        assert end.says in answer.said
        assert self.stored(case.signal) == REQUEST_TYPES[case.signal]()
        assert self.count(case.signal) == 0
        kept = [("rejected", "wrong_signal", body)] if end.is_kept else []
        assert self._letters() == kept

    def _assert_accepted(self, case: Case, end: Accepted, answer: Answer, *, company: bool) -> None:
        assert (answer.code, answer.rejected) == (grpc.StatusCode.OK, 0), answer.said
        assert bool(answer.said) == (end.outcome == "quarantined")
        assert_same_items(self.stored(case.signal), end.stored)
        self._assert_letters(case, end)
        found = self._await(self._sum_of_good(case.signal))
        assert found == (self._expected_sum(case.signal) if company else (0, 0))

    def _assert_letters(self, case: Case, end: Accepted) -> None:
        letters = self._letters()
        assert {outcome for outcome, _, _ in letters} == ({end.outcome} if end.outcome else set())
        assert {reason for _, reason, _ in letters} == end.reasons
        kept = b"".join([payload for _, _, payload in letters])
        if kept == end.letters:  # also of what protobuf cannot read
            return
        kind = REQUEST_TYPES[case.signal]
        assert_same_items(
            kind.FromString(end.readable(kept)), kind.FromString(end.readable(end.letters))
        )

    # -- what is always true -----------------------------------------------------------------------

    def assert_healthy(self, way: Transport = Transport.GRPC) -> None:
        """Fail unless the daemon serves the next good request, in time and in bounded memory."""
        self._number += 1
        body = numbered_logs([self._number])
        if way is Transport.JSON:
            body = (
                b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"intValue":%d}}]}]}]}'
                % (self._number)
            )
        answer = self._senders.send(Signal.LOGS, way, body)
        assert answer.code is grpc.StatusCode.OK, answer.said
        assert answer.took_s < NEXT_S_MAX
        self.next_s_max = max(self.next_s_max, answer.took_s)
        assert self._worker.is_running(), "the worker was started anew"
        assert self._worker.status() != psutil.STATUS_ZOMBIE
        self.rss_bytes_max = max(self.rss_bytes_max, self._worker.memory_info().rss)
        assert self.rss_bytes_max < RSS_BYTES_MAX

    def summary(self) -> str:
        """Return how it went, for a reader."""
        return (
            f"{self._number} times a good request was served next, in {self.next_s_max:.2f} s at the most; "
            f"the worker took {self.rss_bytes_max // 2**20} MiB at the most"
        )

    def assert_log_is_clean(self) -> None:
        """Fail when an input made a line long or no JSON, or put into it what steers a terminal."""
        for line in self.daemon.raw_log():
            assert line.startswith("{"), line
            assert len(line) <= LINE_CHARS_MAX, line
            assert not _CONTROL.search(line), line

    # -- what is stored ----------------------------------------------------------------------------

    def stored(self, signal: Signal) -> ExportRequest:
        """Return, as OTLP, all items but the neighbours."""
        whole = REQUEST_TYPES[signal]()
        for low, high in ((TIME_MIN, neighbours.TIME_MIN), (neighbours.TIME_MAX, TIME_MAX)):
            whole.MergeFromString(self._await(self._read(signal, low, high)).SerializeToString())
        return whole

    def good_ones(self, signal: Signal) -> ExportRequest:
        """Return, as OTLP, the neighbours."""
        return self._await(self._read(signal, neighbours.TIME_MIN, neighbours.TIME_MAX))

    async def _read(self, signal: Signal, low: int, high: int) -> ExportRequest:
        whole = REQUEST_TYPES[signal]()
        async with snapshot(self._connection) as frozen:
            async for chunk in frozen.chunks(signal, time_min=low, time_max=high):
                part = restore(signal, chunk.rows, chunk.dimensions)
                whole.MergeFromString(part.SerializeToString())
        return whole

    def count(self, signal: Signal) -> int:
        """Return how many items are stored."""
        return self._await(self._connection.fetchval(f"SELECT count(*) FROM {FACT_TABLES[signal]}"))

    def _letters(self) -> list[tuple[str, str, bytes]]:
        select = "SELECT outcome, reason, payload FROM dead_letters ORDER BY id"
        return [tuple(row) for row in self._await(self._connection.fetch(select))]

    def _expected_sum(self, signal: Signal) -> tuple[int, int]:
        """Return the sum of the neighbours' rows, of which it is known that they are exact."""
        if signal not in self._good:
            self.empty()
            request = neighbours.good_request(signal, 0, neighbours.COUNT)
            self._senders.send(signal, Transport.GRPC, request.SerializeToString())
            assert_same_items(self.good_ones(signal), request)
            self._good[signal] = self._await(self._sum_of_good(signal))
        return self._good[signal]

    async def _sum_of_good(self, signal: Signal) -> tuple[int, int]:
        """Return how many neighbours are stored, and a sum over the text of each of their rows."""
        time = FACT_COLUMNS[signal][TIME_INDEX[signal]]
        row = await self._connection.fetchrow(
            f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::numeric"
            f" FROM {FACT_TABLES[signal]} t WHERE {time} >= $1 AND {time} < $2",
            neighbours.TIME_MIN,
            neighbours.TIME_MAX,
        )
        assert row is not None
        return row[0], int(row[1])
