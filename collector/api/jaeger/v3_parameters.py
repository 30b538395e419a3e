"""The query strings of Jaeger's third API; each name is taken in camel case and in snake case."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import QueryParams

from collector.api.jaeger.searches import TRACES, TRACES_MAX, Search
from collector.api.jaeger.units import count_of, duration_ns_of, unix_nano_of
from collector.api.jaeger.v1_parameters import Between, texts_of
from collector.errors import BadParameterError

_CAPITAL: Final = re.compile("[A-Z]")


def value_of(query: QueryParams, name: str) -> str:
    """Return a parameter by its name in camel case, or by the older one in snake case."""
    return query.get(name) or query.get(_CAPITAL.sub(lambda m: f"_{m[0].lower()}", name)) or ""


def search_of(query: QueryParams) -> Search:
    """Return what is to be searched for; the range has to be there.

    Raises:
        BadParameterError: names the parameter, and what it may be.
    """
    if value_of(query, "query.filter"):
        raise BadParameterError("query.filter", "is not known here; use query.attributes")
    attributes = value_of(query, "query.attributes")
    limit = value_of(query, "query.searchDepth") or query.get("query.num_traces") or str(TRACES)
    return Search.of(
        service=value_of(query, "query.serviceName"),
        operation=value_of(query, "query.operationName"),
        between=(_time(query, "query.startTimeMin"), _time(query, "query.startTimeMax")),
        durations=(_duration(query, "query.durationMin"), _duration(query, "query.durationMax")),
        tags=texts_of("query.attributes", attributes) if attributes else {},
        limit=count_of("query.searchDepth", limit, most=TRACES_MAX),
    )


def between_of(query: QueryParams) -> Between | None:
    """Return when a trace that is asked for by its id was, if that is said.

    Raises:
        BadParameterError: one of the two is no time, or they are upside down.
    """
    if not value_of(query, "startTime") or not value_of(query, "endTime"):
        return None
    found = Between(_time(query, "startTime"), _time(query, "endTime"))
    if found.start_unix_nano > found.end_unix_nano:
        raise BadParameterError("startTime", "must not be after endTime")
    return found


def _time(query: QueryParams, name: str) -> int:
    text = value_of(query, name)
    if not text:
        raise BadParameterError(name, "is required")
    return unix_nano_of(name, text)


def _duration(query: QueryParams, name: str) -> int | None:
    text = value_of(query, name)
    return duration_ns_of(name, text) if text else None
