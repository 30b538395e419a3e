"""A certificate on a mount that is away: whoever opens the file waits, perhaps for ever."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator
from pathlib import Path

import grpc
import pytest

from collector.receive import certificates as subject
from collector.settings import DatabaseSettings
from tests.certificates import ServerFiles
from tests.e2e.daemon import POLL_S, Daemon
from tests.e2e.tls import Client, both, wait_until_shown

READERS = 2
"""The worker, and its supervisor, who tells when the certificate ends."""
HANDSHAKES = 20
SAID_S_MAX = 20.0
SERVED = grpc.StatusCode.OK, 200


class Mount:
    """Files of which each may go away as one on NFS does: a FIFO that nobody writes."""

    def __init__(self) -> None:
        self._fifos: list[Path] = []

    def take_away(self, file: Path) -> None:
        """Let whoever opens the file wait from now on."""
        fifo = file.with_suffix(".fifo")
        os.mkfifo(fifo)
        os.link(fifo, other := file.with_suffix(".link"))
        other.replace(file)
        self._fifos.append(fifo)

    def bring_back(self) -> None:
        """Let those who wait go on: they read an empty file."""
        for fifo in self._fifos:
            try:
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # ENXIO: nobody waits
                continue
        self._fifos.clear()


def wait_until_said(daemon: Daemon, event: str, times: int) -> None:
    """Return once so many lines of the log tell of this event."""
    deadline_s = time.monotonic() + SAID_S_MAX
    while sum(line.get("event") == event for line in daemon.log()) < times:
        assert time.monotonic() < deadline_s, daemon.log_text()
        time.sleep(POLL_S)


@pytest.fixture
def mount() -> Generator[Mount]:
    """Files that may hang, and do not any more when the test ends."""
    lent = Mount()
    yield lent
    lent.bring_back()


async def send_both(daemon: Daemon, client: Client, folder: Path) -> tuple[grpc.StatusCode, int]:
    """Return what a new connection of each protocol hears."""
    return (
        await asyncio.to_thread(client.send_grpc, daemon.grpc_port),
        await asyncio.to_thread(client.send_http, daemon.http_port, folder),
    )


@pytest.mark.parametrize("which", ["certificate", "key"])
async def test_a_file_that_hangs_keeps_nobody_out(
    database_settings: DatabaseSettings, tmp_path: Path, mount: Mount, which: str
) -> None:
    """New connections get the old certificate, the log says so once, and renewal comes later."""
    files = ServerFiles.make(tmp_path)
    client = Client(files.authority.pem)
    with Daemon(database_settings, **files.environment) as daemon:
        before = await asyncio.to_thread(both, daemon)
        mount.take_away(getattr(files, which))
        assert await send_both(daemon, client, tmp_path) == SERVED
        line = await asyncio.to_thread(daemon.wait_for_log, "certificate not renewed", worker=0)
        heard = [await send_both(daemon, client, tmp_path) for _ in range(HANDSHAKES)]
        assert await asyncio.to_thread(both, daemon) == before
        status, _ = await asyncio.to_thread(daemon.get, "/metrics")

        renewed = files.authority.server()
        for file, content in ((files.certificate, renewed.certificate), (files.key, renewed.key)):
            file.unlink()
            file.write_bytes(content)
        await asyncio.to_thread(wait_until_said, daemon, line["event"], READERS)
        mount.bring_back()
        await asyncio.to_thread(wait_until_shown, daemon, renewed)
        said = [said for said in daemon.log() if said.get("event") == line["event"]]

    assert heard == [SERVED] * HANDSHAKES
    assert status == 200
    assert line["level"] == "error"
    assert str(getattr(files, which)) in line["file"]
    assert len(said) == READERS


async def test_a_daemon_ends_well_while_a_file_hangs(
    database_settings: DatabaseSettings, tmp_path: Path, mount: Mount
) -> None:
    """The thread that waits holds up no drain."""
    files = ServerFiles.make(tmp_path)
    with Daemon(database_settings, **files.environment) as daemon:
        mount.take_away(files.certificate)
        await asyncio.to_thread(daemon.wait_for_log, "certificate not renewed", worker=0)

        assert await asyncio.to_thread(daemon.stop) == 0


async def test_a_start_with_a_file_that_hangs_ends_in_time(
    database_settings: DatabaseSettings, tmp_path: Path, mount: Mount
) -> None:
    """Exit 4, and the setting and the file are named."""
    files = ServerFiles.make(tmp_path)
    mount.take_away(files.key)
    daemon = Daemon(database_settings, **files.environment)
    with pytest.raises(AssertionError, match="listening"):
        await asyncio.to_thread(daemon.start)

    assert await asyncio.to_thread(daemon.wait, subject.READ_S_MAX + 5) == 4
    assert f"tls.key_file: {files.key} does not answer" in daemon.log_text()
