"""The options of ``otlpg verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.operate.verify.options import Protocol

SECONDS_MIN = 0.01
DURATION = "SECONDS"


def seconds(value: object) -> float:
    """Return a number of seconds, or a duration such as ``500ms``.

    Raises:
        BadParameter: it is neither, or negative.
    """
    from collector.settings.units import duration_from_text

    try:
        number = float(duration_from_text(1, "seconds, or a duration such as 500ms")(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not 0 <= number < float("inf"):
        raise typer.BadParameter("must not be negative")
    return number


def positive_seconds(value: object) -> float:
    """Return what ``seconds`` does, if it is at least ``SECONDS_MIN``.

    Raises:
        BadParameter: it is not.
    """
    number = seconds(value)
    if number < SECONDS_MIN:
        raise typer.BadParameter(f"must be at least {SECONDS_MIN:g} s")
    return number


Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="OTLP/gRPC; default: OTEL_EXPORTER_OTLP_ENDPOINT, else the running `otlpg dev`.",
    ),
]
HttpEndpoint = Annotated[
    str | None, typer.Option(metavar="URL", help="OTLP/HTTP; default: as above, its HTTP port.")
]
Protocols = Annotated[
    list[Protocol] | None,
    typer.Option(help="May be given again: rounds take them in turn. Default: grpc."),
]
Every = Annotated[
    float, typer.Option(parser=positive_seconds, metavar=DURATION, help="From round to round.")
]
Rounds = Annotated[int | None, typer.Option(min=1, help="End after so many.")]
RunFor = Annotated[
    float | None,
    typer.Option("--for", parser=positive_seconds, metavar=DURATION, help="End after so long."),
]
Timeout = Annotated[
    float, typer.Option(parser=positive_seconds, metavar=DURATION, help="For each attempt.")
]
Deadline = Annotated[
    float,
    typer.Option(parser=positive_seconds, metavar=DURATION, help="For a request and its retries."),
]
VisibleWithin = Annotated[
    float,
    typer.Option(
        parser=seconds,
        metavar=DURATION,
        help="Read from a replica that lags at most so long; 0: a row is there with OK.",
    ),
]
RepeatEvery = Annotated[
    int, typer.Option(min=0, help="Send each so many-th round twice; 0: never.")
]
BadItemEvery = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="ROUNDS",
        help="Each so many-th round, a bad item too; it stays in dead_letters. 0: never.",
    ),
]
Instance = Annotated[
    str | None,
    typer.Option(help="service.instance.id of all that is sent; default: the host's name."),
]
ReportEvery = Annotated[
    float, typer.Option(parser=positive_seconds, metavar=DURATION, help="Between two lines.")
]
MetricsHost = Annotated[str, typer.Option(help="Address for /metrics and /health.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Their port, 0 picks one; default: none is opened."),
]
