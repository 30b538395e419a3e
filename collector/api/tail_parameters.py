"""The parameters of a live tail, read strictly: a wrong one is told, and never ignored.

They have their own names and reader, since a tail has no end: ``n`` and ``since`` say what comes first.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final, NamedTuple, Self

from starlette.datastructures import QueryParams

from collector.errors import BadParameterError
from collector.query.filters import Filter
from collector.query.lengths import DAY_NS, length_ns
from collector.rows import Signal

STORED_MAX: Final = 1_000
SINCE_NS_MAX: Final = 3_650 * DAY_NS
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)


def _parameter(name: str, place: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": schema}


_EVENT: Final[dict[str, Any]] = {
    "title": "Event",
    "type": "object",
    "properties": {
        "event": {"enum": ["item", "live", "skipped", "link", "notice"]},
        "data": {"type": "string", "description": "JSON"},
        "id": {"type": "string", "description": "for last-event-id"},
    },
}
OPERATION: Final[dict[str, Any]] = {
    "operationId": "tail",
    "summary": "Tail",
    "description": "What is committed from now on, as server-sent events: item, live, skipped, link and "
    "notice, with JSON in each. It has no end.",
    "tags": ["tail"],
    "parameters": [
        _parameter(
            "signal", "query", "all, or some of traces, metrics and logs, with commas between",
            {"type": "string", "format": "otlpg-signals", "default": "all"},
        ),
        _parameter("q", "query", "filter", {"type": "string", "format": "otlpg-filter"}),
        _parameter(
            "n", "query", "the last so many stored items come first",
            {"type": "integer", "minimum": 0, "maximum": STORED_MAX},
        ),
        _parameter(
            "since", "query", "stored items of the last 30s, 5m, 2h or 1d come first",
            {"type": "string", "format": "otlpg-length"},
        ),
        _parameter("last-event-id", "header", "where to go on from", {"type": "string"}),
    ],
    "responses": {
        "200": {
            "description": "Events, until the reader leaves; the schema is of each.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        "default": {"$ref": "#/components/responses/Problem"},
    },
}  # fmt: skip
"""What OpenAPI says of the route."""


class TailParameters(NamedTuple):
    """What a live tail is to show."""

    signals: frozenset[Signal]
    filter: Filter
    stored: int
    """The last so many stored items come first."""
    since: timedelta | None
    """None: as old as they may be."""

    @property
    def sees_all(self) -> bool:
        """Whether every item of every signal is wanted."""
        return not self.filter.terms and self.signals == frozenset(Signal)

    @classmethod
    def from_query(cls, query: QueryParams) -> Self:
        """Return what a query string says.

        Raises:
            BadParameterError: names the parameter, and what it may be.
            FilterError: ``q`` is no filter.
        """
        for name in query:
            if name not in ("signal", "q", "n", "since"):
                raise BadParameterError(name[:40], "is not known here: signal, q, n and since are")
            if len(query.getlist(name)) > 1:
                raise BadParameterError(name, "must be there once")
        return cls(
            _signals(query.get("signal", "all")),
            Filter.parse(query.get("q", "")),
            _number(query.get("n", str(STORED_MAX) if "since" in query else "0")),
            _since(query.get("since")),
        )


def _signals(text: str) -> frozenset[Signal]:
    if text == "all":
        return frozenset(Signal)
    try:
        return frozenset(map(Signal, text.split(",")))
    except ValueError:
        names = ", ".join(Signal)
        raise BadParameterError("signal", f"must be all, or some of {names}") from None


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) and int(text) <= STORED_MAX:
        return int(text)
    raise BadParameterError("n", f"must be a number from 0 to {STORED_MAX}")


def _since(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return timedelta(microseconds=length_ns(text, ns_max=SINCE_NS_MAX) // 1_000)
    except ValueError as error:
        raise BadParameterError("since", str(error)) from None
