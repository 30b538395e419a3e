"""The questions about log records; right answers come from plain SQL."""

from __future__ import annotations

import random
from typing import Final

from collector.operate.bench.query.case import Case, Question
from collector.operate.bench.query.data.logs import WORDS, vocabulary
from collector.operate.bench.query.data.shape import SERVICES, Shape
from collector.query.filters import Filter
from collector.query.log_records import LogRecord
from collector.query.page import LIMIT, Page
from collector.query.time_range import TimeRange, unix_ns
from collector.store.pool import Connection

CASES: Final = 24
_SEVERITIES: Final = (("info", 9), ("warn", 13), ("error", 17))

_OF_SERVICE = """
SELECT time, time_ns FROM logs
WHERE time >= $1 AND time < $2 AND service_name = $3 AND severity_number >= $4
ORDER BY time DESC, time_ns DESC LIMIT $5
"""
_OF_WORD = """
SELECT time, time_ns FROM logs
WHERE time >= $1 AND time < $2 AND position($3 in body_text) > 0
ORDER BY time DESC, time_ns DESC LIMIT $4
"""


async def questions(
    connection: Connection, shape: Shape, rng: random.Random
) -> tuple[Question, ...]:
    """Return the questions, with parameters that have an answer."""
    hour = shape.last_hour()
    of_service: list[Case] = []
    for number, service in enumerate(rng.sample(SERVICES, len(SERVICES))):
        name, least = _SEVERITIES[number % len(_SEVERITIES)]
        rows = await connection.fetch(_OF_SERVICE, *hour, service, least, LIMIT)
        if rows:
            times = [unix_ns(row["time"], row["time_ns"]) for row in rows]
            of_service.append(_case(hour, f"service:{service} severity:>={name}", times))
    of_word: list[Case] = []
    words = vocabulary(shape)
    while len(of_word) < CASES:
        word = words[int(WORDS ** rng.random()) - 1]
        rows = await connection.fetch(_OF_WORD, *hour, word, LIMIT)
        if rows:
            times = [unix_ns(row["time"], row["time_ns"]) for row in rows]
            of_word.append(_case(hour, word, times))
    return (
        Question("logs: service and severity, last hour", 50, tuple(of_service[:CASES])),
        Question("logs: a word, last hour", 150, tuple(of_word)),
    )


def _case(when: TimeRange, text: str, times: list[int]) -> Case:
    filter_ = Filter.parse(text)

    def is_right(page: Page[LogRecord]) -> bool:
        return [record.time_unix_nano for record in page.items] == times

    return Case(lambda repositories: repositories.logs.find(when, filter_), is_right)
