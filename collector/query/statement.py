"""A statement and its values: what a user wrote is a bind parameter, never text of the statement."""

from __future__ import annotations

from typing import Any, NamedTuple


class Statement(NamedTuple):
    """A query with ``$1``, ``$2``, .. in it, and their values in that order."""

    sql: str
    parameters: tuple[Any, ...] = ()


class Parameters:
    """Collects the values of one statement while its text is written."""

    def __init__(self, *values: Any) -> None:
        """``values`` are those of ``$1``, ``$2``, .. that the text names by itself."""
        self.values: list[Any] = list(values)

    @property
    def next(self) -> int:
        """Number of the next one."""
        return len(self.values) + 1

    def add(self, value: Any, type_: str) -> str:
        """Return the placeholder of one more value, cast to a type of PostgreSQL.

        The type is a name of ours: without it PostgreSQL guesses, and a plan may miss an index.
        """
        self.values.append(value)
        return f"${len(self.values)}::{type_}"

    def extend(self, values: list[Any] | tuple[Any, ...]) -> None:
        """Take the values of a condition that was written from ``next`` on."""
        self.values.extend(values)

    def statement(self, sql: str) -> Statement:
        """Return the statement with the values so far."""
        return Statement(sql, tuple(self.values))
