"""query.lengths: one reader of lengths of time, at every edge."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from collector.api.parameters import RangeParameters
from collector.api.tail_parameters import TailParameters
from collector.operate.letters import moment
from collector.query.lengths import DAY_NS, LENGTH_NS_MAX, is_length, length_ns
from collector.query.moments import age_ns
from collector.query.time_range import stored_time

NOW_NS = 1_790_000_000_000_000_000
LENGTHS = {
    "1ms": 10**6, "30s": 30 * 10**9, "5m": 300 * 10**9, "5min": 300 * 10**9,
    "2h": 7_200 * 10**9, "1d": DAY_NS, "2w": 14 * DAY_NS,
}  # fmt: skip


@pytest.mark.parametrize("text", LENGTHS)
def test_every_edge_reads_the_same(text: str) -> None:
    """The command line, the API, a live tail and the ages of letters."""
    expected = LENGTHS[text]
    ago = stored_time(NOW_NS - expected)

    assert length_ns(text) == age_ns(text) == expected
    assert RangeParameters.model_validate({"since": text}).when(NOW_NS).start == ago
    since = TailParameters.from_query(QueryParams({"since": text})).since
    assert since is not None
    assert since.total_seconds() * 1e9 == expected
    assert moment(text, now_ns=NOW_NS) == ago


@pytest.mark.parametrize("text", ["", "5", "m", "-1h", "1h30m", "1 h", "1.5h", "1y", "1M", "²h", "5m\n"])  # fmt: skip
def test_what_is_no_length_is_none_of_any_size(text: str) -> None:
    """A number of digits that are ASCII, and one unit."""
    assert not is_length(text)
    with pytest.raises(ValueError, match="30s"):
        length_ns(text, ns_min=0)


def test_bounds_are_part_of_what_may_be() -> None:
    """Nothing has no length, unless the caller says that it has."""
    assert length_ns("999999d") == LENGTH_NS_MAX
    assert length_ns("0s", ns_min=0) == 0
    assert length_ns("2s", ns_min=2 * 10**9, ns_max=2 * 10**9) == 2 * 10**9
    for text, bounds in (
        ("0s", {}),
        ("1000000d", {}),
        ("1s", {"ns_min": 2 * 10**9}),
        ("3s", {"ns_max": 2 * 10**9}),
    ):
        assert is_length(text)
        with pytest.raises(ValueError, match="30s"):
            length_ns(text, **bounds)
