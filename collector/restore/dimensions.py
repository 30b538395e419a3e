"""Dimension rows back to resources and scopes, and items back into their groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.restore.values import attribute_list, load, load_raw
from collector.rows import Dimensions, ResourceRow, ScopeRow

ResourceGroup = TypeVar("ResourceGroup")
ScopeGroup = TypeVar("ScopeGroup")


def resource_of(row: ResourceRow) -> Resource:
    """Return the resource; its schema URL belongs to the message around it."""
    return Resource(
        attributes=attribute_list(row.attributes, load_raw(row.raw)),
        dropped_attributes_count=row.dropped_attributes_count or 0,
        entity_refs=[EntityRef(**entity) for entity in load(row.entity_refs or "[]")],
    )


def scope_of(row: ScopeRow) -> InstrumentationScope:
    """Return the scope; its schema URL belongs to the message around it."""
    return InstrumentationScope(
        name=row.name or "",
        version=row.version or "",
        attributes=attribute_list(row.attributes, load_raw(row.raw)),
        dropped_attributes_count=row.dropped_attributes_count or 0,
    )


class ScopeGroups(Generic[ResourceGroup, ScopeGroup]):
    """The groups of one request: a resource once, under it each of its scopes once.

    A signal brings two functions that append a group to its own messages.
    """

    def __init__(
        self,
        dimensions: Dimensions,
        add_resource: Callable[[Resource, str], ResourceGroup],
        add_scope: Callable[[ResourceGroup, InstrumentationScope, str], ScopeGroup],
    ) -> None:
        self._dimensions = dimensions
        self._add_resource = add_resource
        self._add_scope = add_scope
        self._resources: dict[int, ResourceGroup] = {}
        self._scopes: dict[tuple[int, int], ScopeGroup] = {}

    def get(self, resource_id: int, scope_id: int) -> ScopeGroup:
        """Return the group of this resource and scope, made when first asked for.

        Raises:
            KeyError: the dimensions do not hold the id; they did not belong to the rows.
        """
        group = self._scopes.get((resource_id, scope_id))
        if group is None:
            row = self._dimensions.scopes[scope_id]
            group = self._add_scope(
                self._resource(resource_id), scope_of(row), row.schema_url or ""
            )
            self._scopes[resource_id, scope_id] = group
        return group

    def _resource(self, resource_id: int) -> ResourceGroup:
        group = self._resources.get(resource_id)
        if group is None:
            row = self._dimensions.resources[resource_id]
            group = self._add_resource(resource_of(row), row.schema_url or "")
            self._resources[resource_id] = group
        return group
