"""The parameters that questions share, read strictly: a wrong one is told, and never ignored.

A route has one model of them, which says what it takes beyond these::

    class LogsAsked(PageParameters):
        service: str | None = Field(None, max_length=255)

    async def find(asked: Annotated[LogsAsked, Query()], request: Request) -> Response: ...

A parameter that its model does not know is an error, and so is one that comes twice.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from collector.api.moments import unix_nano_or_none
from collector.errors import BadParameterError
from collector.query.filters import Filter
from collector.query.lengths import length_ns
from collector.query.page import CURSOR_CHARACTERS_MAX, LIMIT, LIMIT_MAX, Cursor
from collector.query.time_range import TimeRange

STREAM_LIMIT_MAX: Final = 100_000
"""Items of one stream, which goes on over pages."""
SINCE_NS: Final = 3_600 * 10**9
"""The last hour, unless somebody says otherwise."""
Q_CHARACTERS_MAX: Final = 4_096
TEXT_CHARACTERS_MAX: Final = 1_024


def moment_ns(text: str) -> int:
    """Return nanoseconds since 1970 of RFC 3339, or of unix s, ms, us or ns by its size.

    Raises:
        ValueError: it is neither; the text goes to the reader.
    """
    found = unix_nano_or_none(text)
    if found is None:
        raise ValueError(
            "must be RFC 3339 with an offset, such as 2026-01-31T12:00:00Z, or unix s, ms, us or ns"
        )
    return found


def _checked_moment(text: str) -> str:
    moment_ns(text)
    return text


def _checked_length(text: str) -> str:
    length_ns(text)
    return text


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL, which nothing stored does")
    return text


Text = Annotated[str, AfterValidator(_storable), Field(max_length=TEXT_CHARACTERS_MAX)]
"""What is compared with stored texts."""
FilterText = Annotated[
    str,
    Field(
        max_length=Q_CHARACTERS_MAX,
        description="filter, in the grammar of live tails",
        json_schema_extra={"format": "otlpg-filter"},
    ),
]
Moment = Annotated[
    str,
    AfterValidator(_checked_moment),
    Field(json_schema_extra={"format": "otlpg-moment"}, max_length=64),
]
Length = Annotated[
    str,
    AfterValidator(_checked_length),
    Field(json_schema_extra={"format": "otlpg-length"}, max_length=8),
]


def _hex(size: int) -> BeforeValidator:
    def read(text: object) -> object:
        if not isinstance(text, str) or not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", text):
            raise ValueError(f"must be {2 * size} digits of hex")
        return text.lower()

    return BeforeValidator(read)


TraceId = Annotated[str, _hex(16), Field(pattern="^[0-9a-fA-F]{32}$")]
"""A trace id in a path or a query; ``bytes.fromhex`` takes it."""
SpanId = Annotated[str, _hex(8), Field(pattern="^[0-9a-fA-F]{16}$")]


class Parameters(BaseModel):
    """What a route takes, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RangeParameters(Parameters):
    """When: from ``start`` to ``end``, or the last so long."""

    start: Moment | None = Field(None, description="RFC 3339, or unix s, ms, us or ns by its size")
    end: Moment | None = Field(None, description="as start; now, unless given")
    since: Length | None = Field(None, description="instead of start: so long before end; 1h")

    @property
    def is_given(self) -> bool:
        """Whether anything was said of it."""
        return not (self.start is self.end is self.since is None)

    def when(self, now_ns: int, *, grid_s: float = 0.0) -> TimeRange:
        """Return the range that is meant.

        Where it depends on now it is widened to multiples of ``grid_s``, and so the same for a while.

        Raises:
            BadParameterError: ``since`` beside ``start``, or an end before the beginning.
        """
        if self.since is not None and self.start is not None:
            raise BadParameterError("since", "must not stand beside start")
        grid_ns = max(1, round(grid_s * 1e9))
        now_ns = -(-now_ns // grid_ns) * grid_ns
        end = now_ns if self.end is None else moment_ns(self.end)
        if self.start is not None:
            start = moment_ns(self.start)
        else:
            start = max(0, end - (SINCE_NS if self.since is None else length_ns(self.since)))
        if end < start:
            raise BadParameterError("end", "must not be before start")
        return TimeRange.from_unix_ns(start, end)


class PlaceParameters(RangeParameters):
    """How many items, and where to begin."""

    limit: int = Field(
        LIMIT,
        ge=1,
        le=STREAM_LIMIT_MAX,
        description=f"items; at most {LIMIT_MAX} of a page, {STREAM_LIMIT_MAX} of a stream; "
        "a page of very large ones ends earlier",
        json_schema_extra={"maximum": LIMIT_MAX},
    )
    cursor: str | None = Field(
        None,
        max_length=CURSOR_CHARACTERS_MAX,
        description="next or previous of an answer",
        json_schema_extra={"format": "otlpg-cursor"},
    )

    def place(self, *types: type | tuple[type, ...]) -> Cursor | None:
        """Return where the page begins; its key has values of these types.

        Raises:
            BadParameterError: no answer has given this cursor.
        """
        return None if self.cursor is None else Cursor.parse(self.cursor, *types)


class PageParameters(PlaceParameters):
    """Which items, how many of them, and where to begin."""

    q: FilterText = ""

    @property
    def filter(self) -> Filter:
        """What an item must be.

        Raises:
            FilterError: ``q`` is no filter.
        """
        return Filter.parse(self.q)


def each_once(request: Request) -> None:
    """Return when no parameter comes twice: one of them would be ignored.

    Raises:
        BadParameterError: one does.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise BadParameterError(name[:40], "must be there once")
        seen.add(name)
