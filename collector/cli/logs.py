"""``otlpg logs``: stored log records, as `otlpg tail logs` shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, cast

import typer

from collector.cli import options, reading
from collector.cli.output import output
from collector.cli.tail import Level

LINES = 50


def logs(
    words: reading.Words = None,
    service: reading.Service = None,
    level: Annotated[
        Level | None, typer.Option("--level", help="Of this severity and above.")
    ] = None,
    trace: reading.Trace = None,
    since: reading.Since = None,
    start: reading.From = None,
    end: reading.To = None,
    limit: reading.Limit = LINES,
    oldest: Annotated[
        bool, typer.Option("--oldest", help="The first of this time instead of the last.")
    ] = False,
    utc: reading.Utc = False,
    as_json: reading.AsJson = False,
    no_color: reading.NoColor = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> None:
    """Show the last stored log records that match, the newest below.

    As JSON, each is one line of the form that `otlpg tail logs` gives a pipe.
    """
    from collector.cli.tail_text import TailText
    from collector.operate.tail.query import filter_of
    from collector.query.filters import Filter
    from collector.query.log_items import log_item
    from collector.query.log_repository import LogRepository

    wanted = Filter.parse(filter_of(words or (), service=service, level=level, trace=trace))
    when = reading.time_range(since, start, end, utc=utc)
    with output(as_json=as_json, no_color=no_color, utc=utc) as out:
        page = reading.ask(
            config,
            data_dir,
            lambda views: LogRepository(views).find(
                when, wanted, newest_first=not oldest, limit=limit
            ),
        )
        text = TailText(out.brush, now=lambda: datetime.now(UTC), utc=utc)
        for record in page.items if oldest else reversed(page.items):
            item = log_item(record)
            if out.is_text:
                out.line(text.parts(cast("dict[str, object]", item)))
            else:
                out.record(item)
    shown = len(page.items)
    reading.note_rest(
        "log records", found=shown > 0, more=page.next is not None, limit=limit, shown=shown
    )
