"""What one term of a filter says, as data: immutable, comparable, written back as it is read.

``str`` of a term is a text that the grammar reads as an equal term. Nothing here knows items or SQL;
``matching`` and ``sql`` give a term its meaning, and must give it the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeAlias

from collector.items import (
    KIND_BY_NUMBER,
    SEVERITIES,
    SEVERITY_NUMBERS_PER_LEVEL,
    STATUS_BY_CODE,
)
from collector.rows import Signal

EVERY_SIGNAL = frozenset(Signal)
_SPANS = frozenset({Signal.TRACES})
_LOG_RECORDS = frozenset({Signal.LOGS})

SIGNALS_BY_TEXT_FIELD: dict[str, frozenset[Signal]] = {
    "service": EVERY_SIGNAL,
    "name": _SPANS,
    "event": _LOG_RECORDS,
    "metric": frozenset({Signal.METRICS}),
    "body": _LOG_RECORDS,
}
"""Fields that hold text, and the signals that have them."""

FIELDS = ("service", "name", "severity", "status", "trace", "duration", "kind", "event",
          "metric", "body")  # fmt: skip

SEVERITY_NUMBER_MAX = 2**31 - 1
DURATION_NS_MAX = 2**62
"""146 years: what is longer, is no duration that anybody asks for, and one more stays a bigint."""

UNITS_NS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_DIGITS_MAX = 64
_EXPONENT_MAX = 400


class Operator(StrEnum):
    """What stands between the colon and the value."""

    EQUAL = ""
    GREATER_EQUAL = ">="
    LESS_EQUAL = "<="
    GREATER = ">"
    LESS = "<"


def number_of(text: str) -> Decimal | None:
    """Return the number that ``text`` is, exactly; None when it is none.

    A number is written as in JSON, so ``007`` is a text. One of more than 64 digits, or beyond
    10^400, is a text too: no stored number equals it, and PostgreSQL need not write it out.
    """
    if _JSON_NUMBER.fullmatch(text) is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what decimals can have
        return None
    is_far = abs(number.adjusted()) > _EXPONENT_MAX
    return None if is_far or len(number.as_tuple().digits) > _DIGITS_MAX else number


def quoted(text: str) -> str:
    """Return ``text`` as a phrase, which the grammar reads back."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with gaps: any text may stand between one part and the next.

    Shape: at least one part. One alone has no gap. Only the first and the last may be empty when
    there are more: ``*`` is two empty parts.
    """

    parts: tuple[str, ...]

    @classmethod
    def of_unquoted(cls, text: str) -> Pattern:
        """Return the pattern in which each run of ``*`` is a gap."""
        first, *others = text.split("*")
        if not others:
            return cls((first,))
        return cls((first, *filter(None, others[:-1]), others[-1]))

    @property
    def has_gaps(self) -> bool:
        """Whether it stands for more than one text."""
        return len(self.parts) > 1

    def written(self, *, unsafe: re.Pattern[str]) -> str:
        """Return its text, as a phrase where ``unsafe`` is found in it."""
        if self.has_gaps:
            return "*".join(self.parts)
        text = self.parts[0]
        return quoted(text) if unsafe.search(text) else text


_UNSAFE_IN_WORD = re.compile(r'\A\Z|\A[-@]|[\s":*]')
_UNSAFE_IN_VALUE = re.compile(r'\A\Z|\A[<>]|[\s"*]')
_UNSAFE_IN_KEY = re.compile(r'\A\Z|[\s":]')


@dataclass(frozen=True, slots=True)
class Word:
    """A text that a reader sees holds this; ASCII letters match in both cases."""

    pattern: Pattern

    @property
    def signals(self) -> frozenset[Signal]:
        """Every signal has some text."""
        return EVERY_SIGNAL

    def __str__(self) -> str:
        return self.pattern.written(unsafe=_UNSAFE_IN_WORD)


@dataclass(frozen=True, slots=True)
class TextTerm:
    """The field is this text (``body``: holds it); ASCII letters match in both cases."""

    field: str
    pattern: Pattern

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that have the field."""
        return SIGNALS_BY_TEXT_FIELD[self.field]

    def __str__(self) -> str:
        return f"{self.field}:{self.pattern.written(unsafe=_UNSAFE_IN_VALUE)}"


