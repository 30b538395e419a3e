r"""From the text of a filter to its terms, in one pass from left to right.

::

    filter  = [term *(space term)]                all of them must match
    term    = ["-"] (word | phrase | field | attribute)
    word    = unquoted                            does not begin with - or @, holds no colon
    field   = name ":" [operator] (unquoted | phrase)
    attribute = "@" (key | phrase) ":" [operator] (unquoted | phrase)
    operator  = ">" | ">=" | "<" | "<="
    phrase  = '"' text '"'                        \" is a quote in it, \\ a backslash
    unquoted = characters but space and quote     * in it stands for any text

Space is whatever Unicode calls so. A backslash anywhere else is itself. What a stored text cannot
hold, NUL and lone surrogates, is refused, so that every filter can be asked of PostgreSQL.

No regular expression is made of what a user wrote, and none of ours backtracks: the time is linear
in the length of the text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple, NoReturn

from collector.errors import FilterError
from collector.items import CODE_BY_STATUS, NUMBER_BY_KIND, SEVERITIES, SEVERITY_BY_NUMBER
from collector.query.terms import (
    DURATION_NS_MAX,
    FIELDS,
    SIGNALS_BY_TEXT_FIELD,
    UNITS_NS,
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
from collector.query.texts import UNSTORABLE

CHARACTERS_MAX = 1_024
TERMS_MAX = 32

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h)?", re.ASCII)
_TRACE_PREFIX = re.compile(r"[0-9a-f]{4,32}")
_SHOWN_CHARACTERS_MAX = 40


class _Value(NamedTuple):
    """What stands behind a colon, and where."""

    operator: Operator
    text: str
    is_quoted: bool
    position: int

    def fail(self, expected: str) -> NoReturn:
        raise FilterError(f"expected {expected}, not {_shown(self.text)}", position=self.position)


def parse_terms(text: str) -> tuple[Term, ...]:
    """Return the terms of a filter, in their order; none for an empty text.

    Raises:
        FilterError: it is no filter, or longer than ``CHARACTERS_MAX`` or ``TERMS_MAX``.
    """
    if len(text) > CHARACTERS_MAX:
        raise FilterError(
            f"expected at most {CHARACTERS_MAX} characters, not {len(text)}",
            position=CHARACTERS_MAX,
        )
    unstorable = UNSTORABLE.search(text)
    if unstorable is not None:
        raise FilterError(
            f"no stored text holds {_shown(unstorable[0])}", position=unstorable.start()
        )
    reader = _Reader(text)
    terms: list[Term] = []
    while reader.skip_spaces():
        if len(terms) == TERMS_MAX:
            raise FilterError(f"expected at most {TERMS_MAX} terms", position=reader.position)
        terms.append(reader.term())
    return tuple(terms)


class _Reader:
    """Reads terms off one text; ``position`` is that of the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0

    def skip_spaces(self) -> bool:
        """Go to the next term; tell whether there is one."""
        while self._peek().isspace():
            self.position += 1
        return self.position < len(self._text)

    def term(self) -> Term:
        """Read one term, which ends at a space or at the end."""
        is_negated = self._take("-")
        if self._at_end_of_term():
            self._fail('expected a term after "-"; quote it to look for "-"')
        term = self._attribute() if self._take("@") else self._word_or_field()
        return NotTerm(term) if is_negated else term

    def _word_or_field(self) -> PositiveTerm:
        if self._peek() == '"':
            return Word(Pattern((self._phrase(),)))
        start = self.position
        word = self._unquoted(until=":")
        if not self._take(":"):
            return Word(Pattern.of_unquoted(word))
        if word not in FIELDS:
            raise FilterError(
                f"{_shown(word)} is no field; expected {', '.join(FIELDS)}, or quotes around text"
                " with a colon, or @ before the key of an attribute",
                position=start,
            )
        return _field_term(word, self._value())

    def _attribute(self) -> PositiveTerm:
        if self._peek() == '"':
            key = self._phrase(ends_term=False)
        else:
            key = self._unquoted(until=":")
            if not key:
                self._fail("expected the key of an attribute after @")
        if not self._take(":"):
            self._fail('expected ":" after the key of an attribute; ":*" asks whether it is there')
        value = self._value()
        if value.operator is not Operator.EQUAL:
            number = None if value.is_quoted else number_of(value.text)
            if number is None:
                value.fail(f"a number after {value.operator}")
            return NumberTerm(key, value.operator, number)
        return AttributeTerm(key, _pattern(value), value.is_quoted)

    def _value(self) -> _Value:
        """Read what stands behind a colon."""
        operator = next((o for o in Operator if o and self._take(o)), Operator.EQUAL)
        position = self.position
        if self._peek() == '"':
            return _Value(operator, self._phrase(), True, position)
        text = self._unquoted()
        if not text:
            self._fail('expected a value; "" is an empty one')
        return _Value(operator, text, False, position)

    def _phrase(self, *, ends_term: bool = True) -> str:
        """Read from one quote to the next, and check that nothing follows it closely."""
        opened = self.position
        self.position += 1
        parts: list[str] = []
        while (character := self._peek()) != '"':
            if not character:
                raise FilterError("this quote is never closed", position=opened)
            self.position += 1
            if character == "\\" and self._peek() in ("\\", '"'):
                character = self._peek()
                self.position += 1
            parts.append(character)
        self.position += 1
        if ends_term and not self._at_end_of_term():
            self._fail("expected a space after a closed quote")
        return "".join(parts)

    def _unquoted(self, until: str = "") -> str:
        """Read up to a space, the end, or the character ``until``."""
        start = self.position
        while not self._at_end_of_term() and (character := self._peek()) != until:
            if character == '"':
                self._fail('a quote inside of unquoted text; quote all of it, and write \\" inside')
            self.position += 1
        return self._text[start : self.position]

    def _peek(self) -> str:
        """Return the next character; empty at the end."""
        return self._text[self.position : self.position + 1]

    def _take(self, wanted: str) -> bool:
        """Step over ``wanted`` if it comes next."""
        if not self._text.startswith(wanted, self.position):
            return False
        self.position += len(wanted)
        return True

    def _at_end_of_term(self) -> bool:
        character = self._peek()
        return not character or character.isspace()

    def _fail(self, expected: str) -> NoReturn:
        raise FilterError(expected, position=self.position)


