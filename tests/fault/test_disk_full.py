"""The file system of the tables is full, under load, until somebody makes room.

A real ENOSPC without root: the postmaster runs in user and mount namespaces of its own, in which a
small tmpfs is mounted where the tablespace lies. WAL and catalogs of the cluster lie outside, so
PostgreSQL goes on and refuses what needs another page (53100). A full ``pg_wal`` is another hazard:
the server panics, which ``test_postgres_restart.py`` shows. Where the kernel does not let users make
namespaces the test belongs to ``make fault``, and fails there.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from random import Random

import asyncpg
import pytest

from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.embedded_host import as_user, make_folder, server_user
from collector.store.pool import connect
from tests.conftest import memory_folder, settings_of
from tests.e2e.daemon import Daemon
from tests.fault.conftest import migrate_durably
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, failing, run_under, serves_again

ACKNOWLEDGED_BEFORE_MAX = 100
DISK_FULL = "53100"
DISK_MIB = 96
FAILURES = 6
LONG_RUNS = 3
PROGRAMS = ("initdb", "pg_ctl")

POSTMASTER = """#!/bin/sh
# Only the postmaster is given a socket folder; everything else runs as it is.
case "$*" in *unix_socket_directories*)
  exec unshare --user --mount --map-root-user sh -c '
    mount -t tmpfs -o size={size}m,mode=700 tmpfs {disk} || exit 1
    exec unshare --user --map-user={uid} --map-group={gid} {postgres} "$@"' sh "$@";;
esac
exec {postgres} "$@"
"""
"""PostgreSQL refuses to run as root, even of a namespace: the inner one maps it to a plain user."""


def namespaces_allowed() -> bool:
    """Tell whether a plain user may mount a tmpfs in namespaces of its own here."""
    command = [
        "unshare",
        "--user",
        "--mount",
        "--map-root-user",
        "mount",
        "-t",
        "tmpfs",
        "t",
        "/mnt",
    ]
    return subprocess.run(command, **as_user(server_user()), capture_output=True).returncode == 0


pytestmark = [] if namespaces_allowed() else [pytest.mark.long]


@pytest.fixture
def small_disk(durable_server: EmbeddedPostgres) -> Generator[tuple[EmbeddedPostgres, Path]]:
    """A server that sees a small file system, and where it sees it."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-disk-", dir=memory_folder()))
    folder.chmod(0o711)
    user = server_user()
    disk, binaries = folder / "disk", folder / "bin"
    make_folder(disk, 0o700, user)
    make_folder(binaries, 0o755)
    real = durable_server.binaries
    assert real is not None
    for program in PROGRAMS:
        (binaries / program).symlink_to(real / program)
    script = POSTMASTER.format(
        size=DISK_MIB, disk=disk, uid=1000, gid=1000, postgres=real / "postgres"
    )
    (binaries / "postgres").write_text(script)
    (binaries / "postgres").chmod(0o755)
    server = EmbeddedPostgres(binaries=binaries)
    try:
        server.start(folder / "server")
        yield server, disk
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


async def assert_a_full_disk_costs_nothing(
    server: EmbeddedPostgres, disk: Path, seed: int, rounds: int
) -> None:
    """Run the load, fill the file system while it is on, make room; fail unless promises are kept."""
    admin = await connect(settings_of(server, "postgres", role=SUPERUSER))
    await admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await admin.execute(f"CREATE DATABASE small OWNER {ROLE} TABLESPACE small")
    await admin.close()
    database = settings_of(server, "small")
    await migrate_durably(database)
    settings = settings_of(server, "small", role=SUPERUSER)
    admin = await connect(settings.model_copy(update={"app_name": "administrator"}))

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(rounds):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BEFORE_MAX))
            await admin.execute("CREATE TABLE ballast (filler text STORAGE PLAIN)")
            with pytest.raises(asyncpg.DiskFullError):
                await admin.execute(
                    "INSERT INTO ballast SELECT repeat('x', 8000)"
                    f" FROM generate_series(1, {DISK_MIB} * 128)"
                )
            await failing(daemon, DISK_FULL, times=FAILURES)
            await admin.execute("DROP TABLE ballast")
            await serves_again(sender)

    verdict = await run_under(fault, database, seed=seed)

    verdict.assert_promises_kept()
    admin.terminate()


async def test_a_full_disk_loses_and_repeats_nothing(
    small_disk: tuple[EmbeddedPostgres, Path],
) -> None:
    """What needs another page is held; once there is room, it is stored exactly once."""
    await assert_a_full_disk_costs_nothing(*small_disk, seed=17, rounds=1)


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(1700, 1700 + LONG_RUNS))
async def test_a_disk_that_is_full_again_and_again(
    small_disk: tuple[EmbeddedPostgres, Path], seed: int
) -> None:
    """The same, three times for each of three seeds."""
    await assert_a_full_disk_costs_nothing(*small_disk, seed=seed, rounds=3)
