"""The one filter of tail, CLI, API and web: read once, then asked of items or of PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collector.query.grammar import parse_terms
from collector.query.matching import Test, tests_of
from collector.query.terms import EVERY_SIGNAL, Term
from collector.rows import Signal


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items somebody wants to see: those that match every term; all when there is none.

    The grammar is in ``grammar``, what each term means for an item in ``matching``; README, section
    "Filters", is for users. Equal filters have equal terms in the same order, and
    ``Filter.parse(str(x)) == x``.

    An item that was cut is judged by what is left of it: what is not there matches no term.
    """

    terms: tuple[Term, ...] = ()
    _tests: tuple[Test, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tests", tests_of(self.terms))

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Return the filter that a user wrote; an empty text wants everything.

        Raises:
            FilterError: it is none; the error says where, and what was expected.
        """
        return cls(parse_terms(text))

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Tell whether a display item (``collector/items.py``) is wanted.

        ``sql.where`` gives the same answer for the row that the item was made of, unless the item
        was cut.
        """
        for test in self._tests:  # noqa: SIM110 -- all() with a generator takes twice as long
            if not test(item):
                return False
        return True

    def signals(self) -> frozenset[Signal]:
        """Return the signals of which an item can match at all; others need not be looked at."""
        return EVERY_SIGNAL.intersection(*(term.signals for term in self.terms))

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))
