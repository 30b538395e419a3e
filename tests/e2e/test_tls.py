"""TLS on gRPC and HTTP: who gets in, and certificates that change under a running daemon."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from collector.operate import tokens
from collector.receive.token import Scope
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.certificates import DAY, Authority, Pair, ServerFiles
from tests.e2e.daemon import POLL_S, Daemon
from tests.e2e.jaeger_storage import Storage
from tests.e2e.senders import (
    GRPC_EXPORTERS,
    HTTP_EXPORTERS,
    METHODS,
    export_spans,
    numbered_logs,
)
from tests.e2e.tls import WAIT_S, Client, both, fingerprint, wait_until_shown


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    """A CA and a certificate of the daemon."""
    return ServerFiles.make(tmp_path)


@pytest.fixture
def daemon(database_settings: DatabaseSettings, files: ServerFiles) -> Generator[Daemon]:
    """A daemon with TLS on both listeners of OTLP."""
    with Daemon(database_settings, **files.environment) as running:
        yield running


async def test_senders_who_trust_our_ca_come_in(
    daemon: Daemon, files: ServerFiles, tmp_path: Path
) -> None:
    """Over gRPC and HTTP; who speaks in clear, or trusts another CA, does not."""
    client, stranger = Client(files.authority.pem), Client(Authority("another").pem)

    assert await asyncio.to_thread(client.send_grpc, daemon.grpc_port) is grpc.StatusCode.OK
    assert await asyncio.to_thread(client.send_http, daemon.http_port, tmp_path) == 200
    assert (
        await asyncio.to_thread(stranger.send_grpc, daemon.grpc_port) is grpc.StatusCode.UNAVAILABLE
    )
    assert await asyncio.to_thread(stranger.send_http, daemon.http_port, tmp_path) == 0
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.http_port)
    writer.write(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    writer.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_not_spoken(daemon: Daemon) -> None:
    """Nothing below 1.2, on either listener, even to a client that would take it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
        context.minimum_version = version
        context.maximum_version = version
        for port in (daemon.grpc_port, daemon.http_port):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def test_a_renewed_certificate_is_shown_soon_and_open_connections_go_on(
    daemon: Daemon, files: ServerFiles
) -> None:
    """A broken moment between the two files breaks no handshake: the old pair stays."""
    before = await asyncio.to_thread(both, daemon)
    renewed = files.authority.server()
    with Client(files.authority.pem).channel(daemon.grpc_port) as channel:
        export = channel.unary_unary(METHODS[Signal.LOGS], bytes, bytes)
        assert await asyncio.to_thread(export, numbered_logs([1]), timeout=WAIT_S) == b""
        files.certificate.write_bytes(renewed.certificate)  # the key is still the old one
        line = await asyncio.to_thread(daemon.wait_for_log, "certificate not read again", worker=0)
        between = await asyncio.to_thread(both, daemon)
        files.key.write_bytes(renewed.key)
        await asyncio.to_thread(wait_until_shown, daemon, renewed)
        assert await asyncio.to_thread(export, numbered_logs([2]), timeout=WAIT_S) == b""

    assert len(before) == 1
    assert between == before
    assert line["level"] == "warning"


