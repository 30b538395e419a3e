"""OTLP/JSON as an SDK writes it, made from official messages.

Spec: opentelemetry-specification protocol/otlp.md, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import base64
import json
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.message import Message

from collector.restore.equality import ExportRequest

_IDS = ("traceId", "spanId", "parentSpanId")


def to_json(request: ExportRequest) -> bytes:
    """Return a request in proto3 JSON, but with ids in hex and enums as numbers."""
    return json.dumps(document_of(request)).encode()


def document_of(request: Message) -> dict[str, Any]:
    """Return what ``to_json`` writes; also of a message that only holds such items."""
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    _write_hex(document)
    return document


def _write_hex(value: Any) -> None:
    """Turn the base64 of ids into hex, in place; an attribute is no field, whatever its key."""
    if isinstance(value, list):
        for entry in cast("list[Any]", value):
            _write_hex(entry)
    elif isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        for name, entry in fields.items():
            if name in _IDS:
                fields[name] = base64.b64decode(entry).hex()
            else:
                _write_hex(entry)
