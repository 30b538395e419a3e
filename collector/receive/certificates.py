"""The listeners' certificate and key: read at the start, and again when the files have changed.

Each handshake looks at the files (three ``stat``, some microseconds), so a renewed certificate holds
from the next connection on and open ones go on as they are. Kubernetes renews by swapping a symbolic
link; certbot writes one file after the other. In between the two need not belong together: then the
pair in memory stays, and a line in the log says so once in a while.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Final, NamedTuple

import grpc

from collector.errors import SettingsError
from collector.receive.validity import not_after_unix_s
from collector.settings import TlsSettings
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

FILE_BYTES_MAX: Final = 2**20
"""A chain of certificates has a few kB."""
AGAIN_S: Final = 1.0
"""Files that could not be used are tried again after so long though they look the same."""

_Looks = tuple[tuple[int, int, int, int] | None, ...]
"""What tells one state of the files from another."""


class Material(NamedTuple):
    """What handshakes use: one consistent state of the files."""

    context: ssl.SSLContext
    """For HTTP; asks for a client certificate where a CA is set."""
    plain_context: ssl.SSLContext
    """The same without client certificates, for telemetry."""
    grpc: grpc.ServerCertificateConfiguration
    expires_unix_s: float
    """When our own certificate ends."""


class Certificates:
    """The present certificate of this process; safe to ask from any thread."""

    def __init__(self, settings: TlsSettings, *, clock: Clock) -> None:
        """Read the files.

        Raises:
            SettingsError: they cannot be used; the text names the setting.
        """
        assert settings.certificate_file is not None
        assert settings.key_file is not None
        self.settings = settings
        self._files = [
            file
            for file in (settings.certificate_file, settings.key_file, settings.client_ca_file)
            if file is not None
        ]
        self._clock = clock
        self._trouble = Trouble("otlpg.receive", clock)
        self._lock = threading.Lock()
        self._looks = self._look()
        self._tried_s = clock.monotonic_s()
        self._failed = False
        self._current = load(settings)

    def current(self) -> Material:
        """Return what the next handshake uses: the files' content, or the last that was good.

        Never raises; bounded to one reading of the files per change and second.
        """
        with self._lock:
            looks, now_s = self._look(), self._clock.monotonic_s()
            same = looks == self._looks
            if same and not (self._failed and now_s - self._tried_s >= AGAIN_S):
                return self._current
            self._looks, self._tried_s = looks, now_s
            try:
                fresh = load(self.settings)
            except SettingsError as error:
                self._failed = True
                self._trouble.warn("certificate not read again", "certificate", error=str(error))
                return self._current
            # Swapped while we read: what we have may be of two states, so look once more.
            self._failed = self._look() != looks
            if not self._failed:
                self._current = fresh
            return self._current

    def _look(self) -> _Looks:
        return tuple(_look(file) for file in self._files)


def _look(file: Path) -> tuple[int, int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def load(settings: TlsSettings) -> Material:
    """Return what the files hold now.

    Raises:
        SettingsError: one is missing, is no such thing, is encrypted, or the two do not belong
            together; the text names the setting and quotes nothing of a file.
    """
    certificate_file, key_file = settings.certificate_file, settings.key_file
    assert certificate_file is not None
    assert key_file is not None
    chain = _read(certificate_file, "tls.certificate_file")
    key = _read(key_file, "tls.key_file")
    if b"ENCRYPTED" in key:
        raise SettingsError(
            f"tls.key_file: {key_file} is encrypted; otlpg has nobody to ask for its password"
        )
    authority: bytes | None = None
    if settings.client_ca_file is not None:
        authority = _read(settings.client_ca_file, "tls.client_ca_file")
    plain = _context(certificate_file, key_file)
    context = _context(certificate_file, key_file)
    if authority is not None:
        _ask_for_certificates(context, authority, settings.client_ca_file)
    try:
        expires_unix_s = not_after_unix_s(chain)
    except ValueError:
        raise SettingsError(f"tls.certificate_file: {certificate_file} is no certificate") from None
    return Material(
        context,
        plain,
        grpc.ssl_server_certificate_configuration([(key, chain)], authority),
        expires_unix_s,
    )


def _read(file: Path, setting: str) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"{setting}: {file}: {error.strerror or 'cannot be read'}") from error
    if len(content) > FILE_BYTES_MAX:
        raise SettingsError(f"{setting}: {file} is larger than {FILE_BYTES_MAX} bytes")
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
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise SettingsError(f"tls.client_ca_file: {file} holds no certificate") from None
    if not context.get_ca_certs():
        raise SettingsError(f"tls.client_ca_file: {file} holds no certificate of a CA")
    context.verify_mode = ssl.CERT_REQUIRED
