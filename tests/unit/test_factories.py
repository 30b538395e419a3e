"""The requests that other tests build on are what they say."""

from __future__ import annotations

import pytest

from collector.rows import Signal
from tests.factories import CHECKOUT, items_in, request_of, trace_request


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("items", [0, 1, 7, 22, 500])
def test_items_are_met_exactly(signal: Signal, items: int) -> None:
    """A request holds as many items as were asked for."""
    assert items_in(request_of(signal, items=items)) == items


@pytest.mark.parametrize("signal", Signal)
def test_equal_arguments_make_equal_bytes_and_another_seed_does_not(signal: Signal) -> None:
    """Requests are a function of their arguments alone."""
    first = request_of(signal, seed=7).SerializeToString(deterministic=True)

    assert request_of(signal, seed=7).SerializeToString(deterministic=True) == first
    assert request_of(signal, seed=8).SerializeToString(deterministic=True) != first


@pytest.mark.parametrize(("unique_ids", "traces"), [(True, 4), (False, 2)])
def test_seeds_share_traces_only_when_told(unique_ids: bool, traces: int) -> None:
    """``unique_ids=False`` makes requests of different seeds meet in the same traces."""
    requests = [
        trace_request(items=2 * len(CHECKOUT), seed=seed, unique_ids=unique_ids) for seed in (1, 2)
    ]

    found = {
        span.trace_id
        for request in requests
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    }

    assert len(found) == traces
