"""The corpus's seeds: one file for each kind of bad input that somebody knew beforehand.

``python -m tests.fuzz.seeds`` writes them into ``corpus``; ``test_corpus.py`` fails when a file and
its seed differ. Each seed stands among good items, so that the harm it could do to them is seen.
What fuzzing found is kept as a file alone, under the start of its hash.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

from collector.convert.tags import field_of, varint
from collector.rows import Signal
from tests.factories import request_of
from tests.fuzz.case import CORPUS, Case, Door, Encoding
from tests.strategies import NOW_UNIX_NANO

TRACE_ID, SPAN_ID = bytes(range(1, 17)), bytes(range(1, 9))
DAY_NS = 86_400 * 10**9
TEXTS = {
    "nul": b"a\0b",
    "bad-utf8": b"\xff\xfe",
    "surrogate-utf8": b"\xed\xa0\x80",
    "overlong-utf8": b"\xc0\x80",
    "nonchar": b"\xef\xbf\xbf",
    "control": b"\x1b[31m\x7f\r\n\xe2\x80\xae",
    "markup": b"<img src=x onerror=alert(1)>{{7*7}}${jndi:x}",
    "sql": b"'; DROP TABLE trace_spans;--%_\\",
    "path": b"../../etc/passwd%2e",
    "empty": b"",
    "number-like": b"NaN",
    "long": b"x" * 2_700,
}
NUMBERS = (0, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
DOUBLES = (0.0, -0.0, 5e-324, 1e15, 1e-15, 1e308, float("nan"), float("inf"), float("-inf"))
TIMES = {
    "none": 0,
    "one": 1,
    "hour-ahead": NOW_UNIX_NANO + DAY_NS // 24,
    "day-ahead": NOW_UNIX_NANO + DAY_NS,
    "past-the-day": NOW_UNIX_NANO + DAY_NS + 1,
    "old": NOW_UNIX_NANO - 90 * DAY_NS,
    "int64-max": 2**63 - 1,
    "uint64-max": 2**64 - 1,
}


def seeds() -> Iterator[tuple[str, Case]]:
    """Yield the file name and the case of every seed."""
    for signal in Signal:
        for words, wire in (*_usual(signal), *_framing()):
            yield _named(Encoding.PROTOBUF, signal, words, wire)
    for words, span in _spans():
        yield _named(Encoding.PROTOBUF, Signal.TRACES, words, _groups(_span(), span, _span()))
    for words, record in _records():
        wire = _groups(_record(), record, _record())
        yield _named(Encoding.PROTOBUF, Signal.LOGS, words, wire)
    for words, metric in _metrics():
        wire = _groups(_metric(), metric, _metric())
        yield _named(Encoding.PROTOBUF, Signal.METRICS, words, wire)
    for words, head in _heads():
        wire = field_of(0x0A, head + field_of(0x12, field_of(0x12, _span())))
        yield _named(Encoding.PROTOBUF, Signal.TRACES, words, wire + _groups(_span()))
    for signal in Signal:
        for words, text in _json(signal):
            yield _named(Encoding.JSON, signal, words, text)
    for words, raw in _http():
        yield _named(Encoding.HTTP, None, words, raw)


def _named(encoding: Encoding, signal: Signal | None, words: str, data: bytes) -> tuple[str, Case]:
    case = Case(Door(encoding, signal), data)
    return case.file_name(words), case


# -- parts --------------------------------------------------------------------------------------


def _groups(*items: bytes) -> bytes:
    """Return a request of these spans, log records or metrics with a service and a library."""
    resource = field_of(0x0A, field_of(0x0A, _attribute(b"service.name", _text(b"shop"))))
    scope = field_of(0x0A, field_of(0x0A, b"library"))
    content = b"".join([field_of(0x12, item) for item in items])
    return field_of(0x0A, resource + field_of(0x12, scope + content))


def _span(extra: bytes = b"", *, trace_id: bytes = TRACE_ID, span_id: bytes = SPAN_ID) -> bytes:
    times = b"\x39" + _fixed(NOW_UNIX_NANO) + b"\x41" + _fixed(NOW_UNIX_NANO + 10**6)
    return field_of(0x0A, trace_id) + field_of(0x12, span_id) + times + extra


def _record(extra: bytes = b"", time: int = NOW_UNIX_NANO) -> bytes:
    return b"\x09" + _fixed(time) + extra


def _metric() -> bytes:
    return _metric_of(gauge=Gauge(data_points=[_point()]))


def _metric_of(**data: Any) -> bytes:
    return Metric(name="m", **data).SerializeToString()


def _point(**fields: Any) -> NumberDataPoint:
    usual: dict[str, Any] = {"time_unix_nano": NOW_UNIX_NANO}
    return NumberDataPoint(**(usual | fields))


def _fixed(number: int) -> bytes:
    return struct.pack("<Q", number)


def _text(raw: bytes) -> bytes:
    return field_of(0x0A, raw)


def _attribute(key: bytes, value: bytes | None) -> bytes:
    return field_of(0x0A, key) + (b"" if value is None else field_of(0x12, value))


def _values() -> Iterator[tuple[str, bytes]]:
    """Yield attribute values on the wire."""
    yield "nothing", b""
    yield "string-then-int", _text(b"a") + b"\x18\x01"
    yield "bool-two", b"\x10\x02"
    yield "bytes", field_of(0x3A, bytes(range(256)))
    yield "empty-array", field_of(0x2A, b"")
    yield "empty-kvlist", field_of(0x32, b"")
    yield (
        "mixed-array",
        field_of(0x2A, b"".join(field_of(0x0A, v) for v in (b"", b"\x18\x01", _text(b"x")))),
    )
    for number in (0, 2**53 + 1, 2**63 - 1, 2**63):
        yield f"int-{number}", b"\x18" + varint(number)
    for number in DOUBLES:
        yield f"double-{number}".replace("+", ""), b"\x21" + struct.pack("<d", number)
    for depth in (31, 46, 47, 60):
        yield f"arrays-{depth}", _nested(depth, 0x2A)
    for depth in (30, 31, 60):
        yield f"kvlists-{depth}", _nested(depth, 0x32)
    for depth in (30, 31):
        yield f"kvlists-{depth}-voided", _nested(depth, 0x32) + _text(b"shop")
    for key in (b"$", b"$double", b"$bytes", b"$kvlist", b"__proto__", b"", b"k\0"):
        pair = field_of(0x0A, _attribute(key, _text(b"NaN")))
        yield f"kvlist-key-{key.hex() or 'empty'}", field_of(0x32, pair)
    pair = field_of(0x0A, _attribute(b"k", b"\x18\x01"))
    yield "kvlist-same-key", field_of(0x32, pair + field_of(0x0A, _attribute(b"k", None)))
    yield "group-90", b"\x4b" * 90 + b"\x4c" * 90
    yield "group-200", b"\x4b" * 200 + b"\x4c" * 200
    yield "strindex", b"\x40\x05"


def _nested(depth: int, tag: int) -> bytes:
    value = _text(b"deep")
    for _ in range(depth):
        inner = value if tag == 0x2A else _attribute(b"k", value)
        value = field_of(tag, field_of(0x0A, inner))
    return value


# -- protobuf ------------------------------------------------------------------------------------


def _usual(signal: Signal) -> Iterator[tuple[str, bytes]]:
    request = request_of(signal, items=4, base_unix_nano=NOW_UNIX_NANO)
    yield "usual", request.SerializeToString()
    for other in Signal:
        if other is not signal:
            wire = request_of(other, items=3, base_unix_nano=NOW_UNIX_NANO).SerializeToString()
            yield f"got-{other}", wire


def _framing() -> Iterator[tuple[str, bytes]]:
    """Yield what is broken, empty or strange at any signal's door."""
    yield "empty", b""
    yield "empty-groups", b"\x0a\x00" * 40 + field_of(0x0A, b"\x12\x00" * 40)
    yield "empty-items", field_of(0x0A, field_of(0x12, b"\x12\x00" * 40))
    yield "json-text", b'{"resourceSpans":[]}'
    yield "cut-off", field_of(0x0A, b"x" * 100)[:50]
    yield "length-2-31", b"\x0a\x80\x80\x80\x80\x08"
    yield "field-zero", b"\x02\x01x"
    yield "wire-type-7", b"\x0f\x01"
    yield "end-group", b"\x0c"
    yield "unknown-fields", b"\xd0\x3e\x07" + field_of(0x3FA, b"x") + b"\xd3\x3e\x08\x01\xd4\x3e"
    yield "group-90", b"\x1b" * 90 + b"\x1c" * 90
    yield "group-200", b"\x1b" * 200 + b"\x1c" * 200
    yield "padded-tag", b"\x8a\x80\x00\x00"
    yield "long-varint", b"\x10" + b"\xff" * 10 + b"\x01"


