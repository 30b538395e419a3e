"""Changes JSON requests as trees of values, and now and then as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple, cast

from tests.fuzz.bytes_mutator import mutate_bytes

_DIGITS = "9" * 320
SCALARS: tuple[str, ...] = (
    "null", "true", "false", "0", "-0", "-1", "1.5", "-0.0", "1e400", "-1e400", "5e-324", "1e15", "1e30",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615",
    "18446744073709551616", "4294967295", "4294967296", "2147483648", "1.5447126603e18",
    _DIGITS, f"-{_DIGITS}.5", "1e-400", '"NaN"', '"Infinity"', '"-Infinity"', '"nan"', '"1e999"',
    '"9223372036854775808"', '"-1"', '"1.5"', '""', '"0x10"', f'"{_DIGITS}"', '"\\u0000"',
    '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\uffff"', '"a\\u0000"', '"$double"',
    '"5b8efff798038103d269b633813fc60c"', '"5B8EFFF798038103"', '"5b8"', '"W47/95gDgQM="', '"-_8"',
    '"SPAN_KIND_SERVER"', "[]", "{}", "[null]", '[""]', "[0,1]", '["1",2]', '{"a":1}',
    '{"key":"k","value":{"stringValue":"v"}}', '{"arrayValue":{"values":[{}]}}',
    '{"kvlistValue":{"values":[{"key":"k"}]}}', '{"bytesValue":"AA=="}', '{"doubleValue":"NaN"}',
)  # fmt: skip
"""Values as text, since Python would not write some of them."""

NAMES = (
    "name", "key", "value", "values", "attributes", "traceId", "spanId", "flags", "kind", "status",
    "timeUnixNano", "startTimeUnixNano", "intValue", "doubleValue", "stringValue", "boolValue",
    "bytesValue", "arrayValue", "kvlistValue", "body", "severityNumber", "events", "links", "gauge",
    "sum", "histogram", "exponentialHistogram", "summary", "dataPoints", "asInt", "asDouble", "count",
    "bucketCounts", "explicitBounds", "positive", "offset", "scale", "quantileValues", "exemplars",
    "isMonotonic", "aggregationTemporality", "schemaUrl", "resource", "scope", "trace_id", "unknown",
    "", "__proto__", "droppedAttributesCount", "entityRefs", "metadata", "min", "zeroThreshold",
)  # fmt: skip

_HOLE = '"\ue000%d\ue000"'
"""Stands in the tree where a text of ``SCALARS`` will be."""


class _Place(NamedTuple):
    holder: Any  # the object or the array around
    key: Any  # the name or the index in it


def mutate_json(raw: bytes, random: Random, *, other: bytes = b"") -> bytes:
    """Return the request with one or two changes; what is no JSON, with one change of its bytes."""
    document = _load(raw)
    if document is None or random.random() < 0.05:
        return mutate_bytes(raw, random, other=other)
    donor = _load(other)
    for _ in range(random.randint(1, 2)):
        places = list(_places(document))
        if not places:
            break
        _change(random.choice(places), random, donor)
    return _dump(document, random)


def _load(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _dump(document: Any, random: Random) -> bytes:
    try:
        text = json.dumps(document, ensure_ascii=random.random() < 0.5)
    except (ValueError, RecursionError):
        return b"[" * 2_000
    for number, scalar in enumerate(SCALARS):
        hole = _HOLE % number
        text = text.replace(hole, scalar).replace(json.dumps(hole[1:-1]), scalar)
    return text.encode(errors="surrogatepass")


def _places(document: Any) -> Iterator[_Place]:
    ahead: list[Any] = [document]
    while ahead:
        holder = ahead.pop()
        if isinstance(holder, dict):
            entries: Any = cast("dict[str, Any]", holder).items()
        elif isinstance(holder, list):
            entries = enumerate(cast("list[Any]", holder))
        else:
            continue
        for key, value in entries:
            yield _Place(holder, key)
            ahead.append(value)


def _change(place: _Place, random: Random, donor: Any) -> None:
    holder, key = place
    if isinstance(holder, dict):
        _change_object(cast("dict[str, Any]", holder), key, random)
    elif key < len(holder):  # an earlier change may have made the array shorter
        _change_array(holder, key, random)
    if random.random() < 0.15:
        parts = [found.holder[found.key] for found in _places(donor)]
        if parts:  # copied, or the tree could come to hold itself
            graft = deepcopy(random.choice(parts))
            if isinstance(holder, dict):
                cast("dict[str, Any]", holder)[key] = graft
            else:
                holder.append(graft)


def _change_object(holder: dict[str, Any], name: str, random: Random) -> None:
    choice = random.randrange(6)
    if choice <= 1:
        holder[name] = _any_scalar(random)
    elif choice == 2:
        del holder[name]
    elif choice == 3:
        holder[name] = _nested(holder[name], random)
    elif choice == 4:
        holder[random.choice(NAMES)] = holder.pop(name)
    else:
        holder[random.choice(NAMES)] = _any_scalar(random)


def _change_array(holder: list[Any], index: int, random: Random) -> None:
    choice = random.randrange(5)
    if choice == 0:
        holder[index] = _any_scalar(random)
    elif choice == 1:
        del holder[index]
    elif choice == 2:
        holder[index] = _nested(holder[index], random)
    else:
        copies = random.choice((1, 2, 30)) if len(str(holder[index])) < 500 else 1
        holder[index:index] = [deepcopy(holder[index]) for _ in range(copies)]


def _any_scalar(random: Random) -> str:
    return (_HOLE % random.randrange(len(SCALARS)))[1:-1]


def _nested(value: Any, random: Random) -> Any:
    for _ in range(random.choice((1, 2, 50, 105))):
        values: list[Any] = [value]
        value = random.choice((values, {"arrayValue": {"values": values}}))
    return value