@dataclass(frozen=True, slots=True)
class SeverityTerm:
    """The severity number lies here; ``level`` is a number, or an upper-case name of four."""

    operator: Operator
    level: str | int

    @property
    def signals(self) -> frozenset[Signal]:
        """Only log records have one."""
        return _LOG_RECORDS

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest number that match; numbers below 1 mean nothing."""
        if isinstance(self.level, int):
            first = last = self.level
        else:
            first = SEVERITIES.index(self.level) * SEVERITY_NUMBERS_PER_LEVEL + 1
            last = first + SEVERITY_NUMBERS_PER_LEVEL - 1
        return _bounds(self.operator, first, last, lowest=1, highest=SEVERITY_NUMBER_MAX)

    def __str__(self) -> str:
        return f"severity:{self.operator}{str(self.level).lower()}"


@dataclass(frozen=True, slots=True)
class StatusTerm:
    """The span has this status."""

    code: int

    @property
    def signals(self) -> frozenset[Signal]:
        """Only spans have one."""
        return _SPANS

    def __str__(self) -> str:
        return f"status:{STATUS_BY_CODE[self.code]}"


@dataclass(frozen=True, slots=True)
class KindTerm:
    """The span is of this kind."""

    kind: int

    @property
    def signals(self) -> frozenset[Signal]:
        """Only spans have one."""
        return _SPANS

    def __str__(self) -> str:
        return f"kind:{KIND_BY_NUMBER[self.kind]}"


@dataclass(frozen=True, slots=True)
class TraceTerm:
    """The trace id begins so. Shape: 4 to 32 lower-case hex digits."""

    prefix: str

    @property
    def signals(self) -> frozenset[Signal]:
        """Spans, and log records that were written inside one."""
        return _SPANS | _LOG_RECORDS

    @property
    def bounds(self) -> tuple[bytes, bytes]:
        """The lowest and the highest trace id that match."""
        low, high = self.prefix.ljust(32, "0"), self.prefix.ljust(32, "f")
        return bytes.fromhex(low), bytes.fromhex(high)

    def __str__(self) -> str:
        return f"trace:{self.prefix}"


@dataclass(frozen=True, slots=True)
class DurationTerm:
    """The span took so long. Units: nanoseconds, 0 to ``DURATION_NS_MAX``."""

    operator: Operator
    nanoseconds: int

    @property
    def signals(self) -> frozenset[Signal]:
        """Only spans have one."""
        return _SPANS

    @property
    def bounds(self) -> tuple[int, int]:
        """The shortest and the longest duration that match."""
        exact = self.nanoseconds
        return _bounds(self.operator, exact, exact, lowest=0, highest=2**63 - 1)

    def __str__(self) -> str:
        unit = next(unit for unit, size in UNITS_NS.items() if self.nanoseconds % size == 0)
        return f"duration:{self.operator}{self.nanoseconds // UNITS_NS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class AttributeTerm:
    """The attribute, or else the resource's of that name, equals this; case matters.

    Unquoted, a number or a boolean means that JSON value or the same text; ``*`` alone means that
    the attribute is there, whatever it holds.
    """

    key: str
    pattern: Pattern
    is_quoted: bool = False

    @property
    def signals(self) -> frozenset[Signal]:
        """Items of every signal have attributes."""
        return EVERY_SIGNAL

    @property
    def is_presence(self) -> bool:
        """Whether any value will do."""
        return self.pattern.parts == ("", "")

    @property
    def number(self) -> Decimal | None:
        """The number that it means besides its text, if any."""
        if self.is_quoted or self.pattern.has_gaps:
            return None
        return number_of(self.pattern.parts[0])

    @property
    def boolean(self) -> bool | None:
        """The boolean that it means besides its text, if any."""
        if self.is_quoted or self.pattern.has_gaps:
            return None
        return {"true": True, "false": False}.get(self.pattern.parts[0])

    def __str__(self) -> str:
        value = self.pattern.written(unsafe=_UNSAFE_IN_VALUE)
        if self.is_quoted and not value.startswith('"'):
            value = quoted(value)
        return f"@{written_key(self.key)}:{value}"


@dataclass(frozen=True, slots=True)
class NumberTerm:
    """The attribute, or else the resource's of that name, is a number that compares so."""

    key: str
    operator: Operator
    number: Decimal

    @property
    def signals(self) -> frozenset[Signal]:
        """Items of every signal have attributes."""
        return EVERY_SIGNAL

    def __str__(self) -> str:
        return f"@{written_key(self.key)}:{self.operator}{self.number}"


PositiveTerm: TypeAlias = (
    Word | TextTerm | SeverityTerm | StatusTerm | KindTerm | TraceTerm | DurationTerm
    | AttributeTerm | NumberTerm
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotTerm:
    """The term does not match; so this matches where the signal lacks the field."""

    term: PositiveTerm

    @property
    def signals(self) -> frozenset[Signal]:
        """An item of any signal may fail to match."""
        return EVERY_SIGNAL

    def __str__(self) -> str:
        return f"-{self.term}"


Term: TypeAlias = PositiveTerm | NotTerm


def written_key(key: str) -> str:
    """Return an attribute's key as the grammar reads it back."""
    return quoted(key) if _UNSAFE_IN_KEY.search(key) else key


def stored_key(key: str) -> str:
    """Return the key in the stored form of attributes: a leading ``$`` is doubled."""
    return f"${key}" if key.startswith("$") else key


def _bounds(
    operator: Operator, first: int, last: int, *, lowest: int, highest: int
) -> tuple[int, int]:
    """Return the inclusive range of numbers on this side of ``first`` to ``last``; may be empty."""
    match operator:
        case Operator.EQUAL:
            return first, last
        case Operator.GREATER:
            return last + 1, highest
        case Operator.GREATER_EQUAL:
            return first, highest
        case Operator.LESS:
            return lowest, first - 1
        case Operator.LESS_EQUAL:
            return lowest, last
