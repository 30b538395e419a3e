"""Who may come in, and through which certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from collector.settings.stage import Names, Stage
from collector.settings.units import Seconds


class TlsSettings(Stage):
    """Certificates of the listeners; PEM files, read again when they change."""

    certificate_file: Path | None = Field(
        default=None,
        description="Our certificate and, after it, what leads to its root. With key_file: TLS on "
        "the listeners of OTLP.",
    )
    key_file: Path | None = Field(
        default=None,
        description="Its private key, without a password: nobody is there to type one.",
    )
    client_ca_file: Path | None = Field(
        default=None,
        description="Who signs the certificates of senders; with it nobody gets in without one.",
    )
    client_names: Names = Field(
        default=[],
        description="Senders that may come in, by a name in their certificate: any subject "
        "alternative name, or the common name where there is none. Empty: all that "
        "client_ca_file has signed.",
    )
    telemetry: bool = Field(
        default=False,
        description="TLS on the telemetry listener too, never with client certificates. Off, since "
        "kubelet's probes and Prometheus expect plain HTTP unless told otherwise.",
    )
    handshake_s_max: Seconds = Field(
        default=5.0, ge=0.1, le=120, description="Time for one TLS handshake."
    )

    @property
    def on(self) -> bool:
        """Whether the listeners of OTLP speak TLS."""
        return self.certificate_file is not None

    @model_validator(mode="after")
    def _are_complete(self) -> Self:
        """Refuse half of a pair, and words that would have no effect."""
        if (self.certificate_file is None) != (self.key_file is None):
            missing = "key_file" if self.key_file is None else "certificate_file"
            raise ValueError(f"tls.{missing} is missing: certificate_file and key_file go together")
        for name, given in (("client_ca_file", self.client_ca_file), ("telemetry", self.telemetry)):
            if given and not self.on:
                raise ValueError(f"tls.{name} has no effect without tls.certificate_file")
        if self.client_names and self.client_ca_file is None:
            raise ValueError("tls.client_names has no effect without tls.client_ca_file")
        return self


class AuthSettings(Stage):
    """API keys: `otlpg token` makes them, table api_keys holds them."""

    keys: bool = Field(
        default=False,
        description="Every request needs a key: ingest to send, query or admin for /metrics.",
    )
    refresh_s: Seconds = Field(
        default=5.0,
        ge=1,
        le=3_600,
        description="The keys are read this often; a revoked one works that much longer.",
    )
    stale_s_max: Seconds = Field(
        default=86_400.0,
        ge=1,
        le=30 * 86_400,
        description="Keys known before PostgreSQL went away are taken so long, and for a minute "
        "where it answers but may not show them; then senders are told to try again. A key to ingest proves no more than the right to be stored later.",
    )
