"""A question with its parameters, and what tells a right answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from collector.query.log_repository import LogRepository
from collector.query.metric_repository import MetricRepository
from collector.query.service_repository import ServiceRepository
from collector.query.trace_repository import TraceRepository
from collector.query.view import Views
from collector.store.pool import Database

ANSWER_S_MAX: Final = 30.0


class Repositories:
    """The repositories on one database."""

    def __init__(self, database: Database) -> None:
        views = Views(database, ANSWER_S_MAX)
        self.traces = TraceRepository(views)
        self.logs = LogRepository(views)
        self.metrics = MetricRepository(views)
        self.services = ServiceRepository(views)


@dataclass(frozen=True, slots=True)
class Case:
    """A question with one set of parameters.

    Attributes:
        ask: asks the repositories.
        is_right: judges what they answered.
        path: of the same question over Jaeger's HTTP API; "" where it has none.
        is_right_over_http: judges the ``data`` of that answer. Order, and which traces of more than
            fit are given, is not the same everywhere.
    """

    ask: Callable[[Repositories], Awaitable[Any]]
    is_right: Callable[[Any], bool]
    path: str = ""
    is_right_over_http: Callable[[Any], bool] = bool


@dataclass(frozen=True, slots=True)
class Question:
    """A line of the table.

    Attributes:
        name: for people.
        p99_ms_max: target.
        cases: to be asked one after the other, and again.
    """

    name: str
    p99_ms_max: float
    cases: tuple[Case, ...]
