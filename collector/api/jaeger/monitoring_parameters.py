"""The query strings of Jaeger's questions about how services do.

Every time and length of time is in milliseconds, except that times are read by their size.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from starlette.datastructures import QueryParams

from collector.api.jaeger.units import flag_of, kind_of, milliseconds_of
from collector.api.jaeger.v1_parameters import lookback_of
from collector.errors import BadParameterError
from collector.items import NUMBER_BY_KIND
from collector.query.texts import text_of
from collector.query.time_range import TimeRange
from collector.query.windows import Windows

LOOKBACK_NS: Final = 3_600 * 10**9
STEP_NS: Final = 5 * 10**9
RATE_NS: Final = 600 * 10**9
MIN_STEP_MS: Final = 1
"""What a step can be at least."""

_KINDS: Final = (NUMBER_BY_KIND["server"],)
_QUANTILE: Final = re.compile(r"\+?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,3})?", re.ASCII)  # fmt: skip


class Monitored(NamedTuple):
    """Of whom, and when.

    Attributes:
        services: at least one.
        kinds: OTLP's numbers of the spans that count.
        by_operation: whether operations stand apart.
        windows: the points of the answer.
    """

    services: tuple[str, ...]
    kinds: tuple[int, ...]
    by_operation: bool
    windows: Windows


def monitored_of(query: QueryParams, now_unix_nano: int) -> Monitored:
    """Return what is asked: spans of kind server of the last hour, unless it says otherwise.

    Raises:
        BadParameterError: names the parameter, and what it may be.
    """
    services = tuple(dict.fromkeys(filter(None, query.getlist("service"))))
    if not services:
        raise BadParameterError("service", "is required")
    when = TimeRange.from_unix_ns(*lookback_of(query, now_unix_nano, LOOKBACK_NS))
    step, rate = _length_us(query, "step", STEP_NS), _length_us(query, "ratePer", RATE_NS)
    return Monitored(
        tuple(text_of("service", service) for service in services),
        tuple(kind_of("spanKind", text) for text in query.getlist("spanKind") if text) or _KINDS,
        flag_of("groupByOperation", query.get("groupByOperation", "")),
        Windows.of(when, step, rate),
    )


def quantile_of(query: QueryParams) -> float:
    """Return the share of calls that a latency is of.

    Raises:
        BadParameterError: it is not there, or no number from 0 to 1.
    """
    text = query.get("quantile", "")
    quantile = float(text) if _QUANTILE.fullmatch(text) else -1
    if 0 <= quantile <= 1:
        return quantile
    raise BadParameterError("quantile", "must be a number from 0 to 1")


def _length_us(query: QueryParams, name: str, default_ns: int) -> int:
    text = query.get(name)
    return (milliseconds_of(name, text) if text else default_ns) // 1_000
