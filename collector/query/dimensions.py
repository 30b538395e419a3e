"""Who emitted an item, and with which library, as a reader gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from collector.items import JsonValue
from collector.rows import ResourceRow, ScopeRow


@dataclass(frozen=True, slots=True)
class Resource:
    """Who emitted; attributes in their stored forms."""

    resource_id: int
    attributes: Mapping[str, JsonValue]
    schema_url: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Which instrumentation library."""

    scope_id: int
    name: str
    version: str
    attributes: Mapping[str, JsonValue]
    schema_url: str


def resource_of(row: ResourceRow) -> Resource:
    """Return the resource of a row."""
    return Resource(row.resource_id, orjson.loads(row.attributes), row.schema_url or "")


def scope_of(row: ScopeRow) -> Scope:
    """Return the scope of a row."""
    return Scope(
        row.scope_id,
        row.name or "",
        row.version or "",
        orjson.loads(row.attributes),
        row.schema_url or "",
    )
