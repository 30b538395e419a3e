"""A filter as closures over items: built once, run for every item of every tail.

What costs time is done beforehand: patterns are folded, bounds computed, cheap tests come first,
and all words of a filter share the texts of the item, which are folded once.

Folding touches ASCII letters only, so that PostgreSQL, which does it by ``COLLATE "C"``, agrees
whatever locale its database has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import eq, ge, gt, le, lt
from typing import Any, TypeAlias

from collector.items import KIND_BY_NUMBER, STATUS_BY_CODE
from collector.query.json_text import json_text
from collector.query.terms import (
    AttributeTerm,
    DurationTerm,
    KindTerm,
    NotTerm,
    NumberTerm,
    Operator,
    Pattern,
    PositiveTerm,
    SeverityTerm,
    StatusTerm,
    Term,
    TextTerm,
    TraceTerm,
    Word,
    stored_key,
)

AnyItem: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[AnyItem], bool]
TextTest: TypeAlias = Callable[[str], bool]

WORD_FIELDS: dict[str, tuple[str, ...]] = {
    "traces": ("service", "name", "status_message"),
    "metrics": ("service", "metric"),
    "logs": ("service", "body", "event"),
}
"""Where a word is looked for, by signal: what a reader sees of an item beside its attributes."""

_ABSENT = object()
_COMPARISONS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: eq,
    Operator.GREATER: gt,
    Operator.GREATER_EQUAL: ge,
    Operator.LESS: lt,
    Operator.LESS_EQUAL: le,
}


def folded(text: str) -> str:
    """Return the text with ASCII letters, and no others, in lower case."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def tests_of(terms: Sequence[Term]) -> tuple[Test, ...]:
    """Return tests that all hold for the items that match all terms; words are the last."""
    tests: list[Test] = []
    words: list[tuple[TextTest, bool]] = []
    for term in terms:
        positive, wanted = (term.term, False) if isinstance(term, NotTerm) else (term, True)
        if isinstance(positive, Word):
            words.append((_holds(positive.pattern), wanted))
        else:
            test = _test_of(positive)
            tests.append(test if wanted else _negation(test))
    return (*tests, _words_test(words)) if words else tuple(tests)


def _test_of(term: PositiveTerm) -> Test:
    match term:
        case TextTerm("body", pattern):
            return _body_test(_holds(pattern))
        case TextTerm(field, pattern):
            return _text_test(field, _is(_folded_pattern(pattern)))
        case SeverityTerm():
            return _range_test("severity_number", *term.bounds)
        case DurationTerm():
            return _range_test("duration_ns", *term.bounds)
        case StatusTerm(code):
            return _name_test("status", STATUS_BY_CODE[code])
        case KindTerm(kind):
            return _name_test("kind", KIND_BY_NUMBER[kind])
        case TraceTerm(prefix):
            return _prefix_test("trace_id", prefix)
        case AttributeTerm():
            return _presence_test(term.key) if term.is_presence else _attribute_test(term)
        case NumberTerm(key, operator, number):
            return _number_test(key, operator, number)
        case Word(pattern):
            return _words_test([(_holds(pattern), True)])


def _negation(test: Test) -> Test:
    return lambda item: not test(item)


# -- texts ---------------------------------------------------------------------------------------


def _folded_pattern(pattern: Pattern) -> Pattern:
    return Pattern(tuple(map(folded, pattern.parts)))


def _holds(pattern: Pattern) -> TextTest:
    """Return whether a folded text holds the pattern somewhere."""
    first, *others = _folded_pattern(pattern).parts
    if not others:
        return lambda text: first in text
    return _is(Pattern(("", *filter(None, (first, *others)), "")))


