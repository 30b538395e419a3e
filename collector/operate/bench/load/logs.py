"""Log records with a text body, six attributes and, in most, the ids of a span."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from collector.operate.attributes import any_value, key_values
from collector.operate.bench.load.emitters import INSTANCES, resource, scope
from collector.operate.bench.load.template import Template, field, mark, mark_integer

SHAPES = 256
STEP_NS = 40_000

TIME, OBSERVED, ORDER, REQUEST_ID = range(4)
LENGTHS = (8, 8, 12, 32)
MARKS = [mark(number, length) for number, length in enumerate(LENGTHS)]
TRACE_ID, SPAN_ID = mark(8, 16), mark(9, 8)

_SEVERITIES = (
    (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"),
    (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"),
    (SeverityNumber.SEVERITY_NUMBER_DEBUG, "DEBUG"),
    (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN"),
    (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"),
)
_TEXTS = (
    "order {} accepted, reserving stock in warehouse {}",
    "payment for order {} authorised by provider {}",
    "retrying call for order {}: attempt {} of 5 after timeout",
    "cache miss for order {}, reading shard {} from the database",
    "order {} handed to carrier {}, label printed and mail queued for the customer",
)
_CLASSES = ("OrderService", "PaymentGateway", "StockKeeper", "CarrierClient", "CartCache")
_SCOPE = scope("ch.qos.logback").SerializeToString()
_HEADS = [field(1, resource(number).SerializeToString()) for number in range(INSTANCES)]


def items(rng: random.Random, now_unix_ns: int) -> Iterator[bytes]:
    """Yield serialised log records without end; three of four belong to a span."""
    inside = [Template(_record(rng, True), [*MARKS, TRACE_ID, SPAN_ID]) for _ in range(SHAPES)]
    outside = [Template(_record(rng, False), MARKS) for _ in range(SHAPES)]
    time = now_unix_ns
    while True:
        time += STEP_NS
        random_bytes = rng.randbytes(40)
        values = (
            time.to_bytes(8, "little"),
            (time + 1_500).to_bytes(8, "little"),
            b"%012d" % rng.randrange(10**12),
            random_bytes[:16].hex().encode(),
        )
        shape = rng.randrange(4 * SHAPES)
        if shape < SHAPES:
            yield outside[shape].fill(*values)
        else:
            yield inside[shape % SHAPES].fill(*values, random_bytes[16:32], random_bytes[32:])


def wrap(number: int, records: Sequence[bytes]) -> bytes:
    """Return one export request of one instance that holds ``records``."""
    scope_logs = field(1, _SCOPE) + b"".join(field(2, record) for record in records)
    return field(1, _HEADS[number % INSTANCES] + field(2, scope_logs))


def _record(rng: random.Random, inside: bool) -> LogRecord:
    severity, text = rng.choice(_SEVERITIES)
    body = rng.choice(_TEXTS).format(MARKS[ORDER].decode(), rng.randrange(32))
    return LogRecord(
        time_unix_nano=mark_integer(TIME),
        observed_time_unix_nano=mark_integer(OBSERVED),
        severity_number=severity,
        severity_text=text,
        body=any_value(body),
        trace_id=TRACE_ID if inside else b"",
        span_id=SPAN_ID if inside else b"",
        flags=1 if inside else 0,
        attributes=key_values(
            {
                "code.namespace": f"com.shop.{rng.choice(_CLASSES)}",
                "code.lineno": rng.randrange(20, 400),
                "thread.name": f"http-nio-8443-exec-{rng.randrange(64)}",
                "user.tier": rng.choice(("free", "plus", "business")),
                "deployment.canary": rng.random() < 0.1,
                "request.id": MARKS[REQUEST_ID].decode(),
            }
        ),
    )
