"""From database settings to a DSN, and to words fit for a log."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from collector.settings import DatabaseSettings
from collector.store.pool import describe, resolve_dsn


def settings(**fields: Any) -> DatabaseSettings:
    """Return settings with these fields; secrets as plain text."""
    for secret in ("dsn", "password"):
        if secret in fields:
            fields[secret] = SecretStr(fields[secret])
    return DatabaseSettings(**fields)


CASES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "postgresql://", "the default host"),
    (
        {"host": "db", "port": 6432, "name": "otel", "user": "me", "password": "p@s/w:d"},
        "postgresql://me:p%40s%2Fw%3Ad@db:6432/otel",
        "db:6432/otel",
    ),
    (
        {"host": "/run/postgresql", "name": "otel", "user": "me"},
        "postgresql://me@/otel?host=/run/postgresql",
        "/run/postgresql/otel",
    ),
    (
        {"host": "::1", "name": "otel", "ssl_mode": "require"},
        "postgresql://[::1]/otel?sslmode=require",
        "::1/otel",
    ),
    (
        {"dsn": "postgres://me:secret@db/otel?connect_timeout=3&channel_binding=require"},
        "postgres://me:secret@db/otel",
        "db/otel",
    ),
    (
        {"dsn": "postgresql://me:secret@db/otel", "ssl_mode": "verify-full"},
        "postgresql://me:secret@db/otel?sslmode=verify-full",
        "db/otel",
    ),
    (
        {"dsn": "postgresql://me@db/otel?sslmode=require", "ssl_mode": "disable"},
        "postgresql://me@db/otel?sslmode=require",
        "db/otel",
    ),
    (
        {"dsn": "postgresql://me@one:5432,two:5433/otel?target_session_attrs=primary"},
        "postgresql://me@one:5432,two:5433/otel?target_session_attrs=primary",
        "one:5432,two:5433/otel",
    ),
    (
        {"dsn": "postgresql://db/otel", "host": "other", "name": "other"},
        "postgresql://db/otel",
        "db/otel",
    ),
]


@pytest.mark.parametrize(("fields", "dsn", "_"), CASES)
def test_settings_become_a_dsn(fields: dict[str, Any], dsn: str, _: str) -> None:
    """What is given is in the DSN, quoted; what only libpq knows is not; a DSN wins."""
    assert resolve_dsn(settings(**fields)) == dsn


@pytest.mark.parametrize(("fields", "_", "words"), CASES)
def test_settings_are_described_without_secrets(
    fields: dict[str, Any], _: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host, port and database, and nothing else, whatever form they came in."""
    monkeypatch.delenv("PGHOST", raising=False)
    monkeypatch.delenv("PGDATABASE", raising=False)

    assert describe(settings(**fields)) == words


def test_the_password_is_in_no_repr() -> None:
    """Neither form shows its secret when it is printed by accident."""
    for fields in ({"password": "secret"}, {"dsn": "postgresql://me:secret@db/otel"}):
        assert "secret" not in repr(settings(**fields))
        assert "secret" not in str(settings(**fields))
