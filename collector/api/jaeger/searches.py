"""What both versions of the API search for."""

from __future__ import annotations

from typing import Final, NamedTuple

from collector.api.jaeger.units import kind_of
from collector.errors import BadParameterError
from collector.items import CODE_BY_STATUS
from collector.query.texts import text_of

TRACES_MAX: Final = 1_500
"""Traces of one answer: what Jaeger's own page lets a user ask for at most."""
TRACES: Final = 100
"""Traces of one answer unless somebody says otherwise."""
ATTRIBUTES_MAX: Final = 32
IDS_MAX: Final = 100


class Search(NamedTuple):
    """Which traces; one span of a trace has to have all of it.

    Attributes:
        service: empty for any.
        operation: empty for any.
        start_unix_nano: of the range.
        end_unix_nano: of the range; after its start.
        duration_ns_min: None for any.
        duration_ns_max: None for any.
        attributes: texts that attributes of the span, its resource or an event must have.
        kind: OTLP's number; None for any.
        status_code: OTLP's number; None for any.
        is_error: False for spans that are none; None for any.
        limit: traces.
    """

    service: str
    operation: str
    start_unix_nano: int
    end_unix_nano: int
    duration_ns_min: int | None
    duration_ns_max: int | None
    attributes: dict[str, str]
    kind: int | None
    status_code: int | None
    is_error: bool | None
    limit: int

    @classmethod
    def of(
        cls,
        *,
        service: str,
        operation: str,
        between: tuple[int, int],
        durations: tuple[int | None, int | None],
        tags: dict[str, str],
        limit: int,
    ) -> Search:
        """Return a search in which tags that Jaeger made of other fields are these fields again.

        Raises:
            BadParameterError: the range or the durations are upside down, or there are too many
                tags, or one that no span can have.
        """
        start, end = between
        least, most = durations
        if start >= end:
            raise BadParameterError("start", "must be before the end")
        if least is not None and most is not None and most < least:
            raise BadParameterError("maxDuration", "must not be below minDuration")
        if len(tags) > ATTRIBUTES_MAX:
            raise BadParameterError("tags", f"must be at most {ATTRIBUTES_MAX}")
        for name, text in (("service", service), ("operation", operation)):
            text_of(name, text)
        attributes = {text_of("tags", key): text_of("tags", text) for key, text in tags.items()}
        kind = attributes.pop("span.kind", None)
        status = attributes.pop("otel.status_code", None)
        if status is not None and status.lower() not in CODE_BY_STATUS:
            raise BadParameterError("otel.status_code", "must be ERROR, OK or UNSET")
        error = attributes.pop("error", None)
        if error not in (None, "true", "false"):
            attributes["error"] = error
            error = None
        return cls(
            service, operation, start, end, least, most, attributes,
            None if kind is None else kind_of("span.kind", kind),
            None if status is None else CODE_BY_STATUS[status.lower()],
            None if error is None else error == "true",
            limit,
        )  # fmt: skip
