"""What a worker says about one flush: a head, and an item per line, ready for display.

A message is text in lines, each a JSON object. The head tells which of the publisher's items these
are and holds the attributes of the resources, once each; a line is an item as ``collector.items``
describes it, with the number of its resource in the place of the resource.

Spec: none but this file; both ends are ours and of one version, ``VERSION``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple, TypeAlias, cast

import orjson

from collector.convert.values import double_json
from collector.errors import TailMessageError
from collector.items import (
    KIND_BY_NUMBER,
    SEVERITY_BY_NUMBER,
    STATUS_BY_CODE,
    TEXT_CHARACTERS_MAX,
    Item,
)
from collector.rows import PG_EPOCH_UNIX_US, ConvertedRequest, LogRow, PointRow, Signal, SpanRow
from collector.tail.scissors import Scissors

VERSION: Final = 1

_NUMBER_MAX: Final = 2**53 - 1
"""Of items that a publisher commits in its life, and of transactions: a few of them add up in JSON."""

_FORMS: Final[dict[str, type]] = {
    **dict.fromkeys(
        ("signal", "time", "service", "name", "kind", "status", "status_message", "trace_id",
         "span_id", "parent_span_id", "severity", "severity_text", "event", "metric", "type", "unit"),
        str,
    ),
    **dict.fromkeys(("severity_number", "duration_ns", "count"), int),
    **dict.fromkeys(("attributes", "resource"), dict),
}  # fmt: skip
"""What filters rely on; the other fields of an item may hold any JSON."""

_BRACKETS_MAX: Final = 200
"""As deep as JSON with so few of them can be, it can be written again; orjson reads deeper than that."""

RESOURCE_KEY_BYTES_MAX: Final = 24
"""A 64-bit number in quotes, a colon and a comma."""

Pick: TypeAlias = tuple[ConvertedRequest, tuple[Any, ...]]
"""A row that is to be shown, with the request that holds its dimensions."""


class Head(NamedTuple):
    """Which items a message is about."""

    signal: Signal
    source: str
    """The publisher: one life of one worker."""
    first: int
    """Number of the first item, counted from 0 over all that the publisher has committed."""
    items: int
    """How many were committed; the lines may be fewer. 0: a greeting, see ``publisher``."""
    transaction_id: int | None
    """Of the transaction that committed them."""
    database: str | None = None
    """Which database of which cluster they are in; None: the publisher does not know yet."""
    is_last: bool = False
    """A farewell: the publisher ends in order, and commits nothing more."""


class Message(NamedTuple):
    """A message as it was read."""

    head: Head
    lines: list[Item]


def encode(head: Head, picks: Sequence[Pick], bytes_max: int) -> bytes:
    """Return the message; of ``picks`` as many as ``bytes_max`` allows, beside the head's own.

    Takes 3 to 5 us for each item: the attributes are JSON already.
    """
    resources: dict[int, str] = {}
    lines: list[str] = []
    size = 0
    for line, resource_id, resource in _LINES[head.signal](picks, Scissors()):
        size += _bytes_of(line)
        if resource_id not in resources:
            size += _bytes_of(resource)
        if size > bytes_max:
            break
        resources[resource_id] = resource
        lines.append(line)
    text = ",".join(f'"{key}":{value}' for key, value in resources.items())
    lines.insert(0, f"{orjson.dumps([VERSION, *head]).decode()[:-1]},{{{text}}}]")
    return "\n".join(lines).encode()


def _bytes_of(text: str) -> int:
    """Return the length on the wire with what joins ``text`` to its neighbours."""
    return RESOURCE_KEY_BYTES_MAX + (len(text) if text.isascii() else len(text.encode()))


def decode(raw: bytes) -> Message:
    """Return what ``encode`` was given.

    Raises:
        TailMessageError: it is none of ours, of another version, or nests so deep that no reader
            could be sent it.
    """
    first, *rest = raw.split(b"\n")
    try:
        version, *fields, resources = orjson.loads(first)
        if version != VERSION:
            raise TailMessageError(f"a live tail speaks version {version!r:.40}, not {VERSION}")
        head = _head(*fields)
        lines = [_with_resource(orjson.loads(line), head, resources) for line in rest]
        around = _brackets(first)
        for line, item in zip(rest, lines, strict=True):
            if around + _brackets(line) > _BRACKETS_MAX:
                orjson.dumps(item)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise TailMessageError("a live tail sent something else") from error
    return Message(head, lines)


def _brackets(json: bytes) -> int:
    return json.count(b"[") + json.count(b"{")


def _head(
    signal: str,
    source: Any,
    first: Any,
    items: Any,
    transaction_id: Any,
    database: Any,
    is_last: Any,
) -> Head:
    """Return the head if it is one of ours; anybody may publish on Redis.

    Raises:
        ValueError: it is not.
    """
    numbers = (first, items, 0 if transaction_id is None else transaction_id)
    if (
        not isinstance(source, str)
        or not isinstance(database, str | None)
        or not isinstance(is_last, bool)
        or not all(type(n) is int and 0 <= n <= _NUMBER_MAX for n in numbers)
    ):
        raise ValueError("no head")
    return Head(Signal(signal), source, first, items, transaction_id, database, is_last)


def _with_resource(item: dict[str, Any], head: Head, resources: dict[str, Any]) -> Item:
    item["resource"] = resources[item["resource"]]
    if item["signal"] != head.signal or "time" not in item:
        raise ValueError("no item")
    for field, value in item.items():
        form = _FORMS.get(field)
        if form is not None and type(value) is not form:
            raise ValueError("no item")
    if not item["resource"]:
        del item["resource"]
    return cast("Item", item)


# -- one line -------------------------------------------------------------------------------------


def _span_lines(picks: Iterable[Pick], scissors: Scissors) -> Iterable[tuple[str, int, str]]:
    for request, row in picks:
        span = SpanRow._make(row)
        line = _Line(scissors, "traces", span.start_time, span.start_ns, span.service_name)
        line.text("name", span.name)
        line.word("kind", KIND_BY_NUMBER.get(span.kind))
        line.word("status", STATUS_BY_CODE.get(span.status_code, str(span.status_code)))
        line.text("status_message", span.status_message)
        line.hex("trace_id", span.trace_id)
        line.hex("span_id", span.span_id)
        line.hex("parent_span_id", span.parent_span_id)
        line.number("duration_ns", span.duration_ns)
        yield line.end(request, span.attributes, span.resource_id)


def _log_lines(picks: Iterable[Pick], scissors: Scissors) -> Iterable[tuple[str, int, str]]:
    for request, row in picks:
        log = LogRow._make(row)
        line = _Line(scissors, "logs", log.time, log.time_ns, log.service_name)
        if log.severity_number:
            line.word("severity", SEVERITY_BY_NUMBER.get(log.severity_number))
            line.number("severity_number", log.severity_number)
        line.text("severity_text", log.severity_text)
        if log.body is None:
            line.text("body", log.body_text)
        else:
            line.body(log.body)
        line.text("event", log.event_name)
        line.hex("trace_id", log.trace_id)
        line.hex("span_id", log.span_id)
        yield line.end(request, log.attributes, log.resource_id)


def _point_lines(picks: Iterable[Pick], scissors: Scissors) -> Iterable[tuple[str, int, str]]:
    for request, row in picks:
        point = PointRow._make(row)
        series = request.dimensions.series[point.series_id]
        metric = request.dimensions.metrics[series.metric_id]
        line = _Line(scissors, "metrics", point.time, point.time_ns, series.service_name)
        line.text("metric", metric.name)
        line.word("type", metric.type)
        line.text("unit", metric.unit)
        line.number("value", point.value_int)
        line.double("value", point.value)
        line.number("count", point.count)
        line.double("sum", point.sum)
        line.double("min", point.min)
        line.double("max", point.max)
        yield line.end(request, series.attributes, series.resource_id)


_LINES: Final = {
    Signal.TRACES: _span_lines,
    Signal.METRICS: _point_lines,
    Signal.LOGS: _log_lines,
}


class _Line:
    """Builds one item as JSON text; what is None is left out."""

    __slots__ = ("_cut", "_parts", "_scissors")

    def __init__(
        self,
        scissors: Scissors,
        signal: str,
        time: int,
        time_ns: int | None,
        service: str | None,
    ) -> None:
        self._scissors = scissors
        second, micros = divmod(time + PG_EPOCH_UNIX_US, 1_000_000)
        self._parts = [f'{{"signal":"{signal}","time":"{_second(second)}.{micros:06}{time_ns or 0:03}Z"']  # fmt: skip
        self._cut = False
        self.text("service", service)

    def text(self, key: str, value: str | None) -> None:
        if value is not None:
            if len(value) > TEXT_CHARACTERS_MAX:
                value = value[:TEXT_CHARACTERS_MAX]
                self._cut = True
            self._parts.append(f'"{key}":{encode_basestring(value)}')

    def word(self, key: str, value: str | None) -> None:
        if value is not None:
            self._parts.append(f'"{key}":"{value}"')

    def hex(self, key: str, value: bytes | None) -> None:
        if value is not None:
            self._parts.append(f'"{key}":"{value.hex()}"')

    def number(self, key: str, value: int | None) -> None:
        if value is not None:
            self._parts.append(f'"{key}":{value}')

    def double(self, key: str, value: float | None) -> None:
        if value is not None:
            self._parts.append(f'"{key}":{double_json(value)}')

    def json(self, key: str, value: str) -> None:
        self._parts.append(f'"{key}":{value}')

    def body(self, value: str) -> None:
        """Add a body that is no text, as JSON, or as the beginning of a text."""
        shown, is_json = self._scissors.body(value)
        if is_json:
            self.json("body", shown)
        else:
            self.text("body", shown)

    def end(
        self, request: ConvertedRequest, attributes: str, resource_id: int
    ) -> tuple[str, int, str]:
        """Return the line, and the resource that it names."""
        attributes, is_cut = self._scissors.attributes(attributes)
        if attributes != "{}":
            self.json("attributes", attributes)
        resource, resource_is_cut = self._scissors.resource(
            resource_id, request.dimensions.resources[resource_id].attributes
        )
        if self._cut or is_cut or resource_is_cut:
            self.json("cut", "true")
        self._parts.append(f'"resource":"{resource_id}"}}')
        return ",".join(self._parts), resource_id, resource


@lru_cache(4_096)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