def _is(pattern: Pattern) -> TextTest:
    """Return whether a text is the pattern from its start to its end; linear in its length.

    Between the first and the last part each other one is taken where it comes first: if that does
    not lead to the end, no later place does.
    """
    first, *others = pattern.parts
    if not others:
        return lambda text: text == first
    *inner, last = others
    length = len(first) + len(last)

    def test(text: str) -> bool:
        if len(text) < length or not text.startswith(first) or not text.endswith(last):
            return False
        start, end = len(first), len(text) - len(last)
        for part in inner:
            found = text.find(part, start, end)
            if found < 0:
                return False
            start = found + len(part)
        return True

    return test


def _text_test(field: str, is_wanted: TextTest) -> Test:
    def test(item: AnyItem) -> bool:
        text = item.get(field)
        return text is not None and is_wanted(folded(text))

    return test


def _body_test(is_wanted: TextTest) -> Test:
    def test(item: AnyItem) -> bool:
        body = item.get("body", _ABSENT)
        return body is not _ABSENT and is_wanted(_folded_body(body))

    return test


def _folded_body(body: Any) -> str:
    return folded(body if isinstance(body, str) else json_text(body))


def _words_test(words: Sequence[tuple[TextTest, bool]]) -> Test:
    """Return whether each wanted word stands in some text of the item, and no unwanted one does."""

    def test(item: AnyItem) -> bool:
        texts: list[str] = []
        for field in WORD_FIELDS[item["signal"]]:
            value = item.get(field)
            if value is not None:
                texts.append(folded(value) if isinstance(value, str) else folded(json_text(value)))
        for holds, wanted in words:
            for text in texts:
                if holds(text):
                    break
            else:
                if wanted:
                    return False
                continue
            if not wanted:
                return False
        return True

    return test


# -- numbers and names ---------------------------------------------------------------------------


def _range_test(field: str, low: int, high: int) -> Test:
    def test(item: AnyItem) -> bool:
        number = item.get(field)
        return number is not None and low <= number <= high

    return test


def _name_test(field: str, name: str) -> Test:
    return lambda item: item.get(field) == name


def _prefix_test(field: str, prefix: str) -> Test:
    return lambda item: item.get(field, "").startswith(prefix)


# -- attributes ----------------------------------------------------------------------------------


def _value_of(item: AnyItem, key: str) -> Any:
    """Return the item's attribute, or else its resource's; ``_ABSENT`` when neither has the key."""
    for owner in ("attributes", "resource"):
        attributes = item.get(owner)
        if attributes is not None and key in attributes:
            return attributes[key]
    return _ABSENT


def _presence_test(key: str) -> Test:
    stored = stored_key(key)
    return lambda item: _value_of(item, stored) is not _ABSENT


def _attribute_test(term: AttributeTerm) -> Test:
    key, number, boolean = stored_key(term.key), term.number, term.boolean
    is_text = _is(term.pattern)
    is_number = None if number is None else _compares(Operator.EQUAL, number)

    def test(item: AnyItem) -> bool:
        value = _value_of(item, key)
        if isinstance(value, str):
            return is_text(value)
        if isinstance(value, bool):
            return value is boolean
        return is_number is not None and isinstance(value, int | float) and is_number(value)

    return test


def _number_test(key: str, operator: Operator, number: Decimal) -> Test:
    stored, compares = stored_key(key), _compares(operator, number)

    def test(item: AnyItem) -> bool:
        value = _value_of(item, stored)
        return isinstance(value, int | float) and not isinstance(value, bool) and compares(value)

    return test


def _compares(operator: Operator, number: Decimal) -> Callable[[float], bool]:
    """Return the exact comparison with ``number``, a float being the number that its repr is.

    That is what jsonb holds. Rounding to a float keeps the order, so digits beyond a float's count
    only where the float nearest to ``number`` is met, and what is true there is known beforehand.
    """
    compare = _COMPARISONS[operator]
    nearest = float(number)
    is_true_there = compare(Decimal(repr(nearest)), number)
    exact = int(number) if number == number.to_integral_value() else number  # an int is faster

    def test(value: float) -> bool:
        if isinstance(value, float):
            return compare(value, nearest) if value != nearest else is_true_there
        return compare(value, exact)

    return test
