"""Values of any type of PostgreSQL as JSON, and as a text for a table.

JSON has numbers with all their digits, ``json`` and ``jsonb`` as what they are, arrays as arrays and
composite values as objects or arrays. All else is a string: ``bytea`` in hex, ``timestamptz`` as
RFC 3339 in UTC, NaN and infinities by name, and what JSON has no form for as PostgreSQL writes it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

import asyncpg

from collector.query.display import double_text

INFINITY_US: Final = 2**63 - 1
INFINITY_DAYS: Final = 2**31 - 1
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_REAL: Final = struct.Struct("!f")
_REAL_DIGITS_MAX: Final = 9
"""So many always tell a ``real`` from every other."""


class Moment(int):
    """A ``timestamptz``: microseconds since 2000-01-01 UTC."""

    __slots__ = ()

    def __str__(self) -> str:
        text = _moment_text(self)
        return text.replace("+00:00", "Z") if text[-1] == "0" else text


class LocalMoment(int):
    """A ``timestamp``, of nobody knows which zone: microseconds since 2000-01-01."""

    __slots__ = ()

    def __str__(self) -> str:
        return _moment_text(self).removesuffix("+00:00")


class Day(int):
    """A ``date``: days since 2000-01-01."""

    __slots__ = ()

    def __str__(self) -> str:
        if infinite := _infinite(self, INFINITY_DAYS):
            return infinite
        try:
            return (date(2000, 1, 1) + timedelta(days=self)).isoformat()
        except OverflowError:
            return f"{int(self)} days after 2000-01-01"


class Interval(NamedTuple):
    """An ``interval``; shown as a duration of ISO 8601, each of its parts with its own sign."""

    months: int
    days: int
    microseconds: int

    def __str__(self) -> str:
        seconds, rest = divmod(abs(self.microseconds), 1_000_000)
        fraction = f".{rest:06}".rstrip("0") if rest else ""
        sign = "-" if self.microseconds < 0 else ""
        parts = [f"{self.months}M"] * (self.months != 0) + [f"{self.days}D"] * (self.days != 0)
        clock = f"T{sign}{seconds}{fraction}S"
        return "P" + "".join(parts) + (clock if self.microseconds or not parts else "")


def _moment_text(time_us: int) -> str:
    if infinite := _infinite(time_us, INFINITY_US):
        return infinite
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat()
    except OverflowError:  # PostgreSQL's calendar is longer than Python's
        return f"{int(time_us)} us after 2000-01-01 UTC"


def _infinite(number: int, infinity: int) -> str:
    return {infinity: "infinity", -infinity - 1: "-infinity"}.get(number, "")


_TUPLES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "timestamptz": lambda parts: Moment(parts[0]),
    "timestamp": lambda parts: LocalMoment(parts[0]),
    "date": lambda parts: Day(parts[0]),
    "interval": Interval._make,
}
"""Types that reach beyond what Python's own can hold; binary, so that they may stand in composites."""
_TEXTS: Final = ("pg_lsn", "pg_snapshot", "tid")
"""Types that mean nothing but to PostgreSQL."""


def _real(raw: bytes) -> float:
    """Return a ``real`` as the double with the fewest digits that mean it: what PostgreSQL shows.

    The double that equals it has more: 0.10000000149011612 for 0.1.
    """
    (exact,) = _REAL.unpack(raw)
    shorter = (float(f"{exact:.{digits}g}") for digits in range(1, _REAL_DIGITS_MAX + 1))
    return next((number for number in shorter if _means(number, raw)), exact)


def _means(number: float, raw: bytes) -> bool:
    """Tell whether a number, as a ``real``, is this one."""
    try:
        return _REAL.pack(number) == raw
    except OverflowError:  # rounded to beyond the largest
        return False


