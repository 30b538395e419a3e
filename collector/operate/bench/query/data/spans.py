"""Spans of the last day, in traces of 3 to 200 spans through several services.

| Spans | 3 | 8 | 25 | 200 |
|---|---|---|---|---|
| Part of the traces | 25 % | 60 % | 12 % | 3 % |

A span is the child of one of the eight before it. Each service has eight operations; 2 % of the
spans failed and have an exception as an event. All spans of a trace have the same tenant, one of 20
(the first in 28 % of the traces, the last in 1.4 %), and the same user, one of 10 000; these are the
attributes that traces are searched by.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.operate.attributes import key_values
from collector.operate.bench.load.template import Template, field, mark, mark_integer
from collector.operate.bench.query.data.shape import (
    DAY_NS,
    INSTANCE_WEIGHTS,
    INSTANCES,
    MINUTE_NS,
    SERVICES,
    Shape,
    resource,
    scope_field,
)

SIZES: Final = (200, 8, 3, 25)
SIZE_WEIGHTS: Final = (0.03, 0.60, 0.25, 0.12)
LARGE: Final = SIZES[0]
OPERATIONS: Final = 8
TENANTS: Final = tuple(f"t-{number:02d}" for number in range(20))
TENANT_WEIGHTS: Final = tuple(accumulate(1 / (number + 1) for number in range(len(TENANTS))))
USERS: Final = 10_000
TENANT_KEY: Final = "app.tenant"
USER_KEY: Final = "enduser.id"
FAILED: Final = 0.02
SPANS_PER_REQUEST: Final = 5_000
TRACE_NS_MAX: Final = MINUTE_NS
"""No trace begins so shortly before the end of its day, and all of them are shorter."""

TRACE_ID, SPAN_ID, START, END, TENANT, USER, REQUEST, PARENT, EVENT = (
    mark(number, length) for number, length in enumerate((16, 8, 8, 8, 4, 7, 16, 8, 8))
)
_VERBS = ("GET", "POST", "GET", "PUT", "GET", "DELETE", "GET", "PATCH")
_NOUNS = ("orders", "accounts", "items", "quotes", "sessions", "reports", "tokens", "batches")
_SCOPE = scope_field("io.opentelemetry.netty-4.1")


class Root(NamedTuple):
    """The root span of a trace, for log records to belong to."""

    start_unix_ns: int
    trace_id: bytes
    span_id: bytes
    instance: int


class SpanDay:
    """Builds the spans of one day and remembers its traces.

    Attributes:
        large: ids of the traces of ``LARGE`` spans.
        roots: of all traces, by time.
        spans: how many there are.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._rng = shape.rng("spans")
        self._templates = {
            (service, operation, child, failed): _template(service, operation, child, failed)
            for service in range(len(SERVICES))
            for operation in range(OPERATIONS)
            for child in (False, True)
            for failed in (False, True)
        }
        self._heads = [resource(instance) for instance in range(INSTANCES)]
        self.large: list[bytes] = []
        self.roots: list[Root] = []
        self.spans = 0

    def requests(self) -> Iterator[bytes]:
        """Yield export requests that together are the day, in the order of time."""
        sizes = self._sizes()
        span_ns = (DAY_NS - TRACE_NS_MAX) / len(sizes)
        by_instance: dict[int, list[bytes]] = {}
        held = 0
        for place, size in enumerate(sizes):
            start = self._shape.begin_unix_ns + int((place + self._rng.random()) * span_ns)
            self._add_trace(size, start, by_instance)
            held += size
            if held >= SPANS_PER_REQUEST:
                yield self._request(by_instance)
                by_instance, held = {}, 0
        if held:
            yield self._request(by_instance)

    def _sizes(self) -> list[int]:
        """Return the sizes of the traces; the first is a large one."""
        wanted = self._shape.spans // self._shape.days
        sizes = [LARGE]
        total = LARGE
        while total < wanted:
            (size,) = self._rng.choices(SIZES, SIZE_WEIGHTS)
            sizes.append(size)
            total += size
        return sizes

    def _add_trace(self, size: int, start: int, by_instance: dict[int, list[bytes]]) -> None:
        rng = self._rng
        trace_id = rng.randbytes(16)
        (tenant,) = rng.choices(TENANTS, cum_weights=TENANT_WEIGHTS)
        of_trace = (tenant.encode(), b"u-%05d" % rng.randrange(USERS))
        instances = rng.choices(range(INSTANCES), cum_weights=INSTANCE_WEIGHTS, k=size)
        starts: list[int] = []
        span_ids: list[bytes] = []
        for place, instance in enumerate(instances):
            span_id = rng.randbytes(8)
            parent = rng.randrange(max(0, place - 8), place) if place else None
            begin = start if parent is None else starts[parent] + rng.randrange(1_000, 40_000_000)
            starts.append(begin)
            span_ids.append(span_id)
            by_instance.setdefault(instance, []).append(
                self._span(
                    instance, trace_id, span_id, begin, of_trace,
                    None if parent is None else span_ids[parent],
                )
            )  # fmt: skip
        if size == LARGE:
            self.large.append(trace_id)
        self.roots.append(Root(start, trace_id, span_ids[0], instances[0]))
        self.spans += size

    def _span(
        self,
        instance: int,
        trace_id: bytes,
        span_id: bytes,
        begin: int,
        of_trace: tuple[bytes, bytes],
        parent: bytes | None,
    ) -> bytes:
        rng = self._rng
        failed = rng.random() < FAILED
        length = int(
            rng.lognormvariate(16.0, 1.2)
        )  # 9 ms in the median, 140 at the 99th percentile
        end = (begin + min(length, 20 * 10**9)).to_bytes(8, "little")
        values = [
            trace_id, span_id, begin.to_bytes(8, "little"), end, *of_trace,
            rng.randbytes(8).hex().encode(),
        ]  # fmt: skip
        if parent is not None:
            values.append(parent)
        if failed:
            values.append(end)
        key = (instance % len(SERVICES), _operation(rng), parent is not None, failed)
        return self._templates[key].fill(*values)

    def _request(self, by_instance: dict[int, list[bytes]]) -> bytes:
        return b"".join(
            field(
                1, self._heads[instance] + field(2, _SCOPE + b"".join(field(2, s) for s in spans))
            )
            for instance, spans in by_instance.items()
        )


