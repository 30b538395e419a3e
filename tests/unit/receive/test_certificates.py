"""Certificates on disk: when each ends, and when files are read again."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.receive import certificates as subject
from collector.receive.certificates import Certificates
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
def test_no_bytes_make_it_fail_in_another_way(noise: bytes, place: int) -> None:
    """A damaged certificate is a ValueError, whatever is in it."""
    pem = AUTHORITY.pem
    with contextlib.suppress(ValueError):
        not_after_unix_s(pem[:place] + noise + pem[place:])


class Counted:
    """Certificates that count how often their files are read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = ServerFiles.make(folder)
        self.clock = HandClock()
        self.loads = 0
        load = subject.load

        def counted(settings: TlsSettings) -> subject.Material:
            self.loads += 1
            return load(settings)

        monkeypatch.setattr(subject, "load", counted)
        self.certificates = Certificates(
            TlsSettings(certificate_file=self.files.certificate, key_file=self.files.key),
            clock=self.clock,
        )


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Certificates that were read once."""
    return Counted(tmp_path, monkeypatch)


def test_files_that_did_not_change_are_not_read_again(counted: Counted) -> None:
    """However many shake hands."""
    first = counted.certificates.current()

    assert all(counted.certificates.current() is first for _ in range(100))
    assert counted.loads == 1


def test_files_that_cannot_be_used_are_tried_once_a_second(counted: Counted) -> None:
    """A flood of handshakes while a file is broken costs no flood of readings."""
    first = counted.certificates.current()
    counted.files.key.write_bytes(b"broken")
    for _ in range(100):
        assert counted.certificates.current() is first
    assert counted.loads == 2

    counted.clock.move(timedelta(seconds=subject.AGAIN_S))
    assert counted.certificates.current() is first
    assert counted.loads == 3


@pytest.mark.parametrize("what", ["certificate", "key"])
def test_a_file_that_is_gone_for_a_moment_costs_nothing(counted: Counted, what: str) -> None:
    """The pair in memory stays; the file's return is noticed."""
    first = counted.certificates.current()
    file: Path = getattr(counted.files, what)
    content = file.read_bytes()
    file.unlink()
    assert counted.certificates.current() is first

    file.write_bytes(content)

    assert counted.certificates.current().expires_unix_s == first.expires_unix_s
    assert counted.loads == 3
