"""Hypothesis strategies of filters that often match what ``tests/strategies.py`` generates.

They draw keys, texts and numbers from the same pools, and make of them whole values, parts with
gaps, other cases and close neighbours.
"""

from __future__ import annotations

import json
import re
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from collector.items import KIND_BY_NUMBER, SEVERITIES, STATUS_BY_CODE, Item, JsonValue
from collector.query.filters import Filter
from collector.query.json_text import json_text
from collector.query.terms import (
    DURATION_NS_MAX,
    SIGNALS_BY_TEXT_FIELD,
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
    number_of,
)
from tests.strategies import doubles, int64s, keys, texts

SPECIAL_TEXTS = [
    "100%",
    "a_b",
    "a\\b",
    "\\",
    "%",
    "_",
    "*",
    'a"b',
    "É",
    "é",
    "ß",
    "İ",
    "K",
    "Straße 5",
]
"""Signs that LIKE, the grammar, or another way of folding might take for something else."""

wanted_texts: SearchStrategy[str] = texts | st.sampled_from(SPECIAL_TEXTS)

_MUST_BE_QUOTED = re.compile(r'\A\Z|\A[<>]|[\s"*]')

operators = st.sampled_from(Operator)
orders = st.sampled_from([operator for operator in Operator if operator])


@st.composite
def _parts(draw: st.DrawFn) -> tuple[str, ...]:
    """Return a text with some of it cut out, as unquoted text may be written."""
    text = re.sub(r'[\s"*]', "", draw(wanted_texts))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=4)))
    places = [0, *cuts, len(text)]
    return tuple(text[low:high] for low, high in zip(places[::2], places[1::2], strict=False))


def _with_gaps(parts: tuple[str, ...]) -> Pattern:
    return Pattern.of_unquoted("*".join(parts))


patterns: SearchStrategy[Pattern] = st.one_of(
    wanted_texts.map(lambda text: Pattern((text,))),
    wanted_texts.map(lambda text: Pattern((text.swapcase(),))),
    wanted_texts.map(lambda text: Pattern((text[1:3],))),
    _parts().map(_with_gaps).filter(lambda pattern: not pattern.parts[0].startswith(("<", ">"))),
)

_floats = doubles.map(repr).filter(lambda text: text.strip("-")[0].isdigit())
_near = st.sampled_from(["", "0", "1", "00000000000001"])
number_texts: SearchStrategy[str] = st.one_of(
    int64s.map(str),
    _floats,
    st.tuples(_floats.filter(lambda text: "e" not in text), _near).map("".join),
    st.sampled_from(["-0", "-0.0", "1e0", "10e-1", "9007199254740992", "1e300", "0.1", "007"]),
)


@st.composite
def attribute_terms(draw: st.DrawFn) -> AttributeTerm:
    """Return terms of equality, written with quotes or without."""
    unquoted = number_texts | st.sampled_from(["true", "false", "null", "NaN", "{}", "[]"])
    pattern = draw(
        st.one_of(patterns, unquoted.map(lambda text: Pattern((text,))), st.just(Pattern(("", ""))))
    )
    if pattern.has_gaps:
        return AttributeTerm(draw(keys), pattern)
    must_be_quoted = _MUST_BE_QUOTED.search(pattern.parts[0]) is not None
    return AttributeTerm(draw(keys), pattern, must_be_quoted or draw(st.booleans()))


numbers = number_texts.map(number_of).filter(lambda number: number is not None)
number_terms = st.builds(NumberTerm, keys, orders, numbers)
trace_terms = st.integers(1, 3).flatmap(
    lambda number: st.integers(4, 32).map(
        lambda length: TraceTerm(number.to_bytes(16, "big").hex()[:length])
    )
)
durations = st.integers(0, 3 * 10**12) | st.integers(0, DURATION_NS_MAX)


def _words(pattern: Pattern) -> Pattern:
    """Return the pattern as a word may be written: neither - nor @ first, no colon."""
    if not pattern.has_gaps:
        return pattern
    return Pattern.of_unquoted(re.sub(r"\A[-@]+|:", "", "*".join(pattern.parts)) or "*")


