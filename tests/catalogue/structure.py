"""Section 3 of the catalogue: ids, links, empty and unknown parts."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.convert.tags import field_of, varint
from collector.rows import Reason, Signal
from tests.catalogue.building import (
    NOW,
    SPAN_ID,
    TRACE_ID,
    Around,
    attribute_bytes,
    logs,
    metrics,
    of,
    on_the_wire,
    one_item,
    record,
    span,
    span_bytes,
    traces,
)
from tests.catalogue.case import MANY, PROTOBUF, Accepted, Case, Rejected, Transport, entries_of
from tests.catalogue.entry import (
    accepted,
    accepted_json,
    accepted_wire,
    quarantined,
    rejected,
    repaired,
)
from tests.catalogue.strings import NUL
from tests.strategies import REQUEST_TYPES

NOTHING = Around(resource=None, scope=None)
BAD_TRACE_IDS = {
    "no": b"", "a short": b"1", "an 8-byte": b"8" * 8, "a 15-byte": b"f" * 15, "a 17-byte": b"7" * 17,
    "a 32-byte": b"2" * 32, "an all-zero": bytes(16), "a huge": b"h" * 2**20,
}  # fmt: skip
BAD_SPAN_IDS = {
    "no": b"",
    "a 7-byte": b"7" * 7,
    "a 9-byte": b"9" * 9,
    "an all-zero": bytes(8),
    "a long": b"s" * 16,
}


def _ids() -> Iterator[Case]:
    for name, trace_id in BAD_TRACE_IDS.items():
        yield quarantined(
            46, f"{name} trace id", traces(span(trace_id=trace_id)), Reason.INVALID_TRACE_ID
        )
    for name, span_id in BAD_SPAN_IDS.items():
        yield quarantined(
            48, f"{name} span id", traces(span(span_id=span_id)), Reason.INVALID_SPAN_ID
        )
    bad = [span(span_id=span_id) for span_id in BAD_SPAN_IDS.values()]
    yield quarantined(
        48,
        "bad spans between good ones",
        traces(span(name="first"), *bad, span(name="last")),
        Reason.INVALID_SPAN_ID,
        stored=traces(span(name="first"), span(name="last")),
        letters=traces(*bad),
    )
    parents = [span(parent_span_id=bad) for bad in BAD_SPAN_IDS.values()]
    yield accepted(48, "bad parent ids", traces(*parents))
    records = [record(trace_id=bad) for bad in BAD_TRACE_IDS.values()]
    yield accepted(49, "log records with bad trace ids", logs(*records))
    records = [record(trace_id=TRACE_ID, span_id=bad) for bad in BAD_SPAN_IDS.values()]
    yield accepted(49, "log records with bad span ids", logs(*records))
    yield accepted(51, "one span twice, equal", traces(span(), span()))
    yield accepted(51, "one span twice, different", traces(span(name="a"), span(name="b", kind=3)))
    links = [Span.Link(trace_id=b"1", span_id=bytes(9)), Span.Link(), Span.Link(trace_id=bytes(16))]
    yield accepted(52, "links to nowhere", traces(span(links=links)))
    yield accepted(
        52,
        "10 000 links and as many events",
        traces(
            span(
                links=[Span.Link(trace_id=TRACE_ID, span_id=SPAN_ID)] * 10_000,
                events=[Span.Event(name="e", time_unix_nano=NOW)] * 10_000,
            )
        ),
    )
    many = span(links=[Span.Link(trace_id=TRACE_ID)] * 10_001)
    yield quarantined(52, "10 001 links", traces(many), Reason.TOO_MANY_PARTS)


def _hex_ids() -> Iterator[Case]:
    sent = entries_of(traces(span()))
    assert TRACE_ID.hex() in sent

    def with_id(text: str) -> str:
        return sent.replace(TRACE_ID.hex(), text)

    wanted = bytes.fromhex("5b8efff798038103d269b633813fc60c")
    for text in (wanted.hex(), wanted.hex().upper(), "5b8eFFF798038103d269B633813fc60c"):
        yield accepted_json(54, f"trace id {text}", with_id(text), traces(span(trace_id=wanted)))
    for text, kept in {
        "5b8efff": b"not hex: 5b8efff",
        "zz": b"not hex: zz",
        "W47/95gDgQPSabYzgT/GDA==": b"not hex: W47/95gDgQPSabYzgT/GDA==",
        "": b"",
        "5b8e": b"\x5b\x8e",
    }.items():
        yield Case(
            number=54,
            name=f"trace id {text!r}",
            signal=Signal.TRACES,
            end=Accepted(
                stored=traces(),
                letters=traces(span(trace_id=kept + b" " * (len(kept) == 16))).SerializeToString(),
                outcome="quarantined",
                reasons=frozenset({Reason.INVALID_TRACE_ID}),
            ),
            entries=with_id(text),
        )
    yield rejected(
        54,
        "trace id that is a number",
        Signal.TRACES,
        says="traceId must be",
        entries=with_id("@").replace('"@"', "7"),
    )


def _empty() -> Iterator[Case]:
    for signal, kind in REQUEST_TYPES.items():
        yield accepted(55, "nothing", kind())
        yield accepted_wire(
            55, "resources and scopes without items", signal, b"\x0a\x00" + b"\x0a\x02\x12\x00"
        )
        yield accepted(56, "no resource and no scope", one_item(signal, NOTHING))
        empty = Around(Resource(), scope=InstrumentationScope())
        yield accepted(56, "empty resource and scope", one_item(signal, empty))
        yield accepted(
            61,
            "schema URLs that are none",
            one_item(signal, Around(schema_url="\\;?://", scope_schema_url=" ")),
        )
        long = "https://x/" + "y" * 2**20
        yield accepted(
            61,
            "schema URLs of 1 MiB",
            one_item(signal, Around(schema_url=long, scope_schema_url=long)),
        )
    yield repaired(
        61, "NUL in a schema URL", lambda text: traces(span(), around=Around(schema_url=text)), NUL
    )
    metric = metrics(
        Metric(name="bare"), Metric(), Metric(name="g", gauge=Gauge()), Metric(sum=Sum())
    )
    yield Case(
        number=55,
        name="metrics without data or points",
        signal=Signal.METRICS,
        end=Accepted(stored=metrics()),
        wire=metric.SerializeToString(),
        entries=entries_of(metric),
    )
    yield accepted(55, "an empty log record", logs(LogRecord(), record()))
    yield accepted(55, "one empty log record", logs(LogRecord()))


def _unknown() -> Iterator[Case]:
    fields = (
        field_of(0x3FA, b"future")
        + b"\xd0\x3e\x07"
        + b"\xd1\x3e"
        + bytes(8)
        + b"\xd5\x3e"
        + bytes(4)
    )
    yield accepted_wire(
        58, "fields of the future in a span", Signal.TRACES, on_the_wire(span_bytes(fields))
    )
    yield accepted_wire(
        58,
        "fields of the future around spans",
        Signal.TRACES,
        fields + on_the_wire(span_bytes()) + fields,
    )
    yield accepted_wire(
        58,
        "values that only profiles may use",
        Signal.TRACES,
        on_the_wire(
            span_bytes(
                attribute_bytes(b"\x40\x05") + field_of(0x4A, b"\x18\x03" + field_of(0x12, b""))
            )
        ),
    )
    told = entries_of(traces(span())).replace(
        '"name": "work"', '"name": "work", "fromTheFuture": {"a": [1, null]}'
    )
    yield accepted_json(58, "names of the future", told, traces(span()))


def _enums() -> Iterator[Case]:
    numbers = (99, -1, 7, 2**31 - 1, -(2**31))
    spans = [span(kind=number, status=Status(code=number)) for number in numbers]  # pyright: ignore[reportArgumentType]
    yield accepted(59, "kinds and codes out of range", traces(*spans))
    records = [record(severity_number=number) for number in (0, 25, -5, *numbers)]
    yield accepted(59, "severities out of range", logs(*records))
    kind = b"\x30" + varint(2**31)
    yield accepted_wire(59, "a kind of 2^31", Signal.TRACES, on_the_wire(span_bytes(kind)))
    kind = b"\x30" + varint(2**64 - 1)
    yield accepted_wire(59, "a kind of 2^64 - 1", Signal.TRACES, on_the_wire(span_bytes(kind)))
    for text in ('"SPAN_KIND_SERVER"', "2147483648", "1.5"):
        entries = entries_of(traces(span(kind=5))).replace('"kind": 5', f'"kind": {text}')
        yield rejected(59, f"kind {text}", Signal.TRACES, says="kind must be", entries=entries)


def _many() -> Iterator[Case]:
    same = type(traces()).FromString(traces(span()).SerializeToString() * 10_000)
    different = traces()
    for number in range(10_000):
        around = of({"service.name": "many", "n": number})
        different.resource_spans.append(traces(span(), around=around).resource_spans[0])
    yield accepted(62, "one resource 10 000 times", same, alone=MANY, transports=(Transport.GRPC,))
    yield accepted(62, "10 000 resources", different, alone=MANY, transports=(Transport.GRPC,))


def _wrong_doors() -> Iterator[Case]:
    spans, records = traces(*[span()] * 2), logs(*[record()] * 2)
    for name, door, body in (
        ("spans at the door of logs", Signal.LOGS, spans),
        ("log records at the door of spans", Signal.TRACES, records),
        ("spans at the door of metrics", Signal.METRICS, spans),
        ("two spans without ids", Signal.TRACES, traces(*[span(trace_id=b"")] * 2)),
    ):
        yield Case(
            number=58,
            name=name,
            signal=door,
            end=Rejected(code=grpc.StatusCode.INVALID_ARGUMENT, is_kept=True),
            wire=body.SerializeToString(),
            transports=PROTOBUF,
            alone="good items show what signal it is",
        )


CASES = [*_ids(), *_hex_ids(), *_empty(), *_unknown(), *_enums(), *_many(), *_wrong_doors()]
