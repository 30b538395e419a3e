"""api.jaeger: what clients send, leniently read, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from collector.api.jaeger import v1_parameters, v3_parameters
from collector.api.jaeger.searches import ATTRIBUTES_MAX, IDS_MAX, TRACES, TRACES_MAX, Search
from collector.api.jaeger.units import duration_ns_of, kind_of, trace_id_of, unix_nano_of
from collector.errors import BadParameterError
from collector.items import NUMBER_BY_KIND, STATUS_OK

NOW = 1_767_268_800_000_000_000
HOUR = 3_600 * 10**9
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def v1(query: str) -> Search:
    """Return what the first API would search for."""
    return v1_parameters.search_of(QueryParams(query), NOW)


def tags(text: str) -> str:
    """Return the parameter that holds tags in JSON."""
    return f"&tags={quote(text)}"


def v3(query: str) -> Search:
    """Return what the third API would search for."""
    return v3_parameters.search_of(QueryParams(query))


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("1767268800", NOW),
        ("1767268800000", NOW),
        ("1767268800000000", NOW),
        ("1767268800000000001", NOW + 1),
        ("-1", -(10**9)),
        ("2026-01-01T12:00:00Z", NOW),
        ("2026-01-01t12:00:00.123456789z", NOW + 123_456_789),
        ("2026-01-01T13:00:00.5+01:00", NOW + 500_000_000),
        ("2026-01-01T13:00:00 01:00", NOW),
        ("2026-01-01T12:00:00.1234567899Z", NOW + 123_456_789),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ],
)
def test_a_time_is_read_however_it_is_written(text: str, nano: int) -> None:
    """Numbers by their size; RFC 3339 to the nanosecond, also where a plus became a blank."""
    assert unix_nano_of("start", text) == nano


@pytest.mark.parametrize(
    "text",
    ["", "x", "1e9", "1.5", "NaN", "١٢", "2026-01-01", "2026-13-01T00:00:00Z", "9" * 20,
     "2026-01-01T00:00:00", "10000-01-01T00:00:00Z", "2026-01-01T00:00:00+99:00", "0x10"],
)  # fmt: skip
def test_what_is_no_time_is_told(text: str) -> None:
    """And never taken for another."""
    with pytest.raises(BadParameterError, match="start"):
        unix_nano_of("start", text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0), ("0s", 0), ("1.2s", 1_200_000_000), ("100us", 100_000), ("100µs", 100_000),
        ("1h30m", 5_400 * 10**9), (".5ms", 500_000), ("1.ms", 1_000_000), ("7ns", 7),
        ("0.3s", 300_000_000), ("1m1ns", 60 * 10**9 + 1),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_go_writes_it(text: str, ns: int) -> None:
    """Exactly: 0.3 s is no double."""
    assert duration_ns_of("minDuration", text) == ns


@pytest.mark.parametrize(
    "text", ["", "1", "-1s", "1d", "s", ".s", "1s 2s", "1e3s", "999999999999h", "1s" * 40, "1S"]
)
def test_what_is_no_duration_is_told(text: str) -> None:
    """Neither negative ones nor those beyond 64 bits."""
    with pytest.raises(BadParameterError, match="minDuration"):
        duration_ns_of("minDuration", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), TRACE),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", TRACE),
        ("a3ce929d0e0e4736", "0" * 16 + "a3ce929d0e0e4736"),
        ("2a", "0" * 30 + "2a"),
        ("00000000000000000000000000000001", "0" * 31 + "1"),
        ("S/kvNXezTaajzpKdDg5HNg==", TRACE),
        ("S_kvNXezTaajzpKdDg5HNg", TRACE),
        ("o86SnQ4ORzY=", "0" * 16 + "a3ce929d0e0e4736"),
        ("S kvNXezTaajzpKdDg5HNg==", TRACE.replace("4bf9", "4be9")),
    ],
)
def test_an_id_is_read_however_it_is_written(text: str, expected: str) -> None:
    """Hex of any case and length, padded on the left; base64 of both alphabets."""
    assert trace_id_of("traceID", text).hex() == expected


@pytest.mark.parametrize(
    "text",
    ["", "0", "0" * 32, TRACE + "0", "xyz", "../../etc/passwd", "A" * 22 + "==", "é" * 16, "-"],
)
def test_what_is_no_id_is_told(text: str) -> None:
    """No trace has an id of zeros."""
    with pytest.raises(BadParameterError, match="traceID"):
        trace_id_of("traceID", text)


def test_a_search_of_grafana() -> None:
    """What its plugin sends: microseconds, tags in JSON, a lookback of no meaning."""
    found = v1(
        "service=shop&operation=GET+%2F&start=1767265200000000&end=1767268800000000&limit=20"
        "&minDuration=1.2s&maxDuration=3s&lookback=custom"
        + tags('{"error":"true","http.method":"GET","http.status_code":"500"}')
    )

    assert found == Search(
        "shop", "GET /", NOW - HOUR, NOW, 1_200_000_000, 3_000_000_000,
        {"http.method": "GET", "http.status_code": "500"}, None, None, True, 20,
    )  # fmt: skip


def test_a_search_for_a_service_is_of_the_last_hour() -> None:
    """And of as many traces as Jaeger would give."""
    found = v1("service=shop&unknown=1")

    assert (found.start_unix_nano, found.end_unix_nano) == (NOW - HOUR, NOW)
    assert (found.limit, found.attributes, found.is_error) == (TRACES, {}, None)


@pytest.mark.parametrize(
    ("text", "length"),
    [("2h", 2 * HOUR), ("2d", 48 * HOUR), ("4w", 672 * HOUR), ("custom", HOUR)],
)
def test_a_lookback_counts_from_the_end(text: str, length: int) -> None:
    """Where no start is given."""
    assert v1(f"service=shop&lookback={text}").start_unix_nano == NOW - length


def test_a_lookback_beside_a_start_says_nothing() -> None:
    """Jaeger's page sends what its form shows, and has worked out the start of it."""
    for text in ("4w", "last month"):
        found = v1(f"service=shop&start=1767265200000000&end=1767268800000000&lookback={text}")
        assert (found.start_unix_nano, found.end_unix_nano) == (NOW - HOUR, NOW)


