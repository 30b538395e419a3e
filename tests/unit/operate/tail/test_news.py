"""operate.tail.news and query: what events mean, and what is asked for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collector.operate.tail.news import Item, Link, Live, News, Notice, Skipped, Unreadable, news_of
from collector.operate.tail.query import Query, filter_of, term
from collector.operate.tail.sse import Event


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("item", {"signal": "logs", "body": 1}, Item({"signal": "logs", "body": 1})),
        ("live", {"workers": 1, "expected": 2, "link": "redis"}, Live(1, 2, "redis")),
        ("live", {}, Live(None, None)),
        ("skipped", {"signal": "logs", "items": 7, "why": "slow"}, Skipped("logs", 7, "slow")),
        ("skipped", {"items": None, "why": 3}, Skipped("", None, "")),
        ("skipped", {"items": True}, Skipped("", None, "")),
        ("skipped", {"items": -1}, Skipped("", None, "")),
        ("skipped", {"items": 2**63 - 1}, Skipped("", 2**63 - 1, "")),
        ("skipped", {"items": 2**63}, Skipped("", None, "")),
        ("skipped", {"items": 10**4_000}, Skipped("", None, "")),
        ("link", {"up": False, "message": "Redis is away"}, Link(False, "Redis is away")),
        ("link", {"up": True}, Link(True, "")),
        ("notice", {"message": "more may match"}, Notice("more may match")),
        ("item", {}, Unreadable("item")),
        ("item", ["signal"], Unreadable("item")),
        ("live", None, Unreadable("live")),
    ],
)
def test_events_of_the_contract(kind: str, content: Any, expected: News) -> None:
    """What is not as the contract says is not known, or the event is left out."""
    assert news_of(Event(kind, json.dumps(content))) == expected


@pytest.mark.parametrize(
    "data",
    ["", "{", "{} {}", '{"signal": NaN}', '{"signal": "logs", "body": 1e999}',
     '{"signal": "logs", "body": ' + "9" * 5_000 + "}",
     '{"signal": "logs", "body": ' + "[" * 200 + "]" * 200 + "}",
     '{"signal": "logs", "body": ' + "[" * 10**6 + "]" * 10**6 + "}"],
    ids=["empty", "cut", "two", "nan", "too large", "long number", "deep", "very deep"],
)  # fmt: skip
def test_what_is_no_json_of_ours_is_left_out(data: str) -> None:
    """It would not come out again as JSON, or not at all."""
    assert news_of(Event("item", data)) == Unreadable("item")


def test_a_kind_of_a_later_server_is_passed_over() -> None:
    """Whatever it says."""
    assert news_of(Event("message", "{")) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("shop", "service:shop"),
        ("shop-1.eu_west", "service:shop-1.eu_west"),
        ("a b", 'service:"a b"'),
        ("", 'service:""'),
        ("shop*", 'service:"shop*"'),
        (">x", 'service:">x"'),
        ("-x", 'service:"-x"'),
        ('a"b\\', 'service:"a\\"b\\\\"'),
        ("é", 'service:"é"'),
    ],
)
def test_a_value_is_quoted_unless_it_is_plain(value: str, expected: str) -> None:
    """Nothing in a name is read as part of the grammar."""
    assert term("service", value) == expected


def test_the_query_holds_what_was_asked_for() -> None:
    """Empty parameters are not sent; behind a loss, stored items are not asked for again."""
    query = Query("logs", filter_of(["word", "-status:error"], service="a"), 10, "5m")

    assert parse_qs(urlsplit(query.target()).query) == {
        "signal": ["logs"], "q": ["service:a word -status:error"], "n": ["10"], "since": ["5m"],
    }  # fmt: skip
    assert query.target(with_stored=False) == (
        "/api/v1/tail?signal=logs&q=service%3Aa+word+-status%3Aerror"
    )
    assert Query().target() == "/api/v1/tail?signal=all&n=0"
