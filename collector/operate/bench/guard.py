"""TLS and a key for one measurement: what the daemon reads, and how the load gets in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collector.operate.access import Access
from collector.operate.bench.server import BenchServer
from collector.receive.token import Token

HOST = "localhost"


class Guard(NamedTuple):
    """Both sides of a guarded door."""

    settings: dict[str, str]
    """Environment of the daemon."""
    access: Access
    """Of the load; crosses to the sender's process."""

    @classmethod
    def make(cls, folder: Path, server: BenchServer) -> Self:
        """Write a certificate into ``folder`` and a key into the server's table.

        The certificate is of an elliptic curve, as those of today's authorities are.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / "bench.crt").write_bytes(pem)
        key_file = folder / "bench.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        token = Token.new()
        server.execute(
            "INSERT INTO api_keys (id, name, scopes, hash) VALUES"  # noqa: S608 -- hex of ours
            f" ('{token.id}', 'bench', '{{ingest}}', '\\x{token.hash.hex()}')"
        )
        return cls(
            settings={
                "OTLPG_TLS__CERTIFICATE_FILE": str(folder / "bench.crt"),
                "OTLPG_TLS__KEY_FILE": str(key_file),
                "OTLPG_AUTH__KEYS": "true",
            },
            access=Access(headers=(("authorization", f"Bearer {token.text}"),), ca=pem),
        )
