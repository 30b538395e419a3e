"""Section 1 of the catalogue: texts, in every field that holds one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.rows import Reason, Signal
from tests.catalogue.building import (
    Around,
    gauge,
    logs,
    metrics,
    of,
    one_item,
    point,
    record,
    span,
    traces,
)
from tests.catalogue.case import MANY, Case, Transport
from tests.catalogue.entry import Poison, accepted, quarantined, repaired
from tests.factories import ExportRequest, key_values

OfText = Callable[[str], ExportRequest]

AROUND: dict[str, Callable[[str], Around]] = {
    "service.name": lambda text: of({"service.name": text}),
    "resource attribute": lambda text: of({"host.name": text, "service.namespace": text}),
    "resource attribute key": lambda text: of({text: "value"}),
    "resource schema_url": lambda text: Around(schema_url=text),
    "entity ref": lambda text: Around(
        Resource(entity_refs=[EntityRef(schema_url=text, type=text, id_keys=[text])])
    ),
    "scope name": lambda text: Around(scope=InstrumentationScope(name=text)),
    "scope version": lambda text: Around(scope=InstrumentationScope(version=text)),
    "scope attribute": lambda text: Around(
        scope=InstrumentationScope(attributes=key_values({"k": text}))
    ),
    "scope schema_url": lambda text: Around(scope_schema_url=text),
}
"""What stands around items of any signal, by the field that a text is in."""

ITEMS: dict[str, OfText] = {
    "span name": lambda text: traces(span(name=text)),
    "span attribute": lambda text: traces(span({"k": text})),
    "span attribute key": lambda text: traces(span({text: "value"})),
    "element of an array": lambda text: traces(span({"k": ["a", text, 1]})),
    "value in a kvlist": lambda text: traces(span({"k": {"inner": {"deep": text}}})),
    "key in a kvlist": lambda text: traces(span({"k": {text: 1}})),
    "span trace_state": lambda text: traces(span(trace_state=text)),
    "status message": lambda text: traces(
        span(status=Status(code=Status.STATUS_CODE_ERROR, message=text))
    ),
    "event name": lambda text: traces(span(events=[Span.Event(name=text)])),
    "event attribute": lambda text: traces(
        span(events=[Span.Event(name="e", attributes=key_values({"k": text}))])
    ),
    "link trace_state": lambda text: traces(span(links=[Span.Link(trace_state=text)])),
    "link attribute": lambda text: traces(
        span(links=[Span.Link(trace_state="s", attributes=key_values({"k": text}))])
    ),
    "body": lambda text: logs(record(body=text)),
    "body in parts": lambda text: logs(record(body={"k": [text]})),
    "severity_text": lambda text: logs(record(severity_text=text)),
    "event_name": lambda text: logs(record(event_name=text)),
    "log attribute": lambda text: logs(record({"k": text})),
    "log attribute key": lambda text: logs(record({text: 1})),
    "metric name": lambda text: metrics(gauge(name=text)),
    "unit": lambda text: metrics(gauge(unit=text)),
    "description": lambda text: metrics(gauge(description=text)),
    "metadata": lambda text: metrics(gauge(metadata=key_values({"k": text}))),
    "point attribute": lambda text: metrics(gauge(point({"k": text}, as_int=1))),
    "point attribute key": lambda text: metrics(gauge(point({text: "value"}, as_int=1))),
    "exemplar attribute": lambda text: metrics(
        gauge(point(exemplars=[Exemplar(as_int=1, filtered_attributes=key_values({"k": text}))]))
    ),
}
"""A request with a text in one field of its one item."""


def _around(signal: Signal, place: str) -> OfText:
    return lambda text: one_item(signal, AROUND[place](text))


def everywhere(signal: Signal, texts: Iterable[str]) -> ExportRequest:
    """Return a request that holds each text in each field of a signal."""
    places = [_around(signal, place) for place in AROUND] + list(ITEMS.values())
    whole = one_item(signal)
    for text in texts:
        for of_text in places:
            part = of_text(text)
            if isinstance(part, type(whole)):
                whole.MergeFromString(part.SerializeToString())
    return whole


# -- texts that PostgreSQL does not take -----------------------------------------------------------

NUL = Poison(b"poison\0!", "poison\ufffd!", "poison\\u0000!", Reason.NUL)
NOT_UTF8 = Poison(b"poison\xff\xfe!", "poison\ufffd\ufffd!", None, Reason.INVALID_UTF8)
SURROGATE = Poison(
    b"poison\xed\xa0\x80!", "poison" + 3 * "\ufffd" + "!", "poison\\ud800!", Reason.INVALID_UTF8
)
SWAPPED = Poison(
    b"poison\xed\xb8\x80\xed\xa0\xbd!",
    "poison" + 6 * "\ufffd" + "!",
    "poison\\ude00\\ud83d!",
    Reason.INVALID_UTF8,
)

NUL_NUMBERS = {"span name": 1, "span attribute": 2, "span attribute key": 3}
UTF8_NUMBERS = {"span name": 6, "span attribute key": 8, "log attribute key": 8}


def _poisoned() -> Iterator[Case]:
    for place, of_text in ITEMS.items():
        yield repaired(NUL_NUMBERS.get(place, 5), f"NUL in {place}", of_text, NUL)
        yield repaired(UTF8_NUMBERS.get(place, 6), f"invalid UTF-8 in {place}", of_text, NOT_UTF8)
    signals = list(Signal)
    for turn, place in enumerate(AROUND):  # one reader of all three; each has its share
        signal = signals[turn % len(signals)]
        yield repaired(5, f"NUL in {place}", _around(signal, place), NUL)
        yield repaired(6, f"invalid UTF-8 in {place}", _around(signal, place), NOT_UTF8)
    for place in ("span name", "log attribute", "body", "metric name"):
        yield repaired(10, f"lone surrogate in {place}", ITEMS[place], SURROGATE)
        yield repaired(10, f"swapped pair in {place}", ITEMS[place], SWAPPED)
    yield repaired(
        3,
        "key that a repair makes equal to another",
        lambda text: traces(span({text: "bad", "poison\ufffd!": "good"})),
        NUL,
        stored=traces(span({"poison\ufffd!#2": "bad", "poison\ufffd!": "good"})),
    )
    yield repaired(
        5,
        "NUL in a resource of three items, one letter for all",
        lambda text: traces(span(), span(name="b"), span(name="c"), around=of({"k": text})),
        NUL,
        originals=traces(span(), around=of({"k": NUL.mark})),
    )
    yield repaired(
        9,
        "invalid UTF-8 in all of 10 000 spans",
        lambda text: traces(*[span({text: text}, name=text)] * 10_000),
        NOT_UTF8,
        alone=MANY,
        transports=(Transport.GRPC,),
    )


# -- texts that look dangerous and are not ---------------------------------------------------------


def _noise(size: int) -> str:
    """Return text that hardly compresses; an index entry of 2 700 bytes of it is too long."""
    return "".join(random.Random(size).choices("0123456789abcdefghijklmnopqrstuvwxyz", k=size))


TEXTS: dict[tuple[int, str], tuple[str, ...]] = {
    (12, "noncharacters, emoji, combining"): (
        "\uffff\ufdd0\U0010ffff", "👩‍👩‍👧‍👦🏳️‍🌈", "a" + "\u0301" * 1_000, "\u00e9", "e\u0301", "\ufeffa",
    ),
    (13, "control, direction, zero width"): (
        "\x1b[31mred\x1b[0m\x1b]0;title\x07", "\x7f\x80\x9b1m\x9f", "a\r\nforged: line\r\n", "\u202egnp.exe",
        "zero\u200bwidth\u2060", "\u2028\u2029", "\x01\x02\x08\x0b\x0c\t",
    ),
    (14, "markup and templates"): (
        "<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "{{7*7}}${7*7}", "${jndi:ldap://x/a}",
        "javascript:alert(1)", "]]><!--",
    ),
    (15, "SQL and patterns"): (
        "'; DROP TABLE trace_spans;--", "%_\\", "$1 $$ $body$", "\\N", "\\.", "a\tb\nc", '{"a":1}', "E'\\\\x00'",
    ),
    (17, "paths"): ("../../etc/passwd", "%2e%2e%2f", "/", "C:\\x", "a/../b", "%00"),
    (18, "the empty text"): ("",),
    (19, "long and incompressible"): (_noise(2_692), _noise(2_700), _noise(9_000)),
    (23, "numbers, words and dates"): (
        "NaN", "Infinity", "true", "null", "1e5", "0x10", "-0", "2026-01-01T00:00:00Z", "{}", "[]", "$double",
    ),
}  # fmt: skip
"""Valid text by the number and subject of the catalogue: each stands in every field."""


def _valid() -> Iterator[Case]:
    for (number, subject), texts in TEXTS.items():
        for signal in Signal:
            yield accepted(number, subject, everywhere(signal, texts))
    long = "x" * 2**20
    for place in ("span name", "body", "metric name", "log attribute"):
        yield accepted(19, f"1 MiB in {place}", ITEMS[place](long))
    yield accepted(19, "1 MiB in service.name", logs(record(), around=of({"service.name": long})))
    for value in (7, 1.5, True, None, ["a"], {"a": "b"}, b"bytes"):
        around = of({"service.name": value})
        yield accepted(18, f"service.name is {value!r}", one_item(Signal.TRACES, around))
    yield accepted(18, "no service.name", one_item(Signal.LOGS, of({"host.name": "h"})))


CASES = [
    *_poisoned(),
    *_valid(),
    quarantined(
        22, "a text beyond the cap of an item", logs(record(body="x" * 2**22)), Reason.TOO_LARGE
    ),
]
