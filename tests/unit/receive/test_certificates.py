"""Certificates on disk: when each ends, and when files are read again."""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import SettingsError
from collector.receive import certificates as subject
from collector.receive import hanging
from collector.receive.certificate_files import CertificateFiles, Looks, Material
from collector.receive.certificates import Certificates, read_in_time
from collector.receive.validity import not_after_unix_s
from collector.settings import TlsSettings
from tests.certificates import DAY, Authority, ServerFiles
from tests.clocks import HandClock

AUTHORITY = Authority()


@pytest.mark.parametrize("ends", [
    datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
])  # fmt: skip
def test_the_end_is_read_in_both_forms_of_time(ends: datetime) -> None:
    """Two digits of the year until 2049, four from then on."""
    pair = AUTHORITY.issue("x", ends_in=ends - datetime.now(UTC) + timedelta(milliseconds=500))

    assert not_after_unix_s(pair.certificate) == pair.not_after.timestamp()
    assert abs((pair.not_after - ends).total_seconds()) <= 1


def test_a_chain_is_judged_by_its_first_certificate() -> None:
    """Ours comes first, and what leads to its root after it."""
    pair = AUTHORITY.issue("x", ends_in=3 * DAY)

    chain = b"a comment\n" + pair.certificate + AUTHORITY.pem

    assert not_after_unix_s(chain) == pair.not_after.timestamp()


@given(st.binary(max_size=300), st.integers(0, 500))
def test_no_text_makes_it_fail_in_another_way(noise: bytes, place: int) -> None:
    """Damaged PEM is a ValueError, whatever is in it, or still says when it ends."""
    assert_ends_or_is_a_value_error(AUTHORITY.pem[:place] + noise + AUTHORITY.pem[place:])


@given(st.binary(max_size=4), st.integers(0, 400), st.integers(0, 400))
def test_no_bytes_make_it_fail_in_another_way(noise: bytes, begin: int, end: int) -> None:
    """So are damaged bytes inside of the text: changed, added or cut out."""
    der = ssl.PEM_cert_to_DER_cert(AUTHORITY.pem.decode())

    damaged = der[:begin] + noise + der[max(begin, end) :]

    assert_ends_or_is_a_value_error(ssl.DER_cert_to_PEM_cert(damaged).encode())


def assert_ends_or_is_a_value_error(pem: bytes) -> None:
    """Fail at any other exception, and at an end that is no time."""
    try:
        ends_unix_s = not_after_unix_s(pem)
    except ValueError:
        return
    assert math.isfinite(ends_unix_s)


class Served:
    """Certificates of files that a test may change, and how often these were read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = ServerFiles.make(folder)
        self.loads = 0
        load = CertificateFiles._load  # pyright: ignore[reportPrivateUsage]

        def counted(files: CertificateFiles, looks: Looks) -> Material:
            self.loads += 1
            return load(files, looks)

        monkeypatch.setattr(CertificateFiles, "_load", counted)
        self.settings = TlsSettings(
            certificate_file=self.files.certificate, key_file=self.files.key
        )
        self.certificates = Certificates(self.settings, clock=HandClock())

    def take(self, what: str) -> bytes:
        """Remove the certificate or the key and return what was in it."""
        file: Path = getattr(self.files, what)
        content = file.read_bytes()
        file.unlink()
        return content

    def put(self, what: str, content: bytes) -> None:
        """Write the certificate or the key."""
        file: Path = getattr(self.files, what)
        file.write_bytes(content)


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Certificates that were read once."""
    made = Served(tmp_path, monkeypatch)
    await made.certificates.start()
    return made


async def test_files_that_did_not_change_are_not_read_again(served: Served) -> None:
    """However often they are looked at."""
    first = served.certificates.current()

    for _ in range(10):
        await served.certificates.renew()

    assert served.certificates.current() is first
    assert served.loads == 1


