"""Hypothesis strategies of requests with items that are too long for a screen, and nearly so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from collector.items import ATTRIBUTES_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from collector.rows import Signal
from tests.factories import ExportRequest, request_of
from tests.strategies import requests

_SHOWN = {"Resource", "Span", "LogRecord", "NumberDataPoint", "HistogramDataPoint"}
_TEXTS = {"Span": ("name",), "LogRecord": ("body", "text", "event_name")}
_letters = st.sampled_from(["x", "é", "☃", "😀", '"', "\n", "\x01", "e-", ",:"])
_numbers = st.sampled_from([1, -7, 10**15, 2**62]).map(lambda n: AnyValue(int_value=n))
_doubles = st.sampled_from([1.5, 1e-15, -2.5e-7, 1e15, 0.1]).map(lambda n: AnyValue(double_value=n))


def _near(bound: int) -> SearchStrategy[int]:
    """Return lengths around a bound, and around those at which it is met."""
    return st.one_of(
        st.integers(bound - 12, bound + 12), st.sampled_from([bound // 3, bound // 2, 2 * bound])
    )


def _text_of(length: int, letter: str) -> str:
    return (letter * length)[:length]


def long_texts(bound: int) -> SearchStrategy[str]:
    """Return texts of about that many characters."""
    return st.builds(_text_of, _near(bound), _letters)


def _repeated(value: AnyValue, count: int, *, named: bool) -> AnyValue:
    if named:
        pairs = [KeyValue(key=f"k{n}", value=value) for n in range(count)]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    return AnyValue(array_value=ArrayValue(values=[value] * count))


_large_values: SearchStrategy[AnyValue] = st.one_of(
    long_texts(ATTRIBUTES_CHARACTERS_MAX).map(lambda text: AnyValue(string_value=text)),
    st.builds(_repeated, _numbers | _doubles, st.integers(200, 1_500), named=st.booleans()),
)


def _numbered(count: int, value: AnyValue, key: str) -> list[KeyValue]:
    return [KeyValue(key=f"{key}{n}", value=value) for n in range(count)]


_many_values = st.builds(
    _numbered,
    st.integers(80, 600),
    _numbers | _doubles | st.just(AnyValue(string_value='"é')) | st.just(AnyValue(bool_value=True)),
    st.sampled_from(["k", "é", '"', "$"]),
)
_some_values = st.lists(
    st.builds(KeyValue, key=st.sampled_from(["a", "b", "large", "ключ"]), value=_large_values),
    min_size=1,
    max_size=3,
)


@st.composite
def long_requests(draw: st.DrawFn, signal: Signal) -> ExportRequest:
    """Return requests in which up to three items or resources have become long somewhere."""
    request = draw(requests(signal))
    if not (places := list(_places(request))):
        request = request_of(signal, items=3)
        places = list(_places(request))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = draw(st.sampled_from(places))
        match draw(st.sampled_from(["many", "some", *_TEXTS.get(place.DESCRIPTOR.name, ())])):
            case "many":
                place.attributes.extend(draw(_many_values))
            case "some":
                place.attributes.extend(draw(_some_values))
            case "body":
                place.body.CopyFrom(draw(_large_values))
            case "text":
                place.body.string_value = draw(long_texts(TEXT_CHARACTERS_MAX))
            case name:
                setattr(place, name, draw(long_texts(TEXT_CHARACTERS_MAX)))
    return request


def _places(message: Message) -> Iterable[Message]:
    """Yield the items and resources of a request."""
    if message.DESCRIPTOR.name in _SHOWN:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _places(part)
