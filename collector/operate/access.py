"""How a command of ours gets in where keys and TLS guard the door.

It takes what the SDKs take, from the variables that whoever sends has set already: a secret belongs
in the environment, not into arguments, which every user of a machine can see.

Spec: opentelemetry-specification protocol/exporter.md, OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE,
_CLIENT_KEY, _CLIENT_CERTIFICATE; headers as in W3C Baggage, values percent-encoded.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import grpc

from collector.errors import SettingsError
from collector.operate.endpoint import Endpoint

_PREFIX = "OTEL_EXPORTER_OTLP_"


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
            SettingsError: a file cannot be read, or is empty; the text names the variable or the option.
        """
        named = {
            name: (f"{_PREFIX}{name}", Path(environ[f"{_PREFIX}{name}"]))
            for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
            if environ.get(f"{_PREFIX}{name}")
        }
        if ca_file is not None:
            named["CERTIFICATE"] = ("--ca-file", ca_file)
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
        """Return what a channel to an ``https`` endpoint needs."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    def context(self) -> ssl.SSLContext:
        """Return what a connection over HTTP to an ``https`` endpoint needs.

        Raises:
            SettingsError: a file holds no certificate, or not the key of its certificate.
        """
        try:
            context = ssl.create_default_context(cadata=self.ca and self.ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError("the CA file holds no certificate in PEM") from error
        if self.certificate_file is not None:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file)
            except (ssl.SSLError, OSError) as error:
                raise SettingsError(
                    f"{_PREFIX}CLIENT_CERTIFICATE and {_PREFIX}CLIENT_KEY are no pair in PEM"
                ) from error
        return context

    def channel(self, endpoint: Endpoint) -> grpc.Channel:
        """Return a channel; the headers go with each call."""
        if endpoint.secure:
            return grpc.secure_channel(endpoint.authority, self.credentials())
        return grpc.insecure_channel(endpoint.authority)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return tuple((name.strip().lower(), unquote(value).strip()) for name, _, value in pairs)


def _read(label: str, file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{label}: {file}: {error.strerror or 'cannot be read'}") from error
    if not content.strip():  # as a CA it would mean the system's own
        raise SettingsError(f"{label}: {file}: it is empty")
    return content