def test_what_was_left_blank_is_not_asked() -> None:
    """Pages send names without a value for what a form does not have."""
    blank = "operation&tags&tag&minDuration=&maxDuration&limit=&start&end=&lookback&raw&traceID"

    assert v1(f"service=shop&{blank}") == v1("service=shop")
    assert v1_parameters.trace_ids_of(QueryParams(blank)) == ()


def test_tags_that_jaeger_makes_are_fields_again() -> None:
    """Only where they can be: an error with another text was an attribute."""
    found = v1(
        "service=shop&tag=span.kind:server&tag=otel.status_code:OK&tag=error:timeout&tag=a:b:c"
    )

    assert (found.kind, found.status_code, found.is_error) == (
        NUMBER_BY_KIND["server"],
        STATUS_OK,
        None,
    )
    assert found.attributes == {"error": "timeout", "a": "b:c"}


def test_tags_may_have_what_is_no_text() -> None:
    """Scripts write numbers where Jaeger wants their texts."""
    assert v1("service=s" + tags('{"a":1,"b":true,"c":0.5,"d":"x"}')).attributes == {
        "a": "1", "b": "true", "c": "0.5", "d": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "service"),
        ("service=", "service"),
        ("service=%00", "service"),
        ("service=s&operation=a%00", "operation"),
        ("service=s&tag=a%00:b", "tags"),
        ("service=s" + tags('{"a":"\\u0000"}'), "tags"),
        *((f"service=s&limit={text}", "limit") for text in ("0", "-1", "1%3B--", str(TRACES_MAX + 1), "2147483648")),
        ("service=s&start=NaN", "start"),
        ("service=s&start=1767268800&end=1767268800", "start"),
        ("service=s&start=1767268801&end=1767268800", "start"),
        ("service=s&minDuration=2s&maxDuration=1s", "maxDuration"),
        ("service=s&minDuration=-1s", "minDuration"),
        ("service=s&lookback=-1h", "lookback"),
        ("service=s&raw=perhaps", "raw"),
        ("service=s&tag=key", "tag"),
        ("service=s&tag=%3Avalue", "tag"),
        ("service=s&tags=%7B", "tags"),
        ("service=s&tags=[]", "tags"),
        ("service=s&tags=null", "tags"),
        ("service=s" + tags('{"a":null}'), "tags"),
        ("service=s" + tags('{"a":{"b":1}}'), "tags"),
        ("service=s&tags=" + "[" * 10_000, "tags"),
        ("service=s" + "".join(f"&tag=k{n}:v" for n in range(ATTRIBUTES_MAX + 1)), "tags"),
        ("service=s&tag=span.kind:robot", "span.kind"),
        ("service=s&tag=otel.status_code:bad", "otel.status_code"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(query: str, name: str) -> None:
    """Nothing that is known is ignored."""
    with pytest.raises(BadParameterError) as caught:
        v1(query)

    assert caught.value.name == name


def test_traces_by_name_come_once_and_in_order() -> None:
    """Whatever form an id has; not too many of them."""
    query = QueryParams(f"traceID=2a&traceID={TRACE}&traceID=2A")

    assert [i.hex() for i in v1_parameters.trace_ids_of(query)] == ["0" * 30 + "2a", TRACE]
    assert v1_parameters.trace_ids_of(QueryParams("service=s")) == ()
    with pytest.raises(BadParameterError, match="traceID"):
        v1_parameters.trace_ids_of(QueryParams("&".join(["traceID=2a"] * (IDS_MAX + 1))))


@pytest.mark.parametrize("digits", [3, 6, 9])
def test_when_a_trace_was_may_be_in_milliseconds(digits: int) -> None:
    """Grafana sends them to a route that documents microseconds."""
    zeros = "0" * digits
    query = QueryParams(f"start=1767265200{zeros}&end=1767268800{zeros}")

    assert v1_parameters.between_of(query) == (NOW - HOUR, NOW)


def test_half_a_range_is_none() -> None:
    """A trace is found without one."""
    assert v1_parameters.between_of(QueryParams("start=1767265200")) is None
    assert v3_parameters.between_of(QueryParams("endTime=2026-01-01T12:00:00Z")) is None


def test_dependencies_are_asked_for_in_milliseconds() -> None:
    """By their end and how far it looks back."""
    day = v1_parameters.DEPENDENCIES_LOOKBACK_NS
    query = QueryParams("endTs=1767268800000&lookback=3600000")

    assert v1_parameters.lookback_of(query, 0, day) == (NOW - HOUR, NOW)
    assert v1_parameters.lookback_of(QueryParams(""), NOW, day) == (NOW - 24 * HOUR, NOW)
    for text in ("0", "-1", "1h", "9" * 15):
        with pytest.raises(BadParameterError, match="lookback"):
            v1_parameters.lookback_of(QueryParams(f"lookback={text}"), NOW, day)


@pytest.mark.parametrize("is_snake", [False, True])
def test_a_search_of_the_third_api(is_snake: bool) -> None:
    """Each name in both its spellings."""
    names = {
        "query.serviceName": "shop",
        "query.operationName": "GET /",
        "query.startTimeMin": "2026-01-01T11:00:00Z",
        "query.startTimeMax": "2026-01-01T12:00:00.000000001Z",
        "query.durationMin": "1ms",
        "query.durationMax": "1s",
        "query.searchDepth": "7",
        "query.attributes": '{"a":"b","error":"false"}',
    }

    def spelled(name: str) -> str:
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name) if is_snake else name

    found = v3("&".join(f"{spelled(name)}={quote(value)}" for name, value in names.items()))

    assert found == Search(
        "shop", "GET /", NOW - HOUR, NOW + 1, 1_000_000, 1_000_000_000,
        {"a": "b"}, None, None, False, 7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("", "query.startTimeMin"),
        ("&query.startTimeMin=1767265200", "query.startTimeMax"),
        ("&query.startTimeMin=x&query.startTimeMax=y", "query.startTimeMin"),
        ("&query.startTimeMin=2&query.startTimeMax=1", "start"),
        ("&query.filter=%7B%7D", "query.filter"),
        ("&query.startTimeMin=1&query.startTimeMax=2&query.num_traces=0", "query.searchDepth"),
    ],
)
def test_the_third_api_wants_a_range(more: str, name: str) -> None:
    """And tells what else is wrong."""
    with pytest.raises(BadParameterError) as caught:
        v3(f"query.serviceName=s{more}")

    assert caught.value.name == name


@pytest.mark.parametrize("text", ["server", "SERVER", "Server"])
def test_a_kind_is_read_in_any_case(text: str) -> None:
    """Clients of Jaeger write it both ways."""
    assert kind_of("spanKind", text) == NUMBER_BY_KIND["server"]
    assert kind_of("spanKind", "unspecified") == 0


READERS: list[Callable[[str], Any]] = [
    lambda text: unix_nano_of("p", text),
    lambda text: duration_ns_of("p", text),
    lambda text: trace_id_of("p", text),
    lambda text: kind_of("p", text),
    lambda text: v1_parameters.texts_of("p", text),
]


@given(text=st.text(max_size=80) | st.from_regex(r"[-0-9a-fTZ:. +msµ{}\"=/]*", fullmatch=True))
@pytest.mark.parametrize("read", READERS)
def test_any_text_is_read_or_told(read: Callable[[str], Any], text: str) -> None:
    """Nothing else is ever raised, and what is told names the parameter."""
    told = ""
    try:
        found = read(text)
    except BadParameterError as error:
        found, told = None, error.name

    assert (found is None) == (told == "p")
