"""api.parameters: a query string is read strictly."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.datastructures import QueryParams

from collector.api.tail_parameters import STORED_MAX, TailParameters
from collector.errors import BadParameterError, FilterError
from collector.receive.status import to_verdict
from collector.rows import Signal


def read(query: str) -> TailParameters:
    """Return what a query string says."""
    return TailParameters.from_query(QueryParams(query))


def test_nothing_means_everything_from_now_on() -> None:
    """All signals, no filter, nothing stored."""
    found = read("")

    assert found.signals == frozenset(Signal)
    assert (found.stored, found.since) == (0, None)
    assert found.filter.matches({"signal": "logs", "time": ""})


def test_all_of_it() -> None:
    """As README has it."""
    found = read("signal=logs,traces&q=severity:error&since=5m&n=10")

    assert found.signals == {Signal.LOGS, Signal.TRACES}
    assert (found.stored, found.since) == (10, timedelta(minutes=5))
    assert not found.filter.matches({"signal": "logs", "time": ""})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1ms", 0.001), ("30s", 30), ("5m", 300), ("2h", 7_200), ("1d", 86_400), ("3650d", 315_360_000)],
)  # fmt: skip
def test_units_of_since(text: str, seconds: float) -> None:
    """A number and one letter or two."""
    assert read(f"since={text}").since == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("signal=", "signal"),
        ("signal=spans", "signal"),
        ("signal=logs,", "signal"),
        ("signal=logs,all", "signal"),
        ("signal=LOGS", "signal"),
        ("signal=logs&signal=traces", "signal"),
        ("n=", "n"),
        ("n=-1", "n"),
        ("n=1.0", "n"),
        ("n=1e2", "n"),
        ("n=%2B1", "n"),
        ("n=\u0663", "n"),
        (f"n={STORED_MAX + 1}", "n"),
        (f"n={'9' * 5_000}", "n"),
        ("since=", "since"),
        ("since=5", "since"),
        ("since=-5m", "since"),
        ("since=0s", "since"),
        ("since=5 m", "since"),
        ("since=5M", "since"),
        ("since=3651d", "since"),
        (f"since={'9' * 5_000}d", "since"),
        ("filter=x", "filter"),
        ("Q=x", "Q"),
        ("=x", ""),
    ],
)
def test_a_wrong_parameter_is_named_and_not_ignored(query: str, named: str) -> None:
    """400, and nothing is shown that was not asked for."""
    with pytest.raises(BadParameterError) as caught:
        read(query)

    assert caught.value.name == named
    assert repr(named) in str(caught.value)
    assert to_verdict(caught.value).http_status == 400


def test_a_wrong_filter_is_400_too() -> None:
    """By the grammar's own error."""
    with pytest.raises(FilterError) as caught:
        read("q=colour:red")

    assert to_verdict(caught.value).http_status == 400
