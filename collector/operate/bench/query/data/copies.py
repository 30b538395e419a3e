"""Days out of the last day, made by PostgreSQL: the statements."""

from __future__ import annotations

from typing import Final

from collector.rows import FACT_COLUMNS, FACT_TABLES, TIME_INDEX, Signal, TraceRow

_TIMES: Final = ("start_time", "time", "observed_time", "end_time")
_IDS: Final = ("trace_id", "span_id", "parent_span_id")
_EVENTS: Final = """
CASE WHEN events IS NOT NULL THEN
  (SELECT jsonb_agg(jsonb_set(e, '{time_unix_nano}',
     to_jsonb((e ->> 'time_unix_nano')::bigint - $3::bigint * 86400000000000)))
   FROM jsonb_array_elements(events) AS e) END
"""


def copy_facts(signal: Signal) -> str:
    """Return the statement that copies a signal's rows of a day to an earlier one.

    Its values are the bounds of the day to copy, and how many days earlier.
    """
    time = FACT_COLUMNS[signal][TIME_INDEX[signal]]
    return _copy(FACT_TABLES[signal], FACT_COLUMNS[signal], f"{time} >= $1 AND {time} < $2")


def copy_traces() -> str:
    """Return the same for the rows of ``traces``, which are by trace and calendar day."""
    return _copy("traces", TraceRow._fields, "start_time >= $1 AND start_time < $2")


def _copy(table: str, columns: tuple[str, ...], condition: str) -> str:
    values = ", ".join(map(_value, columns))
    return (
        f"INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608 -- our own names
        f" SELECT {values} FROM {table} WHERE {condition}"
    )


def _value(column: str) -> str:
    if column in _TIMES:
        return f"{column} - make_interval(hours => 24 * $3::integer)"
    if column in _IDS:
        return f"set_byte({column}, 0, get_byte({column}, 0) # $3::integer)"
    if column == "day":
        return "day - $3::integer"
    if column == "events":
        return _EVENTS
    return column