async def set_codecs(connection: asyncpg.Connection[Any]) -> None:
    """Let a connection that is ours alone answer with values of the forms that are known here."""
    for name, decoder in _TUPLES.items():
        await connection.set_type_codec(
            name, schema="pg_catalog", format="tuple", encoder=tuple, decoder=decoder
        )
    for name in _TEXTS:
        await connection.set_type_codec(
            name, schema="pg_catalog", format="text", encoder=str, decoder=str
        )
    await connection.set_type_codec(
        "float4", schema="pg_catalog", format="binary", encoder=_REAL.pack, decoder=_real
    )


class SqlColumn(NamedTuple):
    """A column of an answer."""

    name: str
    type: str
    """PostgreSQL's name of it: ``int8``, ``jsonb[]``."""

    @property
    def is_number(self) -> bool:
        """Whether its values stand to the right in a table."""
        return self.type in {"int2", "int4", "int8", "float4", "float8", "numeric", "oid", "money"}

    def shown(self, value: Any) -> Any:
        """Return a value of it in its right form: the driver has bytes for a ``"char"``."""
        return value.decode("latin-1") if self.type == "char" and value is not None else value

    @property
    def is_json(self) -> bool:
        """Whether its texts are JSON."""
        return self.type.removesuffix("[]") in {"json", "jsonb"}


def row_json(columns: tuple[SqlColumn, ...], row: asyncpg.Record) -> str:
    """Return a row as one line of JSON; of columns with one name each has a member."""
    members = (
        f"{json.dumps(column.name)}:{json_of(column.shown(value), is_json=column.is_json)}"
        for column, value in zip(columns, row.values(), strict=True)
    )
    return "{" + ",".join(members) + "}"


def json_of(value: Any, *, is_json: bool = False) -> str:
    """Return a value as JSON on one line; ``is_json``: texts in it are JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Moment() | LocalMoment() | Day():
            return _string(str(value))
        case int():
            return str(value)
        case float() | Decimal():
            return _number(value)
        case str():
            # Line breaks in a json are space between its parts: in its strings they are escaped.
            return value.translate(_NO_BREAKS) if is_json else _string(value)
        case list():
            elements = (json_of(one, is_json=is_json) for one in cast("list[Any]", value))
            return "[" + ",".join(elements) + "]"
        case asyncpg.Record():
            return row_json(tuple(SqlColumn(name, "") for name in value.keys()), value)  # noqa: SIM118
        case _:
            return _other(value)


def _other(value: Any) -> str:
    if isinstance(value, tuple) and not isinstance(value, Interval):
        return "[" + ",".join(map(json_of, cast("tuple[Any, ...]", value))) + "]"
    return _string(scalar_text(value))


def row_cells(columns: tuple[SqlColumn, ...], row: asyncpg.Record) -> list[str | None]:
    """Return a row as texts of a table, as ``cell_text`` does."""
    return [
        cell_text(column.shown(value), is_json=column.is_json)
        for column, value in zip(columns, row.values(), strict=True)
    ]


def cell_text(value: Any, *, is_json: bool = False) -> str | None:
    """Return a value as it stands in a table, not yet escaped; None for NULL."""
    if value is None:
        return None
    text = json_of(value, is_json=is_json)
    return json.loads(text) if text.startswith('"') and not is_json else text


def scalar_text(value: Any) -> str:
    """Return a value that is a string in JSON."""
    match value:
        case bytes():
            return value.hex()
        case asyncpg.Range():
            return _range_text(cast("asyncpg.Range[Any]", value))
        case asyncpg.BitString():
            return value.as_string().replace(" ", "")
        case _:
            return str(value)


def _range_text(value: asyncpg.Range[Any]) -> str:
    if value.isempty:
        return "empty"
    lower, upper = ("" if bound is None else str(bound) for bound in (value.lower, value.upper))
    return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"


def _number(value: float | Decimal) -> str:
    if isinstance(value, Decimal):
        if value.is_finite():
            return format(value, "f")
        return _string(str(value).replace("Inf", "inf").replace("infinity", "Infinity"))
    text = double_text(value)
    return text if math.isfinite(value) else _string(text)


_NO_BREAKS: Final = str.maketrans("\n\r\t", "   ")
_string: Final[Callable[[str], str]] = json.dumps
