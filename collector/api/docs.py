"""``/docs``: the routes to read and to try, without a word to any other host.

The files of Swagger UI come from the package fastapi-swagger: one wheel of half a megabyte that
follows Swagger's releases (swagger-ui-bundle, ten times as large, stopped before OpenAPI 3.1). No
script stands in the page and none comes from elsewhere, so the policy allows neither. Styles may
stand in it: Swagger UI sets such on its elements.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>otlpg: the API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  queryConfigEnabled: false,
});
"""
_FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def routes() -> list[Route]:
    """Return the page and its files."""
    files = [Route(f"/docs/{name}", _File(name, kind).answer) for name, kind in _FILES.items()]
    return [Route("/docs", _page), Route("/docs/start.js", _start), *files]


async def _page(_request: Request) -> Response:
    return Response(_PAGE, headers=_HEADERS, media_type="text/html")


async def _start(_request: Request) -> Response:
    return Response(_START, headers=_HEADERS, media_type="text/javascript")


class _File:
    """A file of Swagger UI, which is read when first asked for."""

    def __init__(self, name: str, media_type: str) -> None:
        self._name = name
        self._media_type = media_type
        self._content: bytes | None = None

    async def answer(self, _request: Request) -> Response:
        """Return the file; browsers keep it for an hour."""
        if self._content is None:
            folder = resources.files("fastapi_swagger.resources")
            self._content = folder.joinpath(self._name).read_bytes()
        headers = {**_HEADERS, "cache-control": "private, max-age=3600"}
        return Response(self._content, headers=headers, media_type=self._media_type)