def _heads() -> Iterator[tuple[str, bytes]]:
    for name, text in TEXTS.items():
        yield f"resource-url-{name}", field_of(0x1A, text)
    service = field_of(0x0A, _attribute(b"service.name", _text(b"s" * 300)))
    yield "resource-twice", field_of(0x0A, service) + field_of(0x0A, b"\x10\x05")
    yield (
        "resource-number-name",
        field_of(0x0A, field_of(0x0A, _attribute(b"service.name", b"\x18\x01"))),
    )
    yield "resource-parts", b"\x0a\x04\x52\x0aab" + b"\x0a\x08cdefghij"
    yield "resource-broken", field_of(0x0A, field_of(0x0A, b"\x12\x05"))
    entity = field_of(0x12, b"t\0") + field_of(0x1A, b"\xff") + field_of(0x1A, b"k")
    yield "resource-entity", field_of(0x0A, field_of(0x1A, entity))


def _spans() -> Iterator[tuple[str, bytes]]:
    for size in (0, 1, 8, 15, 17, 32):
        yield f"trace-id-{size}", _span(trace_id=b"i" * size)
        yield f"span-id-{size}", _span(span_id=b"i" * size)
    yield "trace-id-zero", _span(trace_id=bytes(16))
    yield "span-id-zero", _span(span_id=bytes(8))
    yield "parent-zero", _span(field_of(0x22, bytes(8)))
    for name, text in TEXTS.items():
        yield f"name-{name}", _span(field_of(0x2A, text))
        yield f"key-{name}", _span(field_of(0x4A, _attribute(text, b"\x18\x01")))
    for name in ("nul", "bad-utf8"):
        text = TEXTS[name]
        yield f"trace-state-{name}", _span(field_of(0x1A, text))
        yield f"status-{name}", _span(field_of(0x7A, field_of(0x12, text)))
        yield f"event-{name}", _span(field_of(0x5A, field_of(0x12, text)))
        yield f"link-{name}", _span(field_of(0x6A, field_of(0x1A, text)))
        yield f"value-{name}", _span(field_of(0x4A, _attribute(b"k", _text(text))))
    repaired = [_attribute(key, b"\x18\x01") for key in (b"a\0", b"a\xef\xbf\xbd", b"a\xff")]
    yield "keys-made-equal", _span(b"".join(field_of(0x4A, pair) for pair in repaired))
    same = field_of(0x4A, _attribute(b"k", b"\x18\x01")) + field_of(0x4A, _attribute(b"k", None))
    yield "same-key", _span(same)
    yield "event-same-key", _span(field_of(0x5A, same.replace(b"\x4a", b"\x1a")))
    for name, value in _values():
        yield f"value-{name}", _span(field_of(0x4A, _attribute(b"k", value)))
    for name, time in TIMES.items():
        yield f"start-{name}", _span(b"\x39" + _fixed(time))
        yield f"end-{name}", _span(b"\x41" + _fixed(time))
    for number in (99, 2**31, 2**64 - 1):
        yield f"kind-{number}", _span(b"\x30" + varint(number))
        yield f"status-code-{number}", _span(field_of(0x7A, b"\x18" + varint(number)))
    yield "link-odd-ids", _span(field_of(0x6A, field_of(0x0A, b"abc") + field_of(0x12, bytes(8))))
    yield "many-attributes", _span(b"\x4a\x00" * 10_001)
    yield "broken-attribute", _span(field_of(0x4A, b"\x0a\x05"))
    yield "broken-status", _span(field_of(0x7A, b"\x12\x05"))
    yield "status-parts", _span(b"\x7a\x04\x12\x0aab" + b"\x7a\x08cdefghij")
    yield "status-twice", _span(field_of(0x7A, b"\x18\x01") + field_of(0x7A, field_of(0x12, b"m")))


