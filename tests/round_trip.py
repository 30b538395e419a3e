"""What a request that went through convert must come back as, and how it comes back.

The expected side is computed from the official messages alone, so that it cannot share a mistake
with ``convert``: it knows which items DESIGN section 4 quarantines, and which requests section 7
calls another signal at the wrong door.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis.strategies import SearchStrategy
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.convert.request import Converter
from collector.restore.equality import comparable, points_of
from collector.rows import ConvertedRequest, DeadLetterRow, Signal
from collector.settings import ConvertSettings
from tests.factories import ExportRequest, items_in
from tests.strategies import NOW_UNIX_NANO, RETENTION

Example = TypeVar("Example")


class Arrivals:
    """A converter to which every request arrives at ``NOW_UNIX_NANO`` and for the first time."""

    def __init__(self) -> None:
        self._converter = Converter(ConvertSettings(), retention_s=RETENTION.total_seconds())
        self._count = 0

    def convert(self, signal: Signal, wire: bytes) -> ConvertedRequest:
        """Return what ``wire`` becomes, under a digest of its own."""
        self._count += 1
        digest = self._count.to_bytes(16, "big")
        return self._converter.convert(signal, wire, digest=digest, now_ns=NOW_UNIX_NANO)


def expected_back(
    converted: ConvertedRequest, request: ExportRequest, *, is_repaired: bool = False
) -> ExportRequest:
    """Return the part of ``request`` that was stored, after a check that the counts say the same.

    ``is_repaired``: ``request`` is what a hostile one was repaired to.
    """
    kept = without_quarantined(request)
    items, rows = items_in(request), items_in(kept)
    assert converted.items == items
    if converted.wrong_signal:
        assert has_no_identity(request, is_repaired=is_repaired), (
            "refused, although an item shows what signal it is"
        )
        assert not converted.rows
        return type(request)()
    assert (len(converted.rows), converted.quarantined) == (rows, items - rows)
    assert converted.rejected == 0
    return kept


def with_quarantined(restored: ExportRequest, letters: Iterable[DeadLetterRow]) -> ExportRequest:
    """Return ``restored`` together with the items that lie in the dead letters instead of a row."""
    whole = type(restored)()
    for part in [
        restored.SerializeToString(),
        *(letter.payload for letter in letters if letter.outcome == "quarantined"),
    ]:
        whole.MergeFromString(part)
    return whole


def without_quarantined(request: ExportRequest) -> ExportRequest:
    """Return a copy without the spans whose ids are not valid; all other items are storable."""
    kept = type(request).FromString(request.SerializeToString())
    if isinstance(kept, ExportTraceServiceRequest):
        for group in kept.resource_spans:
            for scope in group.scope_spans:
                valid = [span for span in scope.spans if has_valid_ids(span)]
                del scope.spans[:]
                scope.spans.extend(valid)
    return kept


def has_valid_ids(span: Span) -> bool:
    """Tell whether a span's own two ids have their length and are not all zero."""
    sized = len(span.trace_id) == 16 and len(span.span_id) == 8
    return sized and any(span.trace_id) and any(span.span_id)


def has_no_identity(request: ExportRequest, *, is_repaired: bool) -> bool:
    """Tell whether several items came and none of them looks like one of this signal.

    Traces show it by ids, metrics by a name, logs by a time or a body (DESIGN section 7). Another
    signal's bytes would have to be repaired, so a repaired name or body need not count.
    """

    def shows(value: object) -> bool:
        text = json.dumps(value, ensure_ascii=False)
        return bool(value) and not (is_repaired and "\ufffd" in text)

    if isinstance(request, ExportTraceServiceRequest):
        shown = items_in(without_quarantined(request)) > 0
    elif isinstance(request, ExportLogsServiceRequest):
        shown = any(
            record.time_unix_nano
            or record.observed_time_unix_nano
            or shows(comparable(record).get("body"))
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        )
    else:
        shown = any(
            points_of(metric) and shows(metric.name)
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        )
    return items_in(request) > 1 and not shown


async def for_all(
    examples: SearchStrategy[Example],
    check: Callable[[Example], Awaitable[None]],
    *,
    settings: hypothesis_settings,
) -> None:
    """Let hypothesis try ``check`` on many examples, all in the running event loop.

    Hypothesis is synchronous, so it sits in a thread and hands each example over; what fixtures
    opened in this loop can be used, and a failing example is shrunk as usual.
    """
    loop = asyncio.get_running_loop()

    @settings
    @given(examples)
    def one(example: Example) -> None:
        async def checked() -> None:
            await check(example)

        asyncio.run_coroutine_threadsafe(checked(), loop).result()

    await asyncio.to_thread(one)
