"""A filter as a condition on the tables of ``migrations/``; what a user wrote is a bind parameter.

The condition speaks of the aliases of ``FROM``: ``f`` is the fact, and of metrics ``s`` its series
and ``m`` its metric. It is true for exactly those rows whose item ``Filter.matches`` takes.

Where an index can serve, it is offered one beside the exact test:

- ``service:x``: names are compared without case, which no index knows; so the few names that match
  are first looked up in ``resources``, which has the name of every fact, and then
  ``(service_name, time)`` is asked for those.
- ``trace:``: a range of ids.
- ``@key:x`` of a resource or a series: ``attributes @> '{"key": "x"}'`` by GIN, and the exact test
  on what that finds.

``COLLATE "C"`` makes ``lower`` touch ASCII letters only and comparisons go by bytes, as ``matching``
does. Negation is ``IS NOT TRUE``, so that NULL, a field that is not there, counts as no match.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from collector.query.filters import Filter
from collector.query.matching import folded
from collector.query.statement import Parameters
from collector.query.terms import (
    AttributeTerm,
    DurationTerm,
    KindTerm,
    NotTerm,
    NumberTerm,
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
from collector.rows import Signal

FROM: dict[Signal, str] = {
    Signal.TRACES: "trace_spans AS f",
    Signal.METRICS: (
        "metric_data_points AS f"
        " JOIN metric_series AS s ON s.series_id = f.series_id"
        " JOIN metrics AS m ON m.metric_id = s.metric_id"
    ),
    Signal.LOGS: "logs AS f",
}
"""What a condition is about."""

_BODY = "coalesce(f.body_text, f.body::text)"

_WORD_COLUMNS: dict[Signal, tuple[str, ...]] = {
    Signal.TRACES: ("f.service_name", "f.name", "f.status_message"),
    Signal.METRICS: ("s.service_name", "m.name"),
    Signal.LOGS: ("f.service_name", _BODY, "f.event_name"),
}
_TEXT_COLUMNS = {"name": "f.name", "metric": "m.name", "event": "f.event_name", "body": _BODY}


class Where(NamedTuple):
    """A condition without its ``WHERE``, and the values of its ``$1``, ``$2``, .."""

    sql: str
    parameters: list[Any]


def where(filter_: Filter, signal: Signal, first_parameter: int = 1) -> Where:
    """Return the condition that a row of ``signal`` fulfils when its item matches.

    Args:
        filter_: what is wanted.
        signal: which tables; see ``FROM``.
        first_parameter: number of its first bind parameter, where a statement has others before.

    Shape: the text is fit to stand beside other conditions joined by AND; ``true`` without terms.
    """
    return _conjunction(filter_.terms, first_parameter, lambda c, term: c.term(term, signal))


def condition(filter_: Filter, signal: Signal, values: Parameters) -> str:
    """Return the same condition, its values added to those of a statement."""
    written = where(filter_, signal, values.next)
    values.extend(written.parameters)
    return written.sql


def of_each_service(
    filter_: Filter,
    values: Parameters,
    rest: Callable[[Filter], str],
    some: Callable[[str], str],
) -> str:
    """Return the query for some matching rows of each service by itself, and of those without one.

    No index begins with time, but ``(service_name, time)`` does give each service's newest without
    reading more. So names are found first, among the few of ``resources``.

    Args:
        filter_: its ``service`` terms are asked of the names alone.
        values: takes the values of these terms, and then whatever ``rest`` adds.
        rest: writes the condition on ``f`` of the filter that is left.
        some: writes the query for the rows of ``FROM`` that fulfil a condition: in which order, and
            at most how many of one service.

    Shape: the rows of ``some``, service by service, and so in no order.
    """
    names = _where_service(filter_, values.next)
    values.extend(names.parameters)
    others = rest(_without_service(filter_))
    sql = (
        "SELECT n.* FROM ("  # noqa: S608 -- placeholders and our own names
        "SELECT DISTINCT r.service_name FROM resources AS r"
        f" WHERE r.service_name IS NOT NULL AND {names.sql}) AS names"
        " CROSS JOIN LATERAL ("
        f"{some(f'f.service_name = names.service_name AND {others}')}) AS n"
    )
    if _takes_unnamed(filter_):
        sql += f" UNION ALL ({some(f'f.service_name IS NULL AND {others}')})"
    return sql


def _where_service(filter_: Filter, first_parameter: int) -> Where:
    """Return what the filter's ``service`` terms ask of the column ``r.service_name`` alone."""
    terms = [term for term in filter_.terms if _is_of_service(term)]
    return _conjunction(terms, first_parameter, lambda c, term: c.service_name(term))


