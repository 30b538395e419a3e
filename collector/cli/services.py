"""``otlpg services``: who sends, and how well they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from collector.cli import options, reading
from collector.cli.output import Column, output
from collector.cli.painting import DIM, RED, Brush, Part
from collector.cli.stored_text import clipped, duration_text

if TYPE_CHECKING:
    from collector.query.service_repository import RedPoint, Service
    from collector.query.time_range import TimeRange
    from collector.query.view import Views

COLUMNS = (
    Column("service", cells_max=60),
    Column("requests", is_number=True),
    Column("per second", is_number=True),
    Column("errors", is_number=True),
    Column("p50", is_number=True),
    Column("p95", is_number=True),
    Column("p99", is_number=True),
    Column("resources", is_number=True),
    Column("last seen"),
)


class _Line(NamedTuple):
    """A service; ``red`` is None when nothing came into it."""

    service: Service
    red: RedPoint | None
    length_s: float

    @property
    def rate(self) -> float:
        """Requests in a second."""
        return self.red.requests / self.length_s if self.red else 0.0


def services(
    since: reading.Since = None,
    start: reading.From = None,
    end: reading.To = None,
    limit: reading.Limit = reading.LIMIT_MAX,
    utc: reading.Utc = False,
    as_json: reading.AsJson = False,
    no_color: reading.NoColor = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> None:
    """List the services with what came into them: rate, errors and durations.

    Spans of the kinds server and consumer count, and spans without a parent.
    """
    when = reading.time_range(since, start, end, utc=utc)
    with output(as_json=as_json, no_color=no_color, utc=utc) as out:
        found = reading.ask(config, data_dir, lambda views: _ask(views, when))
        shown = found[:limit]
        if out.is_text:
            out.table(COLUMNS, (_cells(line, out.brush) for line in shown))
        else:
            for line in shown:
                out.record(_map(line))
    reading.note_rest("services", found=bool(found), more=len(found) > limit, limit=limit)


async def _ask(views: Views, when: TimeRange) -> list[_Line]:
    from collector.query.service_repository import ServiceRepository

    repository = ServiceRepository(views)
    points = {one.service: one.points[0] for one in await repository.red(when, None)}
    length_s = max(when.length_us, 1) / 1e6
    return [
        _Line(service, points.get(service.name), length_s)
        for service in await repository.services(when)
    ]


def _cells(line: _Line, brush: Brush) -> list[Part]:
    name = Part(clipped(line.service.name), brush.colour_of(line.service.name))
    end = [Part(f"{line.service.resources:,}"), Part(line.service.last_seen.isoformat(), DIM)]
    if line.red is None:
        return [name, *[Part("-", DIM)] * 6, *end]
    red = line.red
    share = f"{red.errors / red.requests:.1%}"
    return [
        name,
        Part(f"{red.requests:,}"),
        Part(f"{line.rate:,.2f}"),
        Part(share, RED if red.errors else ""),
        *(Part(_duration(quantile)) for quantile in (red.p50_ns, red.p95_ns, red.p99_ns)),
        *end,
    ]


def _duration(duration_ns: int | None) -> str:
    return "-" if duration_ns is None else duration_text(duration_ns)


def _map(line: _Line) -> dict[str, Any]:
    red, service = line.red, line.service
    return {
        "service": service.name,
        "requests": red.requests if red else 0,
        "requests_per_s": round(line.rate, 6),
        "errors": red.errors if red else 0,
        "p50_ns": red and red.p50_ns,
        "p95_ns": red and red.p95_ns,
        "p99_ns": red and red.p99_ns,
        "max_ns": red and red.max_ns,
        "resources": service.resources,
        "first_seen": service.first_seen.isoformat(),
        "last_seen": service.last_seen.isoformat(),
    }
