"""The marked requests of a round: small, of every form, and recognisable one by one.

Each form that a column or a value can take is there, so that an alteration of any of them shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, SEVERITY_NUMBER_WARN
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.operate.attributes import Value, any_value, key_values
from collector.operate.verify.points import metrics_of
from collector.restore.equality import ExportRequest, Json, item_texts, items_of, text_of
from collector.rows import Signal

SERVICE_NAME: Final = "otlpg-verify"
RUN: Final = "otlpg.verify.run"
ROUND: Final = "otlpg.verify.round"
ITEM: Final = "otlpg.verify.item"
FORM: Final = "1"
"""Version of the scope: that of these requests, not of otlpg, or each release had series anew."""
BAD: Final = "bad"
"""``ITEM`` of the span without a valid id."""


@dataclass(frozen=True)
class Marker:
    """What tells the items of one round from all others.

    Units: ``began_unix_nano`` is when the run began, ``now_unix_nano`` when the round did.
    """

    instance: str
    run: str
    number: int
    began_unix_nano: int
    now_unix_nano: int

    def identifier(self, name: str, size: int) -> bytes:
        """Return the id of ``name`` in this round; the same whenever it is asked for."""
        text = f"{self.instance}\0{self.run}\0{self.number}\0{name}"
        return blake2b(text.encode(), digest_size=size).digest()

    @property
    def trace_id(self) -> bytes:
        """The trace of this round."""
        return self.identifier("trace", 16)


@dataclass(frozen=True)
class Marked:
    """One request, and all that its rows must show.

    ``items`` holds the text of each good item by its key; ``bad`` the text of the one that belongs
    into quarantine, or None. ``time_min`` to ``time_max`` (in nanoseconds, both included) are the
    times under which its rows stand.
    """

    signal: Signal
    marker: Marker
    request: ExportRequest
    items: Mapping[str, str]
    time_min: int
    time_max: int
    bad: str | None = None


def mark(signal: Signal, marker: Marker, *, with_bad_item: bool = False) -> Marked:
    """Return this round's request of one signal; the same for the same arguments.

    ``with_bad_item`` adds, to traces only, a span whose id is not valid.
    """
    request, time_min = _MAKERS[signal](marker)
    items = {_key(signal, item): text_of(item) for item in items_of(request)}
    bad = None
    if with_bad_item and signal is Signal.TRACES:
        spoilt = _bad_span(marker)
        [bad] = item_texts(spoilt)
        request.MergeFrom(spoilt)  # pyright: ignore[reportArgumentType] -- both are of traces
    return Marked(signal, marker, request, items, time_min, marker.now_unix_nano, bad)


def keyed(signal: Signal, request: ExportRequest) -> list[tuple[str, str]]:
    """Return key and text of each item of a request that was made out of rows."""
    return [(_key(signal, item), text_of(item)) for item in items_of(request)]


def _key(signal: Signal, item: Json) -> str:
    """Return what tells one item of all rounds from the others, whatever else became of it.

    A span has its ids, a point its series and time, a log record only its attributes.
    """
    fields = item["item"]
    match signal:
        case Signal.TRACES:
            return f"span {fields.get('trace_id')} {fields.get('span_id')}"
        case Signal.METRICS:
            return f"point {item['metric'].get('name')} {fields.get('time_unix_nano')}"
        case Signal.LOGS:
            attributes = fields.get("attributes", {})
            marks = [attributes.get(name, [None, None])[1] for name in (RUN, ROUND, ITEM)]
            return "record {} {} {}".format(*marks)


# -- what surrounds the items: the same in every round ---------------------------------------------


def resource(marker: Marker) -> Resource:
    """Return who sends: one resource per instance."""
    return Resource(
        attributes=key_values(
            {
                "service.name": SERVICE_NAME,
                "service.namespace": "otlpg",
                "service.instance.id": marker.instance,
            }
        )
    )


def scope() -> InstrumentationScope:
    """Return the library that made the items."""
    return InstrumentationScope(name="otlpg.verify", version=FORM)


def _marks(marker: Marker, item: str) -> dict[str, Value]:
    return {RUN: marker.run, ROUND: marker.number, ITEM: item}


# -- traces ----------------------------------------------------------------------------------------

SPAN_NS: Final = 20_000_001
"""A round's trace ends when the round begins, and so long before that it began."""


