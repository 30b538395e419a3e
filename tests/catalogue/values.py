"""Section 2 of the catalogue: attribute values and bodies."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar

from collector.convert.tags import field_of, varint
from collector.rows import Reason, Signal
from tests.catalogue.building import (
    attribute_bytes,
    gauge,
    logs,
    metrics,
    on_the_wire,
    point,
    record,
    span,
    span_bytes,
    traces,
)
from tests.catalogue.case import Case, entries_of
from tests.catalogue.entry import (
    accepted,
    accepted_json,
    accepted_wire,
    quarantined,
    quarantined_wire,
    rejected,
)
from tests.factories import AttributeValue, key_values


def carried(number: int, name: str, *values: AttributeValue) -> Iterator[Case]:
    """Yield a case per signal, which holds each value wherever it may hold one."""
    spans = [span({"k": value, "in": [value, {"k": value}]}) for value in values]
    records = [record({"k": value}, body=value) for value in values]
    points = [
        point(
            {"k": value},
            exemplars=[Exemplar(as_int=1, filtered_attributes=key_values({"k": value}))],
        )
        for value in values
    ]
    yield accepted(number, name, traces(*spans))
    yield accepted(number, name, logs(*records))
    yield accepted(number, name, metrics(gauge(*points)))


def _nested(depth: int, *, as_list: bool) -> AttributeValue:
    value: AttributeValue = "deep"
    for _ in range(depth):
        value = [value] if as_list else {"k": value}
    return value


DEEPEST_ARRAY, DEEPEST_KVLIST = 47, 31
"""Below an attribute of a span; protobuf's decoders allow a hundred messages in each other."""

ODD_KEYS = (
    "", "x" * 2**16, "a.b[0]['c']", '"quoted"', "__proto__", "constructor", "toString", "$", "$double",
    "$bytes", "$kvlist", "$$", "'", "\\", "é", "a b",
)  # fmt: skip
RESERVED_KEYS = (
    "tenant", "app.tenant", "id", "ts", "time", "name", "trace_id", "start_time", "service_name",
    "resource_id", "raw", "attributes",
)  # fmt: skip
NAN_WITH_PAYLOAD = struct.unpack("<d", bytes.fromhex("ad0bedfecaedf87f"))[0]


def _usual() -> Iterator[Case]:
    yield accepted(
        24, "arrays in arrays", traces(span({"k": _nested(DEEPEST_ARRAY, as_list=True)}))
    )
    yield accepted(
        24, "kvlists in kvlists", traces(span({"k": _nested(DEEPEST_KVLIST, as_list=False)}))
    )
    yield from carried(28, "no value", None)
    yield accepted(28, "a key without a value", traces(span([KeyValue(key="k")])))
    yield from carried(31, "64 KiB of bytes", random.Random(31).randbytes(2**16), b"", b"\0")
    yield from carried(
        32, "arrays of all kinds", [1, "a", None, 1.5, b"b"], [[], [[1]]], [], {}, [None], [{}]
    )
    yield from carried(
        34,
        "odd doubles",
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        5e-324,
        NAN_WITH_PAYLOAD,
        1e15,
        1e300,
        0.1,
    )
    yield from carried(36, "large integers", 2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1)
    yield from carried(41, "odd keys in a kvlist", dict.fromkeys(ODD_KEYS, 1))
    yield accepted(41, "odd keys", traces(span(dict.fromkeys(ODD_KEYS, "v"))))
    yield accepted(41, "odd keys", logs(record(dict.fromkeys(ODD_KEYS, "v"))))
    yield accepted(41, "odd keys", metrics(gauge(point(dict.fromkeys(ODD_KEYS, "v"), as_int=1))))
    yield accepted(44, "keys that look like columns", traces(span(dict.fromkeys(RESERVED_KEYS, 7))))
    yield accepted(44, "keys that look like columns", logs(record(dict.fromkeys(RESERVED_KEYS, 7))))
    yield accepted(123, "a fraction where integers are usual", metrics(gauge(point(as_double=1.9))))


