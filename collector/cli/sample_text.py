"""How `otlpg send-test` shows what it sent and what PostgreSQL holds of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from collector.items import KIND_BY_NUMBER

if TYPE_CHECKING:
    from collector.operate.read_back import Found
    from collector.operate.send_test import Sent

Row = dict[str, Any]

STATUS = {0: "", 1: "ok", 2: "ERROR"}
TEMPORALITY = {1: "delta", 2: "cumulative"}


def sent_line(sent: Sent) -> str:
    """Return what was sent and acknowledged."""
    return (
        f"sent to {sent.endpoint} and acknowledged: {sent.spans} spans, "
        f"{sent.points} data points, {sent.log_records} log records"
    )


def found_text(sent: Sent, found: Found) -> str:
    """Return the rows as a person reads them: the trace as a tree, then metrics, then logs."""
    trace_id = sent.trace_id.hex()
    return "\n".join(
        [
            "read back from PostgreSQL:",
            "",
            *_traces(found.spans),
            "",
            "metrics",
            *(f"  {_point(row)}" for row in found.points),
            "",
            "logs",
            *(f"  {_log_record(row)}" for row in found.log_records),
            "",
            "the same in SQL:",
            f"  SELECT * FROM trace_spans WHERE trace_id = '\\x{trace_id}' ORDER BY start_time;",  # noqa: S608 -- text to read
        ]
    )


def _traces(spans: list[Row]) -> Iterator[str]:
    for trace_id in dict.fromkeys(span["trace_id"] for span in spans):
        yield f"trace {trace_id}"
        yield from _tree([span for span in spans if span["trace_id"] == trace_id], None, 1)


def _tree(spans: list[Row], parent: str | None, depth: int) -> Iterator[str]:
    for span in spans:
        if span["parent_span_id"] != parent:
            continue
        indent = "  " * depth
        name = f"{indent}{span['service_name']}: {span['name']}"
        kind = KIND_BY_NUMBER.get(span["kind"], "unspecified")
        yield f"{name:<44} {kind:<9} {_ms(span['duration_ns'])} {_remarks(span)}".rstrip()
        yield from _tree(spans, span["span_id"], depth + 1)


def _ms(duration_ns: int | None) -> str:
    return f"{'?':>9}" if duration_ns is None else f"{duration_ns / 1e6:>6.1f} ms"


def _remarks(span: Row) -> str:
    remarks = [STATUS[span["status_code"]], span["status_message"] or ""]
    remarks += [f"event: {event['name']}" for event in span["events"] or ()]
    remarks += [f"link to {link['trace_id'][:8]}.." for link in span["links"] or ()]
    return ", ".join(remark for remark in remarks if remark)


def _point(row: Row) -> str:
    form = ", ".join(
        part
        for part in (
            row["type"].replace("_", " "),
            TEMPORALITY.get(row["temporality"]),
            "monotonic" if row["monotonic"] else None,
        )
        if part
    )
    attributes = ", ".join(f"{key}={_text(value)}" for key, value in row["attributes"].items())
    name = row["name"] + (f"{{{attributes}}}" if attributes else "")
    return f"{name:<58} {form:<34} {_value(row)}"


def _value(row: Row) -> str:
    unit = f" {row['unit']}" if row["unit"] else ""
    if row["count"] is None:
        number = row["value"] if row["value_int"] is None else row["value_int"]
        return f"{number:,}{unit}"
    text = f"{row['count']} values, sum {row['sum']:g}{unit}"
    if row["quantiles"]:
        text += ", " + ", ".join(
            f"p{entry['quantile'] * 100:g} {entry['value']:g}" for entry in row["quantiles"]
        )
    return text


def _log_record(row: Row) -> str:
    body = row["body_text"] if row["body_text"] is not None else _text(row["body"])
    event = f"{row['event_name']}: " if row["event_name"] else ""
    exception = row["attributes"].get("exception.type", "")
    trace = f" (trace {row['trace_id'][:8]}..)" if row["trace_id"] else ""
    return f"{row['severity_text'] or '-':<6} {event}{body}{' ' + exception if exception else ''}{trace}"


def _text(value: Any) -> str:
    """Return a text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