def _records() -> Iterator[tuple[str, bytes]]:
    for name, text in TEXTS.items():
        yield f"body-{name}", _record(field_of(0x2A, _text(text)))
    for name in ("nul", "bad-utf8"):
        yield f"severity-{name}", _record(field_of(0x1A, TEXTS[name]))
        yield f"event-name-{name}", _record(field_of(0x62, TEXTS[name]))
    for name, value in _values():
        yield f"body-{name}", _record(field_of(0x2A, value))
    for name, time in TIMES.items():
        yield f"time-{name}", _record(time=time)
        yield f"observed-{name}", _record(b"\x59" + _fixed(time), time=0)
    for size in (1, 8, 15, 17, 32):
        yield f"ids-{size}", _record(field_of(0x4A, b"i" * size) + field_of(0x52, b"i" * size))
    for number in (25, 2**31, 2**64 - 5):
        yield f"severity-{number}", _record(b"\x10" + varint(number))
    yield "body-parts", _record(b"\x2a\x04\x0a\x0aab" + b"\x2a\x08cdefghij")
    yield "body-twice", _record(field_of(0x2A, _text(b"a")) + field_of(0x2A, b"\x18\x01"))


def _metrics() -> Iterator[tuple[str, bytes]]:
    for name, text in TEXTS.items():
        yield f"name-{name}", _metric() + field_of(0x0A, text)
    for name in ("nul", "bad-utf8"):
        yield f"unit-{name}", _metric() + field_of(0x1A, TEXTS[name])
        yield f"description-{name}", _metric() + field_of(0x12, TEXTS[name])
    for number in DOUBLES:
        yield (
            f"gauge-{number}".replace("+", ""),
            _metric_of(gauge=Gauge(data_points=[_point(as_double=number)])),
        )
    for number in (2**63 - 1, -(2**63), 0):
        yield (
            f"gauge-{number}",
            _metric_of(sum=Sum(data_points=[_point(as_int=number)], is_monotonic=True)),
        )
    for name, time in TIMES.items():
        points = [_point(time_unix_nano=time), _point(start_time_unix_nano=time, flags=1)]
        yield f"times-{name}", _metric_of(gauge=Gauge(data_points=points))
    yield "no-data", Metric(name="m").SerializeToString()
    yield "no-points", _metric_of(gauge=Gauge())
    yield "two-kinds", _metric() + field_of(0x3A, field_of(0x0A, _point().SerializeToString()))
    yield "two-gauges", _metric() + field_of(0x2A, field_of(0x0A, _point().SerializeToString()))
    yield "broken", field_of(0x2A, b"\x0a\x05")
    yield "broken-point", field_of(0x2A, field_of(0x0A, b"\x19") + field_of(0x0A, b""))
    for number in NUMBERS:
        yield (
            f"counts-{number}",
            _metric_of(
                histogram=Histogram(
                    data_points=[HistogramDataPoint(count=number, bucket_counts=[number, 1])]
                )
            ),
        )
    bounds = [3.0, 1.0, float("nan"), float("inf"), -0.0]
    points = [HistogramDataPoint(explicit_bounds=bounds, bucket_counts=[1], min=0.0)]
    yield "odd-bounds", _metric_of(histogram=Histogram(data_points=points))
    exponential = ExponentialHistogramDataPoint(scale=-(2**31), zero_count=2**64 - 1)
    exponential.positive.bucket_counts.append(2**64 - 1)
    exponential.negative.offset = 2**31 - 1
    yield (
        "exponential",
        _metric_of(exponential_histogram=ExponentialHistogram(data_points=[exponential])),
    )
    quantiles = [
        SummaryDataPoint.ValueAtQuantile(quantile=number, value=number) for number in DOUBLES
    ]
    points = [SummaryDataPoint(quantile_values=quantiles)]
    yield "summary", _metric_of(summary=Summary(data_points=points))
    yield "counts-cut-off", field_of(0x4A, field_of(0x0A, field_of(0x32, b"\x01" * 9)))


