"""store.pool: a connection that fails says what to do about that very failure."""

from __future__ import annotations

import socket
from typing import Any

import asyncpg
import pytest

from collector.cli.exit_codes import report
from collector.errors import StoreUnavailableError
from collector.settings import DatabaseSettings
from collector.store.pool import connect


async def failure(error: Exception, monkeypatch: pytest.MonkeyPatch) -> StoreUnavailableError:
    """Return what ``connect`` makes of the driver's error."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(asyncpg, "connect", refuse)
    with pytest.raises(StoreUnavailableError) as caught:
        await connect(DatabaseSettings())
    return caught.value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), "DB_PASSWORD"),
        (asyncpg.InvalidAuthorizationSpecificationError("role x does not exist"), "pg_hba.conf"),
        (asyncpg.InvalidCatalogNameError("database x does not exist"), "createdb"),
        (socket.gaierror(-2, "Name or service not known"), "DB_HOST"),
        (asyncpg.UndefinedObjectError("unrecognized configuration parameter"), "after the ?"),
        (asyncpg.TooManyConnectionsError("too many clients"), "max_connections"),
    ],
)
async def test_each_cause_has_its_own_next_step(
    error: Exception,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody with a wrong password is told to start PostgreSQL."""
    failed = await failure(error, monkeypatch)

    report(failed)
    shown = capsys.readouterr().err
    assert words in failed.hint
    assert shown.splitlines()[1] == f"otlpg: {failed.hint}"
    assert "is PostgreSQL running" not in shown


async def test_a_server_that_is_away_has_the_general_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the question is whether it runs at all."""
    report(await failure(ConnectionRefusedError("refused"), monkeypatch))

    assert "is PostgreSQL running" in capsys.readouterr().err
