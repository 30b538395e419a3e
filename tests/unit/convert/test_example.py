"""The name of an item in a line of the log: short, ASCII, and never a body or an attribute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from collector.convert.example import CHARS_MAX, example_of, printable
from collector.convert.tags import field_of
from collector.rows import Signal
from tests.unit.convert.converting import logs_of, metrics_of, on_the_wire, span_of, traces_of


def test_each_signal_has_a_name() -> None:
    """Of the span, the metric, the event."""
    metric = metrics_of(Metric(name="requests", description="secret"))
    record = logs_of(LogRecord(event_name="login", time_unix_nano=1))

    assert example_of(Signal.TRACES, traces_of(span_of()).SerializeToString()) == "work"
    assert example_of(Signal.METRICS, metric.SerializeToString()) == "requests"
    assert example_of(Signal.LOGS, record.SerializeToString()) == "login"


def test_a_record_without_a_name_shows_its_first_bytes_and_no_body() -> None:
    """The body of a log is its user's, not its programmer's."""
    record = LogRecord(time_unix_nano=1)
    record.body.string_value = "card 4111111111111111"

    text = example_of(Signal.LOGS, logs_of(record).SerializeToString())

    assert text == "0x0901000000000000002a170a"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a\x1b[31m\n", "a\\x1b[31m\\n"),
        ("\u202e東".encode(), "\\xe2\\x80\\xae\\xe6\\x9d\\xb1"),
        (b"\xff", "\\xff"),
        (b"n" * 117, "n" * 117),
        (b"n" * 118, "n" * 117 + "..."),
    ],
)
def test_a_name_is_escaped_and_cut(name: bytes, text: str) -> None:
    """Everything but printable ASCII is written as Python writes it in bytes."""
    assert example_of(Signal.TRACES, on_the_wire(field_of(0x2A, name))) == text


@given(st.sampled_from(Signal), st.binary(max_size=300) | st.binary(max_size=200).map(on_the_wire))
def test_any_bytes_have_an_example(signal: Signal, payload: bytes) -> None:
    """Printable ASCII of bounded length, whatever was sent."""
    text = example_of(signal, payload)

    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= CHARS_MAX


@given(st.text(st.characters() | st.characters(categories=["Cs"]), max_size=300))
def test_any_text_is_printable(name: str) -> None:
    """A name that is decoded already has the same shape, with a lone surrogate in it too."""
    text = printable(name)

    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= CHARS_MAX
