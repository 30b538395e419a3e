"""The figures that have a target, and whether all answers were right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from collector.operate.bench.query.case import Question
from collector.operate.bench.summary import at_most, quotient

LOADED_TO_IDLE_MAX: Final = 2.0


def summary(questions: Sequence[Question], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one entry per figure: ``name``, ``value`` (None: not measured), ``target``, ``ok``."""
    figures: list[dict[str, Any]] = []
    for question in questions:
        p99 = _p99(found, "idle", question)
        figures.append(at_most(f"{question.name}: p99, ms", p99, question.p99_ms_max))
    for question in questions:
        share = quotient(_p99(found, "loaded", question), _p99(found, "idle", question))
        name = f"{question.name}: p99 beside ingest / alone"
        figures.append(at_most(name, share, LOADED_TO_IDLE_MAX))
    return [*figures, at_most("answers that were wrong", wrong_answers(found), 0)]


def wrong_answers(found: Mapping[str, Any]) -> int:
    """Return how many answers were not right, whoever was asked by whichever way."""
    return sum(
        figure["wrong"] for part in ("idle", "http", "loaded") for figure in found[part].values()
    )


def answers_are_right(found: Mapping[str, Any]) -> bool:
    """Return whether no answer was wrong, and every span of the load is stored."""
    load = found["load"]
    return not any((wrong_answers(found), load["missing_rows"], load["failed"]))


def _p99(found: Mapping[str, Any], part: str, question: Question) -> float | None:
    return found[part].get(question.name, {}).get("p99_ms")