# -- JSON ----------------------------------------------------------------------------------------

_PATHS = {
    Signal.TRACES: '{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}',
    Signal.LOGS: '{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}',
    Signal.METRICS: '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":'
    '{"dataPoints":[%s]}}]}]}]}',
}


def _json(signal: Signal) -> Iterator[tuple[str, bytes]]:
    request = request_of(signal, items=3, base_unix_nano=NOW_UNIX_NANO)
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    yield "usual", json.dumps(document, indent=None).encode()
    whole = {
        "empty-object": b"{}", "array": b"[]", "null": b"null", "word": b'"str"', "nothing": b"",
        "bom": b"\xef\xbb\xbf{}", "utf16": "{}".encode("utf-16"), "trailing-comma": b'{"a":1,}',
        "comment": b"{}//", "nan": b'{"a":NaN}', "nested-1000": b"[" * 1_000 + b"]" * 1_000,
    }  # fmt: skip
    yield from whole.items()
    for name, text in _json_items():
        yield name, (_PATHS[signal] % f"{{}},{text},{{}}").encode()


def _json_items() -> Iterator[tuple[str, str]]:
    ids = {
        "upper": "5B8EFFF798038103D269B633813FC60C", "odd": "5b8", "not-hex": "zz" * 16,
        "base64": "W47/95gDgQPSabYzgT/GDA==", "empty": "", "surrogate": "\\ud800",
    }  # fmt: skip
    for name, text in ids.items():
        yield f"ids-{name}", f'{{"traceId":"{text}","spanId":"{text[:16]}","timeUnixNano":"1"}}'
    numbers = {
        "int64-max": '"9223372036854775807"', "int64-over": '"9223372036854775808"', "word": '"NaN"',
        "fraction": "1.5", "exponent": "1.5447126603e18", "huge": "1e400", "digits": "9" * 400,
        "hex": '"0x10"', "empty": '""', "bool": "true", "minus-one": '"-1"', "list": "[]",
    }  # fmt: skip
    for name, number in numbers.items():
        value = f'[{{"key":"\\ud800","value":{{"doubleValue":{number}}}}}]'
        yield f"time-{name}", f'{{"timeUnixNano":{number},"startTimeUnixNano":{number}}}'
        yield f"double-{name}", f'{{"timeUnixNano":1,"attributes":{value}}}'
        yield f"int-{name}", f'{{"attributes":{value.replace("double", "int")}}}'
    for depth in (20, 60):
        value = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
        yield f"depth-{depth}", f'{{"attributes":[{{"key":"k","value":{value}}}]}}'
    yield "same-name", '{"flags":1,"flags":2,"flags":null}'
    yield "snake-case", '{"trace_id":"00","time_unix_nano":1,"unknown":{"a":[1]}}'
    yield "enum-name", '{"kind":"SPAN_KIND_SERVER","severityNumber":"INFO"}'
    yield "nul-key", '{"timeUnixNano":1,"attributes":[{"key":"a\\u0000"},{"key":"\\ufffd"}]}'


