"""cli.sample_text: rows as a person reads them."""

from __future__ import annotations

from typing import Any

from collector.cli.sample_text import found_text, sent_line
from collector.operate.read_back import Found
from collector.operate.send_test import Sent

TRACE_ID = bytes(range(16))
SENT = Sent("http://h:4317", "run", TRACE_ID, 0, spans=2, points=2, log_records=1)


def span(span_id: str, parent: str | None, **changes: Any) -> dict[str, Any]:
    """Return a row of trace_spans as it is read back."""
    return {
        "trace_id": TRACE_ID.hex(), "span_id": span_id, "parent_span_id": parent,
        "service_name": "shop", "name": f"span {span_id}", "kind": 2, "status_code": 0,
        "status_message": None, "duration_ns": 1_500_000, "events": None, "links": None, **changes,
    }  # fmt: skip


def point(**changes: Any) -> dict[str, Any]:
    """Return a row of metric_data_points with its metric as it is read back."""
    return {
        "name": "m", "type": "sum", "unit": "By", "temporality": 2, "monotonic": True,
        "attributes": {"express": True}, "value": None, "value_int": 1_234, "count": None,
        "sum": None, "quantiles": None, **changes,
    }  # fmt: skip


LOG = {
    "severity_text": "ERROR", "body_text": None, "body": {"a": [1, True]}, "event_name": "e",
    "attributes": {"exception.type": "Boom"}, "trace_id": TRACE_ID.hex(),
}  # fmt: skip


def test_children_stand_below_their_parent() -> None:
    """Whatever the order of the rows, the text is a tree."""
    spans = [span("b", "a", events=[{"name": "exception"}], status_code=2), span("a", None)]

    lines = found_text(SENT, Found(spans, [], [])).splitlines()

    root = next(number for number, text in enumerate(lines) if "span a" in text)
    assert lines[root].startswith("  shop: span a")
    assert lines[root].endswith("server       1.5 ms")
    assert lines[root + 1].startswith("    shop: span b")
    assert lines[root + 1].endswith("ERROR, event: exception")


def test_points_show_their_form_and_value() -> None:
    """A number, a distribution and quantiles."""
    rows = [
        point(),
        point(type="exponential_histogram", value_int=None, count=3, sum=0.5, monotonic=None),
        point(type="summary", temporality=None, monotonic=None, value_int=None, count=2, sum=1.0,
              quantiles=[{"quantile": 0.99, "value": 0.48}]),
    ]  # fmt: skip

    text = found_text(SENT, Found([], rows, []))

    assert "m{express=true}" in text
    assert "sum, cumulative, monotonic" in text
    assert "1,234 By" in text
    assert "exponential histogram, cumulative" in text
    assert "3 values, sum 0.5 By" in text
    assert "p99 0.48" in text


def test_log_record_shows_body_event_exception_and_trace() -> None:
    """A structured body is JSON."""
    text = found_text(SENT, Found([], [], [LOG]))

    assert 'ERROR  e: {"a": [1, true]} Boom (trace 00010203..)' in text


def test_the_query_finds_the_trace() -> None:
    """The line can be pasted into psql."""
    assert f"trace_id = '\\x{TRACE_ID.hex()}'" in found_text(SENT, Found([], [], []))


def test_sent_line_counts_all_three() -> None:
    """What was acknowledged, and by whom."""
    assert sent_line(SENT) == (
        "sent to http://h:4317 and acknowledged: 2 spans, 2 data points, 1 log records"
    )
