"""Certificate, key and client CA as files hold them: read, checked, and made ready for handshakes.

Everything here blocks, for as long as the file system likes.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, NamedTuple

from collector.errors import SettingsError
from collector.receive.validity import not_after_unix_s
from collector.settings import TlsSettings

FILE_BYTES_MAX: Final = 2**20
"""A chain of certificates has a few kB."""
READS_MAX: Final = 3
"""Readings in a row during which a file was replaced, before they count as one that failed."""

Looks = tuple[tuple[int, int, int, int] | None, ...]
"""What tells one state of the files from another."""


class Material(NamedTuple):
    """What handshakes use: one consistent state of the files."""

    context: ssl.SSLContext
    """For HTTP; asks for a client certificate where a CA is set."""
    plain_context: ssl.SSLContext
    """The same without client certificates, for telemetry."""
    chain: bytes
    key: bytes
    authority: bytes | None
    """The same in PEM, for gRPC, which makes contexts of its own."""
    expires_unix_s: float
    """When our own certificate ends."""
    looks: Looks
    """The state of the files that this was read from."""


class CertificateFiles:
    """The files that the settings name; one thread at a time may read them."""

    def __init__(self, settings: TlsSettings) -> None:
        """``settings`` have a certificate and its key; nothing is read yet."""
        assert settings.certificate_file is not None
        assert settings.key_file is not None
        self._certificate = settings.certificate_file
        self._key = settings.key_file
        self._authority = settings.client_ca_file
        self._named = {
            f"tls.{name}": file
            for name in ("certificate_file", "key_file", "client_ca_file")
            if (file := getattr(settings, name)) is not None
        }
        self.at = ""
        """The setting and the file that are being read, for whoever waits for it."""

    def read(self, seen: Looks | None = None) -> Material | None:
        """Return what the files hold now; None when they look as ``seen``.

        Raises:
            SettingsError: one is missing, is no such thing, is encrypted, the two do not belong
                together, or they are replaced all the time; the text names the setting and quotes
                nothing of a file.
        """
        looks = self._look()
        if looks == seen:
            return None
        for _ in range(READS_MAX):
            material = self._load(looks)
            looks = self._look()
            if looks == material.looks:  # or it may be of two states, since each file is read twice
                return material
        raise SettingsError(f"{', '.join(self._named)}: replaced while they were read")

    def _look(self) -> Looks:
        return tuple(self._look_at(setting, file) for setting, file in self._named.items())

    def _look_at(self, setting: str, file: Path) -> tuple[int, int, int, int] | None:
        self.at = f"{setting}: {file}"
        try:
            found = file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _load(self, looks: Looks) -> Material:
        content = {setting: self._content(setting, file) for setting, file in self._named.items()}
        chain, key = content["tls.certificate_file"], content["tls.key_file"]
        authority = content.get("tls.client_ca_file")
        if b"ENCRYPTED" in key:
            raise SettingsError(
                f"tls.key_file: {self._key} is encrypted; otlpg has nobody to ask for its password"
            )
        plain = _context(self._certificate, self._key)
        context = _context(self._certificate, self._key)
        if authority is not None:
            _ask_for_certificates(context, authority, self._authority)
        try:
            expires_unix_s = not_after_unix_s(chain)
        except ValueError:
            raise SettingsError(
                f"tls.certificate_file: {self._certificate} is no certificate"
            ) from None
        return Material(
            context,
            plain,
            chain,
            key,
            authority,
            expires_unix_s,
            looks,
        )

    def _content(self, setting: str, file: Path) -> bytes:
        self.at = f"{setting}: {file}"
        try:
            with file.open("rb") as opened:
                content = opened.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise SettingsError(f"{self.at}: {error.strerror or 'cannot be read'}") from error
        if len(content) > FILE_BYTES_MAX:
            raise SettingsError(f"{self.at} is larger than {FILE_BYTES_MAX} bytes")
        return content


def _context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(
            certificate_file, key_file, password=""
        )  # or it would ask the terminal
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        if reason == "KEY_VALUES_MISMATCH":
            reason = "the certificate is not of this key"
        raise SettingsError(
            f"tls.certificate_file, tls.key_file: {certificate_file} and {key_file} cannot be used: "
            f"{reason}"
        ) from None
    return context


def _ask_for_certificates(context: ssl.SSLContext, authority: bytes, file: Path | None) -> None:
    try:
        # Beside the certificates there may be text in any coding, as `openssl x509 -text` writes it.
        context.load_verify_locations(cadata=authority.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        raise SettingsError(f"tls.client_ca_file: {file} holds no certificate") from None
    if not context.get_ca_certs():
        raise SettingsError(f"tls.client_ca_file: {file} holds no certificate of a CA")
    context.verify_mode = ssl.CERT_REQUIRED
