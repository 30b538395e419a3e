"""What a row can hold and the specification allows: bounds that several signals share."""

from __future__ import annotations

BIGINT_MAX = 2**63 - 1
"""A larger uint64 goes to ``raw``: PostgreSQL has no unsigned integers."""

NO_TRACE_ID, NO_SPAN_ID = bytes(16), bytes(8)
"""All zero bytes mean that there is no id.

Spec: opentelemetry-proto trace/v1/trace.proto, fields Span.trace_id and Span.span_id.
"""
