"""`otlpg verify` where TLS, client certificates and keys guard both doors."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from collector.operate import tokens
from collector.operate.verify.options import Protocol
from collector.receive.token import Scope, Token
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.certificates import Authority, ServerFiles
from tests.e2e.daemon import Daemon
from tests.e2e.verifying import Verifying

DOORS = [word for protocol in Protocol for word in ("--protocol", protocol)]


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    """A CA and a certificate of the daemon."""
    return ServerFiles.make(tmp_path)


@pytest.fixture
async def key(connection: Connection) -> str:
    """A key that may send."""
    token, _ = await tokens.create(connection, name="a", scopes=[Scope.INGEST], expires_s=None)
    return token.text


@pytest.fixture
def senders(tmp_path: Path) -> Authority:
    """Who signs certificates of senders."""
    authority = Authority("senders")
    authority.write(tmp_path, "senders")
    return authority


@pytest.fixture
def guarded(
    database_settings: DatabaseSettings,
    files: ServerFiles,
    senders: Authority,
    key: str,
    tmp_path: Path,
) -> Generator[Daemon]:
    """A daemon that asks for all there is; the key was there before."""
    with Daemon(
        database_settings,
        OTLPG_AUTH__KEYS="true",
        OTLPG_TLS__CLIENT_CA_FILE=str(tmp_path / "senders.pem"),
        **files.environment,
    ) as daemon:
        yield daemon


async def test_a_key_and_certificates_let_it_in_by_every_door_and_a_wrong_key_is_rejected(
    guarded: Daemon,
    database_settings: DatabaseSettings,
    files: ServerFiles,
    senders: Authority,
    key: str,
    tmp_path: Path,
) -> None:
    """Nothing but the variables that an SDK would use; a wrong key costs a promise: exit 1."""
    certificate, private = senders.issue("canary").write(tmp_path, "canary")
    ends: dict[str, tuple[int, set[str]]] = {}
    for name, shown in (("right", key), ("wrong", Token.new().text)):
        with Verifying(
            guarded, database_settings,
            "--endpoint", f"https://localhost:{guarded.grpc_port}",
            "--http-endpoint", f"https://localhost:{guarded.http_port}",
            "--ca-file", str(files.ca), "--rounds", "3", *DOORS,
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{shown}",
            OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(certificate),
            OTEL_EXPORTER_OTLP_CLIENT_KEY=str(private),
        ) as verifying:  # fmt: skip
            code = await asyncio.to_thread(verifying.wait)
            ends[name] = code, set(verifying.ends())
            assert shown not in verifying.log_text()

    assert ends == {"right": (0, {"stored"}), "wrong": (1, {"rejected"})}