# -- HTTP ----------------------------------------------------------------------------------------


def _http() -> Iterator[tuple[str, bytes]]:
    body = _groups(_span())
    yield "usual", _post(body)
    yield "json", _post(b'{"resourceSpans":[]}', media="application/json")
    yield "utf16", _post(b"{}", media="application/json; charset=utf-16")
    yield "no-media", _post(body, media="")
    yield "gzip", _post(gzip.compress(body, mtime=0), coding="gzip")
    yield "gzip-two-members", _post(gzip.compress(body, mtime=0) * 2, coding="gzip")
    yield "gzip-cut-off", _post(gzip.compress(body, mtime=0)[:-9], coding="gzip")
    yield "gzip-bad-crc", _post(gzip.compress(body, mtime=0)[:-8] + bytes(8), coding="gzip")
    yield "gzip-garbage", _post(gzip.compress(body, mtime=0) + b"garbage", coding="GZIP")
    yield "deflate", _post(zlib.compress(body), coding="deflate")
    yield "deflate-raw", _post(zlib.compress(body)[2:-4], coding="deflate")
    yield "two-codings", _post(body, coding="gzip, gzip")
    yield "brotli", _post(body, coding="br")
    yield "chunked", _post(b"5\r\n\x0a\x03\x12\x01\x12\r\n0\r\n\r\n", length="chunked")
    yield "bad-chunk", _post(b"zz\r\nabc\r\n0\r\n\r\n", length="chunked")
    yield "too-short", _post(body, length="999")
    yield "two-lengths", _post(body, length=f"{len(body)}\r\ncontent-length: 1")
    yield "huge-length", _post(body, length="9" * 5_000)
    yield "negative-length", _post(body, length="-1")
    yield "too-large", _post(b"", length=str(2**40))
    yield "expect", _post(body, media="application/x-protobuf\r\nexpect: 100-continue")
    yield "get", b"GET /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n"
    yield "slash", _post(body, path="/v1/traces/")
    yield "two-slashes", _post(body, path="//v1/traces")
    yield "case", _post(body, path="/V1/Traces?x=")
    yield "absolute", _post(body, path="http://x/v1/traces")
    yield "escapes", _post(body, path="/v1/%74races%00%ff")
    yield "nul-header", _post(body, media="a\0b")
    yield "long-header", _post(body, media="x" * 20_000)
    yield "pipelined", _post(body, close="") + _post(body)
    yield "no-http", b"\x16\x03\x01\x02\x00\x01\x00\x01"
    yield "http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _post(
    body: bytes,
    *,
    path: str = "/v1/traces",
    media: str = "application/x-protobuf",
    coding: str = "",
    length: str = "",
    close: str = "connection: close\r\n",
) -> bytes:
    framing = (
        "transfer-encoding: chunked"
        if length == "chunked"
        else (f"content-length: {length or len(body)}")
    )
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{close}{framing}\r\n"
    head += f"content-type: {media}\r\n" if media else ""
    head += f"content-encoding: {coding}\r\n" if coding else ""
    return (head + "\r\n").encode() + body


if __name__ == "__main__":
    for _name, _case in seeds():
        (CORPUS / _name).write_bytes(_case.data)