async def test_files_that_cannot_be_used_are_read_at_each_look(served: Served) -> None:
    """They may be mended without a change that shows; the pair in memory stays meanwhile."""
    first = served.certificates.current()
    served.files.key.write_bytes(b"broken")

    for _ in range(3):
        await served.certificates.renew()

    assert served.certificates.current() is first
    assert served.loads == 1 + 3


@pytest.mark.parametrize("what", ["certificate", "key"])
async def test_a_file_that_is_gone_for_a_moment_costs_nothing(served: Served, what: str) -> None:
    """The pair in memory stays; the file's return is noticed."""
    first = served.certificates.current()
    content = served.take(what)
    await served.certificates.renew()
    assert served.certificates.current() is first

    served.put(what, content)
    await served.certificates.renew()

    assert served.certificates.current() is not first
    assert served.certificates.current().expires_unix_s == first.expires_unix_s


async def test_files_replaced_while_they_are_read_are_read_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is used is of one state, the last one."""
    load = CertificateFiles._load  # pyright: ignore[reportPrivateUsage]
    renewed = served.files.authority.server(ends_in=3 * DAY)

    def replaced_behind(files: CertificateFiles, looks: Looks) -> Material:
        material = load(files, looks)
        if served.loads == 2:
            renewed.write(served.files.certificate.parent, "server")
        return material

    monkeypatch.setattr(CertificateFiles, "_load", replaced_behind)
    served.files.authority.server().write(served.files.certificate.parent, "server")
    await served.certificates.renew()

    assert served.certificates.current().expires_unix_s == renewed.not_after.timestamp()
    assert served.loads == 3


async def test_files_that_hang_keep_one_thread_however_long(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look waits for them; what is in memory is served."""
    monkeypatch.setattr(subject, "READ_S_MAX", 0.5)
    monkeypatch.setattr(subject, "LOOK_S", 0.01)
    first = served.certificates.current()
    served.files.key.unlink()
    os.mkfifo(served.files.key)
    looking = asyncio.create_task(served.certificates.run())
    with structlog.testing.capture_logs() as said:
        async with asyncio.timeout(10):
            while not said:
                await asyncio.wait((looking,), timeout=0.05)
        await asyncio.wait((looking,), timeout=0.2)  # twenty looks, were they not to wait

    assert hanging_threads() == 1
    assert [line["file"] for line in said] == [f"tls.key_file: {served.files.key}"]
    assert served.certificates.current() is first
    looking.cancel()
    await asyncio.wait((looking,))
    os.close(os.open(served.files.key, os.O_WRONLY))  # the thread reads an empty file, and ends


async def test_a_first_reading_that_hangs_ends_in_time_and_names_the_file(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start and ``otlpg check`` do not wait for a mount that is away."""
    monkeypatch.setattr(subject, "READ_S_MAX", 0.5)
    served.files.key.unlink()
    os.mkfifo(served.files.key)

    with pytest.raises(SettingsError, match="does not answer within") as caught:
        await read_in_time(served.settings)

    assert f"tls.key_file: {served.files.key}" in str(caught.value)
    os.close(os.open(served.files.key, os.O_WRONLY))


def hanging_threads() -> int:
    """Return how many threads of ``hanging`` there are."""
    return sum(thread.name == hanging.THREAD for thread in threading.enumerate())


def test_a_ca_may_have_text_around_its_certificate(tmp_path: Path) -> None:
    """As `openssl x509 -text` writes it, in whatever coding its owner's name has."""
    files = ServerFiles.make(tmp_path)
    files.ca.write_bytes("# Müller CA, Köln\n".encode() + files.ca.read_bytes() + b"# \xff\n")
    settings = TlsSettings(
        certificate_file=files.certificate, key_file=files.key, client_ca_file=files.ca
    )

    material = CertificateFiles(settings).read()

    assert material is not None
    assert len(material.context.get_ca_certs()) == 1
