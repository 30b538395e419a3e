"""The query strings of Jaeger's first API.

Parameters that are not known are left alone: pages and plugins send some of their own.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, cast

import orjson
from starlette.datastructures import QueryParams

from collector.api.jaeger.searches import IDS_MAX, TRACES, TRACES_MAX, Search
from collector.api.jaeger.units import (
    count_of,
    duration_ns_of,
    flag_of,
    milliseconds_of,
    trace_id_of,
    unix_nano_of,
)
from collector.errors import BadParameterError

LOOKBACK_NS: Final = 3_600 * 10**9
DEPENDENCIES_LOOKBACK_NS: Final = 86_400 * 10**9
TAGS_CHARACTERS_MAX: Final = 16_384

_DAYS: Final = re.compile(r"(\d{1,4})([dw])", re.ASCII)
_DAYS_NS: Final = {"d": 86_400 * 10**9, "w": 7 * 86_400 * 10**9}


class Between(NamedTuple):
    """A range of time, in nanoseconds since 1970."""

    start_unix_nano: int
    end_unix_nano: int


def trace_ids_of(query: QueryParams) -> tuple[bytes, ...]:
    """Return the ids of traces that are asked for by name; none for a search.

    Raises:
        BadParameterError: one is none, or there are too many.
    """
    texts = list(filter(None, query.getlist("traceID")))
    if len(texts) > IDS_MAX:
        raise BadParameterError("traceID", f"must be there at most {IDS_MAX} times")
    return tuple(dict.fromkeys(trace_id_of("traceID", text) for text in texts))


def search_of(query: QueryParams, now_unix_nano: int) -> Search:
    """Return what ``/api/traces`` is to search for; the last hour unless it says when.

    Raises:
        BadParameterError: names the parameter, and what it may be.
    """
    service = query.get("service", "")
    if not service:
        raise BadParameterError("service", "is required")
    flag_of("raw", query.get("raw", ""))
    end = _time(query, "end", now_unix_nano)
    return Search.of(
        service=service,
        operation=query.get("operation", ""),
        between=(_start(query, end), end),
        durations=(_duration(query, "minDuration"), _duration(query, "maxDuration")),
        tags=_tags(query),
        limit=count_of("limit", query.get("limit") or str(TRACES), most=TRACES_MAX),
    )


def between_of(query: QueryParams) -> Between | None:
    """Return when a trace that is asked for by its id was, if that is said.

    Raises:
        BadParameterError: one of the two is no time, or they are upside down.
    """
    if not query.get("start") or not query.get("end"):
        return None
    found = Between(_time(query, "start", 0), _time(query, "end", 0))
    if found.start_unix_nano > found.end_unix_nano:
        raise BadParameterError("start", "must not be after the end")
    return found


def lookback_of(query: QueryParams, now_unix_nano: int, default_ns: int) -> Between:
    """Return the range that ``endTs`` and ``lookback``, in milliseconds, say.

    Raises:
        BadParameterError: names the parameter, and what it may be.
    """
    end = _time(query, "endTs", now_unix_nano)
    text = query.get("lookback")
    return Between(end - (milliseconds_of("lookback", text) if text else default_ns), end)


def _time(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name)
    return unix_nano_of(name, text) if text else default


def _start(query: QueryParams, end: int) -> int:
    """Return the start; where it is given, the lookback only tells what a form shows."""
    text = query.get("start")
    return unix_nano_of("start", text) if text else end - _lookback_ns(query)


def _duration(query: QueryParams, name: str) -> int | None:
    text = query.get(name)
    return duration_ns_of(name, text) if text else None


def _lookback_ns(query: QueryParams) -> int:
    """Return how far a search looks back; pages say ``custom`` when they give the start."""
    text = query.get("lookback")
    if not text or text == "custom":
        return LOOKBACK_NS
    if found := _DAYS.fullmatch(text):
        return int(found[1]) * _DAYS_NS[found[2]]
    return duration_ns_of("lookback", text)


def _tags(query: QueryParams) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in filter(None, query.getlist("tag")):
        key, colon, value = text.partition(":")
        if not colon or not key:
            raise BadParameterError("tag", "must be key:value")
        tags[key] = value
    for text in filter(None, query.getlist("tags")):
        tags |= texts_of("tags", text)
    return tags


def texts_of(name: str, text: str) -> dict[str, str]:
    """Return a JSON object of texts; numbers and truth values become their text.

    Raises:
        BadParameterError: it is none, or is very long.
    """
    try:
        found = orjson.loads(text) if len(text) <= TAGS_CHARACTERS_MAX else None
    except ValueError:
        found = None
    if isinstance(found, dict):
        entries = cast("dict[str, Any]", found)
        if all(isinstance(value, str | int | float) for value in entries.values()):
            return {key: _text(value) for key, value in entries.items()}
    raise BadParameterError(name, "must be a JSON object with a text for each key")


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
