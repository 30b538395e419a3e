"""Certificates made for a test: a CA, and what it signs; wrong ones on purpose too."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

DAY = timedelta(days=1)
LOCALHOST: Sequence[x509.GeneralName] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
)


class Pair(NamedTuple):
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes
    not_after: datetime

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both into a folder and return their files."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


class Authority:
    """A CA of a test's own."""

    def __init__(self, name: str = "test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(self._name, self._key, 3650 * DAY, DAY, ca=True)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Write the CA's certificate and return its file."""
        file = folder / f"{name}.pem"
        file.write_bytes(self.pem)
        return file

    def server(self, *, ends_in: timedelta = 90 * DAY) -> Pair:
        """Return a certificate for loopback."""
        return self.issue("localhost", LOCALHOST, ends_in=ends_in)

    def issue(
        self, name: str, sans: Sequence[x509.GeneralName] = (), *, ends_in: timedelta = 90 * DAY
    ) -> Pair:
        """Return a certificate; with a negative ``ends_in`` it has ended."""
        return self._pair(
            name, x509.SubjectAlternativeName(sans) if sans else None, ends_in=ends_in
        )

    def _pair(self, name: str, names: x509.ExtensionType | None, *, ends_in: timedelta) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(
            subject, key, ends_in, max(-ends_in, timedelta()) + DAY, names=names
        )
        return Pair(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            certificate.not_valid_after_utc,
        )

    def issue_with_a_name_that_is_no_text(self, name: str) -> Pair:
        """Return a certificate with one DNS name, ``ff fe``, which no decoder of text takes."""
        names = x509.UnrecognizedExtension(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x04\x82\x02\xff\xfe"
        )
        return self._pair(name, names, ends_in=90 * DAY)

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        ends_in: timedelta,
        began_ago: timedelta,
        *,
        names: x509.ExtensionType | None = None,
        ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - began_ago)
            .not_valid_after(now + ends_in)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


class ServerFiles(NamedTuple):
    """What a listener with TLS reads, and the CA that its senders trust."""

    authority: Authority
    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make a CA and a certificate for loopback in a folder."""
        authority = Authority()
        return cls(authority, authority.write(folder), *authority.server().write(folder, "server"))

    @property
    def environment(self) -> dict[str, Any]:
        """The settings that name the two files."""
        return {
            "OTLPG_TLS__CERTIFICATE_FILE": str(self.certificate),
            "OTLPG_TLS__KEY_FILE": str(self.key),
        }
