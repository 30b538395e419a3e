"""query.grammar: what a filter may look like, and what is said about one that does not."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import FilterError
from collector.query.filters import Filter
from collector.query.grammar import CHARACTERS_MAX, TERMS_MAX, parse_terms
from collector.query.terms import (
    AttributeTerm,
    DurationTerm,
    KindTerm,
    NotTerm,
    NumberTerm,
    Operator,
    Pattern,
    SeverityTerm,
    StatusTerm,
    Term,
    TextTerm,
    TraceTerm,
    Word,
)
from collector.rows import Signal
from tests.filters import filters

T32 = "0af7651916cd43dd8448eb211c80319c"
ANY = Pattern(("", ""))
BEYOND = "1e99999999999999999999"
"""A number in JSON, for which decimals have no exponent."""


def exactly(text: str) -> Pattern:
    """Return the pattern without gaps."""
    return Pattern((text,))


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("word", Word(exactly("word"))),
        ("wo*d", Word(Pattern(("wo", "d")))),
        ("a\\b", Word(exactly("a\\b"))),
        ('"a phrase"', Word(exactly("a phrase"))),
        ('"10*"', Word(exactly("10*"))),
        (r'"say \"hi\" C:\temp \\"', Word(exactly('say "hi" C:\\temp \\'))),
        ('""', Word(exactly(""))),
        ("-word", NotTerm(Word(exactly("word")))),
        ("--word", NotTerm(Word(exactly("-word")))),
        ('-"-"', NotTerm(Word(exactly("-")))),
        ("service:shop", TextTerm("service", exactly("shop"))),
        ("name:GET*/cart", TextTerm("name", Pattern(("GET", "/cart")))),
        ("name:***", TextTerm("name", ANY)),
        ("name:a:b", TextTerm("name", exactly("a:b"))),
        ('name:">5"', TextTerm("name", exactly(">5"))),
        ('body:"a b"', TextTerm("body", exactly("a b"))),
        ("event:-x", TextTerm("event", exactly("-x"))),
        ("severity:error", SeverityTerm(Operator.EQUAL, "ERROR")),
        ("severity:>=Warn", SeverityTerm(Operator.GREATER_EQUAL, "WARN")),
        ("severity:<17", SeverityTerm(Operator.LESS, 17)),
        ("status:error", StatusTerm(2)),
        ("-status:OK", NotTerm(StatusTerm(1))),
        ("kind:server", KindTerm(2)),
        (f"trace:{T32.upper()}", TraceTerm(T32)),
        ("trace:0af7", TraceTerm("0af7")),
        ("duration:100", DurationTerm(Operator.EQUAL, 100_000_000)),
        ("duration:>1.5s", DurationTerm(Operator.GREATER, 1_500_000_000)),
        ("duration:<=2h", DurationTerm(Operator.LESS_EQUAL, 7_200_000_000_000)),
        ("@http.route:/cart", AttributeTerm("http.route", exactly("/cart"))),
        ("@a:*", AttributeTerm("a", ANY)),
        ('@"a key:":"5"', AttributeTerm("a key:", exactly("5"), is_quoted=True)),
        ('@"":""', AttributeTerm("", exactly(""), is_quoted=True)),
        ("@a:1e9999999999999999999", AttributeTerm("a", exactly("1e9999999999999999999"))),
        ("@$a:true", AttributeTerm("$a", exactly("true"))),
        (f"@a:{BEYOND}", AttributeTerm("a", exactly(BEYOND))),
        ("@a:>-1.5e3", NumberTerm("a", Operator.GREATER, Decimal(-1500))),
    ],
)
def test_each_form_is_one_term(text: str, term: Term) -> None:
    """What is written means this, and nothing else."""
    assert parse_terms(f" {text}\t") == (term,)


def test_terms_stand_in_their_order() -> None:
    """Any white space parts them."""
    text = 'severity:>=warn\u3000"a phrase"\n-@a:1'

    assert parse_terms(text) == (
        SeverityTerm(Operator.GREATER_EQUAL, "WARN"),
        Word(exactly("a phrase")),
        NotTerm(AttributeTerm("a", exactly("1"))),
    )


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_filter_has_no_term(text: str) -> None:
    """It wants everything."""
    assert Filter.parse(text) == Filter()


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ('ok "open', 3, "never closed"),
        ('"a"b', 3, "a space after"),
        ('a"b', 1, "inside of unquoted"),
        ("a -", 3, "a term after"),
        ("- a", 1, "a term after"),
        ("http://x", 0, "'http' is no field; expected service, name"),
        ("Service:x", 0, "'Service' is no field"),
        (":x", 0, "'' is no field"),
        ("name:", 5, "a value"),
        ("name:>x", 5, "name has no order"),
        ("trace:>=abcd", 6, "trace has no order"),
        ("@", 1, "the key"),
        ("@:x", 1, "the key"),
        ("@a", 2, 'expected ":"'),
        ('@"a" :x', 4, 'expected ":"'),
        ("@a:>x", 4, "a number after >, not 'x'"),
        ('@a:>="5"', 5, "a number after >="),
        ("@a:>007", 4, "a number"),
        ("@a:>1e401", 4, "a number"),
        ("@a:>1e99999999999999999999", 4, "a number"),
        ("@a:>\u0663", 4, "a number"),
        ("severity:loud", 9, "trace, debug, info, warn, error, fatal or a number from 1 to 24"),
        ("severity:0", 9, "from 1 to 24"),
        ("severity:25", 9, "from 1 to 24"),
        ("status:failed", 7, "unset or ok or error, not 'failed'"),
        ("kind:queue", 5, "internal or server"),
        ("trace:abc", 6, "first 4 or more"),
        (f"trace:{T32}0", 6, "32 hex digits"),
        ("duration:fast", 9, "a duration such as 100ms"),
        ("duration:1d", 9, "in ns, us, ms, s, m or h"),
        ("duration:0.5ns", 9, "whole nanoseconds"),
        ("duration:9999999999h", 9, "at most 146 years"),
        ("a\0", 1, "no stored text"),
        ("a \udcff", 2, "no stored text"),
        ("a" * (CHARACTERS_MAX + 1), CHARACTERS_MAX, "at most 1024 characters"),
        ("a " * (TERMS_MAX + 1), 2 * TERMS_MAX, "at most 32 terms"),
    ],
)
def test_a_wrong_filter_is_told_where_and_what_was_expected(
    text: str, position: int, expected: str
) -> None:
    """Positions are shown from 1 on, as editors do."""
    with pytest.raises(FilterError) as caught:
        Filter.parse(text)

    assert caught.value.position == position
    assert expected in caught.value.expected
    assert str(caught.value).startswith(f"filter, character {position + 1}: ")


def test_the_longest_filter_is_one() -> None:
    """The limits themselves are inside."""
    assert len(parse_terms("a " * TERMS_MAX)) == TERMS_MAX
    assert parse_terms("a" * CHARACTERS_MAX) == (Word(exactly("a" * CHARACTERS_MAX)),)


_GRAMMATICAL = st.lists(
    st.sampled_from(
        [*'"-@:*><=\\ .5a\0\x1b\u202e\udc80é', "severity", "service:", "duration:", "trace:abcd",
         "@k:", ">=", "1e5", "ms", '"x"']
    )
).map("".join)  # fmt: skip


@given(_GRAMMATICAL | st.text(st.characters(codec=None)))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    """Nothing else is ever raised; the error is a line of printable ASCII, the filter is stable."""
    found, error = _read(text)

    if error is None:
        assert Filter.parse(str(found)) == found
    else:
        assert 0 <= error.position <= len(text)
        assert str(error).isascii()
        assert str(error).isprintable()


def _read(text: str) -> tuple[Filter, FilterError | None]:
    try:
        return Filter.parse(text), None
    except FilterError as error:
        return Filter(), error


@given(filters)
def test_a_filter_is_written_as_it_is_read(filter_: Filter) -> None:
    """So a client may send on what it has parsed."""
    assert Filter.parse(str(filter_)) == filter_


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("", {*Signal}),
        ("word service:x @a:1", {*Signal}),
        ("name:x", {Signal.TRACES}),
        ("severity:warn", {Signal.LOGS}),
        ("trace:abcd", {Signal.TRACES, Signal.LOGS}),
        ("trace:abcd body:x", {Signal.LOGS}),
        ("metric:x", {Signal.METRICS}),
        ("metric:x -status:error", {Signal.METRICS}),
        ("metric:x status:error", set[Signal]()),
        ("-kind:server", {*Signal}),
    ],
)
def test_signals_that_cannot_match_are_left_out(text: str, signals: set[Signal]) -> None:
    """A field that a signal lacks never matches; its negation always does."""
    assert Filter.parse(text).signals() == signals


@pytest.mark.parametrize(
    "text",
    ["*".join("ab" * 255), "a" * 1_024, ("a" * 31 + " ") * 32, "@" * 1_024, '\\"' * 512,
     '"' + '\\"' * 511 + '"', "*" * 1_024, "@a:>" + "9" * 1_020, "duration:" + "9" * 1_015],
)  # fmt: skip
def test_the_time_of_a_hostile_filter_is_bounded(text: str) -> None:
    """A thousand characters against texts of 4 KiB that nearly match: far below a second.

    One parse and 60 matches take some 10 ms; whatever went up with the square of the length, or
    worse, would take minutes.
    """
    bodies = ["a" * 4_096, "ab" * 2_048, ("a" * 30 + "b") * 132, "é" * 2_048]
    started = time.process_time()

    wanted, _ = _read(text[:CHARACTERS_MAX])
    for body in bodies * 15:
        wanted.matches({"signal": "logs", "time": "", "body": body})

    assert time.process_time() - started < 2
