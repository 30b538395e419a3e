"""What a file of routes is made with: a router that reads strictly, and the documents of its answers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from collector.api.encoding import schema_of
from collector.api.parameters import each_once
from collector.api.questions import JSON, NDJSON
from collector.query.page import Page

PREFIX: Final = "/api/v1"
PROTOBUF: Final = "application/x-protobuf"


def router(path: str, tag: str) -> APIRouter:
    """Return a router for the routes below ``/api/v1`` and a path; ``tag`` is their heading in /docs."""
    return APIRouter(
        prefix=PREFIX + path,
        tags=[tag],
        dependencies=[Depends(each_once)],
        generate_unique_id_function=_name,
    )


def gives(answer: Any, description: str = "The answer.") -> dict[str, Any]:
    """Return what a route's decorator says of its answer, ``tuple[Service, ...]`` for instance."""
    return _responses({JSON: {"schema": schema_of(answer)}}, description)


def gives_page(
    item: Any, description: str = "A page; a line for each item as NDJSON."
) -> dict[str, Any]:
    """Return the same for a route whose answer is a page of such items."""
    content = {JSON: {"schema": schema_of(Page[item])}, NDJSON: {"schema": schema_of(item)}}
    return _responses(content, description)


def gives_otlp(description: str) -> dict[str, Any]:
    """Return the same for a route whose answer is OTLP, in JSON or protobuf."""
    binary = {"type": "string", "format": "binary"}
    return _responses(
        {JSON: {"schema": {"type": "object"}}, PROTOBUF: {"schema": binary}}, description
    )


def _responses(content: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "response_model": None,
        "responses": {
            200: {"description": description, "content": content},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _name(route: APIRoute) -> str:
    """Return what the route is called in the document: as its function is."""
    return route.name