def _operation(rng: random.Random) -> int:
    """Return an operation; the last are rarer: 23 % to 2 %."""
    return int(OPERATIONS * rng.random() ** 1.5)


def operation_name(service: int, operation: int) -> str:
    """Return the name of an operation of a service."""
    return f"{_VERBS[operation]} /{SERVICES[service]}/v1/{_NOUNS[operation]}"


def _template(service: int, operation: int, child: bool, failed: bool) -> Template:
    marks = [TRACE_ID, SPAN_ID, START, END, TENANT, USER, REQUEST]
    values = {
        "http.request.method": _VERBS[operation],
        "http.route": f"/{SERVICES[service]}/v1/{_NOUNS[operation]}",
        "http.response.status_code": 500 if failed else 200 + operation % 2,
        "server.address": f"{SERVICES[service]}.platform.svc.cluster.local",
        "server.port": 8443,
        TENANT_KEY: TENANT.decode(),
        USER_KEY: USER.decode(),
        "http.request.header.x-request-id": REQUEST.decode(),
    }
    span = Span(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=PARENT if child else b"",
        name=operation_name(service, operation),
        kind=Span.SPAN_KIND_SERVER if operation % 2 == 0 else Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=mark_integer(2),
        end_time_unix_nano=mark_integer(3),
        flags=0x101,
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
        attributes=key_values(values),
    )
    if child:
        marks.append(PARENT)
    if failed:
        marks.append(EVENT)
        event = span.events.add(time_unix_nano=mark_integer(8), name="exception")
        event.attributes.extend(
            key_values(
                {
                    "exception.type": "java.util.concurrent.TimeoutException",
                    "exception.message": "no answer within 2 s",
                }
            )
        )
    return Template(span, marks)
