"""``otlpg sql``: one query, as a table on a terminal or as JSON lines in a pipe."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.cli import options, printing, reading
from collector.cli.output import Column, Output, output
from collector.cli.painting import DIM, Part, cells
from collector.cli.printing import escaped
from collector.cli.stored_text import clipped
from collector.errors import CommandError, StatementError, UsageError

if TYPE_CHECKING:
    from collector.query.sql_values import SqlColumn
    from collector.query.view import Views

ROWS: Final = 1_000
ROWS_MAX: Final = 1_000_000
TIMEOUT_S_MAX: Final = 86_400.0
ANSWER_CHARACTERS_MAX: Final = 2**28
"""The answer is held in memory until the transaction has ended: a slow reader must not hold it."""


def sql(
    statement: Annotated[
        str,
        typer.Argument(metavar="STATEMENT|-", help="One query; - reads it from standard input."),
    ],
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=ROWS_MAX, help="Rows at most.")
    ] = ROWS,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="DURATION", show_default=False,
            help="End it after so long; default: api.statement_s_max.",
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="NAME", help="SET ROLE to this before: otlpg_read."),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: reading.AsJson = False,
    no_color: reading.NoColor = False,
) -> None:  # fmt: skip
    """Ask PostgreSQL by SQL, in a transaction that can only read.

    It may be a SELECT, WITH, VALUES, TABLE, EXPLAIN or SHOW. Times are shown in UTC, bytes in hex.
    """
    text = _read(statement)
    timeout_s = _seconds(timeout) if timeout is not None else None
    with output(as_json=as_json, no_color=no_color) as out:
        question = _Question(text, role, limit, is_text=out.is_text)
        try:
            reading.ask(config, data_dir, lambda views: question.ask(views, timeout_s))
        except StatementError as error:
            raise CommandError(_explained(error, text)) from error
        _print(out, question)
    if question.has_more:
        printing.note(f"there are more than {limit:,} rows: --limit")


class _Question:
    """A statement and as much of its answer as is to be shown."""

    def __init__(self, text: str, role: str | None, limit: int, *, is_text: bool) -> None:
        self._text = text
        self._role = role
        self._limit = limit
        self._is_text = is_text
        self._characters = 0
        self.columns: tuple[SqlColumn, ...] = ()
        self.lines: list[str] = []
        """Rows as JSON."""
        self.rows: list[list[Part]] = []
        """Rows as cells of a table."""
        self.has_more = False

    async def ask(self, views: Views, timeout_s: float | None) -> None:
        """Read the answer up to the limit.

        Raises:
            StatementError: PostgreSQL refused it.
            CommandError: the answer is too large to hold.
        """
        from collector.query.user_sql import run

        async with views.open(timeout_s) as view:
            answer = await run(view, self._text, role=self._role)
            self.columns = answer.columns
            async with aclosing(answer.rows) as chunks:
                async for chunk in chunks:
                    for row in chunk:
                        if len(self.lines) + len(self.rows) == self._limit:
                            self.has_more = True
                            return
                        self._keep(row)

    def _keep(self, row: Any) -> None:
        from collector.query.sql_values import row_cells, row_json

        if self._is_text:
            parts = list(map(_part, row_cells(self.columns, row)))
            self.rows.append(parts)
            self._characters += sum(len(part.text) for part in parts)
        else:
            line = row_json(self.columns, row)
            self.lines.append(line)
            self._characters += len(line)
        if self._characters > ANSWER_CHARACTERS_MAX:
            raise CommandError(
                f"the answer has more than {ANSWER_CHARACTERS_MAX:,} characters: --limit, "
                "or ask for fewer columns"
            )


def _part(text: str | None) -> Part:
    return Part("NULL", DIM) if text is None else Part(clipped(text))


def _print(out: Output, question: _Question) -> None:
    if not out.is_text:
        for line in question.lines:
            out.json_text(line)
        return
    if not question.rows:
        printing.note(
            "no rows of " + ", ".join(escaped(column.name) for column in question.columns)
        )
    columns = [Column(escaped(each.name), is_number=each.is_number) for each in question.columns]
    out.table(columns, question.rows)


def _seconds(timeout: str) -> float:
    """Return how long a statement may take.

    Raises:
        UsageError: it is no length of time, or more than a day.
    """
    from collector.query.moments import age_ns

    seconds = age_ns(timeout) / 1e9
    if seconds > TIMEOUT_S_MAX:
        raise UsageError("--timeout must not be longer than 1d")
    return seconds


def _read(statement: str) -> str:
    """Return the statement, which PostgreSQL can be sent.

    Raises:
        UsageError: it is too long, or no text.
    """
    from collector.query.user_sql import STATEMENT_BYTES_MAX

    if statement == "-":
        raw = sys.stdin.buffer.read(STATEMENT_BYTES_MAX + 1)
    else:
        raw = statement.encode(errors="surrogateescape")
    if len(raw) > STATEMENT_BYTES_MAX:
        raise UsageError(f"the statement is longer than {STATEMENT_BYTES_MAX:,} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise UsageError("the statement is not UTF-8") from None
    if "\0" in text:
        raise UsageError("the statement holds the character NUL")
    if not text.strip():
        raise UsageError("the statement is empty")
    return text


def _explained(error: StatementError, text: str) -> str:
    """Return what PostgreSQL says, with the line it means and a mark below the place.

    The line goes to the terminal escaped, so the mark is placed under what is shown.
    """
    code = f" ({error.sqlstate})" if error.sqlstate else ""
    lines = [f"{error}{code}"]
    if error.position is not None:
        place = min(error.position, len(text))
        begin = text.rfind("\n", 0, place) + 1
        line = text[begin:].partition("\n")[0]
        head = f"LINE {text.count(chr(10), 0, place) + 1}: "
        lines += [head + line, " " * cells(escaped(head + text[begin:place])) + "^"]
    lines += [f"{word}: {said}" for word, said in
              (("DETAIL", error.detail), ("HINT", error.hint)) if said]  # fmt: skip
    return "\n".join(lines)
