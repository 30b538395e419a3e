"""api.application: one gate before everything, strict parameters, one form of errors, no foreign host."""

from __future__ import annotations

import re
from typing import Annotated, Any, cast

import pytest
from fastapi import Query
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from structlog.testing import capture_logs

from collector.api.admission import CLIENT, Admission
from collector.api.application import build
from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.parameters import PageParameters
from collector.api.questions import written
from collector.api.routing import gives, router
from collector.errors import ForbiddenError, NotFoundError
from collector.receive.auth import Gate
from collector.settings import Settings, TlsSettings
from collector.telemetry.metrics import Metrics
from tests.asking import Asker
from tests.clocks import HandClock

PATHS = ("/api/v1/things", "/api/v1/stream", "/docs", "/docs/start.js", "/openapi.json", "/", "/x")


class Shut:
    """Lets nobody in."""

    async def check(self, _request: Request) -> None:
        """Refuse."""
        raise ForbiddenError("not you")


def asker(admission: Admission | None = None) -> Asker:
    """Return who asks an application of two routes."""
    found = router("/things", "things")

    @found.get("", **gives(tuple[str, ...]))
    async def list_things(asked: Annotated[PageParameters, Query()]) -> Response:
        """Answer, or fail as ``q`` says."""
        match asked.q:
            case "bug":
                raise RuntimeError("secret")
            case "none":
                raise NotFoundError("there is no such thing")
            case _:
                return written(b'["a"]')

    async def stream(request: Request) -> Response:
        return PlainTextResponse(f"{request.method} by {getattr(request.state, CLIENT)}")

    gate = Admission(Gate(TlsSettings(), None), Settings())
    app = build(
        admission or gate,
        Failures(HandClock()),
        Answers(Metrics(), HandClock()),
        [found],
        others={"/api/v1/stream": stream},
        operations={"/api/v1/stream": {"operationId": "stream", "responses": {}}},
    )
    return Asker(app)


@pytest.mark.parametrize("path", PATHS)
async def test_who_may_not_read_hears_nothing_else(path: str) -> None:
    """Neither whether there is such a route."""
    shut = asker(cast("Admission", Shut()))

    for method in ("GET", "HEAD", "PUT"):
        said = await shut.get(path, method=method)
        assert (said.status, said.json["cause"]) == (403, "forbidden")


async def test_every_route_answers_head() -> None:
    """As it answers GET; whose the request is was found out before."""
    reader = asker()
    for path in PATHS[:5]:
        asked, head = await reader.get(path), await reader.get(path, method="HEAD")
        assert asked.status == head.status == 200
        assert asked.headers["content-type"] == head.headers["content-type"]
    assert (await reader.get("/api/v1/stream", method="HEAD")).body == b"HEAD by 127.0.0.1"


@pytest.mark.parametrize(
    ("query", "status", "cause", "detail"),
    [
        ({"limit": ["1", "2"]}, 400, "bad_parameter", "parameter 'limit' must be there once"),
        ({"colour": "red"}, 400, "bad_parameter", "parameter 'colour' is not known here"),
        ({"limit": "0"}, 400, "bad_parameter", "parameter 'limit' cannot be used: "),
        ({"start": "yesterday"}, 400, "bad_parameter", "parameter 'start' must be RFC 3339"),
        ({"since": "1 week"}, 400, "bad_parameter", "parameter 'since' must be a length of time"),
        ({"q": "none"}, 404, "not_found", "there is no such thing"),
        ({"q": "bug"}, 503, "internal", "try again later"),
    ],
)
async def test_what_fails_is_a_problem(
    query: dict[str, Any], status: int, cause: str, detail: str
) -> None:
    """Which names the parameter, and nothing of what was sent or of us."""
    with capture_logs():  # to write a traceback for people takes seconds
        said = await asker().get("/api/v1/things", **query)

    assert said.headers["content-type"] == "application/problem+json"
    assert said.headers["cache-control"] == "no-store"
    assert (said.status, said.json["status"], said.json["cause"]) == (status, status, cause)
    assert said.json["detail"].startswith(detail)
    assert "secret" not in said.body.decode()


@pytest.mark.parametrize(
    ("method", "path", "status", "cause"),
    [
        ("GET", "/api/v1/other", 404, "no_such_path"),
        ("GET", "/api/v1/things/", 404, "no_such_path"),
        ("POST", "/api/v1/things", 405, "no_such_method"),
        ("DELETE", "/docs", 405, "no_such_method"),
    ],
)
async def test_what_is_no_route_is_a_problem_too(
    method: str, path: str, status: int, cause: str
) -> None:
    """In the same form."""
    said = await asker().get(path, method=method)

    assert said.headers["content-type"] == "application/problem+json"
    assert (said.status, said.json["cause"]) == (status, cause)


async def test_the_page_needs_no_other_host() -> None:
    """All of it comes from here, and its policy allows nothing else."""
    reader = asker()
    page = await reader.get("/docs")

    names = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(names) == 4
    for name in names:
        file = await reader.get(f"/{name}")
        assert file.status == 200
        assert file.body
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"://" not in page.body


async def test_the_document_knows_routes_of_both_kinds() -> None:
    """Each once, for GET alone; every error is a problem."""
    document = await asker().json("/openapi.json")

    assert {path: list(operations) for path, operations in document["paths"].items()} == {
        "/api/v1/things": ["get"],
        "/api/v1/stream": ["get"],
    }
    operation = document["paths"]["/api/v1/things"]["get"]
    assert operation["operationId"] == "list_things"
    assert set(operation["responses"]) == {"200", "default"}
    assert document["components"]["schemas"].keys() == {"Problem"}
    assert {one["name"] for one in operation["parameters"]} == set(PageParameters.model_fields)
    assert document["components"]["responses"]["Problem"]["content"].keys() == {
        "application/problem+json"
    }
