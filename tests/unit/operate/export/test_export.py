"""operate.export: slices, files, and a receiver that does not take everything at once."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.errors import CommandError, UnreachableError
from collector.operate.export.endpoint_sink import LARGE_BYTES_MIN, EndpointSink
from collector.operate.export.file_sink import LINE_BYTES_MAX, FileSink
from collector.operate.export.form import Format, format_of
from collector.operate.export.plan import SLICE_US, slices_of, within
from collector.operate.export.read import Part, part_of
from collector.operate.verify.doors import Answer
from collector.query.time_range import TimeRange
from collector.restore.equality import ExportRequest
from collector.rows import Signal, SpanRow
from collector.telemetry.clock import SystemClock
from tests.converted import dimensions, resource_row, scope_row, span_row

SHOP, LIBRARY = resource_row("shop"), scope_row()
KNOWN = dimensions([SHOP], [LIBRARY], [], [])
HOUR_US = SLICE_US


def part(spans: int, name: str = "GET") -> Part:
    """Return a request of so many spans."""
    rows: list[tuple[Any, ...]] = [
        SpanRow._make(span_row(n, time=n, resource=SHOP))._replace(name=name) for n in range(spans)
    ]
    return part_of(Signal.TRACES, rows, KNOWN)


def files_in(folder: Path) -> list[Path]:
    """Return what is in a folder."""
    return list(folder.iterdir())


# -- slices ----------------------------------------------------------------------------------------


@given(start=st.integers(-(10**12), 10**12), length=st.integers(0, 20 * HOUR_US))
def test_slices_are_the_whole_range(start: int, length: int) -> None:
    """In order, each moment in one of them, none too long, all between full hours."""
    when = TimeRange(start, start + length)
    found = list(slices_of(when))

    edges = [when.start, *(each.end for each in found)]
    assert [each.start for each in found] == edges[:-1]
    assert edges[-1] == when.end
    assert all(0 < each.length_us <= SLICE_US for each in found)
    assert all(edge % SLICE_US == 0 for edge in edges[1:-1])


@pytest.mark.parametrize(
    ("when", "stored", "both"),
    [
        ((0, 10), (2, 5), (2, 5)),
        ((3, 4), (2, 5), (3, 4)),
        ((0, 3), (2, 5), (2, 3)),
        ((4, 9), (2, 5), (4, 5)),
        ((0, 1), (2, 5), (1, 1)),
        ((8, 9), (2, 5), (8, 8)),
        ((8, 9), None, (8, 8)),
    ],
)
def test_what_cannot_be_stored_is_not_gone_through(
    when: tuple[int, int], stored: tuple[int, int] | None, both: tuple[int, int]
) -> None:
    """A range of all time is as long as the leaves that there are."""
    assert within(TimeRange(*when), stored and TimeRange(*stored)) == TimeRange(*both)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.json", "json"), ("a.jsonl.gz", "json"), ("a", "json"), ("-", "json"), ("a.pb", "protobuf"),
     ("a.bin.gz", "protobuf"), ("a.PB", "protobuf")],
)  # fmt: skip
def test_a_name_says_the_format(name: str, form: str) -> None:
    """Also before the one that says it is compressed."""
    assert format_of(name) == form


async def test_json_is_a_line_for_each_request(tmp_path: Path) -> None:
    """Ids in hex, as receivers of OTLP/JSON read them."""
    path = tmp_path / "a.json"
    sink = FileSink(path, Format.JSON, overwrite=False)
    await sink.take(part(2))
    await sink.take(part(1))
    await sink.finish()

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    spans = [line["resourceSpans"][0]["scopeSpans"][0]["spans"] for line in lines]
    assert [len(each) for each in spans] == [2, 1]
    assert len(spans[0][0]["traceId"]) == 32
    assert sink.bytes == path.stat().st_size


async def test_no_line_is_longer_than_a_collector_reads(tmp_path: Path) -> None:
    """Requests are halved, in their order; one item alone may be longer."""
    path = tmp_path / "a.json"
    sink = FileSink(path, Format.JSON, overwrite=False)
    rows = [
        span_row(n, time=n, resource=SHOP, attributes=json.dumps({"long": "x" * size}))
        for n, size in enumerate((400_000, 500_000, 4_000_000, 300_000, 10))
    ]
    await sink.take(part_of(Signal.TRACES, rows, KNOWN))
    await sink.finish()

    lines = path.read_bytes().splitlines(keepends=True)
    spans = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"] for line in lines]
    assert [len(line) > LINE_BYTES_MAX for line in lines] == [False, True, False]
    assert [len(each) for each in spans] == [2, 1, 2]
    assert [s["startTimeUnixNano"] for each in spans for s in each] == sorted(
        s["startTimeUnixNano"] for each in spans for s in each
    )
    assert sink.bytes == path.stat().st_size


async def test_protobuf_is_each_message_behind_its_length(tmp_path: Path) -> None:
    """Four bytes, the highest first; compressed where the name says so."""
    path = tmp_path / "a.pb.gz"
    sink = FileSink(path, Format.PROTOBUF, overwrite=False)
    parts = [part(2), part(1)]
    for each in parts:
        await sink.take(each)
    await sink.finish()

    wire = gzip.decompress(path.read_bytes())
    for each in parts:
        (length,) = struct.unpack(">I", wire[:4])
        assert type(each.request).FromString(wire[4 : 4 + length]) == each.request
        wire = wire[4 + length :]
    assert wire == b""


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
async def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    """Until it is finished nobody sees it; one that was given up leaves nothing."""
    path = tmp_path / name
    given_up = FileSink(path, Format.JSON, overwrite=False)
    await given_up.take(part(1))
    assert not path.exists()
    await given_up.abandon()
    await given_up.abandon()
    assert files_in(tmp_path) == []

    whole = FileSink(path, Format.JSON, overwrite=False)
    await whole.finish()
    await whole.abandon()
    assert files_in(tmp_path) == [path]
    assert path.stat().st_mode & 0o077 == 0


async def test_a_file_that_is_there_stays_unless_told(tmp_path: Path) -> None:
    """And is replaced only by a whole one."""
    path = tmp_path / "a.json"
    path.write_text("mine")

    with pytest.raises(CommandError, match="--overwrite"):
        FileSink(path, Format.JSON, overwrite=False)
    sink = FileSink(path, Format.JSON, overwrite=True)
    assert path.read_text() == "mine"
    await sink.finish()

    assert path.read_text() == ""


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(CommandError, match="No such file"):
        FileSink(tmp_path / "no" / "a.json", Format.JSON, overwrite=False)


# -- a receiver ------------------------------------------------------------------------------------


class Receiver:
    """A door that answers as it is told, and then OK; it counts the items of what it takes."""

    def __init__(self, answers: Sequence[Answer] = (), items_max: int = 10**6) -> None:
        self._answers = list(answers)
        self._items_max = items_max
        self.taken: list[int] = []
        self.attempts = 0

    def encode(self, request: ExportRequest) -> bytes:
        """Return protobuf."""
        return request.SerializeToString()

    async def send(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:
        """Answer; ``signal`` and ``timeout_s`` are as promised."""
        assert signal is Signal.TRACES
        assert timeout_s > 0
        self.attempts += 1
        if self._answers:
            return self._answers.pop(0)
        request = ExportTraceServiceRequest.FromString(body)
        spans = len(request.resource_spans[0].scope_spans[0].spans)
        if spans > self._items_max:
            return Answer("never", "RESOURCE_EXHAUSTED", "too large")
        self.taken.append(spans)
        return Answer("ok", "OK")

    async def close(self) -> None:
        """Hold nothing."""


def sink_to(receiver: Receiver, retry_s_max: float = 60) -> EndpointSink:
    """Return a sink into it."""
    return EndpointSink(receiver, clock=SystemClock(), rng=Random(1), retry_s_max=retry_s_max)


async def test_what_may_be_tried_again_is() -> None:
    """As soon as the receiver says, with the same bytes, until it is taken once."""
    receiver = Receiver([Answer("retry", "UNAVAILABLE", retry_s=0.0)] * 3)

    await sink_to(receiver).take(part(2))

    assert (receiver.attempts, receiver.taken) == (4, [2])


async def test_a_receiver_that_stays_away_ends_it() -> None:
    """When the next attempt would come after the time for all of them."""
    receiver = Receiver([Answer("retry", "UNAVAILABLE", "no\x1b", retry_s=1.0)] * 2)

    with pytest.raises(UnreachableError, match="UNAVAILABLE"):
        await sink_to(receiver, retry_s_max=0.5).take(part(1))

    assert receiver.attempts == 1


async def test_what_will_never_be_taken_ends_it() -> None:
    """At once: a wrong key is wrong for all that follows."""
    receiver = Receiver([Answer("never", "UNAUTHENTICATED", "no valid API key")])

    with pytest.raises(CommandError, match="UNAUTHENTICATED: no valid API key"):
        await sink_to(receiver).take(part(1))

    assert receiver.attempts == 1


async def test_what_is_too_large_goes_in_halves() -> None:
    """Each item once; one alone that is too large is left out and told, and the rest goes on."""
    receiver = Receiver(items_max=2)
    assert await sink_to(receiver).take(part(7)) == 7
    assert sum(receiver.taken) == 7
    assert max(receiver.taken) <= 2

    huge = Receiver([Answer("never", "RESOURCE_EXHAUSTED", "5000000 vs. 4194304")])
    sink = sink_to(huge)
    assert await sink.take(part(1, "x" * LARGE_BYTES_MIN)) == 0
    assert await sink.take(part(2)) == 2
    assert huge.taken == [2]
    assert sink.complaint == (
        "1 items are too large for the receiver, the last one since:"
        " RESOURCE_EXHAUSTED: 5000000 vs. 4194304"
    )


async def test_who_has_enough_of_us_ends_it() -> None:
    """The same code for an item that nobody finds large is a quota: what follows is not left out."""
    receiver = Receiver(items_max=0)
    sink = sink_to(receiver)

    with pytest.raises(CommandError, match="RESOURCE_EXHAUSTED"):
        await sink.take(part(4))

    assert (receiver.attempts, sink.complaint) == (3, "")


async def test_who_is_busy_is_not_asked_for_less() -> None:
    """The same code with a time to come again says nothing of a size."""
    receiver = Receiver([Answer("retry", "RESOURCE_EXHAUSTED", retry_s=0.0)])
    sink = sink_to(receiver)
    await sink.take(part(2))
    assert (receiver.taken, sink.complaint) == ([2], "")

    busy = Receiver([Answer("retry", "RESOURCE_EXHAUSTED", retry_s=1.0)])
    with pytest.raises(UnreachableError, match="RESOURCE_EXHAUSTED"):
        await sink_to(busy, retry_s_max=0.5).take(part(2))
    assert busy.attempts == 1


async def test_items_that_are_left_out_for_good_are_told_at_the_end() -> None:
    """The rest goes on."""
    receiver = Receiver([Answer("never", "PARTIAL", "no such thing")])
    sink = sink_to(receiver)
    await sink.take(part(1))
    await sink.take(part(1))

    assert receiver.taken == [1]
    assert sink.complaint == "1 requests were not taken whole, the last one since: no such thing"
