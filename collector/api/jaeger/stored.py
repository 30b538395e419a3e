"""What Jaeger's routes ask, of the repositories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from collector.api.jaeger.searches import Search
from collector.api.jaeger.units import kind_of
from collector.items import STATUS_ERROR
from collector.query.service_repository import Operation, ServiceRepository
from collector.query.texts import text_of
from collector.query.time_range import TimeRange
from collector.query.trace_parts import Take, TraceParts
from collector.query.trace_question import TraceQuestion
from collector.query.trace_repository import SPANS_MAX, TraceRepository
from collector.query.trace_types import Dependency, StoredTraces, TraceSummary
from collector.query.view import Views
from collector.telemetry.clock import Clock

KNOWN_NS: Final = 30 * 86_400 * 10**9
"""Services and operations that were not heard of for so long are not named."""


class Traces(NamedTuple):
    """Some traces.

    Attributes:
        stored: those of which there is at least one span, and which ones lack some.
        is_full: an answer takes no more spans; otherwise what lacks is kept no longer.
    """

    stored: StoredTraces
    is_full: bool

    @property
    def cut(self) -> frozenset[bytes]:
        """Those of the traces that were asked for that lack spans, or are missing."""
        return self.stored.cut


class StoredSpans:
    """Services, operations and traces as Jaeger knows them."""

    def __init__(self, views: Views, clock: Clock, *, spans_max: int = SPANS_MAX) -> None:
        """``spans_max`` is for all traces of one answer of ``find`` and ``get_many``."""
        self._services = ServiceRepository(views)
        self._traces = TraceRepository(views)
        self._parts = TraceParts(views)
        self._clock = clock
        self._spans_max = spans_max

    def now_unix_nano(self) -> int:
        """Return the time that is the end of what has none."""
        return self._clock.unix_ns()

    async def services(self) -> list[str]:
        """Return the names of all services, in order.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        return [service.name for service in await self._services.services(self._known())]

    async def operations(self, service: str, kind: str = "") -> tuple[Operation, ...]:
        """Return the operations of a service, of one kind or, when that is empty, of all.

        Raises:
            BadParameterError: there is no such kind, or there can be no such service.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        number = kind_of("spanKind", kind) if kind else None
        found = await self._services.operations(text_of("service", service), self._known())
        return tuple(one for one in found if number is None or one.kind == number)

    async def find(self, search: Search) -> Traces:
        """Return the traces that a search wants, the newest match first.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        found = await self._traces.find_stored(
            _range(search), _question(search), limit=search.limit, spans_max=self._spans_max
        )
        return self._told(found)

    async def find_summaries(self, search: Search) -> tuple[TraceSummary, ...]:
        """Return what is known of the traces that ``find`` would return, without their spans.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        found = await self._traces.find(_range(search), _question(search), limit=search.limit)
        return found.items

    async def read_parts(self, trace_ids: Sequence[bytes], take: Take) -> None:
        """Hand over those traces that there are, whole, in the order of the ids.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        await self._parts.read(trace_ids, take)

    async def dependencies(self, when: TimeRange) -> tuple[Dependency, ...]:
        """Return which services called which others.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        return await self._traces.dependencies(when)

    async def get_many(self, trace_ids: Sequence[bytes]) -> Traces:
        """Return those traces that there are, in the order of the ids.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        found = await self._traces.get_stored(trace_ids, spans_max=self._spans_max)
        return self._told(found)

    def _told(self, found: StoredTraces) -> Traces:
        spans = sum(map(len, found.rows.values()))
        return Traces(found, found.is_too_large or spans >= self._spans_max)

    def _known(self) -> TimeRange:
        now = self._clock.unix_ns()
        return TimeRange.from_unix_ns(now - KNOWN_NS, now + 86_400 * 10**9)


def _range(search: Search) -> TimeRange:
    return TimeRange.from_unix_ns(search.start_unix_nano, search.end_unix_nano)


def _question(search: Search) -> TraceQuestion:
    return TraceQuestion(
        service=search.service or None,
        operation=search.operation or None,
        duration_ns_min=search.duration_ns_min,
        duration_ns_max=search.duration_ns_max,
        attributes=search.attributes,
        kind=search.kind,
        status_code=STATUS_ERROR if search.is_error else search.status_code,
        other_than_status_code=STATUS_ERROR if search.is_error is False else None,
    )
