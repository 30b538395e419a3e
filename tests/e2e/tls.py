"""Senders who speak TLS, and what the listeners show them."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import time
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from collector.rows import Signal
from tests.certificates import Pair
from tests.e2e.daemon import POLL_S, Daemon
from tests.e2e.jaeger_storage import Storage
from tests.e2e.senders import METHODS, numbered_logs

WAIT_S = 20.0


class Client(NamedTuple):
    """A sender: whom it trusts, and what it shows."""

    ca: bytes
    pair: Pair | None = None

    def context(self, folder: Path) -> ssl.SSLContext:
        """Return what Python's ``ssl`` needs to be this sender."""
        context = ssl.create_default_context(cadata=self.ca.decode())
        if self.pair is not None:
            context.load_cert_chain(*self.pair.write(folder, f"client-{id(self.pair)}"))
        return context

    def send_grpc(self, port: int, **options: Any) -> grpc.StatusCode:
        """Return the code that an export over gRPC ends with."""
        with self.channel(port) as channel:
            try:
                channel.unary_unary(METHODS[Signal.LOGS], bytes, bytes)(
                    numbered_logs([1]), timeout=WAIT_S, **options
                )
            except grpc.RpcError as error:
                failed: Any = error
                return failed.code()
        return grpc.StatusCode.OK

    def read_grpc(self, port: int) -> grpc.StatusCode:
        """Return the code that a question of Jaeger's ends with."""
        with Storage(port, credentials=self.credentials()) as storage:
            try:
                storage.services()
            except grpc.RpcError as error:
                failed: Any = error
                return failed.code()
        return grpc.StatusCode.OK

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what gRPC needs to be this sender."""
        key, certificate = (self.pair.key, self.pair.certificate) if self.pair else (None, None)
        return grpc.ssl_channel_credentials(self.ca, key, certificate)

    def channel(self, port: int) -> grpc.Channel:
        """Return a channel of its own."""
        return grpc.secure_channel(
            f"localhost:{port}",
            self.credentials(),
            options=[("grpc.use_local_subchannel_pool", 1)],
        )

    def send_http(self, port: int, folder: Path) -> int:
        """Return the status of an export over HTTP; 0: there was no conversation."""
        connection = http.client.HTTPSConnection(
            "localhost", port, timeout=WAIT_S, context=self.context(folder)
        )
        try:
            connection.request(
                "POST", "/v1/logs", numbered_logs([1]), {"content-type": "application/x-protobuf"}
            )
            return connection.getresponse().status
        except (ssl.SSLError, ConnectionError):
            return 0
        finally:
            connection.close()


def shown_by(port: int, alpn: str) -> str:
    """Return the fingerprint of the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return hashlib.sha256(shown).hexdigest()


def fingerprint(pair: Pair) -> str:
    """Return the fingerprint of a certificate."""
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def both(daemon: Daemon) -> set[str]:
    """Return what the two listeners show now."""
    return {shown_by(daemon.grpc_port, "h2"), shown_by(daemon.http_port, "http/1.1")}


def wait_until_shown(daemon: Daemon, pair: Pair) -> None:
    """Return once both listeners show this certificate, as they do within a second or so."""
    deadline = time.monotonic() + WAIT_S
    while both(daemon) != {fingerprint(pair)}:
        assert time.monotonic() < deadline, daemon.log_text()
        time.sleep(POLL_S)
