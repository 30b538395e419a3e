"""``otlpg metrics``: which metrics there are; and of one of them a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.cli import options, printing, reading
from collector.cli.chart import Range, number_text, rows, sparkline
from collector.cli.output import Column, Output, output
from collector.cli.painting import DIM, Part, cells
from collector.cli.stored_text import attribute_parts, clipped

if TYPE_CHECKING:
    from collector.query.metric_types import Aggregate, Line, Metric
    from collector.query.view import Views

WIDTH: Final = 80
HEIGHT: Final = 12
SPARK_CELLS: Final = 40
STEPS: Final = 120
"""Of a chart, unless ``--step`` says otherwise."""


def metrics(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Chart this one; default: list all.")
    ] = None,
    words: reading.Words = None,
    function: Annotated[
        str | None,
        typer.Option(
            "--function", "-f", metavar="NAME", show_default=False,
            help="last, avg, min, max, sum, count, rate, increase, or p0 to p100; default: by type.",
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="DURATION", show_default=False, help="Length of a step: 1m."),
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            "--group-by", "-g", metavar="KEY", show_default=False,
            help="A line for each value of this attribute; may be given again. Default: one line.",
        ),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="A line for each series.")] = False,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Where a name has several types.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="UNIT", help="Where a name has several units.")
    ] = None,
    contains: Annotated[
        str, typer.Option("--contains", metavar="TEXT", help="List names that hold this.")
    ] = "",
    service: reading.Service = None,
    since: reading.Since = None,
    start: reading.From = None,
    end: reading.To = None,
    limit: reading.Limit = 50,
    as_json: reading.AsJson = False,
    no_color: reading.NoColor = False,
    utc: reading.Utc = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> None:  # fmt: skip
    """List metrics, or chart one: NAME, and words of a filter for its series.

    In a pipe each metric, or each value of each line, is a line of JSON.
    """
    from collector.query.filters import Filter
    from collector.query.metric_repository import MetricRepository
    from collector.query.metric_types import MetricQuestion, Steps, parse_function
    from collector.query.moments import age_ns

    when = reading.time_range(since, start, end, utc=utc)

    with output(as_json=as_json, no_color=no_color, utc=utc) as out:
        if name is None:

            async def find(views: Views) -> Sequence[Metric]:
                page = await MetricRepository(views).find_metrics(
                    when, contains=contains, service=service, limit=limit
                )
                if page.next is not None:
                    printing.note(f"the first {limit}; there are more: --limit, --contains")
                return page.items

            _print_list(out, reading.ask(config, data_dir, find))
            return
        question = MetricQuestion(
            name,
            type=kind,
            unit=unit,
            service=service,
            filter=Filter.parse(" ".join(words or ())),
        )
        step_us = Steps.length_us(when, STEPS) if step is None else age_ns(step) // 1_000
        wanted = None if function is None else parse_function(function)
        keys = None if each else tuple(group_by or ())

        async def ask(views: Views) -> Aggregate:
            return await MetricRepository(views).aggregate(
                when, question, step_us=step_us, function=wanted, group_by=keys, limit=limit
            )

        _print_lines(out, reading.ask(config, data_dir, ask))


def _print_list(out: Output, found: Sequence[Metric]) -> None:
    if not found:
        printing.note("no metrics in this time")
    if not out.is_text:
        for each in found:
            out.record(
                {
                    "name": each.name, "type": each.type, "unit": each.unit,
                    "temporality": each.temporality, "is_monotonic": each.is_monotonic,
                    "description": each.description, "services": each.services,
                    "services_total": each.services_total, "series_total": each.series_total,
                }
            )  # fmt: skip
        return
    columns = (
        Column("metric", cells_max=60), Column("type"), Column("unit", cells_max=12),
        Column("temporality"), Column("series", is_number=True), Column("services"),
    )  # fmt: skip
    out.table(columns, map(_list_row, found))


def _list_row(each: Metric) -> Sequence[Part | str]:
    more = each.services_total - len(each.services)
    services = " ".join(map(clipped, each.services)) + (f" and {more} more" if more else "")
    return (
        Part(clipped(each.name)),
        each.type,
        clipped(each.unit),
        each.temporality or "",
        str(each.series_total),
        Part(services, DIM),
    )


def _print_lines(out: Output, answer: Aggregate) -> None:
    if not any(line.values for line in answer.lines):
        printing.note("no values in this time")
    if not answer.is_whole:
        printing.note(
            f"{len(answer.lines)} of {answer.lines_total} lines,"
            f" {answer.series_read} of {answer.series_total.items} series"
        )
    if not out.is_text:
        for line in answer.lines:
            _print_records(out, answer, line)
        return
    seconds = answer.steps.step / 1_000_000
    unit = f" {clipped(answer.unit)}" if answer.unit else ""
    per = "/s" if answer.function == "rate" else ""
    title = f"{clipped(answer.name)}{unit}{per}"
    out.line(
        [Part(title), Part(f"  {answer.function} of {answer.type}, steps of {seconds:g} s", DIM)]
    )
    if len(answer.lines) == 1:
        _print_chart(out, answer, answer.lines[0])
    else:
        _print_sparklines(out, answer)


def _print_records(out: Output, answer: Aggregate, line: Line) -> None:
    from collector.query.display import double, rfc3339
    from collector.query.time_range import stored_time

    for unix_nano, value in line.values:
        out.record(
            {
                "time": rfc3339(stored_time(unix_nano), 0),
                "metric": answer.name, "function": answer.function, "labels": line.labels,
                "value": double(value),
            }
        )  # fmt: skip


def _print_chart(out: Output, answer: Aggregate, line: Line) -> None:
    """Print a chart with its axes: values on the left, times below."""
    values = _by_step(answer, line)
    if not values:
        return
    shown = Range.of(list(values.values()))
    labels = [number_text(n) for n in (shown.high, (shown.high / 2 + shown.low / 2), shown.low)]
    margin = max(map(cells, labels))
    width = max(10, (out.width or WIDTH) - margin - 3)
    drawn = rows(
        values,
        answer.steps.count,
        width=width,
        height=HEIGHT,
        shown=shown,
        is_ascii=out.brush.is_ascii,
    )
    places = {0: labels[0], HEIGHT // 2: labels[1], HEIGHT - 1: labels[2]}
    for place, text in enumerate(drawn):
        label = places.get(place, "")
        out.line([Part(f"{label:>{margin}} | ", DIM), Part(text, out.brush.colour_of(answer.name))])
    first, last = (out.time(answer.steps.unix_nano(n)) for n in (0, answer.steps.count))
    space = " " * max(1, width - cells(first) - cells(last))
    out.line([Part(f"{'':>{margin}}   {first}{space}{last}", DIM)])
    if line.labels:
        out.line(attribute_parts(line.labels))


def _print_sparklines(out: Output, answer: Aggregate) -> None:
    """Print a row per line: its course, all to one scale, and its values in numbers."""
    by_line = [_by_step(answer, line) for line in answer.lines]
    shown = Range.of([value for values in by_line for value in values.values()])
    columns = (
        Column("course"), Column("min", is_number=True), Column("max", is_number=True),
        Column("last", is_number=True), Column("labels"),
    )  # fmt: skip
    found: list[Sequence[Part | str]] = []
    for line, values in zip(answer.lines, by_line, strict=True):
        course = sparkline(
            values, answer.steps.count, width=SPARK_CELLS, shown=shown, is_ascii=out.brush.is_ascii
        )
        numbers = list(values.values())
        texts = (
            [number_text(n) for n in (min(numbers), max(numbers), numbers[-1])]
            if numbers
            else [""] * 3
        )
        labels = "".join(part.text for part in attribute_parts(line.labels)).strip()
        found.append((Part(course, out.brush.colour_of(labels)), *texts, Part(labels, DIM)))
    out.table(columns, found)


def _by_step(answer: Aggregate, line: Line) -> dict[int, float]:
    beginning, length = answer.steps.unix_nano(0), answer.steps.step * 1_000
    return {(unix_nano - beginning) // length: value for unix_nano, value in line.values}