def _field_term(field: str, value: _Value) -> PositiveTerm:
    """Return the term of a field other than an attribute."""
    if field == "severity":
        return SeverityTerm(value.operator, _level(value))
    if field == "duration":
        return DurationTerm(value.operator, _nanoseconds(value))
    if value.operator is not Operator.EQUAL:
        raise FilterError(
            f"{field} has no order; quote a value that begins with {value.operator}",
            position=value.position - len(value.operator),
        )
    if field == "status":
        return StatusTerm(_one_of(CODE_BY_STATUS, value))
    if field == "kind":
        return KindTerm(_one_of(NUMBER_BY_KIND, value))
    if field == "trace":
        prefix = value.text.lower()
        if _TRACE_PREFIX.fullmatch(prefix) is None:
            value.fail("the 32 hex digits of a trace id, or its first 4 or more")
        return TraceTerm(prefix)
    assert field in SIGNALS_BY_TEXT_FIELD
    return TextTerm(field, _pattern(value))


def _pattern(value: _Value) -> Pattern:
    return Pattern((value.text,)) if value.is_quoted else Pattern.of_unquoted(value.text)


def _one_of(names: dict[str, int], value: _Value) -> int:
    number = names.get(value.text.lower())
    if number is None:
        value.fail(" or ".join(names))
    return number


def _level(value: _Value) -> str | int:
    name = value.text.upper()
    if name in SEVERITIES:
        return name
    if value.text.isascii() and value.text.isdigit() and len(value.text) <= 2:
        number = int(value.text)
        if number in SEVERITY_BY_NUMBER:
            return number
    return value.fail(
        f"{', '.join(SEVERITIES).lower()} or a number from 1 to {max(SEVERITY_BY_NUMBER)}"
    )


def _nanoseconds(value: _Value) -> int:
    found = _DURATION.fullmatch(value.text)
    if found is None:
        value.fail("a duration such as 100ms, in ns, us, ms, s, m or h; without a unit it is in ms")
    exact = Fraction(found[1]) * UNITS_NS[found[2] or "ms"]
    if exact.denominator != 1 or exact > DURATION_NS_MAX:
        value.fail("whole nanoseconds, and at most 146 years")
    return exact.numerator


def _shown(text: str) -> str:
    """Return the start of a user's text in printable ASCII."""
    return ascii(text[:_SHOWN_CHARACTERS_MAX])
