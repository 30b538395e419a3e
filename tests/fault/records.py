"""What was sent and what was heard: the sender's side of the books."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.restore.equality import item_texts
from collector.rows import Signal
from tests.factories import ExportRequest, request_of, trace_request

QUARANTINED = "quarantined: "
"""Before the text of an item that is to stand in ``dead_letters`` and in no table."""
BAD_EVERY = 3
"""One of so many requests of spans holds some without a valid id as well."""


@dataclass
class Record:
    """One request, its exact bytes, and what its sender knows about it.

    ``request`` has its good items and ``bad`` those that can only be quarantined; the payload is
    both, one behind the other, which to protobuf is one message. ``acknowledged`` is True once any attempt was answered OK; ``failure`` is the code of a reply
    that forbade a retry, which nothing in these loads deserves.
    """

    signal: Signal
    request: ExportRequest
    bad: ExportRequest | None = None
    attempts: int = 0
    acknowledged: bool = False
    failure: str | None = None

    @cached_property
    def payload(self) -> bytes:
        """The body, the same at every attempt."""
        good = self.request.SerializeToString()
        return good if self.bad is None else good + self.bad.SerializeToString()

    def texts(self) -> list[str]:
        """Return the texts of all items as they are to be found, bad ones as quarantined."""
        bad = [] if self.bad is None else item_texts(self.bad)
        return [*item_texts(self.request), *(QUARANTINED + text for text in bad)]


def requests(seed: int) -> Iterator[Record]:
    """Yield requests without end, of every signal in turn, each item unlike any other.

    Some hold bad items. Sizes are drawn from the seed; times begin now, since a leaf must exist for them.
    """
    rng = Random(f"requests {seed}")
    base_unix_nano = time.time_ns() - 60 * 10**9
    number = 0
    while True:
        for signal in Signal:
            number += 1
            item_seed = seed * 1_000_000 + number
            starts_unix_nano = base_unix_nano + number * 1_000_003
            request = request_of(
                signal,
                items=rng.choice((1, 3, 11, 22, 40)),
                seed=item_seed,
                base_unix_nano=starts_unix_nano,
            )
            bad = None
            if signal is Signal.TRACES and rng.randrange(BAD_EVERY) == 0:
                bad = _without_ids(rng.choice((1, 2, 5)), -item_seed, starts_unix_nano)
            yield Record(signal, request, bad)


def _without_ids(spans: int, seed: int, base_unix_nano: int) -> ExportTraceServiceRequest:
    """Return spans that nobody can refer to."""
    request = trace_request(items=spans, seed=seed, base_unix_nano=base_unix_nano)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.ClearField("span_id")
    return request
