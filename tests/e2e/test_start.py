"""A daemon that cannot serve says why in one line and ends with the code for it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from collector.settings import DatabaseSettings
from tests.certificates import ServerFiles
from tests.e2e.daemon import Daemon


async def end_of(daemon: Daemon) -> tuple[int, str]:
    """Start a daemon that must not come up; return its exit code and what it said."""
    with pytest.raises(AssertionError, match="listening"):
        await asyncio.to_thread(daemon.start)
    code = await asyncio.to_thread(daemon.wait)
    daemon.kill()
    return code, daemon.log_text()


async def test_a_database_without_schema_is_exit_6_and_names_the_command(
    empty_database: DatabaseSettings,
) -> None:
    """Nothing is migrated behind the operator's back."""
    code, said = await end_of(Daemon(empty_database, workers=2))

    assert code == 6
    assert "otlpg migrate up" in said
    assert "Traceback" not in said


async def test_a_taken_port_is_exit_4_and_named(database_settings: DatabaseSettings) -> None:
    """Not a silent share of another daemon's connections."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = await end_of(Daemon(database_settings, OTLPG_RECEIVE__GRPC_PORT=port))

    assert code == 4
    assert "receive.grpc_port" in said
    assert port in said


@pytest.mark.parametrize(
    "environment",
    [{"OTLPG_RECEIVE__GRPC_HOST": "0.0.0.0"}, {"OTLPG_TELEMETRY__HOST": "::"}],
    ids=["grpc", "telemetry"],
)
async def test_an_anonymous_listener_beyond_loopback_is_refused(
    database_settings: DatabaseSettings, environment: dict[str, Any]
) -> None:
    """Promise 9; the way out is named."""
    code, said = await end_of(Daemon(database_settings, **environment))

    assert code == 4
    assert "--insecure" in said


HALF: dict[str, tuple[dict[str, Any], str, str]] = {
    "TLS alone": ({"tls": True}, "keys (auth.keys)", "TLS ("),
    "keys alone": ({"keys": True}, "TLS (tls.certificate_file", "keys ("),
}


@pytest.mark.parametrize("name", HALF)
async def test_half_of_what_a_listener_needs_is_not_enough(
    database_settings: DatabaseSettings, tmp_path: Path, name: str
) -> None:
    """The message names what is missing, and not what is there."""
    given, missing, there = HALF[name]
    environment: dict[str, Any] = {
        **(ServerFiles.make(tmp_path).environment if given.get("tls") else {}),
        "OTLPG_AUTH__KEYS": str(given.get("keys", False)).lower(),
        "OTLPG_RECEIVE__HTTP_HOST": "0.0.0.0",
    }

    code, said = await end_of(Daemon(database_settings, **environment))

    assert code == 4
    assert "receive.http_host" in said
    assert missing in said
    assert there not in said


@pytest.mark.parametrize("known", ["keys", "client certificates"])
async def test_tls_and_a_way_to_know_senders_open_a_listener(
    database_settings: DatabaseSettings, tmp_path: Path, known: str
) -> None:
    """Nothing else has to be said; telemetry alone may be open for the kubelet."""
    files = ServerFiles.make(tmp_path)
    environment: dict[str, Any] = {
        **files.environment,
        "OTLPG_RECEIVE__GRPC_HOST": "0.0.0.0",
        "OTLPG_RECEIVE__HTTP_HOST": "0.0.0.0",
        "OTLPG_TELEMETRY__HOST": "0.0.0.0",
        "OTLPG_TELEMETRY__INSECURE": "true",
    }
    if known == "keys":
        environment["OTLPG_AUTH__KEYS"] = "true"
    else:
        environment["OTLPG_TLS__CLIENT_CA_FILE"] = str(files.ca)

    with Daemon(database_settings, **environment) as daemon:
        status, _ = daemon.get("/health/ready")

    assert status == 200


async def test_insecure_in_as_many_words_listens_everywhere(
    database_settings: DatabaseSettings,
) -> None:
    """The operator's word counts, for every listener that was opened by it."""
    with Daemon(
        database_settings,
        OTLPG_RECEIVE__GRPC_HOST="0.0.0.0",
        OTLPG_RECEIVE__HTTP_HOST="0.0.0.0",
        OTLPG_RECEIVE__INSECURE="true",
    ) as daemon:
        listening = {
            (connection.laddr.ip, connection.laddr.port)
            for process in (psutil.Process(daemon.pid), *daemon.workers())
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }

    assert {port for ip, port in listening if ip in {"0.0.0.0", "::"}} == {
        daemon.grpc_port,
        daemon.http_port,
    }
