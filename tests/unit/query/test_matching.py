"""query.matching: which items a filter wants."""

from __future__ import annotations

from typing import Any

import pytest

from collector.query.filters import Filter

TRACE = "0af7651916cd43dd8448eb211c80319c"

SPAN: dict[str, Any] = {
    "signal": "traces",
    "time": "2026-01-01T12:00:00.000000000Z",
    "service": "Checkout",
    "name": "POST /checkout",
    "kind": "server",
    "status": "error",
    "status_message": "card declined",
    "trace_id": TRACE,
    "span_id": "b7ad6b7169203331",
    "duration_ns": 184_300_000,
    "attributes": {
        "http.route": "/checkout",
        "code": 500,
        "text": "500",
        "big": 2**53 + 1,
        "ratio": 0.1,
        "none": None,
        "yes": True,
        "list": ["a"],
        "nan": {"$double": "NaN"},
        "$$ref": "x",
        "host.name": "own",
    },
    "resource": {"service.name": "Checkout", "host.name": "h1", "process.pid": 42},
}
LOG: dict[str, Any] = {
    "signal": "logs",
    "time": "2026-01-01T12:00:00.000000000Z",
    "service": "bank",
    "severity": "ERROR",
    "severity_number": 18,
    "body": "Größe ist 100% falsch",
    "event": "card.declined",
}
STRUCTURED: dict[str, Any] = {
    "signal": "logs",
    "time": "2026-01-01T12:00:00.000000000Z",
    "body": {"message": "Out of memory", "bb": [1, 2.0, None, True], "c": {}},
}
POINT: dict[str, Any] = {
    "signal": "metrics",
    "time": "2026-01-01T12:00:00.000000000Z",
    "service": "bank",
    "metric": "http.server.requests",
    "type": "sum",
    "value": 5,
    "attributes": {"http.response.status_code": 404},
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("checkout", True),
        ("POST declined", True),
        ('"card declined"', True),
        ('"checkout POST"', False),  # in two texts
        ("c*d", True),
        ("d*card", False),
        ("-cart", True),
        ("-card", False),
        ("500", False),  # attributes are asked for by name
        ("service:checkout", True),
        ("service:check", False),
        ("service:check*", True),
        ("service:*k*", True),
        ("service:checkout*checkout", False),  # one stretch of text is not two
        ("name:post*checkout", True),
        ('name:"post*"', False),
        ("status:error", True),
        ("status:ok", False),
        ("kind:server", True),
        ("-kind:client", True),
        (f"trace:{TRACE}", True),
        ("trace:0AF7", True),
        ("trace:af76", False),
        ("duration:>184.3ms", False),
        ("duration:>=184.3ms", True),
        ("duration:184300us", True),
        ("duration:<1s", True),
        ("@http.route:/checkout", True),
        ("@http.route:/Checkout", False),
        ("@http.route:/check*", True),
        ("@http.route:*", True),
        ("@nothing:*", False),
        ("-@nothing:x", True),
        ("@code:500", True),
        ("@code:5e2", True),
        ("@code:500.0", True),
        ('@code:"500"', False),
        ("@code:>499", True),
        ("@code:5*", False),
        ("@text:500", True),
        ('@text:"500"', True),
        ("@text:500.0", False),
        ("@text:>499", False),
        ("@big:9007199254740993", True),
        ("@big:9007199254740992", False),
        ("@big:>9007199254740992", True),
        ("@ratio:0.1", True),
        ("@ratio:0.10000000000000001", False),
        ("@ratio:<0.10000000000000001", True),
        ("@none:null", False),
        ("@none:*", True),
        ("@yes:true", True),
        ("@yes:1", False),
        ("@yes:>0", False),
        ("@list:a", False),
        ("@list:*", True),
        ("@nan:NaN", False),
        ("@nan:>0", False),
        ("@$ref:x", True),
        ("@$$ref:x", False),
        ("@process.pid:42", True),
        ("@process.pid:>41", True),
        ("@host.name:own", True),
        ("@host.name:h1", False),  # the item's own attribute hides its resource's
        ("severity:error", False),
        ("metric:*", False),
        ("body:*", False),
    ],
)
def test_spans(text: str, matches: bool) -> None:
    """Each kind of term on a span that has everything."""
    assert Filter.parse(text).matches(SPAN) is matches


@pytest.mark.parametrize(
    "text", ["declined", "cart", "status:ok", "body:x", "@code:500", "@nothing:x", "trace:0af7"]
)
def test_a_negated_term_matches_exactly_what_the_term_does_not(text: str) -> None:
    """Also where the field, or the attribute, is not there."""
    assert Filter.parse(f"-{text}").matches(SPAN) is not Filter.parse(text).matches(SPAN)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("GRÖSSE", False),
        ("gröSSe", False),
        ("GRöße", True),
        ("GRÖßE", False),  # no locale is asked: only ASCII letters have two cases
        ("100%", True),
        ("declined", True),
        ("severity:error", True),
        ("severity:18", True),
        ("severity:17", False),
        ("severity:>=error", True),
        ("severity:>error", False),
        ("severity:>warn", True),
        ("severity:<=error", True),
        ("severity:<error", False),
        ("severity:<fatal", True),
        ("event:card.*", True),
        ("body:falsch", True),
        ("body:größe*falsch", True),
        ("body:bank", False),
        ("trace:0af7", False),
        ("-trace:0af7", True),
        ("-status:error", True),
        ("@a:*", False),
    ],
)
def test_log_records(text: str, matches: bool) -> None:
    """What is special about logs; this one has neither attributes nor a trace."""
    assert Filter.parse(text).matches(LOG) is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("memory", True),
        ('body:"\\"message\\": \\"out of"', True),
        ('"{\\"c\\": {}, \\"bb\\": [1, 2.0, null, true]"', True),
        ("severity:<=fatal", False),
        ("service:*", False),
    ],
)
def test_a_body_that_is_no_text_is_its_json(text: str, matches: bool) -> None:
    """As PostgreSQL writes it: keys by length, a space after each colon and comma."""
    assert Filter.parse(text).matches(STRUCTURED) is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("server bank", True),
        ("sum", False),
        ("metric:HTTP.server.*", True),
        ("@http.response.status_code:>=400", True),
        ("name:http.server.requests", False),
    ],
)
def test_data_points(text: str, matches: bool) -> None:
    """What is special about metrics."""
    assert Filter.parse(text).matches(POINT) is matches


@pytest.mark.parametrize("number", [0, -1, 99])
def test_numbers_below_one_are_no_severity(number: int) -> None:
    """Nor is 0, which an item does not carry; what is above FATAL is severe."""
    item = {**LOG, "severity_number": number}

    assert not Filter.parse("severity:<error").matches(item)
    assert Filter.parse("severity:>=error").matches(item) is (number == 99)