def _traces(marker: Marker) -> tuple[ExportTraceServiceRequest, int]:
    start = marker.now_unix_nano - SPAN_NS
    root, child = (marker.identifier(name, 8) for name in ("root", "child"))
    spans = [
        Span(
            trace_id=marker.trace_id,
            span_id=root,
            name="verify",
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=start,
            end_time_unix_nano=marker.now_unix_nano,
            attributes=key_values({**_marks(marker, "root"), **EVERY_KIND}),
            status=Status(code=Status.STATUS_CODE_OK),
            flags=1,
        ),
        Span(
            trace_id=marker.trace_id,
            span_id=child,
            parent_span_id=root,
            trace_state="otlpg=verify",
            name="verify child",
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=start + 1_000,
            end_time_unix_nano=marker.now_unix_nano - 999,
            attributes=key_values(_marks(marker, "child")),
            events=[
                Span.Event(
                    time_unix_nano=start + 2_001,
                    name="seen",
                    attributes=key_values({"n": marker.number}),
                )
            ],
            links=[
                Span.Link(
                    trace_id=marker.identifier("linked trace", 16),
                    span_id=marker.identifier("linked span", 8),
                    attributes=key_values({"why": "a link"}),
                )
            ],
            status=Status(code=Status.STATUS_CODE_ERROR, message="not really"),
            dropped_attributes_count=1,
        ),
    ]
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(resource=resource(marker))
    group.scope_spans.add(scope=scope(), spans=spans)
    return request, start


def _bad_span(marker: Marker) -> ExportTraceServiceRequest:
    """Return a span that can only be quarantined: its id is all zeros."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(resource=resource(marker))
    group.scope_spans.add(scope=scope()).spans.add(
        trace_id=marker.trace_id,
        span_id=bytes(8),
        name="verify bad",
        start_time_unix_nano=marker.now_unix_nano,
        end_time_unix_nano=marker.now_unix_nano,
        attributes=key_values(_marks(marker, BAD)),
    )
    return request


EVERY_KIND: Final[dict[str, Value]] = {
    "text": 'Grüße, "世界" \\ 🦉',
    "integer": -(2**63),
    "double": 0.1,
    "whole double": 3.0,
    "infinite": float("inf"),
    "truth": True,
    "bytes": bytes(range(0, 256, 17)),
    "list": [1, 1.0, "1", True, None],
    "map": {"$tag": {"empty": None}, "deep": [{"a": [b"\0"]}]},
    "nothing": None,
}
"""A value of each kind, and those that JSON alone would change."""


# -- logs ------------------------------------------------------------------------------------------


def _logs(marker: Marker) -> tuple[ExportLogsServiceRequest, int]:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add(resource=resource(marker))
    records = group.scope_logs.add(scope=scope()).log_records
    records.add(
        time_unix_nano=marker.now_unix_nano,
        observed_time_unix_nano=marker.now_unix_nano + 1,
        severity_number=SEVERITY_NUMBER_INFO,
        severity_text="INFO",
        body=any_value(f"round {marker.number} of {marker.run}"),
        attributes=key_values({**_marks(marker, "text"), **EVERY_KIND}),
        trace_id=marker.trace_id,
        span_id=marker.identifier("root", 8),
        flags=1,
    )
    records.add(
        time_unix_nano=marker.now_unix_nano,
        severity_number=SEVERITY_NUMBER_WARN,
        body=any_value({"round": marker.number, "kinds": dict(EVERY_KIND)}),
        attributes=key_values(_marks(marker, "map")),
        event_name="otlpg.verify",
    )
    return request, marker.now_unix_nano


# -- metrics ---------------------------------------------------------------------------------------


def _metrics(marker: Marker) -> tuple[ExportMetricsServiceRequest, int]:
    exemplar = key_values({RUN: marker.run, ROUND: marker.number})
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add(resource=resource(marker))
    group.scope_metrics.add(
        scope=scope(),
        metrics=metrics_of(
            number=marker.number,
            began_unix_nano=marker.began_unix_nano,
            now_unix_nano=marker.now_unix_nano,
            exemplar_attributes=exemplar,
            trace_id=marker.trace_id,
            span_id=marker.identifier("root", 8),
        ),
    )
    return request, marker.now_unix_nano


_MAKERS: Final[Mapping[Signal, Callable[[Marker], tuple[Any, int]]]] = {
    Signal.TRACES: _traces,
    Signal.METRICS: _metrics,
    Signal.LOGS: _logs,
}
"""The request of each signal, and the earliest time of its items."""
