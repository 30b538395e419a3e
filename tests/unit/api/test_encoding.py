"""api.encoding: what is written is what the schema says, for everything that is answered."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import inf, nan
from types import UnionType
from typing import Any, NamedTuple

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from collector.api.encoding import encode, schema_of
from collector.api.metrics import Values
from collector.api.traces import CriticalPath
from collector.query.log_records import LogContext, LogRecord, SeverityStep
from collector.query.metric_types import Exemplar, Metric, Point, Points, Series
from collector.query.page import Cursor, Page, Total
from collector.query.service_repository import Operation, RedSeries, Service
from collector.query.span_repository import ExceptionCount, FoundEvent
from collector.query.spans import Span
from collector.query.trace_types import Dependency, Trace, TraceSummary

ANSWERS: tuple[Any, ...] = (
    tuple[Service, ...],
    tuple[Operation, ...],
    tuple[RedSeries, ...],
    Page[LogRecord],
    LogContext,
    tuple[SeverityStep, ...],
    Total,
    Page[Metric],
    Page[Series],
    Points,
    Values,
    tuple[Exemplar, ...],
    Page[TraceSummary],
    Trace,
    CriticalPath,
    Page[Span],
    Page[FoundEvent],
    tuple[ExceptionCount, ...],
    tuple[Dependency, ...],
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
SCALARS: dict[Any, SearchStrategy[Any]] = {
    Any: JSON,
    str: st.text(max_size=5),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(),
    bytes: st.binary(max_size=16),
    date: st.dates(),
    Cursor: st.builds(Cursor, st.tuples(st.integers(0, 2**63 - 1))),
    type(None): st.none(),
}


def values_of(kind: Any, bound: Mapping[Any, Any]) -> SearchStrategy[Any]:
    """Return values of a type of answers; ``bound`` says what its type variables stand for."""
    kind = bound.get(kind, kind)
    if kind in SCALARS:
        return SCALARS[kind]
    origin: Any = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in (typing.Union, UnionType):
        return st.one_of(*(values_of(one, bound) for one in arguments))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(values_of(arguments[0], bound), max_size=2).map(tuple)
        return st.tuples(*(values_of(one, bound) for one in arguments))
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=3), values_of(arguments[1], bound), max_size=2)
    if origin is not None:
        bound = dict(zip(origin.__parameters__, arguments, strict=True))
        kind = origin
    hints = typing.get_type_hints(kind)
    fields: tuple[str, ...] = getattr(kind, "_fields", None) or kind.__match_args__
    return st.builds(kind, *(values_of(hints[name], bound) for name in fields))


@pytest.mark.parametrize("kind", ANSWERS, ids=str)
@settings(max_examples=25)  # of each; they are large
@given(data=st.data())
def test_the_schema_holds_for_what_is_written(kind: Any, data: st.DataObject) -> None:
    """Whatever the values are, NaN and integers of 64 bits among them."""
    value = data.draw(values_of(kind, {}))

    written = orjson.loads(encode(value))

    wrong = list(jsonschema_rs.Draft202012Validator(schema_of(kind)).iter_errors(written))

    assert wrong == []


@pytest.mark.parametrize("kind", ANSWERS, ids=str)
def test_the_schema_refuses_what_is_not_written(kind: Any) -> None:
    """An answer of another type, so that the test above can fail."""
    assert not jsonschema_rs.Draft202012Validator(schema_of(kind)).is_valid({"other": [1]})


def test_every_integer_of_64_bits_is_text() -> None:
    """Those of points and of their series; what fits into a double is a number."""
    size = 2**63 - 1
    integers: dict[str, Any] = {
        "time_unix_nano": size, "start_time_unix_nano": size, "value": size, "count": size,
        "bucket_counts": (size,), "zero_count": size, "positive_bucket_counts": (size,),
        "negative_bucket_counts": (size,),
    }  # fmt: skip
    numbers: dict[str, Any] = {"scale": 5, "positive_offset": -7, "negative_offset": 7, "sum": 0.5}
    others = dict.fromkeys(("min", "max", "explicit_bounds", "zero_threshold", "quantiles"))

    written = orjson.loads(encode(Point(is_recorded=True, **integers, **numbers, **others)))

    assert {name: written[name] for name in numbers} == numbers
    for name in integers:
        assert written[name] in (str(size), [str(size)])


class Pair(NamedTuple):
    """A NamedTuple in an answer."""

    value: int | float
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Something of everything."""

    trace_id: bytes
    duration_ns: int | None
    spans: int
    sums: tuple[float, ...]
    pairs: tuple[Pair, ...]
    attributes: Mapping[str, Any]
    next: Cursor


def test_how_each_value_is_written() -> None:
    """The rules of the module, one by one."""
    answer = Answer(
        b"\x00\xab",
        2**63 - 1,
        3,
        (0.5, nan, inf, -inf),
        (Pair(2**53 + 1, "a"), Pair(1.5, "b")),
        {"k": {"$double": "NaN"}, "n": 5},
        Cursor((7,)),
    )

    assert orjson.loads(encode(answer)) == {
        "trace_id": "00ab",
        "duration_ns": "9223372036854775807",
        "spans": 3,
        "sums": [0.5, "NaN", "Infinity", "-Infinity"],
        "pairs": [{"value": "9007199254740993", "name": "a"}, {"value": 1.5, "name": "b"}],
        "attributes": {"k": {"$double": "NaN"}, "n": 5},
        "next": "WzAsN10",
    }