def _without_service(filter_: Filter) -> Filter:
    """Return the filter without its ``service`` terms."""
    return Filter(tuple(term for term in filter_.terms if not _is_of_service(term)))


def _takes_unnamed(filter_: Filter) -> bool:
    """Tell whether the ``service`` terms let items pass that have no service."""
    return not any(isinstance(t, TextTerm) and t.field == "service" for t in filter_.terms)


def _is_of_service(term: Term) -> bool:
    positive = term.term if isinstance(term, NotTerm) else term
    return isinstance(positive, TextTerm) and positive.field == "service"


def _conjunction(
    terms: tuple[Term, ...] | list[Term],
    first_parameter: int,
    write: Callable[[_Conditions, PositiveTerm], str],
) -> Where:
    """Return the conditions of all terms, joined by AND."""
    conditions = _Conditions(first_parameter)
    written = [
        f"({write(conditions, term.term)}) IS NOT TRUE"
        if isinstance(term, NotTerm)
        else f"({write(conditions, term)})"
        for term in terms
    ]
    return Where(" AND ".join(written) or "true", conditions.parameters)


class _Conditions:
    """Writes one condition after the other and collects their parameters."""

    def __init__(self, first_parameter: int) -> None:
        self._first = first_parameter
        self.parameters: list[Any] = []

    def term(self, term: PositiveTerm, signal: Signal) -> str:
        """Return the condition of one term; NULL counts as false."""
        if signal not in term.signals:
            return "false"
        match term:
            case Word(pattern):
                holds = self._holding(pattern)
                return " OR ".join(map(holds, _WORD_COLUMNS[signal]))
            case TextTerm("service"):
                return self._service(term, signal)
            case TextTerm("body", pattern):
                return self._holding(pattern)(_BODY)
            case TextTerm(field, pattern):
                return self._being(pattern)(_TEXT_COLUMNS[field])
            case SeverityTerm():
                return self._between("f.severity_number", "integer", term.bounds)
            case DurationTerm():
                return self._between("f.duration_ns", "bigint", term.bounds)
            case TraceTerm():
                return self._between("f.trace_id", "bytea", term.bounds)
            case StatusTerm(code):
                return f"f.status_code = {self._add(code, 'integer')}"
            case KindTerm(kind):
                return f"f.kind = {self._add(kind, 'integer')}"
            case AttributeTerm() | NumberTerm():
                return self._attribute(term, signal)

    def service_name(self, term: PositiveTerm) -> str:
        """Return the condition of a ``service`` term on a resource's own column."""
        assert isinstance(term, TextTerm)
        return self._being(term.pattern)("r.service_name")

    def _add(self, value: Any, type_: str) -> str:
        """Return the placeholder of one more parameter."""
        self.parameters.append(value)
        return f"${self._first + len(self.parameters) - 1}::{type_}"

    # -- texts -----------------------------------------------------------------------------------

    def _being(self, pattern: Pattern) -> Callable[[str], str]:
        """Return the function from a text column to: it is the pattern, whatever the case."""
        if pattern.has_gaps:
            like = self._add(_like(pattern, fold=True), "text")
            return lambda column: f"{_folded(column)} LIKE {like}"
        text = self._add(folded(pattern.parts[0]), "text")
        return lambda column: f"{_folded(column)} = {text}"

    def _holding(self, pattern: Pattern) -> Callable[[str], str]:
        """Return the function from a text column to: it holds the pattern, whatever the case."""
        if pattern.has_gaps:
            return self._being(Pattern(("", *pattern.parts, "")))
        text = self._add(folded(pattern.parts[0]), "text")
        return lambda column: f"strpos({_folded(column)}, {text}) > 0"

    def _service(self, term: TextTerm, signal: Signal) -> str:
        """Return a condition that an index on the service can serve."""
        column = "s.service_name" if signal is Signal.METRICS else "f.service_name"
        names = f"SELECT r.service_name FROM resources AS r WHERE {self.service_name(term)}"  # noqa: S608
        if term.pattern.has_gaps:  # perhaps very many
            return f"{column} IN ({names})"
        return f"{column} = ANY (ARRAY({names} GROUP BY 1))"

    # -- numbers ---------------------------------------------------------------------------------

    def _between(self, column: str, type_: str, bounds: tuple[Any, Any]) -> str:
        low, high = (self._add(bound, type_) for bound in bounds)
        return f"{column} BETWEEN {low} AND {high}"

    # -- attributes ------------------------------------------------------------------------------

    def _attribute(self, term: AttributeTerm | NumberTerm, signal: Signal) -> str:
        """Return the condition on the item's attribute, or else on its resource's."""
        key = self._add(stored_key(term.key), "text")
        exact = self._exact(term, key)
        contained = self._contained(term)
        resources = (
            f"SELECT r.resource_id FROM resources AS r"  # noqa: S608 -- placeholders and our own names
            f" WHERE {contained('r.attributes')} AND {exact('r.attributes')}"
        )
        if signal is not Signal.METRICS:
            return (
                f"CASE WHEN f.attributes ? {key} THEN {exact('f.attributes')}"
                f" ELSE f.resource_id IN ({resources}) END"
            )
        return (
            "f.series_id IN ("  # noqa: S608 -- as above
            "SELECT a.series_id FROM metric_series AS a"
            f" WHERE {contained('a.attributes')} AND {exact('a.attributes')}"
            " UNION ALL SELECT a.series_id FROM metric_series AS a"
            f" WHERE NOT a.attributes ? {key} AND a.resource_id IN ({resources}))"
        )

    def _exact(self, term: AttributeTerm | NumberTerm, key: str) -> Callable[[str], str]:
        """Return the function from a jsonb column to: it has the key, with such a value."""
        if isinstance(term, NumberTerm):
            number = self._add(term.number, "numeric")
            return lambda column: (
                f"CASE WHEN jsonb_typeof({column} -> {key}) = 'number'"
                f" THEN ({column} -> {key})::numeric {term.operator} {number} ELSE false END"
            )
        if term.is_presence:
            return lambda column: f"{column} ? {key}"
        if term.pattern.has_gaps:
            like = self._add(_like(term.pattern, fold=False), "text")
            return lambda column: (
                f"(jsonb_typeof({column} -> {key}) = 'string'"
                f' AND ({column} ->> {key}) COLLATE "C" LIKE {like})'
            )
        values = self._add(_json_values(term), "jsonb[]")
        return lambda column: f"({column} -> {key}) = ANY ({values})"

    def _contained(self, term: AttributeTerm | NumberTerm) -> Callable[[str], str]:
        """Return the function from a jsonb column to what its GIN index knows; true if nothing."""
        if isinstance(term, NumberTerm) or term.pattern.has_gaps:
            return lambda _column: "true"
        key = orjson.dumps(stored_key(term.key)).decode()
        objects = [self._add(f"{{{key}:{value}}}", "jsonb") for value in _json_values(term)]
        return lambda column: f"({' OR '.join(f'{column} @> {object_}' for object_ in objects)})"


def _folded(column: str) -> str:
    return f'lower({column} COLLATE "C")'


def _like(pattern: Pattern, *, fold: bool) -> str:
    r"""Return the pattern of LIKE, in which only gaps are ``%``; ``\`` escapes the rest."""
    parts = (folded(part) if fold else part for part in pattern.parts)
    return "%".join(
        part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts
    )


def _json_values(term: AttributeTerm) -> list[str]:
    """Return the JSON of every value that an attribute without gaps may equal."""
    text = term.pattern.parts[0]
    values = [orjson.dumps(text).decode()]
    if term.number is not None or term.boolean is not None:
        values.append(text)  # a number as JSON writes it, or true or false
    return values
