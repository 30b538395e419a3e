"""Golden files of convert: realistic requests and the rows they become, as readable JSON.

``tests/unit/convert/test_golden.py`` compares; after a change on purpose, write them anew with
``.venv/bin/python -m tests.golden.convert`` and read the diff.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from collector.convert.identity import request_digest
from collector.convert.request import Converter
from collector.rows import FACT_COLUMNS, ConvertedRequest, Signal
from collector.settings import ConvertSettings
from tests.factories import BASE_UNIX_NANO, ExportRequest, any_value, key_values, request_of

JSON_COLUMNS = {
    *("attributes", "events", "links", "raw", "body", "quantiles", "exemplars"),
    *("entity_refs", "metadata"),
}
FOLDER = Path(__file__).parent / "convert"
NOW = BASE_UNIX_NANO + 2_000_000_123
RETENTION_S = 30 * 86_400


def _odd_values() -> ExportRequest:
    """A span with every kind of value that JSON alone cannot say, and two equal keys."""
    odd = {
        "nan": float("nan"),
        "minus zero": -0.0,
        "huge": 1e300,
        "bytes": b"\x00\xff",
        "$dollar": {"$": None, "nested": [1, 1.0, "1", True]},
        "largest": 2**63 - 1,
    }
    span = Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        parent_span_id=b"short",
        name="odd",
        start_time_unix_nano=2**64 - 1,
        end_time_unix_nano=5,
        attributes=[
            *key_values(odd),
            KeyValue(key="twice", value=any_value("first")),
            KeyValue(key="twice", value=any_value("last")),
        ],
    )
    resource = Resource(
        attributes=key_values({"service.name": 7}),
        entity_refs=[EntityRef(type="service", id_keys=["service.name"])],
        dropped_attributes_count=2,
    )
    scope = InstrumentationScope(name="lib", attributes=key_values({"b": 1, "a": 2}))
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=resource,
                scope_spans=[ScopeSpans(scope=scope, spans=[span], schema_url="scope url")],
                schema_url="resource url",
            )
        ]
    )


def _bad_items() -> ExportRequest:
    """Log records of which one is repaired, and spans' ids that are not valid in logs."""
    records = [
        LogRecord(time_unix_nano=BASE_UNIX_NANO, body=any_value("good")),
        LogRecord(time_unix_nano=BASE_UNIX_NANO, body=any_value("b\0d"), trace_id=b"short"),
        LogRecord(
            observed_time_unix_nano=BASE_UNIX_NANO + 1, body=any_value({"k": ["v", b"\x01"]})
        ),
        LogRecord(time_unix_nano=1),
    ]
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=records)])]
    )


def _quarantined() -> ExportRequest:
    """A good span between two whose ids are not valid."""
    request = request_of(Signal.TRACES, items=3, seed=3)
    assert isinstance(request, ExportTraceServiceRequest)
    [first, *_], last = (
        [
            span
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ],
        request.resource_spans[-1].scope_spans[-1].spans[-1],
    )
    first.trace_id, last.span_id = b"short", bytes(8)
    return request


CASES: dict[str, tuple[Signal, Callable[[], ExportRequest]]] = {
    "traces": (Signal.TRACES, lambda: request_of(Signal.TRACES, items=11)),
    "metrics": (Signal.METRICS, lambda: request_of(Signal.METRICS, items=8)),
    "logs": (Signal.LOGS, lambda: request_of(Signal.LOGS, items=8)),
    "odd_values": (Signal.TRACES, _odd_values),
    "bad_items": (Signal.LOGS, _bad_items),
    "quarantined": (Signal.TRACES, _quarantined),
}


def path_of(case: str) -> Path:
    """Return the golden file of a case."""
    return FOLDER / f"{case}.json"


def converted(case: str) -> ConvertedRequest:
    """Return what the case becomes now."""
    signal, make = CASES[case]
    payload = make().SerializeToString()
    digest = request_digest(b"", signal, payload)
    converter = Converter(ConvertSettings(), retention_s=RETENTION_S)
    return converter.convert(signal, payload, digest=digest, now_ns=NOW)


def rendered(case: str) -> str:
    """Return the same as the text of its golden file."""
    return json.dumps(_readable(converted(case)), indent=2, ensure_ascii=False) + "\n"


def _readable(converted: ConvertedRequest) -> dict[str, Any]:
    columns = FACT_COLUMNS[converted.signal]
    counts = ("items", "repaired", "quarantined", "rejected", "wrong_signal", "in_ledger")
    return {
        **{name: getattr(converted, name) for name in counts},
        **{name: _plain(getattr(converted, name)) for name in ("day", "digest", "item_indexes")},
        "rows": [_named(columns, row) for row in converted.rows],
        **{
            table: [_named(row._fields, row) for row in rows.values()]
            for table, rows in converted.dimensions._asdict().items()
        },
        "dead_letters": [_named(letter._fields, letter) for letter in converted.dead_letters],
    }


def _named(columns: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    """Return the columns that say something; JSON columns as JSON."""
    return {
        name: json.loads(value) if name in JSON_COLUMNS else _plain(value)
        for name, value in zip(columns, row, strict=True)
        if value is not None and value != "{}"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat()
    return value


def main() -> None:
    """Write every golden file anew."""
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        path_of(case).write_text(rendered(case))
        sys.stdout.write(f"{path_of(case)}\n")


if __name__ == "__main__":
    main()
