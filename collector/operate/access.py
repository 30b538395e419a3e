"""How a command of ours that sends gets in where keys and TLS guard the door.

It takes what the SDKs take, from the variables that whoever sends has set already: a secret belongs
in the environment, not into arguments, which every user of a machine can see.

Spec: opentelemetry-specification protocol/exporter.md, OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE,
_CLIENT_KEY, _CLIENT_CERTIFICATE; headers as in W3C Baggage, values percent-encoded.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote

from collector.errors import SettingsError
from collector.operate.endpoint import Endpoint

if TYPE_CHECKING:
    import grpc  # 30 ms, which a command that speaks only HTTP need not wait for

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
"""What both protocols take as the name of a header."""
_VALUE: Final = re.compile(r"[ -~]*")
_OURS: Final = frozenset({"connection", "content-length", "host", "te", "transfer-encoding"})
"""They frame a message, which is the business of whoever sends it."""


@dataclass(frozen=True)
class Access:
    """What to show and whom to trust; everything may be missing."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with each call, names in lower case; may hold a secret."""
    ca: bytes | None = None
    """Certificates to check the daemon's own with, in PEM; None: the system's."""
    key: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key_file: Path | None = None
    certificate_file: Path | None = None
    """Where ``key`` and ``certificate`` were read: Python's ``ssl`` takes nothing but files."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], ca_file: Path | None = None) -> Self:
        """Return what the SDKs would use; ``ca_file`` wins over its variable.

        Raises:
            SettingsError: a file cannot be read or is empty, there is a key without a certificate,
                or a header cannot be sent; the text names the variable or the option, and holds
                nothing that may be secret.
        """
        named = {
            name: (f"{_PREFIX}{name}", Path(environ[f"{_PREFIX}{name}"]))
            for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
            if environ.get(f"{_PREFIX}{name}")
        }
        if ca_file is not None:
            named["CERTIFICATE"] = ("--ca-file", ca_file)
        if "CLIENT_KEY" in named and "CLIENT_CERTIFICATE" not in named:
            raise SettingsError(f"{_PREFIX}CLIENT_KEY needs {_PREFIX}CLIENT_CERTIFICATE")
        content = {name: _read(*where) for name, where in named.items()}
        files = {name: file for name, (_, file) in named.items()}
        return cls(
            headers=_headers(environ.get(f"{_PREFIX}HEADERS", "")),
            ca=content.get("CERTIFICATE"),
            key=content.get("CLIENT_KEY"),
            certificate=content.get("CLIENT_CERTIFICATE"),
            key_file=files.get("CLIENT_KEY"),
            certificate_file=files.get("CLIENT_CERTIFICATE"),
        )

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what a channel to an ``https`` endpoint needs.

        gRPC would only fail to connect, for ever, with what cannot be used: so ``ssl`` looks first.

        Raises:
            SettingsError: as ``context``.
        """
        import grpc

        self.context()
        # Without a file of its own the key is in that of the certificate.
        return grpc.ssl_channel_credentials(self.ca, self.key or self.certificate, self.certificate)

    def context(self) -> ssl.SSLContext:
        """Return what a connection over HTTP to an ``https`` endpoint needs.

        Raises:
            SettingsError: a file holds no certificate, or not the key of its certificate.
        """
        # Only what stands between certificates may be anything but ASCII.
        ca = None if self.ca is None else self.ca.decode("ascii", "replace").replace("\ufffd", "?")
        try:
            context = ssl.create_default_context(cadata=ca)
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError("the CA file holds no certificate in PEM") from error
        if self.certificate_file is not None:
            try:
                # With a password, or it would ask the terminal for one.
                context.load_cert_chain(self.certificate_file, self.key_file, password="")
            except (ssl.SSLError, OSError) as error:
                raise SettingsError(
                    f"{_PREFIX}CLIENT_CERTIFICATE and {_PREFIX}CLIENT_KEY are no pair in PEM"
                ) from error
        return context

    def channel(self, endpoint: Endpoint) -> grpc.Channel:
        """Return a channel; the headers go with each call.

        Raises:
            SettingsError: as ``context``.
        """
        import grpc

        if endpoint.secure:
            return grpc.secure_channel(endpoint.authority, self.credentials())
        return grpc.insecure_channel(endpoint.authority)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    parts = [part for part in text.split(",") if part.strip()]
    return tuple(_header(part, number) for number, part in enumerate(parts, 1))


def _header(part: str, number: int) -> tuple[str, str]:
    """Return one header; of a wrong one only its number is told, as any part may be the secret."""
    name, equals, value = part.partition("=")
    name, value = name.strip().lower(), unquote(value).strip()
    where = f"{_PREFIX}HEADERS: entry {number}"
    if not equals or not _NAME.fullmatch(name):
        raise SettingsError(f"{where} is not name=value")
    if name in _OURS:
        raise SettingsError(f"{where} names {name}, which is not to be chosen")
    if not _VALUE.fullmatch(value):
        raise SettingsError(f"{where} has a value with a control character, or one beyond ASCII")
    return name, value


def _read(label: str, file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{label}: {file}: {error.strerror or 'cannot be read'}") from error
    if not content.strip():  # as a CA it would mean the system's own
        raise SettingsError(f"{label}: {file}: it is empty")
    return content
