"""Spans of about 384 bytes with eight attributes, in traces of eight spans."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.operate.attributes import key_values
from collector.operate.bench.load.emitters import INSTANCES, resource, scope
from collector.operate.bench.load.template import Template, field, mark, mark_integer

SHAPES = 256
SPANS_PER_TRACE = 8
STEP_NS = 40_000  # between the starts of two spans: 25 000 a second, the rate of a small cluster

TRACE_ID, SPAN_ID, START, END, REQUEST_ID, PARENT = range(6)
LENGTHS = (16, 8, 8, 8, 32, 8)
MARKS = [mark(number, length) for number, length in enumerate(LENGTHS)]
PARENT_ID = MARKS[PARENT]

_METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
_RESOURCES = ("orders", "carts", "products", "users", "payments", "quotes", "shipments", "emails")
_SCOPE = scope("io.opentelemetry.tomcat-10.0").SerializeToString()
_ROOT_MARKS = MARKS[:PARENT]
_HEADS = [field(1, resource(number).SerializeToString()) for number in range(INSTANCES)]


def items(rng: random.Random, now_unix_ns: int) -> Iterator[bytes]:
    """Yield serialised spans without end; ids, times and one attribute value are fresh in each."""
    roots = [Template(_span(rng, number, b""), _ROOT_MARKS) for number in range(SHAPES)]
    children = [Template(_span(rng, number, PARENT_ID), MARKS) for number in range(SHAPES)]
    start = now_unix_ns
    while True:
        random_bytes = rng.randbytes(16 + 24 * SPANS_PER_TRACE)
        trace_id = random_bytes[:16]
        root_id = random_bytes[16:24]
        for place in range(16, len(random_bytes), 24):
            span_id = random_bytes[place : place + 8]
            start += STEP_NS
            values = (
                trace_id,
                span_id,
                start.to_bytes(8, "little"),
                (start + rng.randrange(50_000, 900_000_000)).to_bytes(8, "little"),
                random_bytes[place + 8 : place + 24].hex().encode(),
            )
            shape = rng.randrange(SHAPES)
            if place == 16:
                yield roots[shape].fill(*values)
            else:
                yield children[shape].fill(*values, root_id)


def wrap(number: int, spans: Sequence[bytes]) -> bytes:
    """Return one export request of one instance that holds ``spans``."""
    scope_spans = field(1, _SCOPE) + b"".join(field(2, span) for span in spans)
    return field(1, _HEADS[number % INSTANCES] + field(2, scope_spans))


def _span(rng: random.Random, number: int, parent_id: bytes) -> Span:
    failed = number % 20 == 0
    kind = rng.choice(_RESOURCES)
    route = f"/api/v2/{kind}/{{id}}"
    method = rng.choice(_METHODS)
    return Span(
        trace_id=MARKS[TRACE_ID],
        span_id=MARKS[SPAN_ID],
        parent_span_id=parent_id,
        name=f"{method} {route}",
        kind=Span.SPAN_KIND_SERVER if number % 3 else Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=mark_integer(START),
        end_time_unix_nano=mark_integer(END),
        flags=0x101,
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
        attributes=key_values(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": 500 if failed else rng.choice((200, 201, 204, 304)),
                "url.scheme": "https",
                "server.address": f"{kind}.shop.svc.cluster.local",
                "server.port": 8443,
                "thread.id": rng.randrange(200),
                "http.request.header.x-request-id": MARKS[REQUEST_ID].decode(),
            }
        ),
    )
