"""cli.trace_tree and cli.trace_markdown: every span in its place, and nothing of a sender's a command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.painting import RED, Brush, Part, cells
from collector.cli.trace_markdown import code, markdown
from collector.cli.trace_tree import ASCII, EVENTS_MAX, Shape, waterfall
from collector.query.dimensions import Resource, Scope
from collector.query.spans import Span, SpanEvent
from collector.query.trace_types import Trace

RESOURCE, SCOPE = Resource(1, {}, ""), Scope(1, "", "", {}, "")
PLAIN = Brush(colours=False)
BEGIN = 1_700_000_000 * 10**9
MS = 1_000_000


def span(
    id_: int,
    parent: int | None,
    start_ms: int,
    length_ms: int | None,
    name: str = "",
    **fields: Any,
) -> Span:
    """Return a span."""
    values: dict[str, Any] = {
        "trace_id": bytes(15) + b"\x2a", "span_id": id_.to_bytes(8),
        "parent_span_id": None if parent is None else parent.to_bytes(8),
        "name": name or f"op{id_}", "service": "shop", "kind": 1,
        "start_unix_nano": BEGIN + start_ms * MS,
        "duration_ns": None if length_ms is None else length_ms * MS, "status_code": 0,
        "status_message": "", "trace_state": "", "flags": 0, "attributes": {}, "events": (),
        "links": (), "dropped_attributes_count": 0, "dropped_events_count": 0,
        "dropped_links_count": 0, "resource": RESOURCE, "scope": SCOPE, **fields,
    }  # fmt: skip
    return Span(**values)


def shape_of(spans: Sequence[Span], spans_max: int = 500, *, is_whole: bool = True) -> Shape:
    """Return the shape of a trace."""
    return Shape(Trace(bytes(15) + b"\x2a", tuple(spans), is_whole), spans_max)


def shown(shape: Shape, width: int = 80) -> list[str]:
    """Return the lines of a waterfall without colours."""
    lines = waterfall(shape, width=width, brush=PLAIN, time="12:00:00.000Z", signs=ASCII)
    return [PLAIN.line(parts).rstrip() for parts in lines]


def exception(message: str, at_ms: int) -> SpanEvent:
    """Return an exception that was thrown so long after the beginning."""
    told = {
        "exception.type": "Refused",
        "exception.message": message,
        "exception.stacktrace": "x\ny",
    }
    return SpanEvent(BEGIN + at_ms * MS, "exception", told, 0)


SHOP = [
    span(1, None, 0, 100, "POST /cart"),
    span(2, 1, 10, 30, "charge", service="bank", status_code=2, status_message="card\x1b[31m declined",
         events=(exception("no money", 35), SpanEvent(0, "retry", {"n": 2}, 0))),
    span(3, 1, 50, 40, "SELECT", service="db"),
    span(5, 77, 60, None, "late", service=None),
    span(6, None, 70, 10, "other root"),
]  # fmt: skip


def test_a_waterfall() -> None:
    """Roots first, children below their parents, orphans last; bars in the time of the whole."""
    assert shown(shape_of(SHOP)) == [
        "trace 0000000000000000000000000000002a",
        "12:00:00.000Z  100ms  5 spans, 3 services, 1 error",
        "                           0                         50.0ms                100ms",
        "shop POST /cart     100ms  ######---------------######--------------------######",
        "  bank charge      30.0ms       #################",
        "    ! card\\x1b[31m declined",
        "    . +35.0ms exception Refused: no money",
        "    . retry n=2",
        "  db SELECT        40.0ms                            ######################",
        "shop other root    10.0ms                                       ------",
        "(orphan) - late         ?                                 -",
        "# what the root waited for  - other time",
    ]


def test_markdown() -> None:
    """The same as a list, with the texts of senders in code spans."""
    assert list(markdown(shape_of(SHOP), time="12:00:00.000Z")) == [
        "**Trace `0000000000000000000000000000002a`** 12:00:00.000Z, 100ms, 5 spans, 3 services, 1 error",
        "",
        "- `shop` `POST /cart` **100ms** +0ns",
        "  - `bank` `charge` **30.0ms** +10.0ms **error** `card\\x1b[31m declined`",
        "    - `exception Refused: no money` +35.0ms",
        "    - `retry`",
        "  - `db` `SELECT` **40.0ms** +50.0ms",
        "- `shop` `other root` 10.0ms +70.0ms",
        "- (orphan) - `late` ? +60.0ms",
        "",
        "Bold: what the root waited for.",
    ]


def test_services_have_colours_and_errors_are_red() -> None:
    """The name and the bar of a span that failed; a service has its colour in both."""
    brush = Brush(colours=True, many_colours=True)
    lines = list(waterfall(shape_of(SHOP), width=80, brush=brush, time=""))
    styles = [{part.text.strip(): part.style for part in line} for line in lines]

    assert styles[3]["shop"] == brush.colour_of("shop")
    assert styles[4]["charge"] == RED
    assert next(part.style for part in reversed(lines[4])) == RED
    assert next(part.style for part in reversed(lines[8])) == brush.colour_of("db")


def test_a_deep_trace_is_indented_so_far() -> None:
    """Further down a span tells its depth; nothing recurses."""
    deep = [span(n + 1, n or None, n, 5_000) for n in range(3_000)]

    lines = shown(shape_of(deep, 3_000))

    assert len(lines) == 3_004
    assert lines[3 + 9].startswith(f"{'':18}shop op10 ")
    assert lines[3 + 10].startswith(f"{'':18}+1 shop op11 ")
    assert shown(shape_of(deep, 40), 300)[3 + 20].startswith(f"{'':32}+4 shop op21 ")
    assert max(map(len, lines)) <= 80
    assert len(list(markdown(shape_of(deep, 3_000), time=""))) == 3_004


def test_a_wide_trace_is_bounded() -> None:
    """What is hidden is counted; so are events of one span."""
    events = tuple(SpanEvent(0, f"e{n}", {}, 0) for n in range(EVENTS_MAX + 2))
    wide = [span(1, None, 0, 10, events=events)]
    wide += [span(n, 1, 1, 2, status_code=2 if n > 8_000 else 0) for n in range(2, 9_002)]

    shape = shape_of(wide, 5, is_whole=False)
    lines = shown(shape)

    assert (len(shape.rows), shape.hidden) == (5, 8_996)
    assert lines[0].endswith("2a  (incomplete)")
    assert lines[1].endswith("9,001 spans, 1 service, 1,001 errors")
    assert lines[4 + EVENTS_MAX] == "  ... 2 more events"
    text = list(markdown(shape, time=""))
    assert "  - … 2 more events" in text
    assert "- … 8,996 more spans" in text


def test_rings_twins_and_no_time_at_all() -> None:
    """Each span is there once, and has a bar."""
    odd = [span(1, 2, 0, 0), span(2, 1, 0, 0), span(3, 3, 0, None), span(3, None, 0, 0)]

    lines = shown(shape_of(odd))

    assert len([line for line in lines if line.endswith("-")]) == 4
    assert sum("(orphan)" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("GET /", "`GET /`"),
        ("", '`""`'),
        ("a`b", "``a`b``"),
        ("```", "```` ``` ````"),
        ("`a", "`` `a ``"),
        (" a ", "`  a  `"),
        ("   ", "`   `"),
        ("<img src=x> **b** @all [a](b)\n# c", "`<img src=x> **b** @all [a](b)\\n# c`"),
        ("x" * 300, f"`{'x' * 200}…`"),
    ],
)
def test_a_code_span_holds_any_text(text: str, written: str) -> None:
    """Nothing in it ends it, and it has one line."""
    assert code(text) == written


@given(st.text("`a \n\\", max_size=12))
def test_no_text_ends_its_code_span(text: str) -> None:
    """By CommonMark's own rule: at the first run of as many backticks."""
    written = code(text)
    found = re.match("`+", written)
    assert found is not None
    fence = found[0]

    ends = [run.end() for run in re.finditer("`+", written) if run[0] == fence]
    assert ends == [len(fence), len(written)]
    assert "\n" not in written


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.none() | st.integers(1, 8), st.integers(0, 99), st.none() | st.integers(0, 99),
                  st.text(max_size=30)),
        min_size=1, max_size=12,
    ),
    st.integers(20, 120),
)  # fmt: skip
def test_every_span_has_one_line_that_a_terminal_may_show(
    spans: list[tuple[int, int | None, int, int | None, str]], width: int
) -> None:
    """Whatever the ids, times and texts are."""
    lines = [
        "".join(part.text for part in parts)
        for parts in waterfall(
            shape_of([span(*one) for one in spans]), width=width, brush=PLAIN, time="", signs=ASCII
        )
    ]

    bars = [line for line in lines[3:] if not line.startswith("# what")]
    assert len(bars) == len(spans)
    assert all(line.isprintable() for line in lines)
    if width >= 60:
        assert all(cells(line) <= width for line in bars)
    assert all(Part(line).text.rstrip()[-1] in "#-" for line in bars)