positive_terms: SearchStrategy[PositiveTerm] = st.one_of(
    st.builds(Word, patterns.map(_words)),
    st.builds(TextTerm, st.sampled_from(sorted(SIGNALS_BY_TEXT_FIELD)), patterns),
    st.builds(SeverityTerm, operators, st.one_of(st.sampled_from(SEVERITIES), st.integers(1, 24))),
    st.builds(StatusTerm, st.sampled_from(sorted(STATUS_BY_CODE))),
    st.builds(KindTerm, st.sampled_from(sorted(KIND_BY_NUMBER))),
    trace_terms,
    st.builds(DurationTerm, operators, durations),
    attribute_terms(),
    attribute_terms(),
    number_terms,
)

terms: SearchStrategy[Term] = positive_terms | st.builds(NotTerm, positive_terms)
filters: SearchStrategy[Filter] = st.lists(terms, min_size=1, max_size=3).map(
    lambda drawn: Filter(tuple(drawn))
)


def filter_about(item: Item, dice: Random) -> Filter:
    """Return a filter of one term that the item matches, nearly matches, or is negated about."""
    term = dice.choice((_about_attribute, _about_attribute, _about_text, _about_number))(item, dice)
    return Filter((NotTerm(term),) if dice.random() < 0.3 else (term,))


def _about_attribute(item: Item, dice: Random) -> PositiveTerm:
    attributes = {**item.get("resource", {}), **item.get("attributes", {})}
    if not attributes:
        return AttributeTerm("service.name", Pattern(("", "")))
    stored = dice.choice(sorted(attributes))
    value: JsonValue = attributes[stored]
    key = stored.removeprefix("$") if dice.random() < 0.9 else stored
    if isinstance(value, int) and not isinstance(value, bool):
        value += dice.choice((-1, 0, 0, 1))
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))  # any size
    if isinstance(value, int | float) and not isinstance(value, bool):
        text += dice.choice(("", "", "1", ".0", "e0", "0000000000000000001"))
        number = number_of(text)
        if number is not None and dice.random() < 0.5:
            return NumberTerm(key, dice.choice([o for o in Operator if o]), number)
    if dice.random() < 0.1:
        return AttributeTerm(key, Pattern(("", "")))
    pattern = _pattern_about(text, dice)
    if pattern.has_gaps:
        return AttributeTerm(key, pattern)
    return AttributeTerm(key, pattern, dice.random() < 0.3)


def _about_text(item: Item, dice: Random) -> PositiveTerm:
    texts_by_field = {
        field: value if isinstance(value, str) else json_text(value)
        for field in (*SIGNALS_BY_TEXT_FIELD, "status_message")
        if (value := item.get(field)) is not None
    }
    if not texts_by_field:
        return Word(Pattern(("",)))
    field = dice.choice(sorted(texts_by_field))
    pattern = _pattern_about(texts_by_field[field], dice)
    if field == "status_message" or dice.random() < 0.4:
        return Word(pattern)
    return TextTerm(field, pattern)


def _about_number(item: Item, dice: Random) -> PositiveTerm:
    operator = dice.choice(list(Operator))
    if item["signal"] == "traces":
        if "duration_ns" in item and dice.random() < 0.5:
            near = item["duration_ns"] + dice.choice((-1, 0, 1))
            return DurationTerm(operator, min(max(near, 0), DURATION_NS_MAX))
        return TraceTerm(item["trace_id"][: dice.randrange(4, 33)])
    if item["signal"] == "logs":
        number = item.get("severity_number", 0) + dice.choice((-4, -1, 0, 1, 4))
        return SeverityTerm(operator, min(max(number, 1), 24))
    return TextTerm("metric", _pattern_about(item["metric"], dice))


def _pattern_about(text: str, dice: Random) -> Pattern:
    """Return the text, in other letters, a part of it, or one with gaps; not always writable."""
    place = dice.randrange(len(text) + 1)
    head, tail = text[:place], text[place + 1 :]
    match dice.randrange(6):
        case 0:
            return Pattern((text,))
        case 1:
            return Pattern((text.swapcase(),))
        case 2:
            return Pattern((tail,))
        case 3:
            return Pattern((head, tail))
        case 4:  # a sign that LIKE takes for any must not do it here
            return Pattern((head + dice.choice("_%\\") + tail, ""))
        case _:
            return Pattern(("", text[place : place + 2], ""))