async def test_a_certificate_is_renewed_as_kubernetes_does_it(
    database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """A symbolic link that leads to another folder from one moment to the next."""
    authority = Authority()
    first, second = authority.server(), authority.server()
    for name, pair in (("one", first), ("two", second)):
        (tmp_path / name).mkdir()
        pair.write(tmp_path / name, "tls")
    (tmp_path / "..data").symlink_to("one")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    with Daemon(
        database_settings,
        OTLPG_TLS__CERTIFICATE_FILE=str(tmp_path / "tls.crt"),
        OTLPG_TLS__KEY_FILE=str(tmp_path / "tls.key"),
    ) as daemon:
        before = await asyncio.to_thread(both, daemon)
        (tmp_path / "..new").symlink_to("two")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await asyncio.to_thread(wait_until_shown, daemon, second)

    assert before == {fingerprint(first)}


async def test_no_handshake_breaks_while_files_are_replaced_again_and_again(
    daemon: Daemon, files: ServerFiles
) -> None:
    """Certificate and key written one after the other, thirty times, under a stream of senders."""
    pairs = [files.authority.server() for _ in range(30)]
    over = threading.Event()

    def renew() -> None:
        for pair in pairs:
            files.certificate.write_bytes(pair.certificate)
            files.key.write_bytes(pair.key)
        over.set()

    seen: set[str] = set()
    renewing = asyncio.ensure_future(asyncio.to_thread(renew))
    while not over.is_set():
        seen |= await asyncio.to_thread(both, daemon)
    await renewing

    await asyncio.to_thread(wait_until_shown, daemon, pairs[-1])
    assert seen


ALLOWED = "shop.example.com"


def allowed(ca: Authority, *sans: x509.GeneralName) -> Pair:
    """Return the certificate of a sender whose common name is on the list."""
    return ca.issue(ALLOWED, sans)


def other(ca: Authority, *sans: x509.GeneralName) -> Pair:
    """Return one whose common name is not."""
    return ca.issue("x", sans)


OK, DENIED = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED
EVIL = x509.DNSName("evil.example.com")
SPIFFE = x509.UniformResourceIdentifier("spiffe://shop/web")
AWAY = grpc.StatusCode.UNAVAILABLE
SENDERS: dict[str, tuple[Callable[[Authority], Pair | None], grpc.StatusCode, int]] = {
    "none": (lambda _: None, AWAY, 0),
    "another CA": (lambda _: allowed(Authority("evil")), AWAY, 0),
    "expired": (lambda ca: ca.issue(ALLOWED, ends_in=-DAY), AWAY, 0),
    "common name": (allowed, OK, 200),
    "DNS name": (lambda ca: other(ca, x509.DNSName(ALLOWED)), OK, 200),
    "URI": (lambda ca: other(ca, SPIFFE), OK, 200),
    "another name": (lambda ca: other(ca, EVIL), DENIED, 403),
    "common name beside a DNS name": (lambda ca: allowed(ca, EVIL), DENIED, 403),
}
"""What a sender shows, and what it hears over gRPC and HTTP; 0: there is no handshake.

As a Jaeger that reads over gRPC it hears the same, at the port of its own and at that of OTLP.
"""


async def test_client_certificates(
    database_settings: DatabaseSettings, files: ServerFiles, tmp_path: Path
) -> None:
    """Without the right CA there is no handshake; without a name on the list, 403."""
    senders_ca = Authority("senders")
    wrong: list[str] = []
    with Daemon(
        database_settings,
        OTLPG_TLS__CLIENT_CA_FILE=str(senders_ca.write(tmp_path, "senders")),
        OTLPG_TLS__CLIENT_NAMES=f"{ALLOWED},spiffe://shop/web",
        OTLPG_API__ENABLED="true",
        **files.environment,
    ) as daemon:
        for name, (make, code, status) in SENDERS.items():
            client = Client(files.authority.pem, make(senders_ca))
            heard = (
                await asyncio.to_thread(client.send_grpc, daemon.grpc_port),
                await asyncio.to_thread(client.send_http, daemon.http_port, tmp_path),
                await asyncio.to_thread(client.read_grpc, daemon.jaeger_port),
                await asyncio.to_thread(client.read_grpc, daemon.grpc_port),
            )
            if heard != (code, status, code, code):
                wrong.append(f"{name}: {heard}")
        with Storage(daemon.jaeger_port) as in_clear, pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(in_clear.services)

    assert not wrong
    assert "UNAVAILABLE" in str(caught.value)


@pytest.mark.parametrize("names", ["", ALLOWED])
async def test_a_name_that_is_no_text_ends_its_own_connection_and_no_listener(
    database_settings: DatabaseSettings, files: ServerFiles, tmp_path: Path, names: str
) -> None:
    """Python's ``ssl`` cannot read it: HTTP has no handshake. Over gRPC it is a name on no list."""
    senders_ca = Authority("senders")
    odd = Client(files.authority.pem, senders_ca.issue_with_a_name_that_is_no_text(ALLOWED))
    good = Client(files.authority.pem, senders_ca.issue(ALLOWED))
    heard: list[tuple[grpc.StatusCode, int]] = []
    with Daemon(
        database_settings,
        OTLPG_TLS__CLIENT_CA_FILE=str(senders_ca.write(tmp_path, "senders")),
        OTLPG_TLS__CLIENT_NAMES=names or "[]",
        **files.environment,
    ) as daemon:
        for client in (odd, good, odd, good):
            heard += [
                (
                    await asyncio.to_thread(client.send_grpc, daemon.grpc_port),
                    await asyncio.to_thread(client.send_http, daemon.http_port, tmp_path),
                )
            ]
        line = daemon.wait_for_log("TLS handshake failed")

    assert heard == [((DENIED if names else OK), 0), (OK, 200)] * 2
    assert line["cause"] == "UnicodeDecodeError"


def wait_until_let_in(daemon: Daemon, sender: Client) -> None:
    """Return once a sender's certificate is good enough, as it is within a second or so."""
    deadline = time.monotonic() + WAIT_S
    while sender.send_grpc(daemon.grpc_port) is not OK:
        assert time.monotonic() < deadline, daemon.log_text()
        time.sleep(POLL_S)


async def test_another_client_ca_holds_soon(
    database_settings: DatabaseSettings, files: ServerFiles, tmp_path: Path
) -> None:
    """Who was signed by the old one gets in no more."""
    old, new = Authority("old"), Authority("new")
    file = old.write(tmp_path, "senders")
    senders = [Client(files.authority.pem, ca.issue("x")) for ca in (old, new)]
    heard: list[tuple[grpc.StatusCode, int]] = []
    with Daemon(
        database_settings, OTLPG_TLS__CLIENT_CA_FILE=str(file), **files.environment
    ) as daemon:
        for ca, sender in zip((old, new), senders, strict=True):
            ca.write(tmp_path, "senders")
            await asyncio.to_thread(wait_until_let_in, daemon, sender)
            heard += [
                (
                    await asyncio.to_thread(client.send_grpc, daemon.grpc_port),
                    await asyncio.to_thread(client.send_http, daemon.http_port, tmp_path),
                )
                for client in senders
            ]

    stays_out = AWAY, 0
    assert heard == [(OK, 200), stays_out, stays_out, (OK, 200)]


async def test_half_a_handshake_ends_in_time_and_keeps_nobody_out(
    database_settings: DatabaseSettings, files: ServerFiles, tmp_path: Path
) -> None:
    """A hundred connections that say nothing are closed; a sender comes in beside them."""
    with Daemon(database_settings, OTLPG_TLS__HANDSHAKE_S_MAX="1s", **files.environment) as daemon:
        ports = (daemon.grpc_port, daemon.http_port)
        silent = [
            await asyncio.open_connection("127.0.0.1", port) for port in ports for _ in range(50)
        ]
        status = await asyncio.to_thread(
            Client(files.authority.pem).send_http, daemon.http_port, tmp_path
        )
        async with asyncio.timeout(WAIT_S):
            said = [await reader.read() for reader, _ in silent]
        for _, writer in silent:
            writer.close()

    assert status == 200
    assert set(said) == {b""}


async def test_the_end_of_the_certificate_is_a_metric_and_a_warning(
    database_settings: DatabaseSettings, files: ServerFiles
) -> None:
    """In seconds since 1970, of the certificate that is shown now."""
    soon = files.authority.server(ends_in=timedelta(days=3))
    soon.write(files.certificate.parent, "server")
    with Daemon(database_settings, **files.environment) as daemon:
        name = "otlpg_certificate_expiry_timestamp_seconds"
        first = await asyncio.to_thread(daemon.metric, name)
        warned = daemon.wait_for_log("the certificate expires soon")
        renewed = files.authority.server()
        renewed.write(files.certificate.parent, "server")
        deadline = time.monotonic() + WAIT_S
        while await asyncio.to_thread(daemon.metric, name) != renewed.not_after.timestamp():
            assert time.monotonic() < deadline, daemon.log_text()

    assert first == soon.not_after.timestamp()
    assert 2.5 < warned["days_left"] <= 3


async def test_telemetry_speaks_tls_when_told_so(
    database_settings: DatabaseSettings, files: ServerFiles, tmp_path: Path
) -> None:
    """Without client certificates, which a kubelet does not have."""
    daemon = Daemon(
        database_settings,
        await_store=False,
        OTLPG_TLS__TELEMETRY="true",
        OTLPG_TLS__CLIENT_CA_FILE=str(files.ca),
        **files.environment,
    )
    try:
        await asyncio.to_thread(daemon.start)
        context = Client(files.authority.pem).context(tmp_path)

        def live() -> int:
            connection = http.client.HTTPSConnection(
                "localhost", daemon.telemetry_port, timeout=WAIT_S, context=context
            )
            connection.request("GET", "/health/live")
            try:
                return connection.getresponse().status
            finally:
                connection.close()

        assert await asyncio.to_thread(live) == 200
        assert await asyncio.to_thread(daemon.stop) == 0
    finally:
        await asyncio.to_thread(daemon.kill)


async def test_the_real_sdk_exporters_come_in_with_tls_client_certificate_and_key(
    database_settings: DatabaseSettings,
    connection: Connection,
    files: ServerFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the variables that README names, and nothing else."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # of this machine: requests prefers them
        monkeypatch.delenv(name, raising=False)
    token, _ = await tokens.create(connection, name="sdk", scopes=[Scope.INGEST], expires_s=None)
    certificate, key = files.authority.issue("sdk").write(tmp_path, "sdk")
    for name, value in {
        "HEADERS": f"authorization=Bearer%20{token.text}",
        "CERTIFICATE": str(files.ca),
        "CLIENT_CERTIFICATE": str(certificate),
        "CLIENT_KEY": str(key),
    }.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    with Daemon(
        database_settings,
        OTLPG_AUTH__KEYS="true",
        OTLPG_TLS__CLIENT_CA_FILE=str(files.ca),
        **files.environment,
    ) as daemon:
        exporters = [
            GRPC_EXPORTERS[Signal.TRACES](endpoint=f"https://localhost:{daemon.grpc_port}"),
            HTTP_EXPORTERS[Signal.TRACES](
                endpoint=f"https://localhost:{daemon.http_port}/v1/traces"
            ),
        ]
        results = [
            await asyncio.to_thread(export_spans, exporter, [f"span {number}"])
            for number, exporter in enumerate(exporters)
        ]

    assert [result.name for result in results] == ["SUCCESS", "SUCCESS"]
    names = await connection.fetch("SELECT name FROM trace_spans ORDER BY name")
    assert [row[0] for row in names] == ["span 0", "span 1"]


BROKEN: dict[str, tuple[Callable[[ServerFiles], object], str]] = {
    "no certificate": (lambda f: f.certificate.unlink(), "tls.certificate_file"),
    "no key": (lambda f: f.key.unlink(), "tls.key_file"),
    "an empty certificate": (lambda f: f.certificate.write_bytes(b""), "tls.certificate_file"),
    "another key": (lambda f: f.key.write_bytes(f.authority.server().key), "is not of this key"),
    "an encrypted key": (
        lambda f: f.key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "is encrypted",
    ),
    "a key of 2 MiB": (lambda f: f.key.write_bytes(bytes(2**21)), "tls.key_file"),
    "a folder": (lambda f: (f.key.unlink(), f.key.mkdir()), "tls.key_file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_a_certificate_that_cannot_be_used_stops_the_start(
    database_settings: DatabaseSettings, files: ServerFiles, name: str
) -> None:
    """Exit 4, the setting is named, and nobody is asked for a password."""
    damage, named = BROKEN[name]
    damage(files)
    daemon = Daemon(database_settings, **files.environment)
    with pytest.raises(AssertionError, match="listening"):
        await asyncio.to_thread(daemon.start)

    assert await asyncio.to_thread(daemon.wait) == 4
    assert named in daemon.log_text()
    assert "Traceback" not in daemon.log_text()
