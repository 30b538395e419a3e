"""operate.tail.traces: roots and trees of spans that come in any order, in a bounded window."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.operate.tail.traces import SHOWN_MAX, Shown, Traces, branches


def span(trace: str, name: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a span whose id is its name; it starts at ``start`` ns, by default at 0."""
    time = f"2026-11-26T00:00:00.{more.pop('start', 0):09}Z"
    above = {} if parent is None else {"parent_span_id": parent}
    return {"signal": "traces", "trace_id": trace, "span_id": name, "time": time, **above, **more}


def window(
    *, with_spans: bool = True, traces_max: int = SHOWN_MAX, spans_max: int = SHOWN_MAX
) -> Traces:
    """Return a window of 2 and 30 seconds."""
    return Traces(
        with_spans=with_spans, settle_s=2.0, hold_s=30.0, traces_max=traces_max, spans_max=spans_max
    )


def names(traces: list[Shown]) -> list[str]:
    """Return which traces these are."""
    return [trace.trace_id for trace in traces]


# -- the window ------------------------------------------------------------------------------------


def test_a_trace_is_shown_once_its_root_has_settled() -> None:
    """Children that came before, and those that come shortly after."""
    traces = window()
    traces.add(span("t", "child", "root", status="error"), 0.0)
    traces.add(span("t", "root"), 10.0)
    traces.add(span("t", "late", "root"), 11.9)

    assert traces.due(11.9) == []
    [shown] = traces.due(12.0)
    assert (shown.seen, shown.errors, [r["span_id"] for r in shown.roots]) == (3, 1, ["root"])
    assert (shown.is_incomplete, shown.is_late) == (False, False)
    assert traces.due(1e9) == []


def test_a_second_root_does_not_keep_the_trace() -> None:
    """It is shown as another root of the same trace."""
    traces = window()
    traces.add(span("t", "a"), 0.0)
    traces.add(span("t", "b"), 1.9)

    [shown] = traces.due(2.0)

    assert [root["span_id"] for root in shown.roots] == ["a", "b"]


def test_a_trace_without_a_root_is_shown_as_it_is() -> None:
    """After the longest time that one is held; a root in the last moment does not prolong it."""
    traces = window()
    traces.add(span("t", "child", "root"), 0.0)
    traces.add(span("t", "root"), 29.0)

    assert traces.due(29.9) == []
    assert names(traces.due(30.0)) == ["t"]


def test_what_comes_after_is_late() -> None:
    """It cannot be taken for a trace of its own."""
    traces = window()
    traces.add(span("t", "root"), 0.0)
    traces.due(2.0)

    traces.add(span("t", "straggler", "root"), 3.0)

    [late] = traces.due(33.0)
    assert (late.is_late, late.seen, late.roots) == (True, 1, ())


def test_without_room_the_oldest_trace_goes() -> None:
    """At most so many traces; it says that it is incomplete."""
    traces = window(traces_max=2)

    gone = [traces.add(span(trace, "child", "root"), 0.0) for trace in "abc"]

    assert [names(shown) for shown in gone] == [[], [], ["a"]]
    assert gone[2][0].is_incomplete


def test_without_room_for_spans_the_oldest_traces_go() -> None:
    """At most so many spans; a giant goes itself, and its rest is late."""
    traces = window(spans_max=3)
    traces.add(span("a", "1", "r"), 0.0)

    gone = [names(traces.add(span("b", str(n), "r"), 0.0)) for n in range(4)]

    assert gone == [[], [], ["a"], ["b"]]
    traces.add(span("b", "5", "r"), 0.0)
    assert traces.due(30.0)[0].is_late


def test_roots_alone_need_no_room_for_spans() -> None:
    """They are counted only."""
    traces = window(with_spans=False, spans_max=3)

    assert all(traces.add(span("a", str(n), "r"), 0.0) == [] for n in range(100))
    traces.add(span("a", "r"), 0.0)
    [shown] = traces.due(2.0)
    assert (shown.seen, shown.spans) == (101, ())


def test_memory_of_what_was_shown_is_bounded() -> None:
    """The trace that was shown longest ago is forgotten."""
    traces = window(traces_max=1)
    for number in range(SHOWN_MAX + 2):
        traces.add(span(str(number), "child", "root"), 0.0)

    again = [traces.add(span(number, "again", "root"), 0.0)[0] for number in ("0", "9", "x")]

    # Each pushes out the one before it.
    assert [(shown.trace_id, shown.is_late) for shown in again[1:]] == [("0", False), ("9", True)]


def test_a_gap_makes_traces_incomplete() -> None:
    """Those that are held, and those that begin soon after: their first spans may be among it."""
    traces = window()
    traces.add(span("before", "root"), 0.0)
    traces.gap(1.0)
    traces.add(span("soon", "root"), 2.9)
    traces.add(span("long after", "root"), 3.0)

    shown = traces.due(10.0)

    assert [(trace.trace_id, trace.is_incomplete) for trace in shown] == [
        ("before", True), ("soon", True), ("long after", False),
    ]  # fmt: skip


# -- the tree --------------------------------------------------------------------------------------


def drawn(*spans: dict[str, Any]) -> list[str]:
    """Return the tree as indented names, orphans with a question mark."""
    return [
        f"{'.' * branch.depth}{branch.span['span_id']}{'?' if branch.is_orphan else ''}"
        for branch in branches(spans)
    ]


def test_children_stand_below_their_parent_by_start() -> None:
    """In whatever order they came."""
    assert drawn(
        span("t", "d", "b", start=3),
        span("t", "c", "a", start=9),
        span("t", "b", "a", start=2),
        span("t", "a", start=1),
    ) == ["a", ".b", "..d", ".c"]


def test_a_span_whose_parent_was_not_seen_is_an_orphan() -> None:
    """It stands after the roots, with its own children below it."""
    assert drawn(
        span("t", "orphan", "x", start=1), span("t", "child", "orphan"), span("t", "root", start=5)
    ) == ["root", "orphan?", ".child"]


def test_a_ring_of_parents_is_shown_once() -> None:
    """Nothing is lost, and nothing goes on for ever."""
    assert drawn(
        span("t", "a", "b", start=1), span("t", "b", "a", start=2), span("t", "c", "c", start=3)
    ) == ["c?", "a?", ".b"]


def test_a_chain_may_be_as_deep_as_it_likes() -> None:
    """No recursion."""
    chain = [span("t", str(n), str(n - 1) if n else None) for n in range(5_000)]

    assert [branch.depth for branch in branches(chain)] == list(range(5_000))


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.integers(0, 12), st.integers(0, 5)), max_size=30
    )
)
def test_every_span_is_in_the_tree_once(spans: list[tuple[int, int | None, int]]) -> None:
    """Whatever the senders wrote: equal ids, rings, missing parents."""
    given_spans = [
        span("t", str(name), None if parent is None else str(parent), start=start)
        for name, parent, start in spans
    ]

    shown = [id(branch.span) for branch in branches(given_spans)]

    assert sorted(shown) == sorted(map(id, given_spans))
