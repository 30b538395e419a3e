"""README's table of filters: each example is read, and matches what README says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from collector.query.filters import Filter
from collector.query.grammar import CHARACTERS_MAX, TERMS_MAX

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.partition("\n## Filters\n")[2].partition("\n## ")[0]

TIME = "2026-01-01T12:00:00.000000000Z"


def span(**fields: Any) -> dict[str, Any]:
    """Return a span."""
    return {"signal": "traces", "time": TIME, "name": "op", "status": "unset", **fields}


def log(**fields: Any) -> dict[str, Any]:
    """Return a log record."""
    return {"signal": "logs", "time": TIME, **fields}


def point(**fields: Any) -> dict[str, Any]:
    """Return a data point."""
    return {"signal": "metrics", "time": TIME, "type": "sum", **fields}


TRACE = "0af7651916cd43dd8448eb211c80319c"
CODE, KEY = "http.response.status_code", "a key"
EXAMPLES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "declined": (
        [span(service="Declined"), span(status_message="card declined"), log(body="DECLINED"),
         log(event="card.declined"), point(metric="cards.declined"), span(name="undeclined")],
        [log(body="accepted"), span(attributes={"a": "declined"})],
    ),
    '"card declined"': ([log(body="A card declined.")], [log(body="card", event="declined")]),
    "order*declined": ([log(body="order 1 was declined")], [log(body="declined the order")]),
    "service:checkout": ([point(service="checkout", metric="m")], [log(service="checkout2")]),
    "name:GET*": ([span(name="GET /cart")], [span(name="FORGET"), log(body="GET")]),
    "event:card.declined": ([log(event="card.declined")], [log(event="card.declined.late")]),
    "metric:http.server.*": ([point(metric="http.server.x")], [point(metric="http.client.x")]),
    "body:refused": (
        [log(body="connection refused"), log(body={"error": "Refused"})],
        [log(event="refused"), span(name="refused")],
    ),
    "severity:error": ([log(severity_number=17), log(severity_number=20)], [log(severity_number=21)]),
    "severity:>=warn": ([log(severity_number=13), log(severity_number=24)], [log(severity_number=12)]),
    "severity:17": ([log(severity_number=17)], [log(severity_number=18)]),
    "status:error": ([span(status="error")], [span(), log(body="error")]),
    "kind:server": ([span(kind="server")], [span(kind="client"), span()]),
    "duration:>100ms": ([span(duration_ns=100_000_001)], [span(duration_ns=100_000_000), span()]),
    f"trace:{TRACE}": ([span(trace_id=TRACE), log(trace_id=TRACE)], [log(), point(metric="m")]),
    "@http.route:/cart": (
        [span(attributes={"http.route": "/cart"}), log(resource={"http.route": "/cart"})],
        [span(attributes={"http.route": "/Cart"}),
         span(attributes={"http.route": "/"}, resource={"http.route": "/cart"})],
    ),
    f"@{CODE}:404": (
        [span(attributes={CODE: 404}), span(attributes={CODE: "404"})],
        [span(attributes={CODE: 4040})],
    ),
    f"@{CODE}:>=500": (
        [span(attributes={CODE: 500}), span(attributes={CODE: 500.5})],
        [span(attributes={CODE: "500"}), span(attributes={CODE: 499.9}), span()],
    ),
    "@enduser.id:*": ([span(attributes={"enduser.id": None})], [span()]),
    f'@"{KEY}":"404"': ([span(attributes={KEY: "404"})], [span(attributes={KEY: 404})]),
    "-status:error": ([span(), log(), point(metric="m")], [span(status="error")]),
}  # fmt: skip


def test_readme_shows_these_examples_and_no_others() -> None:
    """What is tested here is what is written there."""
    shown = re.findall(r"^\| `(.+?)` \|", SECTION, flags=re.MULTILINE)

    assert shown == list(EXAMPLES)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_matches_what_readme_says(text: str) -> None:
    """And what it says would not, it does not."""
    matching, others = EXAMPLES[text]
    wanted = Filter.parse(text)

    assert all(map(wanted.matches, matching))
    assert not any(map(wanted.matches, others))


def test_readme_tells_the_limits() -> None:
    """In its own way of writing numbers."""
    limits = f"at most {CHARACTERS_MAX:,} characters and {TERMS_MAX} terms".replace(",", " ")

    assert limits in re.sub(r"\s+", " ", SECTION)
