"""Asks, takes the time, and judges the answers."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from time import monotonic, perf_counter, process_time, sleep
from typing import Any, Final

import orjson

from collector.errors import CommandError
from collector.operate.bench.query.case import Case, Question, Repositories

HTTP_S_MAX: Final = 60.0
POLL_S: Final = 0.1


@dataclass(slots=True)
class Asked:
    """What became of one question.

    Attributes:
        latencies_ms: of each time that it was asked.
        cpu_s: of who worked on the answers, for all times together.
        wrong: answers that were not right, by number of the case.
    """

    latencies_ms: list[float] = field(default_factory=list[float])
    wrong: list[int] = field(default_factory=list[int])
    cpu_s: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return what goes into the report; no latencies when it was not asked."""
        ordered = sorted(self.latencies_ms)

        def at(share: float) -> float | None:
            return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None

        return {
            "asked": len(ordered),
            "p50_ms": at(0.50),
            "p99_ms": at(0.99),
            "max_ms": at(1.0),
            "cpu_ms": self.cpu_s / len(ordered) * 1_000 if ordered else None,
            "wrong": len(self.wrong),
        }


class Asker:
    """Asks in turns: each question once, with its next parameters; then all of them again."""

    def __init__(
        self, questions: Sequence[Question], cpu_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """``cpu_s`` tells the CPU seconds so far of whoever answers, and does nothing else."""
        self._questions = questions
        self._cpu_s = cpu_s
        self._round = 0
        self.asked = {question.name: Asked() for question in questions}

    async def round(self, repositories: Repositories) -> None:
        """Ask each question once."""
        for question, number, case in self._turn():
            others_s = self._cpu_s()
            own_s, begin = process_time(), perf_counter()
            answer = await case.ask(repositories)
            elapsed_s = perf_counter() - begin
            own_s = process_time() - own_s
            self.asked[question.name].cpu_s += own_s + self._cpu_s() - others_s
            self._note(question, number, elapsed_s, right=case.is_right(answer))

    def round_over_http(self, line: HttpLine) -> None:
        """Ask each question that has a path once."""
        for question, number, case in self._turn():
            if case.path:
                begin = perf_counter()
                body = line.body(case.path)
                elapsed_s = perf_counter() - begin
                right = case.is_right_over_http(orjson.loads(body)["data"])
                self._note(question, number, elapsed_s, right=right)

    def _turn(self) -> list[tuple[Question, int, Case]]:
        number = self._round
        self._round += 1
        places = [(question, number % len(question.cases)) for question in self._questions]
        return [(question, place, question.cases[place]) for question, place in places]

    def _note(self, question: Question, number: int, elapsed_s: float, *, right: bool) -> None:
        asked = self.asked[question.name]
        asked.latencies_ms.append(elapsed_s * 1_000)
        if not right:
            asked.wrong.append(number)


class HttpLine:
    """One connection to a server that speaks Jaeger's first HTTP API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HTTP_S_MAX)

    def body(self, path: str) -> bytes:
        """Return the body of an answer.

        Raises:
            CommandError: it is no answer.
        """
        try:
            self._connection.request("GET", path)
            reply = self._connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(f"no answer to {path}: {error}") from error
        if reply.status != HTTPStatus.OK:
            raise CommandError(f"{reply.status} for {path}: {body[:200]!r}")
        return body

    def close(self) -> None:
        """Close it; safe twice."""
        self._connection.close()


def await_answers(port: int, seconds: float, is_running: Callable[[], bool] = lambda: True) -> None:
    """Return once a server answers.

    Raises:
        CommandError: it did not in time, or runs no more.
    """
    end = monotonic() + seconds
    while True:
        line = HttpLine(port)
        try:
            line.body("/api/services")
        except CommandError:  # not yet
            if monotonic() >= end or not is_running():
                raise
            sleep(POLL_S)
        else:
            return
        finally:
            line.close()


Figures = dict[str, dict[str, Any]]


def figures_of(asker: Asker) -> Figures:
    """Return the figures of all questions that were asked, by name."""
    return {name: asked.figures() for name, asked in asker.asked.items() if asked.latencies_ms}
