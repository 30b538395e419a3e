"""How a command of ours gets in where keys and TLS guard the door.

It takes what the SDKs take, from the variables that whoever sends has set already: a secret belongs
in the environment, not into arguments, which every user of a machine can see.

Spec: opentelemetry-specification protocol/exporter.md, OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE,
_CLIENT_KEY, _CLIENT_CERTIFICATE; headers as in W3C Baggage, values percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote

import grpc

from collector.errors import SettingsError
from collector.operate.endpoint import Endpoint

_PREFIX = "OTEL_EXPORTER_OTLP_"


class Access(NamedTuple):
    """What to show and whom to trust; everything may be missing."""

    headers: tuple[tuple[str, str], ...] = ()
    ca: bytes | None = None
    key: bytes | None = None
    certificate: bytes | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], ca_file: Path | None = None) -> Self:
        """Return what the SDKs would use; ``ca_file`` wins over its variable.

        Raises:
            SettingsError: a file cannot be read; the text names the variable or the option.
        """
        named = {
            name: (f"{_PREFIX}{name}", Path(environ[f"{_PREFIX}{name}"]))
            for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
            if environ.get(f"{_PREFIX}{name}")
        }
        if ca_file is not None:
            named["CERTIFICATE"] = ("--ca-file", ca_file)
        content = {name: _read(*where) for name, where in named.items()}
        return cls(
            _headers(environ.get(f"{_PREFIX}HEADERS", "")),
            content.get("CERTIFICATE"),
            content.get("CLIENT_KEY"),
            content.get("CLIENT_CERTIFICATE"),
        )

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what a channel to an ``https`` endpoint needs."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

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
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{label}: {file}: {error.strerror or 'cannot be read'}") from error
