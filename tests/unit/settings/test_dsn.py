"""settings.dsn: a URL keeps what nobody changed, and every part finds its place in it."""

from __future__ import annotations

import pytest

from collector.settings.dsn import Address, merge_parts


@pytest.mark.parametrize(
    ("dsn", "stronger", "weaker", "expected"),
    [
        ("postgresql://u:p@h:1/d?x=y", {}, {}, "postgresql://u:p@h:1/d?x=y"),
        ("postgresql://u:p@h:1/d", {"port": "2"}, {}, "postgresql://u:p@h:2/d"),
        ("postgresql://u:p@h:1/d", {}, {"port": "2", "user": "v"}, "postgresql://u:p@h:1/d"),
        ("postgresql://h", {}, {"name": "d", "user": "u"}, "postgresql://u@h/d"),
        (
            "postgresql://h/d",
            {"password": "a:b@/?#%"},
            {},
            "postgresql://:a%3Ab%40%2F%3F%23%25@h/d",
        ),
        ("postgresql://u@h/d", {"ssl_mode": "require"}, {}, "postgresql://u@h/d?sslmode=require"),
        (
            "postgresql://h/d?sslmode=disable",
            {},
            {"ssl_mode": "require"},
            "postgresql://h/d?sslmode=disable",
        ),
        ("postgresql:///d", {"host": "/run/pg"}, {}, "postgresql:///d?host=/run/pg"),
        ("postgresql:///d?host=/run/pg", {"port": "2"}, {}, "postgresql:///d?host=/run/pg&port=2"),
        ("postgresql:///d?host=/run/pg", {"host": "h"}, {}, "postgresql://h/d"),
        ("postgresql://[::1]:5/d", {"user": "u"}, {}, "postgresql://u@[::1]:5/d"),
        ("postgresql://h/d", {"host": "fe80::1"}, {}, "postgresql://[fe80::1]/d"),
        ("postgresql://a:1,b:2/d", {"user": "u"}, {}, "postgresql://u@a:1,b:2/d"),
        ("postgresql://a:1,b:2/d", {"host": "c"}, {}, "postgresql://c:1/d"),
        ("postgresql://a,b/d", {}, {"port": "5"}, "postgresql://a:5,b:5/d"),
        ("postgresql://a:1,b/d", {}, {"port": "5"}, "postgresql://a:1,b:5/d"),
        ("postgresql://a,[::1]:2/d", {}, {"port": "5"}, "postgresql://a:5,[::1]:2/d"),
        ("postgresql://a:1,[::1]/d", {"port": "5"}, {}, "postgresql://a:5,[::1]:5/d"),
        (
            "postgresql://h/d?application_name=a%20b&sslrootcert=/c.pem",
            {"user": "u"},
            {},
            "postgresql://u@h/d?application_name=a%20b&sslrootcert=/c.pem",
        ),
        ("postgresql://h?user=u&dbname=d", {"port": "2"}, {"user": "v"}, "postgresql://u@h:2/d"),
    ],
)
def test_merge_parts(
    dsn: str, stronger: dict[str, str], weaker: dict[str, str], expected: str
) -> None:
    """Stronger parts replace, weaker parts fill, and the rest of the URL stays."""
    assert merge_parts(dsn, stronger, weaker) == expected


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:p%40ss@h:5432/d?sslmode=require",
        "postgres://h",
        "postgresql:///d?host=/run/postgresql",
        "postgresql://[::1]:5432/d",
        "postgresql://a:1,b:2/d?target_session_attrs=read-write",
    ],
)
def test_taking_apart_and_putting_together_changes_nothing(dsn: str) -> None:
    """A URL in its usual form survives the round trip."""
    assert Address.from_dsn(dsn).to_dsn() == dsn


@pytest.mark.parametrize(
    "dsn",
    ["", "mysql://h/d", "host=h dbname=d", "postgresql://u:a#b@h/d", "postgresql://u:a/b@h/d"],
)
def test_what_is_no_url_of_postgresql_is_refused(dsn: str) -> None:
    """A password with a sign that had to be escaped is not taken for a host."""
    with pytest.raises(ValueError, match=r"postgresql://|%2F"):
        Address.from_dsn(dsn)