def _on_the_wire() -> Iterator[Case]:
    def with_value(value: bytes) -> bytes:
        return on_the_wire(span_bytes(attribute_bytes(value)))

    text, number = field_of(0x0A, b"text"), b"\x18\x07"
    for name, value in {
        "text, then a number": text + number,
        "a number, then text": number + text,
        "two arrays, which are joined": 2 * field_of(0x2A, field_of(0x0A, number)),
        "an array, then a kvlist": field_of(0x2A, b"") + field_of(0x32, b""),
    }.items():
        yield accepted_wire(29, name, Signal.TRACES, with_value(value))
    for size in (b"\x02", varint(2**32), varint(2**64 - 1)):
        yield accepted_wire(43, f"true as {size.hex()}", Signal.TRACES, with_value(b"\x10" + size))
    groups = {depth: b"\x7b" * depth + b"\x7c" * depth for depth in (90, 200)}
    yield accepted_wire(
        27, "90 groups in each other", Signal.TRACES, on_the_wire(span_bytes(groups[90]))
    )
    for depth, opened in ((200, groups[200]), (3, b"\x7b" * 3)):
        yield quarantined_wire(
            27,
            f"{depth} groups in each other" + " that never end" * (depth == 3),
            Signal.TRACES,
            on_the_wire(span_bytes(opened)),
            Reason.UNDECODABLE,
        )
    yield rejected(27, "groups around resources that never end", Signal.TRACES, wire=b"\x7b" * 200)
    too_deep = [
        span({"k": _nested(DEEPEST_ARRAY + 1, as_list=True)}),
        span({"k": _nested(DEEPEST_KVLIST + 1, as_list=False)}),
    ]
    for deep in too_deep:
        wire = on_the_wire(deep.SerializeToString())
        yield quarantined_wire(
            24, f"too deep, {len(wire)} bytes", Signal.TRACES, wire, Reason.TOO_DEEP
        )
    equal = span([*key_values({"a": 1, "b": 2}), *key_values({"a": "last"})])
    yield accepted(40, "equal attribute keys", traces(equal))
    inner = AnyValue()
    inner.kvlist_value.values.extend([*key_values({"a": 1}), *key_values({"a": 2})])
    yield accepted(40, "equal keys in a body", logs(record(body=inner)))


# -- what only JSON can say ------------------------------------------------------------------------

_MARK = '{"stringValue": "@"}'
_SPAN_IN_JSON = entries_of(traces(span({"k": "@"})))


def with_value(text: str) -> str:
    """Return a span in JSON whose attribute has this value."""
    assert _MARK in _SPAN_IN_JSON
    return _SPAN_IN_JSON.replace(_MARK, text)


def _integers() -> Iterator[Case]:
    path = ".scopeSpans[0].spans[0].attributes[0].value.intValue must be"
    for text in (
        '"9223372036854775808"', "9223372036854775808", "1.5", '"1.5"', "1e30", '""', '"0x10"', '" 1"', '"+1"',
        "true", "[]", "{}", '"' + "9" * 5_000 + '"',
    ):  # fmt: skip
        yield rejected(
            37,
            f"intValue {text[:24]}",
            Signal.TRACES,
            says=path if not text.startswith("9" * 20) else "",
            entries=with_value(f'{{"intValue": {text}}}'),
        )
    for text in ("-1", '"-1"', '"18446744073709551616"', "1.5", '""'):
        time = f'"startTimeUnixNano": {text}'
        yield rejected(
            37,
            f"unsigned {text}",
            Signal.TRACES,
            says="startTimeUnixNano must be",
            entries=_SPAN_IN_JSON.replace(
                f'"startTimeUnixNano": "{span().start_time_unix_nano}"', time
            ),
        )
    for text, number in (
        ("1.5447126603e18", 1_544_712_660_300_000_000), ('"1544712660300000000"', 1_544_712_660_300_000_000),
        ("1544712660300000000", 1_544_712_660_300_000_000), ("7.0", 7), ('"-7"', -7), ("-0.0", 0),
    ):  # fmt: skip
        entries = with_value(f'{{"intValue": {text}}}')
        yield accepted_json(38, f"intValue {text}", entries, traces(span({"k": number})))


def _other_json() -> Iterator[Case]:
    yield accepted_json(
        40,
        "equal names in an object",
        with_value('{"stringValue": "first", "stringValue": "last"}'),
        traces(span({"k": "last"})),
    )
    yield accepted_json(
        29,
        "two kinds of a value",
        with_value('{"stringValue": "a", "intValue": 5}'),
        traces(span({"k": 5})),
    )
    for text, value in (
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1e3", 1e3),
    ):
        entries = with_value(f'{{"doubleValue": "{text}"}}')
        yield accepted_json(34, f'doubleValue "{text}"', entries, traces(span({"k": value})))
    yield rejected(
        34, "NaN that is no JSON", Signal.TRACES, entries=with_value('{"doubleValue": NaN}')
    )
    yield rejected(43, "boolean 2", Signal.TRACES, entries=with_value('{"boolValue": 2}'))
    yield rejected(
        31, "bytes that are no base64", Signal.TRACES, entries=with_value('{"bytesValue": "?"}')
    )
    for depth in (1_000, 100_000):
        text = '{"arrayValue": {"values": [' * depth + "]}}" * depth
        yield rejected(26, f"{depth} arrays in each other", Signal.TRACES, entries=with_value(text))
        yield rejected(
            26, f"{depth} brackets", Signal.TRACES, entries=with_value("[" * depth + "]" * depth)
        )
    yield quarantined(
        24,
        "more attributes than an item may have",
        traces(span({f"k{number}": 1 for number in range(10_001)})),
        Reason.TOO_MANY_PARTS,
    )


CASES = [*_usual(), *_on_the_wire(), *_integers(), *_other_json()]
