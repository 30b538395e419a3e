"""cli.tail_text: one line per item, whatever is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.painting import DIM, GREEN, RED, YELLOW, Brush
from collector.cli.printing import INVISIBLE
from collector.cli.tail_text import TailText, note, root_maps, tree_map
from collector.operate.tail.news import (
    Back,
    Connected,
    Item,
    Link,
    Live,
    Lost,
    News,
    Notice,
    Skipped,
    Unreadable,
    Waiting,
)
from collector.operate.tail.traces import Shown
from tests.unit.operate.test_readable import HOSTILE

TIME = "2026-11-26T01:02:03.456789012Z"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def text(*, colours: bool = False, with_signal: bool = False) -> TailText:
    """Return what shows items in UTC on the day of ``TIME``."""
    return TailText(
        Brush(colours=colours),
        now=lambda: datetime(2026, 11, 26, 23, tzinfo=UTC),
        utc=True,
        with_signal=with_signal,
    )


def log(**fields: Any) -> dict[str, Any]:
    """Return a log of a shop."""
    return {"signal": "logs", "time": TIME, "service": "shop", "severity": "WARN", **fields}


def span(**fields: Any) -> dict[str, Any]:
    """Return a span of a shop."""
    return {
        "signal": "traces", "time": TIME, "service": "shop", "name": "POST /orders",
        "kind": "server", "status": "error", "duration_ns": 231_456_789, "trace_id": TRACE,
        "span_id": "00f067aa0ba902b7", **fields,
    }  # fmt: skip


def point(**fields: Any) -> dict[str, Any]:
    """Return a data point of a shop."""
    return {"signal": "metrics", "time": TIME, "service": "shop", "metric": "cpu", **fields}


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (log(body="stock is low"), "01:02:03.456Z W shop stock is low"),
        (log(body="a\nb\r\n\tc"), r"01:02:03.456Z W shop a\nb\r\n\tc"),
        (
            log(body="x", attributes={"k": "v", "n": 1, "t": "two words", "e": "", "b": False}),
            '01:02:03.456Z W shop x k=v n=1 t="two words" e="" b=false',
        ),
        (log(body={"a": [1, None]}), '01:02:03.456Z W shop {"a": [1, null]}'),
        (log(body=""), "01:02:03.456Z W shop "),
        (log(event="login", body="ok"), "01:02:03.456Z W shop login: ok"),
        (log(event="login"), "01:02:03.456Z W shop login"),
        (log(body="x", cut=True), "01:02:03.456Z W shop x (cut)"),
        ({"signal": "logs"}, "- - - "),
        (
            span(attributes={"$$a": {"$double": "NaN"}, "b": {"$bytes": "AAE="}, 'q"': "="}),
            r'01:02:03.456Z E shop POST /orders server 231ms 4bf92f35 $a=NaN b=base64:AAE= "q\""="="',
        ),
        (
            span(status="unset", status_message="no", kind="", duration_ns=None),
            "01:02:03.456Z - shop POST /orders ? 4bf92f35 no",
        ),
        (span(status="ok", attributes="no map"), "01:02:03.456Z O shop POST /orders server 231ms 4bf92f35"),
        (point(value=1.5, unit="By"), "01:02:03.456Z shop cpu 1.5 By"),
        (point(value=2, unit="1", attributes={"core": 0}), "01:02:03.456Z shop cpu 2 core=0"),
        (point(value={"$double": "Infinity"}), "01:02:03.456Z shop cpu Infinity"),
        (point(count=3, sum=6.5, min=1, unit="s"), "01:02:03.456Z shop cpu count 3, sum 6.5 s, min 1 s"),
        (point(), "01:02:03.456Z shop cpu no value"),
    ],
)  # fmt: skip
def test_an_item_is_one_line(item: dict[str, Any], line: str) -> None:
    """Time, letter, service, what it says, attributes."""
    assert text().item(item, None) == line


def test_several_signals_are_told_apart() -> None:
    """In columns that stand below each other."""
    shown = [text(with_signal=True).item(item, None) for item in (log(), span(), point())]

    assert [line[14:27] for line in shown] == ["log    W shop", "span   E shop", "metric - shop"]


@pytest.mark.parametrize(
    ("severity", "letter", "style"),
    [("TRACE", "T", DIM), ("INFO", "I", GREEN), ("WARN", "W", YELLOW), ("ERROR", "E", RED)],
)
def test_severity_is_a_letter_and_a_colour(severity: str, letter: str, style: str) -> None:
    """Who sees no colours reads the letter."""
    line = text(colours=True).item(log(severity=severity, body="x"), None)

    assert f"\x1b[{style}m{letter} \x1b[0m" in line


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-25T23:59:59.999999999Z", "2026-11-25 23:59:59.999Z"),
        ("2026-11-26T23:59:59.000000000Z", "23:59:59.000Z"),
        ("2026-11-26T23:59:59Z", "23:59:59.000Z"),
        ("0001-01-01T00:00:00.000000000Z", "1-01-01 00:00:00.000Z"),
        ("99999-01-01", "99999-01-01"),
        ("\x1b[2J", r"\x1b[2J"),
        ("", "-"),
    ],
)
def test_time_has_a_date_unless_it_is_today(time: str, shown: str) -> None:
    """What is no time is shown as it is."""
    assert text().item(log(time=time), None).removeprefix("000").startswith(f"{shown} W")


def test_time_is_local_unless_utc_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the zone of the machine."""
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        local = TailText(Brush(colours=False), now=lambda: datetime(2026, 11, 26, tzinfo=UTC))
        assert local.item(log(), None).startswith("06:32:03.456 W")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("duration_ns", "shown"),
    [
        (0, "0ns"), (999, "999ns"), (1_000, "1.0us"), (12_345, "12.3us"), (999_999, "1000us"),
        (1_500_000, "1.5ms"), (61_230_000_000, "61.23s"), (3_600_000_000_000, "3,600.00s"),
        (-5, "-5ns"), (2**63, "?"), ("1", "?"), (True, "?"), (1.5, "?"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_of_its_size(duration_ns: Any, shown: str) -> None:
    """Of a span whose end is before its start too; what is no duration is unknown."""
    assert f" server {shown} 4bf" in text().item(span(duration_ns=duration_ns), None)


def test_a_line_is_cut_to_the_terminal() -> None:
    """And only there."""
    item = log(body="x" * 200)

    assert text().item(item, 40) == "01:02:03.456Z W shop " + "x" * 18 + "…"
    assert text().item(item, None).endswith("x" * 200)


# -- what a sender cannot do -----------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.sampled_from(HOSTILE + 'ab" =$') | st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
NAMES = (
    "signal", "time", "service", "attributes", "severity", "body", "event", "trace_id", "span_id",
    "name", "kind", "status", "status_message", "parent_span_id", "duration_ns", "metric", "type",
    "unit", "value", "count", "sum", "cut",
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
    st.sampled_from(["logs", "traces", "metrics"]),
    st.none() | st.integers(1, 80),
)
def test_no_item_says_anything_to_a_terminal(
    fields: dict[str, Any], signal: str, width: int | None
) -> None:
    """Whatever its fields are: one line, all of it printable, never an exception."""
    item = {**fields, "signal": signal}
    trace = Shown(TRACE, (item,), (item,), 1, 0, False, False)

    lines = [
        text(with_signal=True).item(item, width),
        *text().roots(trace, width),
        *text().tree(trace, width),
    ]

    assert all(line.isprintable() and not INVISIBLE.search(line) for line in lines)
    assert json.loads(json.dumps([tree_map(trace), *root_maps(trace)]))


@pytest.mark.parametrize("sign", HOSTILE)
def test_every_hostile_sign_is_made_visible(sign: str) -> None:
    """In names, bodies, keys and values."""
    item = log(body=f"a{sign}b", service=sign, event=sign, attributes={sign: sign, "o": {sign: 1}})

    line = text().item(item, None)

    assert line.isascii()
    assert line.isprintable()


# -- traces ----------------------------------------------------------------------------------------


def trace_of(*spans: dict[str, Any], incomplete: bool = False, late: bool = False) -> Shown:
    """Return a trace of these spans."""
    roots = tuple(one for one in spans if "parent_span_id" not in one)
    errors = sum(one["status"] == "error" for one in spans)
    return Shown(TRACE, roots, spans, len(spans), errors, incomplete, late)


ROOT = span(span_id="r", status="unset")
CHILD = span(span_id="c", parent_span_id="r", name="SELECT", kind="client", duration_ns=9)
ORPHAN = span(span_id="o", parent_span_id="x", name="send", status="ok")


def test_a_root_is_one_line() -> None:
    """Its own name and duration, and what was seen of its trace."""
    trace = trace_of(ROOT, CHILD, incomplete=True)

    assert list(text().roots(trace, None)) == [
        "01:02:03.456Z - shop POST /orders 231ms 2 spans 1 error (incomplete) 4bf92f35"
    ]
    assert list(root_maps(trace)) == [
        {
            "trace_id": TRACE, "time": TIME, "service": "shop", "name": "POST /orders",
            "kind": "server", "status": "unset", "duration_ns": 231_456_789, "span_id": "r",
            "root_seen": True, "spans": 2, "errors": 1, "incomplete": True, "late": False,
        }
    ]  # fmt: skip


def test_a_trace_without_a_root_is_a_line_unless_it_is_late() -> None:
    """The rest of a trace that was shown is none of its own."""
    assert list(text().roots(trace_of(CHILD), None)) == [
        f"trace {TRACE}: 1 span 1 error (root not seen)"
    ]
    assert [found["root_seen"] for found in root_maps(trace_of(CHILD))] == [False]
    assert list(text().roots(trace_of(CHILD, late=True), None)) == []
    assert list(root_maps(trace_of(CHILD, late=True))) == []


def test_a_tree_is_indented_and_marks_its_orphans() -> None:
    """A head, then each span below its parent."""
    trace = trace_of(ORPHAN, CHILD, ROOT, late=True)

    assert list(text().tree(trace, None)) == [
        f"trace {TRACE}: 3 spans 1 error (late)",
        "  01:02:03.456Z - shop POST /orders server 231ms",
        "    01:02:03.456Z E shop SELECT client 9ns",
        "  01:02:03.456Z O shop (orphan) send server 231ms",
    ]
    assert [(one["depth"], one["orphan"]) for one in tree_map(trace)["tree"]] == [
        (0, False), (1, False), (0, True),
    ]  # fmt: skip


# -- what is no item -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("news", "line"),
    [
        (Skipped("logs", 120, "sampled"), "120 items skipped: the worker's rate cap"),
        (Skipped("logs", 1, "slow"), "1 item skipped: this reader is too slow"),
        (Skipped("logs", None, "lost"), "some items skipped: lost between worker and reader"),
        (Skipped("logs", 2, "\x1b[2J"), r"2 items skipped: \x1b[2J"),
        (Skipped("logs", 2, ""), "2 items skipped: the server does not say why"),
        (Link(False, "Redis is away\n"), r"nothing new can come now: Redis is away\n"),
        (Link(True, ""), "new items come again"),
        (Live(1, 2), "only 1 of 2 workers can be heard"),
        (Live(2, 2), None),
        (Live(1, 1, "local"), None),
        (Live(3, 3, "redis"), None),
        (
            Live(3, 3, "local"),
            "live from this daemon alone; others are seen too once all have redis.url",
        ),
        (Live(0, 0, "local"), "no worker publishes: is tail.enabled off?"),
        (Live(None, None), None),
        (Notice("\x1b late"), r"the server says: \x1b late"),
        (Unreadable("item"), "item: one could not be read and is left out"),
        (Unreadable("item", 1_200), "item: 1,200 could not be read and are left out"),
        (Notice("x" * 501), f"the server says: {'x' * 500}..."),
        (Waiting("no answer within 5 s"), "no answer within 5 s; trying again"),
        (Connected(), "connected"),
        (Lost("gone\x07"), r"connection lost: gone\x07; trying again"),
        (Back(34), "connected again, 34 items missed"),
        (Back(1), "connected again, 1 item missed"),
        (Back(0), "connected again, nothing missed"),
        (Back(None), "connected again, some items may be missed"),
        (Item({}), None),
    ],
)
def test_what_is_no_item_is_said(news: News, line: str | None) -> None:
    """In words; text of the server is harmless too."""
    assert note(news) == line
