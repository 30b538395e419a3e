"""query.critical_path: the root's time, all of it, and each moment once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collector.query.critical_path import Segment, critical_path
from collector.query.dimensions import Resource, Scope
from collector.query.spans import Span

RESOURCE, SCOPE = Resource(1, {}, ""), Scope(1, "", "", {}, "")


def span(id_: int, parent: int | None, start: int, length: int | None) -> Span:
    """Return a span."""
    parent_id = None if parent is None else parent.to_bytes(8)
    return Span(
        bytes(16), id_.to_bytes(8), parent_id, "", None, 0, start, length, 0, "", "", 0, {}, (), (),
        0, 0, 0, RESOURCE, SCOPE,
    )  # fmt: skip


def segments(*spans: Span) -> list[tuple[int, int, int]]:
    """Return the path with small numbers for ids."""
    return [(int.from_bytes(s.span_id), *s[1:]) for s in critical_path(spans)]


def test_the_last_child_to_end_held_its_parent_up() -> None:
    """And before it the one that ended before it began; what ran beside them did not."""
    spans = [span(0, None, 0, 100), span(1, 0, 10, 20), span(2, 0, 20, 30), span(3, 0, 60, 30),
             span(4, 3, 70, 10)]  # fmt: skip

    assert segments(*spans) == [
        (0, 0, 20), (2, 20, 50), (0, 50, 60), (3, 60, 70), (4, 70, 80), (3, 80, 90), (0, 90, 100)
    ]  # fmt: skip


def test_a_child_counts_only_within_its_parent() -> None:
    """A clock that goes wrong moves nothing out of the root."""
    assert segments(span(0, None, 10, 10), span(1, 0, 0, 15)) == [(1, 10, 15), (0, 15, 20)]


def test_nothing_has_no_path() -> None:
    """Nor has a root that took no time."""
    assert critical_path([]) == ()
    assert critical_path([span(0, None, 5, None)]) == ()


def test_depth_does_not_matter() -> None:
    """Twenty thousand spans inside each other."""
    depth = 20_000
    spans = [span(n, n - 1 if n else None, n, 2 * (depth - n)) for n in range(depth)]

    assert len(critical_path(spans)) == 2 * depth - 1


@given(
    st.lists(
        st.builds(
            span,
            st.integers(0, 9),
            st.none() | st.integers(0, 12),
            st.integers(0, 50),
            st.none() | st.integers(0, 50),
        ),
        max_size=15,
    )
)
def test_segments_are_one_spans_time_without_gap_or_overlap(spans: list[Span]) -> None:
    """Whatever circles, missing parents, clocks and doubles there are."""
    path = critical_path(spans)

    assert all(isinstance(s, Segment) and s.start_unix_nano < s.end_unix_nano for s in path)
    assert all(a.end_unix_nano == b.start_unix_nano for a, b in pairwise(path))
    if path:
        whole = (path[0].start_unix_nano, path[-1].end_unix_nano)
        assert whole in {(s.start_unix_nano, s.end_unix_nano) for s in spans}
    known = {s.span_id for s in spans}
    roots = [s for s in spans if s.parent_span_id not in known]
    if roots and len(known) == len(spans):
        longest = max(s.duration_ns or 0 for s in roots)
        assert sum(s.end_unix_nano - s.start_unix_nano for s in path) == longest
